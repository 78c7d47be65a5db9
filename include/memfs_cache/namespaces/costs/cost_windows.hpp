// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/json.hpp>
#include <memfs_cache/lets/concepts.hpp>
#include <memfs_cache/namespaces/costs/cost_days.hpp>
#include <memfs_cache/namespaces/costs/cost_summary.hpp>

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

namespace memfs_cache {

/// Days, ISO weeks and months of costs, each put together from its days, and kept once they are final.
///
/// A saved window names the nonce of every day that is in it. It is current as long as no day in the storage has another
/// one, so that a day that is revised makes every window with it due, whoever revised it and whenever the write landed. A
/// day whose file is gone stays in the windows that hold it.
///
/// Threads   any
/// Ownership refers to the storage, which must outlive it.
template <StorageBackend Storage>
class Cost_Windows {
  public:
    using Answer = Window_Result<Cost_Summary>;

    Cost_Windows(Storage& storage, Log_Paths paths, Clock_Ptr clock)
        : storage_(storage), paths_(paths), days_(storage, std::move(paths)), clock_(std::move(clock)) {}

    /// "daily", "weekly" or "monthly".
    /// @errors invalid_argument
    [[nodiscard]] static auto parse(std::string_view type, std::string_view key) -> Result<Window> {
        auto const parsed = parse_window_type(type);
        if (!parsed || !is_kept(*parsed))
            return fail(Errc::invalid_argument, "window_type: costs have daily, weekly and monthly windows");
        return Window::parse(*parsed, key);
    }
    [[nodiscard]] static auto is_kept(Window_Type type) noexcept -> bool {
        return type == Window_Type::daily || type == Window_Type::weekly || type == Window_Type::monthly;
    }

    /// What is known of a window.
    /// @errors invalid_argument if it lies in the future; corrupt_data naming the file; not_found: the file of a day is
    ///         gone, and another day of the window was revised: no sum would be right; what the storage says
    /// Cost    one list and one get, and a get for each day that is new or was changed since this object saw it; a put
    ///         of a window that has become final or was revised
    [[nodiscard]] auto query(Window const& window) -> Result<Answer> {
        if (window.start() > clock_->now())
            return fail(Errc::invalid_argument, "window key: " + window.key() + " lies in the future");
        // In this order: what is saved over the window that was seen comes from days that are no older than it.
        auto const saved = load(window);
        if (!saved)
            return saved.error();
        auto const known = days_in(window);
        if (!known)
            return known.error();
        if (*saved && (*saved)->is_current(*known))
            return (*saved)->answer;
        if (*saved && (*saved)->misses_a_day_of(*known))
            return fail(Errc::not_found, key_of(window).str() +
                                             " holds days that are gone from the storage, and another day of it was "
                                             "revised; bring them back, or remove this file to leave them out");
        Built const built(paths_.namespace_name(), window, *known);
        auto const answer = built.answer(clock_->now());
        if (!answer.final)
            return answer;
        auto const when = *saved ? Precondition::only_if((*saved)->version) : Precondition::absent();
        auto const text = built.text();
        // Who was faster has saved the same, or what the next question sees to be out of date.
        if (auto const written = storage_.put(key_of(window), text, when); !written)
            return written.error();
        if (auto const moved = move_latest(built.head, text); !moved)
            return moved.error();
        return answer;
    }

    /// Forgets the saved window and builds it again: the same bytes, if no day was changed.
    [[nodiscard]] auto rebuild(Window const& window) -> Result<Answer> {
        if (auto const erased = storage_.erase(key_of(window), Precondition::none()); !erased)
            return erased.error();
        return query(window);
    }

    enum class Finding { right, due, wrong };
    /// Does a saved window hold what its days make?
    /// @param  text  of the window as it is stored
    [[nodiscard]] auto check(Window const& window, std::string_view text) -> Result<Finding> {
        auto const known = days_in(window);
        if (!known)
            return known.error();
        auto const saved = Saved::parse(key_of(window), text, window, {});
        if (!saved)
            return Finding::wrong;
        if (!saved->is_current(*known))
            return Finding::due;
        if (saved->misses_a_day_of(*known))
            return Finding::right; // as far as anybody can tell
        return Built(paths_.namespace_name(), window, *known).text() == text ? Finding::right : Finding::wrong;
    }

    [[nodiscard]] auto key_of(Window const& window) const -> Storage_Key {
        return paths_.under("aggregations/" + window.file());
    }
    [[nodiscard]] auto days() noexcept -> Cost_Days<Storage>& { return days_; }
    [[nodiscard]] auto days() const noexcept -> Cost_Days<Storage> const& { return days_; }

  private:
    /// What windows want to know of a day.
    struct Known_Day {
        Version version;
        std::string nonce;
        std::uint64_t revision = 0;
        Utc_Time holds_since{}; ///< settled, and told
        Cost_Summary summary;
    };
    using Known_Days = std::map<Utc_Time, std::shared_ptr<Known_Day const>>;

