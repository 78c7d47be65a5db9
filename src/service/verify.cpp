// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/json.hpp>
#include <memfs_cache/entries/entry_documents.hpp>
#include <memfs_cache/lets/window_check.hpp>
#include <memfs_cache/namespaces/analytics/analytics_record.hpp>
#include <memfs_cache/namespaces/analytics/analytics_summary.hpp>
#include <memfs_cache/namespaces/costs.hpp>
#include <memfs_cache/namespaces/tokens/token.hpp>
#include <memfs_cache/namespaces/tokens/token_event.hpp>
#include <memfs_cache/namespaces/transfers/transfer_names.hpp>
#include <memfs_cache/namespaces/transfers/transfers_summary.hpp>
#include <memfs_cache/service/verify.hpp>
#include <memfs_cache/storage/words.hpp>

#include <algorithm>
#include <optional>
#include <set>

namespace memfs_cache {
namespace {

class Verifier {
  public:
    Verifier(Any_Storage& storage, Verify_Options const& options)
        : storage_(storage), options_(options), root_(namespace_prefix(options.root_prefix)) {}

    auto run() -> Result<Verify_Report> {
        auto const folders = folders_list(storage_, root_);
        if (!folders)
            return folders.error();
        for (auto const& folder : *folders) {
            auto const name = Namespace_Name::parse(folder);
            if (!name)
                continue; // none of ours
            ++report_.namespaces;
            for (auto const step :
                 {&Verifier::entries, &Verifier::tokens, &Verifier::events, &Verifier::cost_days, &Verifier::windows})
                if (auto const looked = (this->*step)(*name); !looked)
                    return looked.error();
        }
        return std::move(report_);
    }

  private:
    void wrong(std::string path, std::string what, bool repaired = false) {
        constexpr std::size_t most_shown = 1000;
        ++report_.problem_count;
        report_.repaired_count += repaired ? 1 : 0;
        if (report_.problems.size() < most_shown)
            report_.problems.push_back({std::move(path), std::move(what), repaired});
    }

    auto files(std::string const& folder) -> Result<std::vector<std::string>> {
        if (options_.progress)
            options_.progress(folder);
        return files_list(storage_, folder);
    }

    // Entries

    auto entries(Namespace_Name const& name) -> Result<void> {
        auto const by_id = files(root_ + name.str() + "/refs/by-id/");
        if (!by_id)
            return by_id.error();
        for (auto const& path : *by_id)
            if (auto const looked = entry(name, path); !looked)
                return looked;
        auto const by_hash = files(root_ + name.str() + "/refs/by-hash/");
        if (!by_hash)
            return by_hash.error();
        for (auto const& path : *by_hash)
            if (auto const looked = hash_reference(name, path); !looked)
                return looked;
        return {};
    }

    auto entry(Namespace_Name const& name, std::string const& path) -> Result<void> {
        auto const text = read(storage_, path);
        if (!text || !*text)
            return text ? Result<void>() : text.error();
        auto const ref = Id_Ref::parse(**text);
        if (!ref) {
            wrong(path, ref.error().context);
            return {};
        }
        ++report_.entries;
        if (path != root_ + Id_Ref::path(name.str(), ref->cache_id))
            wrong(path, "names the id " + ref->cache_id + ", which belongs elsewhere");
        for (auto const& file : ref->all_paths.data) {
            auto const there = exists(storage_, root_ + file);
            if (!there)
                return there.error();
            if (!*there)
                wrong(path, "names " + file + ", which is not there");
        }
        auto const by_hash = read(storage_, root_ + ref->all_paths.by_hash);
        if (!by_hash)
            return by_hash.error();
        auto const versions = *by_hash ? Hash_Ref::parse(**by_hash) : fail(Errc::not_found, "");
        bool const listed =
            versions && std::any_of(versions->versions.begin(), versions->versions.end(),
                                    [&](auto const& version) { return version.cache_id == ref->cache_id; });
        if (!listed)
            wrong(path, "is not found by its hash: " + ref->all_paths.by_hash + " does not name it");
        return {};
    }

