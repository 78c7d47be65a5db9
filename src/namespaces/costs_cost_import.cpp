// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/ascii.hpp>
#include <memfs_cache/core/civil.hpp>
#include <memfs_cache/namespaces/costs/cost_import.hpp>

#include <boost/json.hpp>

#include <algorithm>
#include <array>
#include <optional>
#include <set>

namespace memfs_cache {
namespace {

namespace json = boost::json;

auto refuse(std::string where, std::string_view what) -> Error {
    return fail(Errc::invalid_argument, std::move(where.append(": ").append(what)));
}

/// What one answer, of however many pages, or one CSV file tells.
struct Source {
    std::string name;
    Cost_Days_Told days;
    bool goes_on = false; ///< a page of it is missing

    /// @return false if the day has figures for the same thing already
    [[nodiscard]] auto add(Cost_Entry entry) -> bool {
        auto& entries = days[entry.date].entries;
        auto const at = std::lower_bound(entries.begin(), entries.end(), entry, &Cost_Entry::comes_before);
        if (at != entries.end() && at->is_of_same_thing(entry))
            return false;
        entries.insert(at, std::move(entry));
        return true;
    }
};

// CSV

/// Rows of comma-separated fields, as RFC 4180 has them.
class Csv_Reader {
  public:
    explicit Csv_Reader(std::string_view text) : rest_(text) {
        constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
        if (rest_.starts_with(byte_order_mark))
            rest_.remove_prefix(byte_order_mark.size());
    }

    /// The line that the last row began in, from 1.
    [[nodiscard]] auto line() const noexcept -> std::size_t { return line_; }

    /// The next row that has anything in it; nothing at the end.
    /// @errors a sentence about a quote that is out of place
    [[nodiscard]] auto next() -> Result<std::optional<std::vector<std::string>>> {
        for (;;) {
            if (rest_.empty())
                return std::optional<std::vector<std::string>>();
            line_ = next_line_;
            std::vector<std::string> row(1);
            for (bool more = true; more;) {
                if (auto const taken = take_field(row.back()); !taken)
                    return taken.error();
                more = rest_.starts_with(',');
                if (more) {
                    rest_.remove_prefix(1);
                    row.emplace_back();
                }
            }
            take_line_end();
            if (row.size() > 1 || !row.front().empty())
                return std::optional(std::move(row));
        }
    }

  private:
    [[nodiscard]] auto take_field(std::string& field) -> Result<void> {
        if (!rest_.starts_with('"')) {
            field = rest_.substr(0, rest_.find_first_of(",\r\n"));
            rest_.remove_prefix(field.size());
            if (field.find('"') != std::string::npos)
                return fail(Errc::invalid_argument, "a quote stands within a field; quote the whole field");
            return {};
        }
        for (rest_.remove_prefix(1);;) {
            auto const quote = rest_.find('"');
            if (quote == std::string_view::npos)
                return fail(Errc::invalid_argument, "a quoted field does not end; is the file cut short?");
            field += rest_.substr(0, quote);
            rest_.remove_prefix(quote + 1);
            if (!rest_.starts_with('"'))
                break;
            field += '"';
            rest_.remove_prefix(1);
        }
        next_line_ += static_cast<std::size_t>(std::count(field.begin(), field.end(), '\n'));
        if (!rest_.empty() && std::string_view(",\r\n").find(rest_.front()) == std::string_view::npos)
            return fail(Errc::invalid_argument, "something follows a quoted field; put a comma between fields");
        return {};
    }
    void take_line_end() {
        if (rest_.starts_with('\r'))
            rest_.remove_prefix(1);
        if (rest_.starts_with('\n'))
            rest_.remove_prefix(1);
        ++next_line_;
    }

