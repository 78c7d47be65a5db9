// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/json.hpp>
#include <memfs_cache/core/random.hpp>
#include <memfs_cache/namespaces/costs/cost_collector.hpp>
#if MEMFS_CACHE_HAS_S3
#include <memfs_cache/namespaces/costs/cost_explorer.hpp>
#endif

#include <boost/json.hpp>

#include <algorithm>

namespace memfs_cache {
namespace {

using std::chrono::days;

/// Dates of the mark: "" stands for never.
auto text_of(std::optional<Utc_Time> date) -> std::string {
    return date && *date > earliest_time ? date_text(*date) : "";
}

auto date_of(Member_Reader& reader, std::string_view name) -> Utc_Time {
    auto const text = reader.text(name);
    auto const date = text.empty() ? Result<Utc_Time>(earliest_time) : parse_cost_date(text);
    if (!date)
        reader.refuse(name);
    return date ? *date : earliest_time;
}

} // namespace

auto Collector_Mark::stored_text() const -> std::string {
    return json_text({{"v", 1},
                      {"nonce", random_hex(8)},
                      {"source", "aws"},
                      {"last_collected_date", text_of(last_collected)},
                      {"last_run_at", to_millis(last_run_at)},
                      {"last_run_duration_ms", last_run_duration_ms},
                      {"days_collected_total", days_collected_total},
                      {"today", text_of(today)},
                      {"fetched_today", fetched_today},
                      {"reread_on", text_of(reread_on)}});
}

auto Collector_Mark::parse(std::string_view text) -> Result<Collector_Mark> {
    auto const object = parse_object(text, "the mark of the collector");
    if (!object)
        return object.error();
    Member_Reader reader(*object);
    Collector_Mark mark;
    if (reader.unsigned_number("v") != 1)
        reader.refuse("v");
    if (auto const date = date_of(reader, "last_collected_date"); date > earliest_time)
        mark.last_collected = date;
    mark.last_run_at = from_millis(reader.signed_number("last_run_at"));
    mark.last_run_duration_ms = reader.unsigned_number("last_run_duration_ms");
    mark.days_collected_total = reader.unsigned_number("days_collected_total");
    mark.today = date_of(reader, "today");
    mark.fetched_today = reader.unsigned_number("fetched_today");
    mark.reread_on = date_of(reader, "reread_on");
    if (!is_storable(mark.last_run_at))
        reader.refuse("last_run_at");
    if (!reader.good())
        return fail(Errc::corrupt_data, "the mark of the collector: member '" + std::string(reader.first_bad()) +
                                            "' is missing or wrong; remove the file to collect from the beginning");
    return mark;
}

auto Collect_Plan::of(Collector_Mark const& mark, Collect_Options const& options, Utc_Time now)
    -> std::optional<Collect_Plan> {
    auto const today = day_of(now);
    Collect_Plan plan;
    plan.start = mark.last_collected ? *mark.last_collected + days(1) : today - days(options.backfill_days);
    plan.rereads = options.reread_days > 0 && mark.reread_on != today;
    if (plan.rereads)
        plan.start = std::min(plan.start, today - days(options.reread_days));
    plan.has_today = mark.today != today || mark.fetched_today < most_fetches_of_today;
    plan.end = plan.has_today ? today + days(1) : today;
    return plan.start < plan.end ? std::optional(plan) : std::nullopt;
}

auto Collect_Plan::done(Collector_Mark mark, Utc_Time now) const -> Collector_Mark {
    auto const today = day_of(now);
    auto const newest_over = today - days(1);
    auto const before = mark.last_collected.value_or(start - days(1));
    if (newest_over > before) {
        mark.days_collected_total +=
            static_cast<std::uint64_t>(std::chrono::duration_cast<days>(newest_over - before).count());
        mark.last_collected = newest_over;
    }
    if (has_today) {
        mark.fetched_today = mark.today == today ? mark.fetched_today + 1 : 1;
        mark.today = today;
    }
    if (rereads)
        mark.reread_on = today;
    mark.last_run_at = now;
    return mark;
}

#if MEMFS_CACHE_HAS_S3
auto from_cost_explorer(Costs_Options const& options, std::string metric, Clock_Ptr clock) -> Result<Fetch_Costs> {
    Cost_Explorer_Settings settings;
    settings.endpoint_url = options.costs_endpoint_url;
    settings.region = options.costs_region;
    settings.metric = std::move(metric);
    settings.with_credits = options.accept_credits;
    settings.clock = std::move(clock);
    auto explorer = Cost_Explorer::create(std::move(settings));
    if (!explorer)
        return explorer.error();
    auto const shared = std::make_shared<Cost_Explorer>(*std::move(explorer));
    return Fetch_Costs([shared](Utc_Time start, Utc_Time end) { return shared->fetch(start, end); });
}
#else
auto from_cost_explorer(Costs_Options const&, std::string, Clock_Ptr) -> Result<Fetch_Costs> {
    return fail(Errc::unsupported,
                "memfs_cache was built without its HTTP client; build it with -DMEMFS_CACHE_S3=ON to "
                "collect costs");
}
#endif

auto Collect_Report::to_json() const -> boost::json::object {
    auto report = imported.to_json();
    report["asked_from"] = asked ? boost::json::value(date_text(asked->start)) : boost::json::value(nullptr);
    report["asked_until"] = asked ? boost::json::value(date_text(asked->end)) : boost::json::value(nullptr);
    return report;
}

} // namespace memfs_cache