    auto hash_reference(Namespace_Name const& name, std::string const& path) -> Result<void> {
        auto const text = read(storage_, path);
        if (!text || !*text)
            return text ? Result<void>() : text.error();
        auto const ref = Hash_Ref::parse(**text);
        if (!ref) {
            wrong(path, ref.error().context);
            return {};
        }
        for (auto const& version : ref->versions) {
            auto const there = exists(storage_, root_ + Id_Ref::path(name.str(), version.cache_id));
            if (!there)
                return there.error();
            if (!*there)
                wrong(path, "names the id " + version.cache_id + ", which is not there");
        }
        return {};
    }

    auto tokens(Namespace_Name const& name) -> Result<void> {
        auto const paths = files(root_ + name.str() + "/data/direct/");
        if (!paths)
            return paths.error();
        for (auto const& path : *paths) {
            if (!path.ends_with("/token.json"))
                continue;
            auto const text = read(storage_, path);
            if (!text)
                return text.error();
            if (!*text)
                continue;
            auto const token = Token_Record::parse(**text);
            if (!token)
                wrong(path, token.error().context);
            else
                ++report_.tokens;
        }
        return {};
    }

    // Events

    auto events(Namespace_Name const& name) -> Result<void> {
        Log_Paths const paths(options_.root_prefix, name);
        if (options_.repair)
            if (auto const adopted = Adoption<Any_Storage>(storage_, paths, *options_.clock).run(); !adopted)
                wrong(paths.writers_prefix(), adopted.error().message());
        if (options_.progress)
            options_.progress(paths.raw_prefix());
        Raw_Reader<Any_Storage> const reader(storage_, paths);
        auto const found = reader.windows(earliest_time, latest_time);
        if (!found)
            return found.error();
        for (auto const window : *found) {
            Read_State state;
            auto const done = reader.read(window, state, [&](Raw_Event const&) -> Result<void> {
                ++report_.events;
                return {};
            });
            if (!done && done.error().code != Errc::corrupt_data)
                return done.error();
            if (!done)
                wrong(paths.raw_folder(window), done.error().context);
            else if (auto const looked = pieces(paths, window, state); !looked)
                return looked;
        }
        return {};
    }

    /// A reader stops at a hole: what lies behind it is in no answer, and nothing else would ever say so.
    auto pieces(Log_Paths const& paths, Base_Window window, Read_State const& state) -> Result<void> {
        auto const folder = paths.raw_folder(window);
        auto const listed = files_list(storage_, folder);
        if (!listed)
            return listed.error();
        for (auto const& path : *listed) {
            auto const piece = Segment_Name::parse(std::string_view(path).substr(folder.size()));
            if (!piece || Base_Window::containing(piece->first_time) != window)
                continue;
            auto const read_to = state.position(piece->writer);
            if (piece->base > read_to || piece->base + piece->count.value_or(0) > read_to)
                wrong(path, "cannot be reached: events are missing from position " + std::to_string(read_to) +
                                " of its writer on");
        }
        return {};
    }

    // Costs

    auto cost_days(Namespace_Name const& name) -> Result<void> {
        Cost_Days<Any_Storage> const days(storage_, Log_Paths(options_.root_prefix, name));
        auto const found = days.between(earliest_time, latest_time);
        if (!found)
            return found.error();
        for (auto const& [date, version] : *found) {
            auto const day = days.get(date);
            if (!day && day.error().code != Errc::corrupt_data)
                return day.error();
            if (!day)
                wrong(days.key_of(date).str(), day.error().context);
            else
                report_.cost_days += *day ? 1U : 0U;
        }
        return {};
    }