    std::string_view rest_;
    std::size_t line_ = 1;
    std::size_t next_line_ = 1;
};

/// Where a field of a row goes to; gives the fault of one that does not fit.
struct Column {
    std::string_view name;
    Result<void> (*put)(Cost_Entry&, std::string const& field);
    bool is_required = false;
};

template <std::string Cost_Entry::*member>
auto put_text(Cost_Entry& entry, std::string const& field) -> Result<void> {
    entry.*member = field;
    return {};
}
auto put_date(Cost_Entry& entry, std::string const& field) -> Result<void> {
    auto const date = parse_cost_date(field);
    if (!date)
        return date.error();
    entry.date = *date;
    return {};
}
auto put_amount(Cost_Entry& entry, std::string const& field) -> Result<void> {
    auto const amount = Money_Nanos::parse(field);
    if (!amount)
        return fail(amount.error().code, "amount_usd: " + amount.error().context);
    entry.amount = *amount;
    return {};
}

constexpr std::array columns{
    Column{"date", &put_date, true},
    Column{"service", &put_text<&Cost_Entry::service>, true},
    Column{"amount_usd", &put_amount, true},
    Column{"usage_quantity", &put_text<&Cost_Entry::usage_quantity>},
    Column{"usage_unit", &put_text<&Cost_Entry::usage_unit>},
    Column{"usage_type", &put_text<&Cost_Entry::usage_type>},
    Column{"region", &put_text<&Cost_Entry::region>},
    Column{"account", &put_text<&Cost_Entry::account>},
    Column{"currency", &put_text<&Cost_Entry::currency>},
};

auto read_header(std::vector<std::string> const& row) -> Result<std::vector<Column const*>> {
    std::vector<Column const*> header;
    for (auto const& field : row) {
        auto const* const column =
            std::find_if(columns.begin(), columns.end(), [&](Column const& one) { return one.name == field; });
        if (column == columns.end() || std::find(header.begin(), header.end(), column) != header.end()) {
            std::string sentence = "name each of these columns once at most:";
            for (auto const& one : columns)
                sentence.append(&one == columns.begin() ? " " : ", ").append(one.name);
            return fail(Errc::invalid_argument, std::move(sentence));
        }
        header.push_back(column);
    }
    for (auto const& column : columns)
        if (column.is_required && std::find(header.begin(), header.end(), &column) == header.end())
            return fail(Errc::invalid_argument,
                        "the first line names the columns, and date, service and amount_usd must be among them");
    return header;
}

auto read_csv(Cost_File const& file) -> Result<Source> {
    Csv_Reader reader(file.text);
    auto const at_line = [&](Error const& error) {
        return refuse(file.name + ", line " + std::to_string(reader.line()), error.context);
    };
    auto const first = reader.next();
    if (!first)
        return at_line(first.error());
    auto const header = read_header(*first ? **first : std::vector<std::string>());
    if (!header)
        return at_line(header.error());
    Source source;
    source.name = file.name;
    for (;;) {
        auto const row = reader.next();
        if (!row)
            return at_line(row.error());
        if (!*row)
            break;
        if ((*row)->size() != header->size())
            return at_line(fail(Errc::invalid_argument, "it has " + std::to_string((*row)->size()) +
                                                            " fields, and the header " +
                                                            std::to_string(header->size())));
        Cost_Entry entry;
        for (std::size_t i = 0; i < header->size(); ++i)
            if (auto const put = (*header)[i]->put(entry, (**row)[i]); !put)
                return at_line(put.error());
        if (!source.add(std::move(entry)))
            return at_line(fail(Errc::invalid_argument, "a line above has costs of the same day, service, usage type, "
                                                        "region and account; add them up"));
    }
    if (source.days.empty())
        return refuse(file.name, "there are no costs in it");
    return source;
}

// Answers of AWS

auto text_of(json::object const& object, std::string_view name) -> std::optional<std::string_view> {
    auto const* const member = object.if_contains(name);
    auto const* const text = member == nullptr ? nullptr : member->if_string();
    return text == nullptr ? std::nullopt : std::optional(std::string_view(*text));
}

auto object_of(json::object const& object, std::string_view name) -> json::object const* {
    auto const* const member = object.if_contains(name);
    return member == nullptr ? nullptr : member->if_object();
}

auto array_of(json::object const& object, std::string_view name) -> json::array const* {
    auto const* const member = object.if_contains(name);
    return member == nullptr ? nullptr : member->if_array();
}

/// What a key of GroupBy says of an entry.
struct Grouping {
    std::string_view key;
    std::string Cost_Entry::*member;
};
constexpr std::array groupings{
    Grouping{"SERVICE", &Cost_Entry::service},
    Grouping{"REGION", &Cost_Entry::region},
    Grouping{"LINKED_ACCOUNT", &Cost_Entry::account},
    Grouping{"USAGE_TYPE", &Cost_Entry::usage_type},
};

auto read_groupings(json::object const& page) -> Result<std::vector<Grouping>> {
    std::vector<Grouping> found;
    auto const* const definitions = array_of(page, "GroupDefinitions");
    if (definitions == nullptr)
        return found;
    for (auto const& value : *definitions) {
        auto const* const definition = value.if_object();
        auto const key = definition == nullptr ? std::nullopt : text_of(*definition, "Key");
        bool const is_dimension = key && text_of(*definition, "Type").value_or("DIMENSION") == "DIMENSION";
        auto const* const grouping =
            std::find_if(groupings.begin(), groupings.end(), [&](Grouping const& one) { return one.key == key; });
        if (!is_dimension || grouping == groupings.end())
            return fail(Errc::invalid_argument,
                        "ask AWS for groups by SERVICE, REGION, LINKED_ACCOUNT or USAGE_TYPE, no others");
        found.push_back(*grouping);
    }
    return found;
}

class Answer_Reader {
  public:
    explicit Answer_Reader(Cost_Import_Options const& options) : options_(options) {}

