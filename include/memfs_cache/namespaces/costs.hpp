// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/namespaces/costs/budget.hpp>
#include <memfs_cache/namespaces/costs/cost_import.hpp>
#include <memfs_cache/namespaces/costs/cost_windows.hpp>
#include <memfs_cache/namespaces/handler.hpp>
#include <memfs_cache/storage/words.hpp>

#include <algorithm>
#include <atomic>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace memfs_cache {

struct Costs_Options {
    bool accept_credits = false; ///< amounts below zero, such as credits and refunds, are taken; else they are refused
    std::string costs_endpoint_url = {};    ///< of the Cost Explorer that is asked for costs; "" for that of Amazon
    std::string costs_region = "us-east-1"; ///< where AWS answers for all regions
};

/// What came of an import.
struct Cost_Import_Report {
    std::uint64_t days = 0;          ///< that it told of
    std::uint64_t days_revised = 0;  ///< of them, those that are not as they were
    std::uint64_t entries = 0;       ///< that it told
    Money_Nanos total;               ///< of them
    std::uint64_t alerts_raised = 0; ///< by budgets

    [[nodiscard]] auto to_json() const -> boost::json::object;
};

/// What things cost: days, told by imports or one by one; days, weeks and months of them; budgets that raise alerts.
///
/// Costs have no event log: each day is one object, revised in place by conditional writes, and whatever is asked is put
/// together from the days there are. A day is told whole by an import: what imports told of it before is replaced. What was
/// recorded one by one stays, but for entries of the same thing.
///
/// Threads   every call from any thread, also from several processes and machines on one store
/// Ownership refers to the storage, which must outlive it.
template <StorageBackend Storage>
class Costs {
  public:
    /// @param  root  root prefix, "" or without a slash at its end
    /// @errors unsupported: the storage has no conditional writes, without which two who revise a day at once lose one
    [[nodiscard]] static auto open(Storage& storage,
                                   std::string_view root,
                                   Namespace_Name const& name,
                                   Clock_Ptr clock,
                                   Costs_Options options = {}) -> Result<std::unique_ptr<Costs>> {
        if (!storage.capabilities().conditional_put)
            return fail(Errc::unsupported, "this storage has no conditional writes, which costs need; use another one");
        return std::unique_ptr<Costs>(new Costs(storage, Log_Paths(root, name), name, std::move(clock), options));
    }

    [[nodiscard]] auto name() const noexcept -> Namespace_Name const& { return name_; }
    [[nodiscard]] auto clock() const noexcept -> Clock_Ptr const& { return clock_; }
    /// As it was opened.
    [[nodiscard]] auto options() const noexcept -> Costs_Options const& { return options_; }

    /// Keeps one entry. It takes the place of the entry of its day with the same service, usage type, region and account,
    /// so that the same call again changes nothing.
    /// @return whether it changed anything
    /// @errors invalid_argument naming the member; too_large; closed; what the storage says. When an alert cannot be
    ///         written the entry is kept all the same, and the alert is raised by the next write or look at alerts.
    [[nodiscard]] auto record(Cost_Entry const& entry) -> Result<bool> {
        auto const now = clock_->now();
        if (auto const open = check_open(); !open)
            return open.error();
        if (auto const good = check_cost_entry(entry, options_.accept_credits, now); !good)
            return good.error();
        auto const written = days().revise(entry.date, now, [&](Cost_Day& day) { day.record(entry); });
        if (!written)
            return written.error();
        if (*written)
            ++days_revised_;
        if (auto const raised = raise_alerts({entry.date}); !raised)
            return raised.error();
        return *written;
    }

    /// Takes over what files tell, whole days at a time; see read_cost_files() for their forms.
    /// @errors invalid_argument, too_large: one of the files is wrong, and nothing was written. What the storage says: some
    ///         days may be written, and the same import again completes it.
    /// Cost    a get for each day, and a put for each that is not as told
    [[nodiscard]] auto import_files(std::span<Cost_File const> files, Cost_Import_Options const& options = {})
        -> Result<Cost_Import_Report> {
        auto const told = read_cost_files(files, options);
        if (!told)
            return told.error();
        return import_days(*told);
    }
    [[nodiscard]] auto import_file(Cost_File const& file, Cost_Import_Options const& options = {})
        -> Result<Cost_Import_Report> {
        return import_files({&file, 1}, options);
    }
    /// The same for figures that were read already.
    [[nodiscard]] auto import_days(Cost_Days_Told const& told) -> Result<Cost_Import_Report> {
        auto const now = clock_->now();
        if (auto const open = check_open(); !open)
            return open.error();
        Cost_Import_Report report;
        if (auto const good = check(told, now, report); !good)
            return good.error();
        std::set<Utc_Time> dates;
        for (auto const& told_day : told) {
            auto const& figures = told_day.second;
            auto const written = days().revise(told_day.first, now,
                                               [&](Cost_Day& day) { day.import(figures.entries, figures.estimated); });
            if (!written)
                return written.error();
            report.days_revised += *written ? 1U : 0U;
            dates.insert(told_day.first);
        }
        days_revised_ += report.days_revised;
        auto const raised = raise_alerts(dates);
        if (!raised)
            return raised.error();
        report.alerts_raised = *raised;
        return report;
    }

