// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/lets/aggregator.hpp>
#include <memfs_cache/storage/memory.hpp>
#include <memfs_cache/storage/words.hpp>

#include <functional>
#include <string>
#include <string_view>

namespace memfs_cache {

/// A store as it would be without its saved windows: those that are built over it lie in memory, everything else is read
/// from the store, and nothing of the store is changed.
template <StorageBackend Storage>
class Without_Windows {
  public:
    Without_Windows(Storage const& store, Log_Paths const& paths)
        : store_(store), hidden_{paths.data_prefix() + "aggregations/", paths.data_prefix() + "latest/"} {}

    [[nodiscard]] auto get(Storage_Key const& key, Byte_Range range = {}) const -> Result<std::optional<Object>> {
        return hides(key.str()) ? built_.get(key, range) : store_.get(key, range);
    }
    [[nodiscard]] auto
    put(Storage_Key const& key, Byte_View bytes, Precondition const& when, Put_Options const& options = {})
        -> Result<Put_Outcome> {
        return hides(key.str()) ? built_.put(key, bytes, when, options) : changes_nothing(key);
    }
    [[nodiscard]] auto erase(Storage_Key const& key, Precondition const& when) -> Result<bool> {
        return hides(key.str()) ? built_.erase(key, when) : changes_nothing(key);
    }
    [[nodiscard]] auto list(List_Query const& query) const -> Result<Page> {
        return hides(query.prefix) ? built_.list(query) : store_.list(query);
    }
    [[nodiscard]] auto append(Storage_Key const& key, std::uint64_t, Byte_View, Durability) -> Result<Put_Outcome> {
        return changes_nothing(key);
    }
    [[nodiscard]] auto sync() -> Result<void> { return {}; }
    [[nodiscard]] auto capabilities() const -> Capabilities { return store_.capabilities(); }
    [[nodiscard]] auto counters() const -> Operation_Counts { return store_.counters(); }

  private:
    [[nodiscard]] auto hides(std::string_view key) const -> bool {
        return key.starts_with(hidden_[0]) || key.starts_with(hidden_[1]);
    }
    static auto changes_nothing(Storage_Key const& key) -> Error {
        return fail(Errc::unsupported, "a check changes nothing, and " + key.str() + " would have to be changed");
    }

