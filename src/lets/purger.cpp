// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/json_text.hpp>
#include <memfs_cache/lets/purger.hpp>
#include <memfs_cache/lets/rebuilding.hpp>

#include <boost/json/array.hpp>

namespace memfs_cache {

namespace {

auto with_reasons(std::vector<Kept_From_Purge> const& kept) -> boost::json::array {
    boost::json::array array;
    for (auto const& one : kept)
        array.push_back(boost::json::object{{"what", one.what}, {"why", one.why}});
    return array;
}

} // namespace

auto Rebuild_Report::to_json() const -> boost::json::object {
    return {{"rebuilt", boost::json::array(rebuilt.begin(), rebuilt.end())}, {"refused", with_reasons(refused)}};
}

auto Purge_Report::to_json() const -> boost::json::object {
    return {{"objects", boost::json::array(objects.begin(), objects.end())},
            {"bytes", bytes},
            {"half_hours", half_hours},
            {"events", events},
            {"windows", windows},
            {"questions", questions},
            {"salts", boost::json::array(salts.begin(), salts.end())},
            {"kept", with_reasons(kept)}};
}

auto purge_record(Purge_Options const& options,
                  Purge_Report const& report,
                  Utc_Time begun,
                  std::optional<Utc_Time> finished) -> std::string {
    auto const process = Process_Identity::current();
    std::string out = R"({"v":1,"nonce":")" + random_hex(8) + R"(","by":)";
    append_json_string(out, options.by);
    out.append(R"(,"host":")").append(process.host).append("\"");
    auto const append = [&](std::string_view mark, auto number) {
        out.append(mark);
        append_json_number(out, number);
    };
    append(R"(,"pid":)", process.pid);
    append(R"(,"begun_at":)", to_millis(begun));
    if (finished)
        append(R"(,"finished_at":)", to_millis(*finished));
    append(R"(,"raw_days":)", options.policy.raw_days);
    append(R"(,"windows_days":)", options.policy.windows_days);
    append(R"(,"half_hours":)", report.half_hours);
    append(R"(,"events":)", report.events);
    append(R"(,"windows":)", report.windows);
    append(R"(,"questions":)", report.questions);
    append(R"(,"salts":)", report.salts.size());
    append(R"(,"objects":)", report.objects.size());
    append(R"(,"bytes":)", report.bytes);
    return out.append("}");
}

} // namespace memfs_cache
