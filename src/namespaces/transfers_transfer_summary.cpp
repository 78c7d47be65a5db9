// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/json.hpp>
#include <memfs_cache/core/json_text.hpp>
#include <memfs_cache/core/random.hpp>
#include <memfs_cache/namespaces/transfers/transfer_summary.hpp>

#include <boost/json.hpp>

#include <algorithm>
#include <vector>

namespace memfs_cache {
namespace {

constexpr std::size_t most_countries = 100; ///< that are shown

auto countries_of(Transfer_Figures const& figures) -> boost::json::object {
    std::vector<std::pair<std::string_view, std::uint64_t>> rows(figures.countries.begin(), figures.countries.end());
    std::stable_sort(rows.begin(), rows.end(), [](auto const& a, auto const& b) { return a.second > b.second; });
    rows.resize(std::min(rows.size(), most_countries));
    return {rows.begin(), rows.end()};
}

auto hours_of(Transfer_Figures const& figures) -> boost::json::object {
    boost::json::object hours;
    for (std::size_t hour = 0; hour < figures.active_hours.size(); ++hour)
        if (figures.active_hours[hour] > 0)
            hours.emplace(std::to_string(hour), figures.active_hours[hour]);
    return hours;
}

auto millis_or_0(std::optional<Utc_Time> time) -> std::int64_t { return time ? to_millis(*time) : 0; }

} // namespace

auto Transfer_Summary::to_json() const -> boost::json::object {
    boost::json::array events;
    for (auto const& event : figures.recent)
        events.push_back(event.to_json());
    return {{"transfer_id", transfer_id},
            {"cache_id", cache_id},
            {"total_events", figures.events},
            {"total_views", figures.views},
            {"total_downloads", figures.downloads},
            {"total_uploads", figures.uploads},
            {"total_bytes", figures.bytes},
            {"created_at", millis_or_0(figures.created_at)},
            {"first_activity_at", to_millis(figures.first_at)},
            {"last_activity_at", to_millis(figures.last_at)},
            {"first_download_at", millis_or_0(figures.first_download_at)},
            {"last_download_at", millis_or_0(figures.last_download_at)},
            {"unique_downloaders", figures.downloaders.count()},
            {"unique_downloaders_error", static_cast<double>(figures.downloaders.error_ppm()) / 1e6},
            {"unique_downloaders_period", unique_downloaders_period},
            {"active_hours", hours_of(figures)},
            {"active_countries", countries_of(figures)},
            {"events", std::move(events)},
            {"error", error},
            {"computed_at", to_millis(computed_at)},
            {"revision", revision}};
}

auto Transfer_File::text(Transfer_Summary const& summary, Transfer_Past const& past) -> std::string {
    auto text = json_text({{"v", 1}, {"nonce", random_hex(8)}});
    auto const shown = json_text(summary.to_json());
    text.back() = ',';
    text.append(shown, 1).back() = ',';
    text += R"("past":{"from":)";
    append_json_number(text, to_millis(past.from));
    text += R"(,"until":)";
    append_json_number(text, to_millis(past.until));
    text += R"(,"revision":)";
    append_json_number(text, past.revision);
    text += R"(,"error":)";
    append_json_number(text, past.error);
    if (past.figures.events > 0) {
        text += R"(,"figures":)";
        past.figures.append_json(text);
    }
    text += "}}";
    return text;
}

auto Transfer_File::parse(std::string_view text) -> Result<Transfer_File> {
    auto const object = parse_object(text, "the summary of a transfer");
    if (!object)
        return object.error();
    Transfer_File file;
    Member_Reader reader(*object);
    if (reader.unsigned_number("v") != 1)
        reader.refuse("v");
    file.computed_at = from_millis(reader.signed_number("computed_at"));
    file.events = reader.unsigned_number("total_events");
    auto const& past = reader.object("past");
    Member_Reader of_past(past);
    file.past.from = from_millis(of_past.signed_number("from"));
    file.past.until = from_millis(of_past.signed_number("until"));
    file.past.revision = of_past.unsigned_number("revision");
    file.past.error = of_past.unsigned_number("error");
    if (past.contains("figures")) {
        auto figures = Transfer_Figures::from_json(json_text(of_past.object("figures")));
        if (!figures)
            return figures.error();
        file.past.figures = *std::move(figures);
    }
    if (!reader.good() || !of_past.good())
        return fail(Errc::corrupt_data, "the summary of a transfer: member '" +
                                            std::string(reader.good() ? of_past.first_bad() : reader.first_bad()) +
                                            "' is missing or wrong");
    return file;
}

} // namespace memfs_cache