    Storage const& store_;
    std::string hidden_[2];
    Storage_Memory built_;
};

/// What came of looking at the saved windows of a namespace.
struct Window_Check_Report {
    std::uint64_t right = 0;  ///< that hold what their events make, byte for byte
    std::uint64_t due = 0;    ///< that marks have overtaken: built again when they are asked for, and so not wrong
    std::uint64_t older = 0;  ///< in the form of an older version: read, but not compared
    std::uint64_t purged = 0; ///< of which the raw events are gone, so that nothing is left to compare them with
};

namespace detail {

/// What is wrong with the state of a window beside the state that it has to have; "" if nothing is. Another version of
/// zstd may have made other bytes of it.
template <StorageBackend Storage, StorageBackend Scratch>
[[nodiscard]] auto fault_of_state(Storage const& storage, Scratch const& scratch, std::string const& key)
    -> Result<std::string> {
    auto const saved = read(storage, key);
    if (!saved)
        return saved.error();
    auto const built = read(scratch, key);
    if (!built)
        return built.error();
    if (!*saved)
        return std::string("has lost its state");
    Zstd_Unpacker unpacker;
    Bytes has, wants;
    bool const is_right =
        *built && (*built == *saved || (unpacker.unpack(**saved, most_state_bytes, has) &&
                                        unpacker.unpack(**built, most_state_bytes, wants) && has == wants));
    return std::string(is_right ? "" : "has a state that is damaged");
}

/// Copies an object, if it is there.
template <StorageBackend Storage, StorageBackend Scratch>
[[nodiscard]] auto copy_as_it_is(Storage const& storage, Scratch& scratch, std::string const& key) -> Result<void> {
    auto const bytes = read(storage, key);
    if (!bytes)
        return bytes.error();
    if (!*bytes)
        return {};
    auto const taken = scratch.put(Storage_Key(key), **bytes, Precondition::none());
    return taken ? Result<void>() : taken.error();
}

} // namespace detail

/// Builds every saved window of a namespace again, from the events on, and compares the bytes.
/// @param  paths     of the namespace of the windows
/// @param  events    of the log that they are made of
/// @param  on_wrong  (Window const&, std::string what) -> Result<void>: told of each window that is not what its events
///                make, those of lower levels first
/// @errors what the storage and `on_wrong` say
/// Cost    a read of all raw events that saved windows cover, and of the windows; memory for all of them built anew
template <StorageBackend Storage, LogEvent Event, WindowSummary<Event> Summary, class Wrong>
[[nodiscard]] auto check_windows(
    Storage const& storage, Log_Paths const& paths, Log_Paths const& events, Clock_Ptr const& clock, Wrong&& on_wrong)
    -> Result<Window_Check_Report> {
    using Scratch = Without_Windows<Storage>;
    Scratch scratch(storage, paths);
    Event_Log_Options options;
    options.mode = Recording_Mode::off;
    auto log = Event_Log<Scratch>::open(scratch, events, clock, options);
    if (!log)
        return log.error();
    LETS_Aggregator<Scratch, Event, Summary> aggregator(scratch, **log, paths);

    enum class Finding { right, due, older, purged, gone, wrong };
    auto const compare = [&](Window const& window, std::string const& key, std::string& what) -> Result<Finding> {
        auto const saved = read(storage, key);
        if (!saved)
            return saved.error();
        if (!*saved)
            return Finding::gone; // somebody else builds it again at this moment
        auto const view = read_saved_window(**saved, window, saved_form<Summary, Event>);
        if (!view || !*view) {
            what = view ? "is not JSON" : view.error().context;
            return Finding::wrong;
        }
        auto const revision = (*log)->late_marks().revision(window.start(), window.end());
        if (!revision)
            return revision.error();
        if ((*view)->head.revision < *revision)
            return Finding::due;
        if (window.type() == Window_Type::half_hour) {
            auto const purged = (*log)->purged(Base_Window::containing(window.start()));
            if (!purged)
                return purged.error();
            if (*purged) { // nothing else knows what was in it; those above it are built from it
                auto taken = detail::copy_as_it_is(storage, scratch, key);
                if (taken && !(*view)->state_file.empty())
                    taken =
                        detail::copy_as_it_is(storage, scratch, beside(Storage_Key(key), (*view)->state_file).str());
                if (!taken)
                    return taken.error();
                return Finding::purged;
            }
        }
        if ((*view)->head.version < saved_form<Summary, Event>)
            return Finding::older;
        if (auto const answer = aggregator.query(window); !answer) {
            if (answer.error().code == Errc::not_found)
                return Finding::purged;
            what = "cannot be built again: " + answer.error().message();
            return Finding::wrong;
        }
        auto const built = read(scratch, key);
        if (!built)
            return built.error();
        if (*built != *saved) {
            what = *built ? "is not what its events make" : "has no events, or was saved before it was closed";
            return Finding::wrong;
        }
        if (auto const file = (*view)->state_file; !file.empty()) {
            auto const fault = detail::fault_of_state(storage, scratch, beside(Storage_Key(key), file).str());
            if (!fault)
                return fault.error();
            what = *fault;
        }
        return what.empty() ? Finding::right : Finding::wrong;
    };

    Window_Check_Report report;
    for (auto const type : all_window_types) {
        auto const folder = paths.data_prefix() + "aggregations/";
        auto const keys = files_list(storage, folder + std::string(to_text(type)) + "/");
        if (!keys)
            return keys.error();
        for (auto const& key : *keys) {
            auto const window = Window::from_file(std::string_view(key).substr(folder.size()));
            if (!window)
                continue; // state beside a window, or a stranger's file
            std::string what;
            auto const found = compare(*window, key, what);
            if (!found)
                return found.error();
            report.right += *found == Finding::right ? 1U : 0U;
            report.purged += *found == Finding::purged ? 1U : 0U;
            report.due += *found == Finding::due ? 1U : 0U;
            report.older += *found == Finding::older ? 1U : 0U;
            if (*found == Finding::wrong)
                if (auto const told = on_wrong(*window, what); !told)
                    return told.error();
        }
    }
    return report;
}

} // namespace memfs_cache
