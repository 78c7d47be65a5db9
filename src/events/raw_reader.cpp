// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/siphash.hpp>
#include <memfs_cache/events/raw_reader.hpp>

namespace memfs_cache {

auto Read_State::covers_json() const -> std::string {
    std::string out = "{";
    for (auto const& [writer, stream] : streams) {
        if (stream.position == 0)
            continue;
        if (out.size() > 1)
            out += ',';
        out.append("\"").append(writer).append("\":").append(std::to_string(stream.position));
    }
    if (purged_files && !purged_files->empty()) {
        if (out.size() > 1)
            out += ',';
        out.append(R"("files":)").append(*purged_files);
    }
    if (!files.empty()) {
        std::uint64_t sum = 0; // a sum, so that the order of arrival does not matter
        for (auto const& file : files)
            sum += siphash24(Sip_Key{}, file);
        if (out.size() > 1)
            out += ',';
        out.append(R"("files":{"count":)").append(std::to_string(files.size()));
        out.append(R"(,"hash":")").append(to_hex(sum)).append("\"}");
    }
    return out.append("}");
}

auto Read_State::of_purged(boost::json::object const& covers) -> Result<Read_State> {
    Read_State state;
    state.purged_files = "";
    for (auto const& [name, value] : covers) {
        if (name == "files" && value.is_object()) {
            state.purged_files = json_text(value.get_object());
            continue;
        }
        boost::system::error_code error;
        auto const position = value.to_number<std::uint64_t>(error);
        if (error)
            return fail(Errc::corrupt_data, "covers: positions are whole numbers");
        state.streams[std::string(name)].position = position;
    }
    return state;
}

} // namespace memfs_cache
