// SPDX-License-Identifier: Apache-2.0
#include "support/printers.hpp"
#include <memfs_cache/core/random.hpp>
#include <memfs_cache/events/segment.hpp>

#include <doctest/doctest.h>

#include <string>

using namespace memfs_cache;

namespace {
auto const window = *Base_Window::parse("2026-02-13T14:00");
auto constexpr writer = "0123456789abcdef";

auto sealed(std::string text, std::uint64_t position) -> std::string {
    text.pop_back();
    auto const checksum = Line_Seal::text_checksum(text);
    Line_Seal::append_tail(text);
    Line_Seal(writer, window).fill(text.data() + text.size(), checksum, position);
    return text;
}
} // namespace

TEST_SUITE("events/segment") {
    TEST_CASE("half-hours are half-open and know their names") {
        CHECK(window.key() == "2026-02-13T14:00");
        CHECK(window.hour_folder() == "2026/02/13/14");
        CHECK(window.contains(window.start()));
        CHECK(!window.contains(window.end()));
        CHECK(window.next().key() == "2026-02-13T14:30");
        CHECK(window.next().hour_folder() == window.hour_folder());
        CHECK(window.index_in_day() == 28);
        CHECK(Base_Window::containing(window.end() - std::chrono::milliseconds(1)) == window);
        CHECK(Base_Window::parse("2024-02-29T23:30")->next().key() == "2024-03-01T00:00");
        for (auto const* bad : {"", "2026-02-13T14", "2026-02-13T14:15", "2026-02-30T14:00", "2026-02-13T24:00",
                                "2026-02-13 14:00", "1969-12-31T23:30", "2287-01-01T00:00", "2026-02-13T14:00Z"})
            CHECK_FALSE(Base_Window::parse(bad).has_value());
    }

    TEST_CASE("piece names round-trip and strangers are not taken for pieces") {
        Segment_Name name{window.start() + std::chrono::milliseconds(7), writer, 42, std::nullopt};
        CHECK(name.text() == "1770991200007__0123456789abcdef-0000000042.jsonl");
        CHECK(Segment_Name::parse(name.text())->base == 42);
        CHECK_FALSE(Segment_Name::parse(name.text())->count.has_value());
        name.count = 9;
        CHECK(name.text() == "1770991200007__0123456789abcdef-0000000042-9.jsonl");
        CHECK(Segment_Name::parse(name.text())->count == 9);
        for (auto const* bad :
             {"", "x.jsonl", "1770991200007__0123456789abcdef-42.jsonl",
              "1770991200007__0123456789ABCDEF-0000000042.jsonl", "1770991200007__0123456789abcdef-0000000042-0.jsonl",
              "1770991200007__0123456789abcdef-0000000042.jsonl.zst", "1770991200007__abc.json"})
            CHECK_FALSE(Segment_Name::parse(bad).has_value());
        CHECK(Event_File_Name::parse("1770991200007__evt_1.json")->event_id == "evt_1");
        CHECK_FALSE(Event_File_Name::parse("1770991200007.json").has_value());
    }

    TEST_CASE("a sealed line is the documented bytes") {
        // Computed by an independent implementation of CRC-32C (see docs/format.md).
        CHECK(segment_header({window.start(), writer, 0, std::nullopt}, window, {window.start(), {}}) ==
              R"({"memfs_cache":{"v":1,"kind":"segment","writer":"0123456789abcdef",)"
              R"("window":"2026-02-13T14:00","base":0,"at":1770991200000},"crc32c":"b0c5402c"})"
              "\n");
        CHECK(sealed(R"({"a":1})", 0) == R"({"a":1,"crc32c":"c43b2c92"})");
        CHECK(sealed(R"({"a":1})", 1) == R"({"a":1,"crc32c":"8d0751b5"})");
    }

    TEST_CASE("a line holds at its own place only, and with any one bit changed not even there") {
        auto const line = sealed(R"({"event_id":"0123","path":"/a b"})", 7);
        Line_Seal const seal(writer, window);
        CHECK(seal.holds(line, 7));
        CHECK_FALSE(seal.holds(line, 8));
        CHECK_FALSE(Line_Seal(writer, window.next()).holds(line, 7));
        CHECK_FALSE(Line_Seal("0123456789abcdee", window).holds(line, 7));
        for (std::size_t i = 0; i < line.size(); ++i) {
            for (unsigned bit = 0; bit < 8; ++bit) {
                auto damaged = line;
                damaged[i] = static_cast<char>(static_cast<unsigned char>(damaged[i]) ^ (1U << bit));
                CAPTURE(i);
                CHECK_FALSE(seal.holds(damaged, 7));
            }
            CHECK_FALSE(seal.holds(std::string_view(line).substr(0, i), 7));
        }
    }

    TEST_CASE("a line says itself where it would hold") {
        Line_Seal const seal(writer, window);
        for (std::uint64_t const position : {0ULL, 1ULL, 255ULL, 65'536ULL, 0xffff'fffeULL, 0xffff'ffffULL}) {
            auto const line = sealed(R"({"event_id":"0123"})", position);
            CHECK(seal.position_of(line) == position);
            CHECK(seal.holds(line, position));
            CHECK(Line_Seal(writer, window.next()).position_of(line) != position);
        }
        CHECK_FALSE(seal.position_of(R"({"event_id":"0123"})").has_value());
        CHECK_FALSE(seal.position_of("").has_value());
    }

    TEST_CASE("a header is accepted for its own piece only, and with any one bit changed not even there") {
        Segment_Name const name{window.start(), writer, 3, std::nullopt};
        for (auto const newest :
             {std::optional<Utc_Time>(), std::optional(window.start() + std::chrono::milliseconds(5))}) {
            Segment_Header const said{window.end(), newest};
            auto header = segment_header(name, window, said);
            REQUIRE(header.back() == '\n');
            header.pop_back();
            for (std::size_t i = 0; i < header.size(); ++i)
                for (unsigned bit = 0; bit < 8; ++bit) {
                    auto damaged = header;
                    damaged[i] = static_cast<char>(static_cast<unsigned char>(damaged[i]) ^ (1U << bit));
                    REQUIRE_FALSE(read_header(damaged, name, window).has_value());
                }
            CHECK(read_header(header, name, window) == said);
            auto other = name;
            other.base = 4;
            CHECK_FALSE(read_header(header, other, window).has_value());
            CHECK_FALSE(read_header(header, name, window.next()).has_value());
            CHECK_FALSE(read_header(header.substr(0, header.size() - 1), name, window).has_value());
        }
    }
}
