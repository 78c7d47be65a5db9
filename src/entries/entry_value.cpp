// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/json_text.hpp>
#include <memfs_cache/entries/entry_value.hpp>

#include <zlib.h>

#include <array>
#include <cstdint>

namespace memfs_cache {

auto Entry_Value::read(Bytes bytes, bool is_json_file) -> Result<Entry_Value> {
    if (!is_json_file)
        return binary(std::move(bytes));
    auto value = Python_Json::parse(bytes);
    if (!value)
        return fail(Errc::corrupt_data, "the content is no JSON: " + value.error().context);
    if (auto const* text = value->get_if<std::string>())
        return string(*text);
    return json(*std::move(value));
}

auto Entry_Value::data_type() const noexcept -> std::string_view {
    if (kind() == Kind::binary)
        return "binary";
    auto const* document = as_json();
    bool const is_container = document != nullptr && (document->get_if<Python_Json::Object>() != nullptr ||
                                                      document->get_if<Python_Json::Array>() != nullptr);
    return is_container ? "json" : "string";
}

auto Entry_Value::as_bytes() const noexcept -> Bytes const* {
    if (auto const* text = std::get_if<Text>(&value_))
        return &text->text;
    if (auto const* raw = std::get_if<Raw>(&value_))
        return &raw->bytes;
    return nullptr;
}

auto Entry_Value::content(std::size_t indent_blanks) const -> Bytes {
    if (auto const* document = as_json())
        return document->render({.indent_blanks = indent_blanks});
    if (kind() == Kind::binary)
        return *as_bytes();
    Bytes out;
    append_ascii_json_string(out, *as_bytes());
    return out;
}

auto unpack_gzip(Byte_View packed, std::size_t most_bytes) -> Result<Bytes> {
    constexpr int gzip_only = 16 + MAX_WBITS;
    z_stream stream{};
    if (::inflateInit2(&stream, gzip_only) != Z_OK)
        return fail(Errc::internal, "zlib does not start");
    struct Ender {
        z_stream* stream;
        ~Ender() { ::inflateEnd(stream); }
    } const ender{&stream};

    Bytes out;
    std::array<char, 16384> part{};
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data())); // zlib's old interface; it only reads
    stream.avail_in = static_cast<uInt>(packed.size());
    int state = packed.size() > UINT32_MAX ? Z_DATA_ERROR : Z_OK;
    while (state == Z_OK) {
        stream.next_out = reinterpret_cast<Bytef*>(part.data());
        stream.avail_out = part.size();
        state = ::inflate(&stream, Z_NO_FLUSH);
        out.append(part.data(), part.size() - stream.avail_out);
        if (out.size() > most_bytes)
            return fail(Errc::too_large, "gzip data: more than " + std::to_string(most_bytes) + " bytes unpacked");
        if (state == Z_STREAM_END && stream.avail_in > 0)
            state = ::inflateReset(&stream); // another member follows
    }
    if (state != Z_STREAM_END)
        return fail(Errc::corrupt_data, "gzip data: damaged or cut");
    return out;
}

} // namespace memfs_cache