    [[nodiscard]] auto read_page(json::object const& page, Source& source) const -> Result<void> {
        auto const* const results = array_of(page, "ResultsByTime");
        if (results == nullptr)
            return refuse(source.name, "ResultsByTime is missing; give answers to GetCostAndUsage as they came");
        auto const keys = read_groupings(page);
        if (!keys)
            return refuse(source.name, keys.error().context);
        for (auto const& value : *results) {
            auto const* const result = value.if_object();
            if (result == nullptr)
                return refuse(source.name, "ResultsByTime holds something that is no result");
            if (auto const read = read_result(*result, *keys, source); !read)
                return read;
        }
        source.goes_on = !text_of(page, "NextPageToken").value_or("").empty();
        return {};
    }

  private:
    [[nodiscard]] auto read_result(json::object const& result,
                                   std::vector<Grouping> const& group_keys,
                                   Source& source) const -> Result<void> {
        auto const* const period = object_of(result, "TimePeriod");
        auto const begin = period == nullptr ? std::nullopt : text_of(*period, "Start");
        auto const end = period == nullptr ? std::nullopt : text_of(*period, "End");
        auto const date = parse_cost_date(begin.value_or(""));
        auto const next = parse_cost_date(end.value_or(""));
        if (!date || !next || *next - *date != std::chrono::days(1))
            return refuse(source.name, "a result is not of one day; ask AWS with Granularity DAILY");
        auto const where = source.name + ", " + date_text(*date);
        auto const* const estimated = result.if_contains("Estimated");
        auto& figures = source.days[*date];
        figures.estimated =
            figures.estimated || (estimated != nullptr && estimated->is_bool() && estimated->get_bool());

        Cost_Entry entry;
        entry.date = *date;
        auto const* const total = object_of(result, "Total");
        if (total != nullptr && !total->empty()) {
            entry.service = ungrouped;
            return add(*total, std::move(entry), where, source);
        }
        auto const* const groups = array_of(result, "Groups");
        if (groups == nullptr)
            return refuse(where, "Groups is missing");
        for (auto const& value : *groups) {
            auto const* const group = value.if_object();
            auto const* const keys = group == nullptr ? nullptr : array_of(*group, "Keys");
            auto const* const metrics = group == nullptr ? nullptr : object_of(*group, "Metrics");
            if (keys == nullptr || metrics == nullptr || keys->size() != group_keys.size() || keys->empty())
                return refuse(where, "a group has not as many Keys as GroupDefinitions has, or no Metrics");
            auto one = entry;
            for (std::size_t i = 0; i < group_keys.size(); ++i) {
                auto const* const key = (*keys)[i].if_string();
                if (key == nullptr)
                    return refuse(where, "a group's Keys are no texts");
                one.*group_keys[i].member = *key;
            }
            if (one.service.empty())
                one.service = ungrouped;
            if (auto const added = add(*metrics, std::move(one), where, source); !added)
                return added;
        }
        return {};
    }