    auto check_cost_windows(Log_Paths const& paths, std::vector<std::string> const& saved) -> Result<void> {
        using Windows = Cost_Windows<Any_Storage>;
        Windows windows(storage_, paths, options_.clock);
        auto const folder = paths.data_prefix() + "aggregations/";
        for (auto const& path : saved) {
            auto const window = Window::from_file(std::string_view(path).substr(folder.size()));
            if (!window || !Windows::is_kept(window->type()))
                continue; // a stranger's file
            auto const text = read(storage_, path);
            if (!text)
                return text.error();
            if (!*text)
                continue;
            auto const finding = windows.check(*window, **text);
            if (!finding && finding.error().code != Errc::corrupt_data)
                return finding.error();
            if (!finding)
                continue; // a day of it is damaged, which is reported already
            report_.windows += *finding == Windows::Finding::right ? 1U : 0U;
            report_.windows_due += *finding == Windows::Finding::due ? 1U : 0U;
            if (*finding == Windows::Finding::wrong)
                wrong(path, "is not what its days make", options_.repair && windows.rebuild(*window));
        }
        return {};
    }

    // Windows

    auto windows(Namespace_Name const& name) -> Result<void> {
        Log_Paths const paths(options_.root_prefix, name);
        auto const folder = paths.data_prefix() + "aggregations/";
        auto const saved = files(folder);
        if (!saved)
            return saved.error();
        // Of what kind they are they say themselves, whatever the namespace is called.
        std::uint64_t windows = 0;
        for (auto const& path : *saved) {
            if (!Window::from_file(std::string_view(path).substr(folder.size())))
                continue; // what lies beside windows, or a stranger's file
            ++windows;
            auto const text = read(storage_, path);
            if (!text)
                return text.error();
            auto const object = *text ? parse_object(**text, path) : fail(Errc::not_found, "");
            if (!object)
                continue;
            if (Analytics_Answer::from_text(**text) || Analytics_Summary().merge_text(**text)) // of today, or older
                return check<Analytics_Record, Analytics_Summary>(paths, paths);
            if (Tokens_Summary::from_object(*object))
                return check<Token_Event, Tokens_Summary>(paths, paths);
            if (Transfers_Answer::from_text(**text)) {
                if (auto const of = analytics_of_transfers(name))
                    return check<Analytics_Record, Transfers_Summary>(paths, Log_Paths(options_.root_prefix, *of));
                continue; // a stranger's
            }
            if (Cost_Summary::from_object(*object))
                return check_cost_windows(paths, *saved);
        }
        report_.unknown_windows += windows;
        return {};
    }

    /// @param  events  of the log that the windows are made of
    template <class Event, class Summary>
    auto check(Log_Paths const& paths, Log_Paths const& events) -> Result<void> {
        auto const wrong_window = [&](Window const& window, std::string const& what) -> Result<void> {
            auto const path = paths.data_prefix() + "aggregations/" + window.file();
            auto const repaired = options_.repair && rebuild<Event, Summary>(paths, events, window);
            wrong(path, what, repaired);
            return {};
        };
        auto const checked =
            check_windows<Any_Storage, Event, Summary>(storage_, paths, events, options_.clock, wrong_window);
        if (!checked)
            return checked.error();
        report_.windows += checked->right;
        report_.windows_due += checked->due;
        report_.windows_older += checked->older;
        report_.windows_purged += checked->purged;
        return {};
    }

    /// Windows of lower levels come first, so a parent is put together from children that are right already.
    template <class Event, class Summary>
    auto rebuild(Log_Paths const& paths, Log_Paths const& events, Window const& window) -> bool {
        Event_Log_Options reading;
        reading.mode = Recording_Mode::off;
        auto const log = Event_Log<Any_Storage>::open(storage_, events, options_.clock, reading);
        return log && LETS_Aggregator<Any_Storage, Event, Summary>(storage_, **log, paths).rebuild(window);
    }

    Any_Storage& storage_;
    Verify_Options const& options_;
    std::string const root_;
    Verify_Report report_;
};

} // namespace

auto verify_store(Any_Storage& storage, Verify_Options const& options) -> Result<Verify_Report> {
    return Verifier(storage, options).run();
}

} // namespace memfs_cache