    /// A window put together from its days. No clock of this process goes into what is saved.
    struct Built {
        Built(std::string const& name_space, Window const& window, Known_Days const& known)
            : head{name_space, window, 0, window.end(), 0, "\"days\":{"} {
            for (auto const& [date, day] : known) {
                head.revision += day->revision;
                head.computed_at = std::max(head.computed_at, day->holds_since);
                head.sources.append(head.sources.back() == '{' ? "\"" : ",\"").append(date_text(date));
                head.sources.append("\":\"").append(day->nonce).append("\"");
                summary.merge(day->summary);
            }
            head.sources += '}';
        }
        [[nodiscard]] auto is_final_at(Utc_Time now) const -> bool {
            return !summary.by_day.empty() && head.computed_at <= now;
        }
        [[nodiscard]] auto answer(Utc_Time now) const -> Answer {
            bool const is_final = is_final_at(now);
            return {
                {head.window, !summary.by_day.empty(), is_final, is_final ? head.computed_at : now, head.revision, 0},
                std::make_shared<Cost_Summary const>(summary)};
        }
        [[nodiscard]] auto text() const -> std::string {
            std::string out;
            head.append_to(out);
            summary.append_members(out);
            return out += '}';
        }
        Saved_Window_Head head;
        Cost_Summary summary;
    };

    struct Saved {
        Answer answer;
        std::map<Utc_Time, std::string> nonces;
        Version version;

        [[nodiscard]] auto is_current(Known_Days const& known) const -> bool {
            return std::all_of(known.begin(), known.end(), [&](auto const& day) {
                auto const held = nonces.find(day.first);
                return held != nonces.end() && held->second == day.second->nonce;
            });
        }
        [[nodiscard]] auto misses_a_day_of(Known_Days const& known) const -> bool {
            return std::any_of(nonces.begin(), nonces.end(),
                               [&](auto const& day) { return !known.contains(day.first); });
        }
        [[nodiscard]] static auto
        parse(Storage_Key const& key, std::string_view text, Window const& window, Version version) -> Result<Saved> {
            auto const object = parse_object(text, key.str());
            if (!object)
                return object.error();
            auto const view = read_saved_window(text, window, saved_form<Cost_Summary, Cost_Day>);
            if (!view)
                return view.error();
            auto const& head = (*view)->head; // it is an object, so there is one
            auto summary = Cost_Summary::from_object(*object);
            if (!summary)
                return fail(summary.error().code, key.str() + ": " + summary.error().context);
            Member_Reader reader(*object);
            Saved saved{
                {head.status(), std::make_shared<Cost_Summary const>(*std::move(summary))}, {}, std::move(version)};
            for (auto const& day : reader.object("days")) {
                auto const date = parse_cost_date(std::string_view(day.key()));
                auto const* const nonce = day.value().if_string();
                if (!date || nonce == nullptr)
                    reader.refuse("days");
                else
                    saved.nonces.emplace(*date, *nonce);
            }
            if (!reader.good())
                return fail(Errc::corrupt_data, key.str() + ": member 'days' is missing or wrong; remove the file to "
                                                            "have it built again");
            return saved;
        }
    };

    auto load(Window const& window) const -> Result<std::optional<Saved>> {
        auto const key = key_of(window);
        auto object = storage_.get(key);
        if (!object)
            return object.error();
        if (!*object)
            return std::optional<Saved>();
        auto saved = Saved::parse(key, (*object)->bytes, window, (*object)->version);
        if (!saved)
            return saved.error();
        return std::optional(*std::move(saved));
    }

    auto days_in(Window const& window) -> Result<Known_Days> {
        auto const listed = days_.between(window.start(), window.end());
        if (!listed)
            return listed.error();
        Known_Days found;
        for (auto const& [date, version] : *listed) {
            if (auto seen = seen_before(date, version)) {
                found.emplace(date, std::move(seen));
                continue;
            }
            auto const read = days_.get(date);
            if (!read)
                return read.error();
            if (!*read)
                continue; // removed meanwhile
            auto const& day = (*read)->day;
            auto known = std::make_shared<Known_Day>();
            known->version = (*read)->version;
            known->nonce = day.nonce;
            known->revision = day.revision;
            known->holds_since = std::max(day.settled_at(), day.collected_at);
            known->summary.add(day);
            remember(date, known);
            found.emplace(date, std::move(known));
        }
        return found;
    }

    auto seen_before(Utc_Time date, Version const& version) -> std::shared_ptr<Known_Day const> {
        std::lock_guard const lock(mutex_);
        auto const seen = seen_.find(date);
        return seen != seen_.end() && seen->second->version == version ? seen->second : nullptr;
    }
    void remember(Utc_Time date, std::shared_ptr<Known_Day const> day) {
        constexpr std::size_t most_days = 2000; // of some kilobytes each
        std::lock_guard const lock(mutex_);
        if (seen_.size() >= most_days)
            seen_.clear();
        seen_[date] = std::move(day);
    }

    /// latest/current-{level}.json: a copy for those who read files, moved forward only.
    auto move_latest(Saved_Window_Head const& head, std::string const& text) -> Result<void> {
        auto const type = head.window.type();
        Window_Position const here{head.window.start(), head.revision};
        auto const key = paths_.under("latest/current-" + std::string(to_text(type)) + ".json");
        auto const moved = update_object(storage_, key, [&](Object const* current) -> Result<std::optional<Bytes>> {
            auto const there = current == nullptr ? std::nullopt : Window_Position::read(current->bytes, type);
            return there && *there >= here ? std::optional<Bytes>() : std::optional(text);
        });
        return moved ? Result<void>() : moved.error();
    }

    Storage& storage_;
    Log_Paths paths_;
    Cost_Days<Storage> days_;
    Clock_Ptr clock_;
    std::mutex mutex_;
    Known_Days seen_;
};

} // namespace memfs_cache