    [[nodiscard]] auto
    add(json::object const& metrics, Cost_Entry entry, std::string const& where, Source& source) const -> Result<void> {
        auto const* const cost = object_of(metrics, options_.metric);
        if (cost == nullptr) {
            std::string names;
            for (auto const& metric : metrics)
                names.append(names.empty() ? "" : ", ").append(std::string_view(metric.key()));
            return refuse(where, "there is no metric " + options_.metric + ", only " + names + "; choose one of them");
        }
        auto const amount = text_of(*cost, "Amount");
        auto const parsed = amount ? Money_Nanos::parse(*amount) : fail(Errc::invalid_argument, "Amount is no text");
        auto const unit = text_of(*cost, "Unit");
        if (!parsed || !unit)
            return refuse(where, parsed ? "Unit is missing" : parsed.error().context);
        entry.amount = *parsed;
        entry.currency = *unit;
        if (auto const* const usage = object_of(metrics, "UsageQuantity")) {
            entry.usage_quantity = text_of(*usage, "Amount").value_or("");
            entry.usage_unit = text_of(*usage, "Unit").value_or("");
        }
        if (!source.add(std::move(entry)))
            return refuse(where, "a group comes twice");
        return {};
    }

    static constexpr std::string_view ungrouped = "AWS";
    Cost_Import_Options const& options_;
};

/// Where the pages of one file go: an answer that goes on is continued, whatever file its next page is in.
auto read_answers(Cost_File const& file, Answer_Reader const& reader, std::vector<Source>& sources) -> Result<void> {
    boost::system::error_code error;
    auto const value = json::parse(file.text, error);
    if (error)
        return refuse(file.name, "it is no JSON; is the file cut short?");
    auto const read = [&](json::value const& page) -> Result<void> {
        auto const* const object = page.if_object();
        if (object == nullptr)
            return refuse(file.name, "a page is no JSON object");
        if (sources.empty() || !sources.back().goes_on) {
            sources.emplace_back();
            sources.back().name = file.name;
        }
        return reader.read_page(*object, sources.back());
    };
    auto const* const pages = value.if_array();
    if (pages == nullptr)
        return read(value);
    if (pages->empty())
        return refuse(file.name, "there are no costs in it");
    for (auto const& page : *pages)
        if (auto const done = read(page); !done)
            return done;
    return {};
}

auto check_complete(std::vector<Source> const& sources) -> Result<void> {
    if (!sources.empty() && sources.back().goes_on)
        return refuse(sources.back().name, "it goes on with NextPageToken; give its next page, too, right behind it");
    return {};
}

// All of them together

auto check_currencies(std::vector<Source> const& sources) -> Result<void> {
    std::set<std::string> found;
    for (auto const& source : sources)
        for (auto const& [date, figures] : source.days)
            for (auto const& entry : figures.entries)
                found.insert(entry.currency);
    found.erase(std::string(cost_currency));
    if (found.empty())
        return {};
    std::string names;
    for (auto const& name : found) {
        bool const is_code =
            name.size() == 3 && std::all_of(name.begin(), name.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
        names.append(names.empty() ? "" : ", ").append(is_code ? name : "one that is no code of three capitals");
    }
    return fail(Errc::invalid_argument,
                "currency: there are amounts in " + names + ", and only those in USD are taken");
}

auto unite(std::vector<Source>& sources) -> Result<Cost_Days_Told> {
    Cost_Days_Told all;
    std::map<Utc_Time, std::string_view> told_by;
    for (auto& source : sources)
        for (auto& [date, figures] : source.days) {
            auto const [at, is_new] = all.try_emplace(date, std::move(figures));
            auto const& before = told_by.try_emplace(date, source.name).first->second;
            if (!is_new && at->second != figures)
                return refuse(date_text(date), std::string(before) + " and " + source.name +
                                                   " tell different costs of this day; import one after the other, "
                                                   "the better one last");
        }
    return all;
}

} // namespace

auto read_cost_files(std::span<Cost_File const> files, Cost_Import_Options const& options) -> Result<Cost_Days_Told> {
    Answer_Reader const reader(options);
    std::vector<Source> sources;
    for (auto const& file : files) {
        auto const first = file.text.find_first_not_of(" \t\r\n");
        bool const is_json = first != std::string::npos && (file.text[first] == '{' || file.text[first] == '[');
        if (is_json) {
            if (auto const read = read_answers(file, reader, sources); !read)
                return read.error();
            continue;
        }
        if (auto const complete = check_complete(sources); !complete)
            return complete.error();
        auto source = read_csv(file);
        if (!source)
            return source.error();
        sources.push_back(*std::move(source));
    }
    if (auto const complete = check_complete(sources); !complete)
        return complete.error();
    if (auto const checked = check_currencies(sources); !checked)
        return checked.error();
    return unite(sources);
}

} // namespace memfs_cache
