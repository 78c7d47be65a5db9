// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/namespaces/analytics/analytics_csv.hpp>

#include <boost/json.hpp>

#include <array>
#include <charconv>

namespace memfs_cache {
namespace {

/// One line after the other, cell by cell.
class Table {
  public:
    void text(std::string_view cell) {
        begin_cell();
        constexpr std::string_view begin_formulas = "=+-@\t\r";
        bool const is_formula = !cell.empty() && begin_formulas.find(cell.front()) != std::string_view::npos;
        bool const is_quoted = cell.find_first_of(",\"\r\n") != std::string_view::npos;
        out_ += is_quoted ? "\"" : "";
        out_ += is_formula ? "'" : "";
        for (char const c : cell) {
            if (c == '"')
                out_ += '"';
            out_ += c;
        }
        out_ += is_quoted ? "\"" : "";
    }
    void value(boost::json::value const& cell) {
        if (auto const* const words = cell.if_string())
            return text({words->data(), words->size()});
        begin_cell();
        if (auto const* const real = cell.if_double()) {
            std::array<char, 32> digits{};
            out_.append(digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), *real).ptr);
        } else if (!cell.is_null()) {
            out_ += boost::json::serialize(cell);
        }
    }
    void end_line() {
        out_ += "\r\n";
        is_first_cell_ = true;
    }
    [[nodiscard]] auto take() -> std::string { return std::move(out_); }

  private:
    void begin_cell() {
        if (!is_first_cell_)
            out_ += ',';
        is_first_cell_ = false;
    }

    std::string out_;
    bool is_first_cell_ = true;
};

/// Calls `visit` with the name and the value of each member that is one value.
template <class Visit>
void each_scalar(boost::json::object const& object, Visit const& visit) {
    for (auto const& [name, value] : object)
        if (!value.is_structured())
            visit(std::string_view(name.data(), name.size()), value);
}

} // namespace

auto to_csv(Series const& series) -> std::string {
    Table table;
    auto const names = [&](std::string const& before) {
        each_scalar(Window_Summary().to_json(),
                    [&](std::string_view name, boost::json::value const&) { table.text(before + std::string(name)); });
    };
    auto const values = [&](Window_Summary const* summary) {
        auto const object = summary == nullptr ? Window_Summary().to_json() : summary->to_json();
        each_scalar(object, [&](std::string_view, boost::json::value const& value) {
            table.value(summary == nullptr ? boost::json::value() : value);
        });
    };
    names("");
    if (series.is_compared)
        names("previous_");
    table.end_line();
    for (auto const& row : series.rows) {
        values(&row.summary);
        if (series.is_compared)
            values(row.previous ? &*row.previous : nullptr);
        table.end_line();
    }
    return table.take();
}

auto to_csv(Window_Summary const& summary) -> std::string {
    Table table;
    auto const line = [&](std::string_view dimension, std::string_view name, boost::json::value const& value) {
        table.text(dimension);
        table.text(name);
        table.value(value);
        table.end_line();
    };
    line("dimension", "name", "value");
    auto const object = summary.to_json();
    each_scalar(object, [&](std::string_view name, boost::json::value const& value) { line("summary", name, value); });
    for (auto const& [dimension, rows] : object) {
        auto const* const members = rows.if_object();
        if (members == nullptr)
            continue;
        for (auto const& [name, value] : *members)
            if (value.is_object()) // what is known of all names of a dimension
                each_scalar(value.get_object(), [&](std::string_view what, boost::json::value const& number) {
                    line({dimension.data(), dimension.size()}, std::string(name).append(".").append(what), number);
                });
            else
                line({dimension.data(), dimension.size()}, {name.data(), name.size()}, value);
    }
    return table.take();
}

} // namespace memfs_cache
