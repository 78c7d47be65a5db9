// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/events/late_marks.hpp>
#include <memfs_cache/events/ledger.hpp>
#include <memfs_cache/events/manifest.hpp>
#include <memfs_cache/events/raw_reader.hpp>

namespace memfs_cache {

/// Takes over what writers left that died between landing events and looking whether they were late. Such a writer's
/// manifest still names the half-hours; those that are closed by now are marked, and the manifest goes. Safe on a
/// writer that lives after all: it registers again.
template <StorageBackend Storage>
class Adoption {
  public:
    Adoption(Storage& storage, Log_Paths const& paths, Clock const& clock)
        : storage_(storage), paths_(paths), clock_(clock), reader_(storage, paths), ledger_(storage, paths.ledger()),
          late_marks_(storage, paths) {}

    /// Adopts every dead writer. One that cannot be adopted, say for damage in its events, keeps no other from it.
    /// Cost    one list, a get of each manifest, and of what was adopted a read of its half-hours
    /// @errors the first that was met
    [[nodiscard]] auto run() -> Result<void> {
        Result<void> outcome;
        List_Query query{paths_.writers_prefix(), {}, 1000};
        do {
            auto page = storage_.list(query);
            if (!page)
                return page.error();
            for (auto const& item : page->items)
                if (auto const adopted = adopt_if_dead(item.key); !adopted && outcome)
                    outcome = fail(adopted.error().code, item.key + ": " + adopted.error().context);
            query.start_after = page->next;
        } while (!query.start_after.empty());
        return outcome;
    }

    /// The half-hours in which a writer was adopted.
    [[nodiscard]] auto windows() const noexcept -> std::set<Base_Window> const& { return windows_; }

  private:
    auto adopt_if_dead(std::string const& key) -> Result<void> {
        auto const writer = paths_.writer_of_manifest(key);
        if (!writer)
            return {};
        auto const object = storage_.get(Storage_Key(key));
        if (!object)
            return object.error();
        if (!*object)
            return {};
        auto manifest = Writer_Manifest::from_json((*object)->bytes);
        if (!manifest)
            return manifest.error();
        std::set<Base_Window> left;
        for (auto const window : manifest->open)
            if (!may_adopt(*manifest, window))
                left.insert(window);
            else if (auto const marked = mark(*writer, window); !marked)
                return marked.error();
            else
                windows_.insert(window);
        if (manifest->open.empty() ? !is_dead(*manifest) : left.size() == manifest->open.size())
            return {};
        // If somebody was faster, it was another adopter, or the writer lives and has registered again.
        auto const seen = Precondition::only_if((*object)->version);
        if (left.empty()) {
            auto const erased = storage_.erase(Storage_Key(key), seen);
            return erased ? Result<void>() : erased.error();
        }
        manifest->open = std::move(left); // all else stays the writer's own last word
        auto const written = storage_.put(Storage_Key(key), manifest->to_json(), seen);
        return written ? Result<void>() : written.error();
    }

    /// May anybody take over this half-hour? Of another machine's process silence is all there is to go by: of a day, or
    /// of an hour that the half-hour is over as well.
    [[nodiscard]] auto may_adopt(Writer_Manifest const& manifest, Base_Window window) const -> bool {
        using std::chrono::hours;
        auto const now = clock_.now();
        return is_dead(manifest) ||
               (!is_of_this_machine(manifest) && now >= std::max(manifest.changed_at, window.end()) + hours(1));
    }
    [[nodiscard]] auto is_dead(Writer_Manifest const& manifest) const -> bool {
        if (is_of_this_machine(manifest))
            return manifest.process.is_surely_dead();
        return clock_.now() >= manifest.changed_at + std::chrono::hours(24);
    }
    static auto is_of_this_machine(Writer_Manifest const& manifest) -> bool {
        return manifest.process.host == Process_Identity::current().host;
    }

    /// Always marks what is closed, also where a saved window seems to hold it all: its parents may be older. Whether
    /// the events were late when they landed nobody can tell any more, so none counts as late.
    auto mark(std::string const& writer, Base_Window window) -> Result<void> {
        Read_State state;
        auto const read = reader_.read(window, state, [](Raw_Event const&) -> Result<void> { return {}; });
        if (!read)
            return read.error();
        auto const closed_until = ledger_.closed_until();
        if (!closed_until)
            return closed_until.error();
        auto const count = state.position(writer);
        return late_marks_.put_backfill(marks_of({{window, count}}, *closed_until, clock_.now(), true), writer,
                                        "a" + std::to_string(count));
    }

    Storage& storage_;
    Log_Paths const& paths_;
    Clock const& clock_;
    Raw_Reader<Storage> reader_;
    Ledger<Storage> ledger_;
    Late_Marks<Storage> late_marks_;
    std::set<Base_Window> windows_;
};

} // namespace memfs_cache
