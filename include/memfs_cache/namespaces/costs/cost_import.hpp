// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/namespaces/costs/cost_entry.hpp>

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace memfs_cache {

/// A text with costs, and how messages name it.
struct Cost_File {
    std::string name;
    std::string text;
};

struct Cost_Import_Options {
    /// Which cost of an answer of AWS is taken, such as UnblendedCost, AmortizedCost or NetUnblendedCost.
    std::string metric = "UnblendedCost";
};

/// What one import tells of a day.
struct Cost_Figures {
    bool estimated = false;
    std::vector<Cost_Entry> entries; ///< sorted; may be none: the day cost nothing
    friend auto operator==(Cost_Figures const&, Cost_Figures const&) -> bool = default;
};
using Cost_Days_Told = std::map<Utc_Time, Cost_Figures>;

/// Reads everything that some files tell of costs, or nothing.
///
/// A file that begins with { or [ holds answers of AWS Cost Explorer to GetCostAndUsage, one or an array of pages, by day;
/// a page with NextPageToken is continued by the next one, in the same file or the next. They may be grouped by SERVICE,
/// REGION, LINKED_ACCOUNT and USAGE_TYPE; what is not grouped by SERVICE is of the service "AWS". Any other file is CSV
/// with the header date,service,amount_usd and perhaps usage_quantity, usage_unit, usage_type, region, account and
/// currency, in any order; a byte-order mark, CRLF and quoted fields (RFC 4180) are understood.
///
/// Two files may tell of one day if they tell the same.
/// @errors invalid_argument naming file and line, day or member: what is none of this, is cut short, by hour or by month,
///         in another currency or in several, names a thing twice for one day, or differs between files
[[nodiscard]] auto read_cost_files(std::span<Cost_File const> files, Cost_Import_Options const& options = {})
    -> Result<Cost_Days_Told>;

} // namespace memfs_cache