    /// What a day, an ISO week or a month cost.
    /// @param  type, key  daily 2026-02-13, weekly 2026-W07 or monthly 2026-02, in UTC
    /// @errors as Cost_Windows::query
    [[nodiscard]] auto aggregation(std::string_view type, std::string_view key) -> Result<Cost_Window> {
        auto const window = Cost_Windows<Storage>::parse(type, key);
        if (!window)
            return window.error();
        return aggregation(*window);
    }
    /// What this month has cost so far.
    [[nodiscard]] auto current() -> Result<Cost_Window> {
        return aggregation(Window::containing(Window_Type::monthly, clock_->now()));
    }

    /// Every entry of a day, those of imports first.
    /// @param  date  2026-02-13
    [[nodiscard]] auto entries(std::string_view date) const -> Result<std::vector<Cost_Entry>> {
        auto const day = parse_cost_date(date);
        if (!day)
            return day.error();
        auto found = windows_.days().get(*day);
        if (!found)
            return found.error();
        if (!*found)
            return std::vector<Cost_Entry>();
        auto all = std::move((*found)->day.imported);
        all.insert(all.end(), (*found)->day.recorded.begin(), (*found)->day.recorded.end());
        return all;
    }

    // Budgets

    /// Keeps a budget in the place of the one of the same name. From now on each day whose costs are written is held
    /// against it, and the current period at once.
    /// @errors invalid_argument naming the member; closed; what the storage says
    [[nodiscard]] auto set_budget(New_Budget const& wanted) -> Result<Budget> {
        if (auto const open = check_open(); !open)
            return open.error();
        auto budget = Budget::of(wanted);
        if (!budget)
            return budget.error();
        auto const written =
            update_object(storage_, budget_key(budget->name), [&](Object const*) -> Result<std::optional<Bytes>> {
                return std::optional(budget->stored_text());
            });
        if (!written)
            return written.error();
        if (auto const raised = raise_alerts({day_of(clock_->now())}); !raised)
            return raised.error();
        return budget;
    }
    /// @return whether there was one of this name
    [[nodiscard]] auto remove_budget(std::string_view name) -> Result<bool> {
        if (!Budget::is_name(name))
            return false;
        return storage_.erase(budget_key(name), Precondition::none());
    }
    /// Every budget, by name.
    [[nodiscard]] auto budgets() const -> Result<std::vector<Budget>> {
        return all_below<Budget>(paths_.data_prefix() + "budgets/");
    }
    /// The alerts that budgets have raised, newest first. The current day and month are looked at before, so that none is
    /// missing because a process died between writing costs and raising an alert.
    [[nodiscard]] auto alerts(std::size_t limit = 100) -> Result<std::vector<Cost_Alert>> {
        if (auto const raised = raise_alerts({day_of(clock_->now())}); !raised)
            return raised.error();
        auto all = all_below<Cost_Alert>(paths_.data_prefix() + "alerts/");
        if (!all)
            return all.error();
        std::stable_sort(all->begin(), all->end(), [](Cost_Alert const& a, Cost_Alert const& b) {
            return a.raised_at != b.raised_at ? a.raised_at > b.raised_at : a.threshold > b.threshold;
        });
        if (all->size() > limit)
            all->resize(limit);
        return all;
    }

    /// Where the collector keeps how far it has come.
    [[nodiscard]] auto collector_key() const -> Storage_Key { return paths_.under("collector/high-water-mark.json"); }
    /// For whoever checks or repairs what is stored.
    [[nodiscard]] auto windows() noexcept -> Cost_Windows<Storage>& { return windows_; }

    /// There is nothing to flush: every call has written when it returns.
    [[nodiscard]] auto flush() -> Result<void> { return {}; }
    [[nodiscard]] auto close() -> Result<void> {
        closed_ = true;
        return {};
    }
    [[nodiscard]] auto health() const -> Handler_Health {
        return {false, {{"days_revised", days_revised_.load()}, {"alerts_raised", alerts_raised_.load()}}};
    }

  private:
    Costs(Storage& storage, Log_Paths paths, Namespace_Name name, Clock_Ptr clock, Costs_Options options)
        : storage_(storage), paths_(std::move(paths)), name_(std::move(name)), clock_(std::move(clock)),
          options_(options), windows_(storage, paths_, clock_) {}

