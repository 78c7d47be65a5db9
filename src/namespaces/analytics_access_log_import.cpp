// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/namespaces/analytics/access_log_import.hpp>

#include <boost/json.hpp>

namespace memfs_cache {

auto Import_Report::to_json() const -> boost::json::object {
    boost::json::array lines;
    for (auto const& rejected_line : rejected_lines)
        lines.push_back({{"file", rejected_line.file}, {"line", rejected_line.line}, {"reason", rejected_line.reason}});
    return {{"accepted", accepted},
            {"rejected", rejected},
            {"already_imported", already_imported},
            {"files", files},
            {"rejected_lines", std::move(lines)},
            {"rejected_lines_truncated", rejected > rejected_lines.size()}};
}

auto Import_Record::to_json() const -> std::string {
    return R"({"v":1,"nonce":")" + random_hex(8) + R"(","finished":)" + (finished ? "true" : "false") + R"(,"lines":)" +
           std::to_string(lines) + R"(,"accepted":)" + std::to_string(accepted) + "}";
}

auto Import_Record::from_json(std::string_view text) -> Result<Import_Record> {
    auto const object = parse_object(text, "record of an import");
    if (!object)
        return object.error();
    Member_Reader reader(*object);
    if (reader.unsigned_number("v") != 1)
        reader.refuse("v");
    Import_Record const record{reader.flag("finished"), reader.unsigned_number("lines"),
                               reader.unsigned_number("accepted")};
    if (!reader.good())
        return fail(Errc::corrupt_data, "member '" + std::string(reader.first_bad()) + "' is missing or wrong");
    return record;
}

auto Import_Block_Name::digest(std::string_view bytes) -> std::string { return Cache_Hash().from_bytes(bytes); }

auto Import_Block_Name::identity(std::string_view purpose) const -> std::string {
    return digest(std::string(purpose).append(" ").append(text()));
}

auto Import_Block_Name::text() const -> std::string {
    auto out = chain + "-";
    append_padded(out, bytes, 12);
    return out.append("-").append(hash).append(".json");
}

auto Import_Block_Name::parse(std::string_view file_name) -> std::optional<Import_Block_Name> {
    // {16}-{12}-{16}.json
    if (file_name.size() != 51 || file_name[16] != '-' || file_name[29] != '-')
        return std::nullopt;
    auto const bytes = parse_decimal(file_name.substr(17, 12));
    if (!bytes)
        return std::nullopt;
    Import_Block_Name name{std::string(file_name.substr(0, 16)), *bytes, std::string(file_name.substr(30, 16))};
    if (name.text() != file_name)
        return std::nullopt;
    return name;
}

} // namespace memfs_cache
