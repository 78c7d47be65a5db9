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
        auto const manifest = Writer_Manifest::from_json((*object)->bytes);
        if (!manifest)
            return manifest.error();
        if (!is_dead(*manifest))
            return {};
        for (auto const window : manifest->open)
            if (auto const marked = mark(*writer, window); !marked)
                return marked.error();
        auto const erased = storage_.erase(Storage_Key(key), Precondition::only_if((*object)->version));
        if (!erased)
            return erased.error();
        return {};
    }

    [[nodiscard]] auto is_dead(Writer_Manifest const& manifest) const -> bool {
        if (manifest.process.host == Process_Identity::current().host)
            return manifest.process.is_surely_dead();
        // Of another machine silence is all there is to go by: an hour behind its last word and the end of everything it
        // had open.
        auto newest = manifest.changed_at;
        for (auto const window : manifest.open)
            newest = std::max(newest, window.end());
        return clock_.now() >= newest + std::chrono::hours(1);
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
};

} // namespace memfs_cache