    auto days() noexcept -> Cost_Days<Storage>& { return windows_.days(); }

    auto check_open() const -> Result<void> {
        if (closed_)
            return fail(Errc::closed, "the costs are closed; open a new service");
        return {};
    }

    /// Everything is looked at before the first write: a file that is wrong at its end changes nothing.
    auto check(Cost_Days_Told const& told, Utc_Time now, Cost_Import_Report& report) const -> Result<void> {
        for (auto const& [date, figures] : told) {
            Cost_Day alone;
            alone.date = date;
            alone.import(figures.entries, figures.estimated);
            if (auto const fits = alone.check_size(); !fits)
                return fits;
            for (auto const& entry : figures.entries)
                if (auto const good = check_cost_entry(entry, options_.accept_credits, now); !good)
                    return fail(good.error().code, good.error().context + " (" + date_text(date) + ")");
            ++report.days;
            report.entries += figures.entries.size();
            report.total += alone.total();
        }
        return {};
    }

    auto aggregation(Window const& window) -> Result<Cost_Window> {
        auto const answer = windows_.query(window);
        if (!answer)
            return answer.error();
        std::optional<Money_Nanos> previous_total;
        if (window.start() > earliest_time) {
            auto const last = window.start() - std::chrono::milliseconds(1);
            auto const before = windows_.query(Window::containing(window.type(), last));
            if (!before)
                return before.error();
            if (before->recorded)
                previous_total = before->summary->total();
        }
        return Cost_Window::from(*answer, previous_total, clock_->now());
    }

    auto budget_key(std::string_view budget) const -> Storage_Key {
        return paths_.under("budgets/" + std::string(budget) + ".json");
    }
    auto alert_key(Cost_Alert const& alert) const -> Storage_Key {
        return paths_.under("alerts/" + std::string(to_text(alert.period)) + "/" + alert.window_key + "/" +
                            alert.budget + "-" + std::to_string(alert.threshold) + ".json");
    }

    /// Holds the periods of some days against every budget.
    /// @return how many alerts were new
    /// Cost  a list, and a get for each budget; a question for each of its periods, and a get for each threshold reached
    auto raise_alerts(std::set<Utc_Time> const& dates) -> Result<std::uint64_t> {
        auto const all = budgets();
        if (!all)
            return all.error();
        std::uint64_t raised = 0;
        for (auto const& budget : *all) {
            std::set<Utc_Time> starts;
            for (auto const date : dates)
                starts.insert(Window::containing(budget.period, date).start());
            for (auto const start : starts) {
                auto const now_raised = raise_alerts(budget, Window::containing(budget.period, start));
                if (!now_raised)
                    return now_raised.error();
                raised += *now_raised;
            }
        }
        alerts_raised_ += raised;
        return raised;
    }

    auto raise_alerts(Budget const& budget, Window const& period) -> Result<std::uint64_t> {
        auto const costs = windows_.query(period);
        if (!costs)
            return costs.error();
        auto const& summary = *costs->summary;
        auto const of_service = summary.by_service.find(budget.service);
        auto const spent = budget.service.empty()                   ? summary.total()
                           : of_service == summary.by_service.end() ? Money_Nanos()
                                                                    : of_service->second;
        std::uint64_t raised = 0;
        for (auto const threshold : budget.thresholds) {
            if (spent < budget.at(threshold))
                continue;
            Cost_Alert const alert{budget.name,    budget.period, period.key(), threshold,
                                   budget.service, budget.amount, spent,        clock_->now()};
            auto const text = alert.stored_text();
            auto const written =
                update_object(storage_, alert_key(alert), [&](Object const* there) -> Result<std::optional<Bytes>> {
                    return there == nullptr ? std::optional(text) : std::optional<Bytes>();
                });
            if (!written)
                return written.error();
            raised += *written ? 1U : 0U;
        }
        return raised;
    }

    template <class Thing>
    auto all_below(std::string const& folder) const -> Result<std::vector<Thing>> {
        auto const paths = files_list(storage_, folder);
        if (!paths)
            return paths.error();
        std::vector<Thing> things;
        for (auto const& path : *paths) {
            auto const text = read(storage_, path);
            if (!text)
                return text.error();
            if (!*text)
                continue; // removed meanwhile
            auto thing = Thing::parse(**text);
            if (!thing)
                return fail(thing.error().code, path + ": " + thing.error().context);
            things.push_back(*std::move(thing));
        }
        return things;
    }

    Storage& storage_;
    Log_Paths paths_;
    Namespace_Name name_;
    Clock_Ptr clock_;
    Costs_Options options_;
    Cost_Windows<Storage> windows_;
    std::atomic<bool> closed_{false};
    std::atomic<std::uint64_t> days_revised_{0}, alerts_raised_{0};
};

} // namespace memfs_cache
