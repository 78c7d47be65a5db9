// SPDX-License-Identifier: Apache-2.0
#include "events/log_world.hpp"
#include "support/format_page.hpp"
#include "support/test_seed.hpp"
#include "support/zstd_text.hpp"

#include <algorithm>
#include <random>

using namespace memfs_cache;
using namespace memfs_cache::testing;
using namespace std::chrono_literals;

namespace {

auto const two = window("2026-02-13T14:00");
auto constexpr writer = "0123456789abcdef";

/// Lines of a stream from position 0 on, sealed; each is given as the JSON that is recorded.
auto lines_of(std::vector<std::string> const& events) -> std::vector<std::string> {
    std::vector<std::string> lines;
    for (auto line : events) {
        Line_Seal(writer, two).close_line(line, 0, lines.size());
        line.pop_back();
        lines.push_back(line);
    }
    return lines;
}

/// A sealed segment on a storage, and what is read of it.
struct Sealed_File {
    explicit Sealed_File(std::vector<std::string> const& lines) {
        Segment_Sealer sealer(writer, two, 0, {});
        for (auto const& line : lines)
            sealer.add(line);
        auto sealed = sealer.finish(two.start() + 40ms, two.end() + 70min);
        name = std::move(sealed.name);
        put(sealed.bytes);
    }
    void put(std::string const& bytes) { write(memory, key(), bytes).value(); }
    [[nodiscard]] auto key() const -> std::string { return paths.raw_folder(two) + name.text(); }
    [[nodiscard]] auto bytes() const -> std::string { return memfs_cache::read(memory, key()).value().value(); }
    [[nodiscard]] auto index() const -> Sealed_Index {
        auto const size = bytes().size();
        return Sealed_Segment<Storage_Memory>::open(memory, key(), name, two, size).value().value().index();
    }
    auto read(Wanted_Events const& wanted = {}, std::uint64_t from = 0) -> Result<std::vector<std::string>> {
        std::vector<std::string> lines;
        Read_State state;
        state.streams[writer].position = from;
        auto const done = Raw_Reader<Storage_Memory>(memory, paths)
                              .read(
                                  two, state,
                                  [&](Raw_Event const& event) -> Result<void> {
                                      lines.emplace_back(event.json);
                                      return {};
                                  },
                                  wanted);
        if (!done)
            return done.error();
        CHECK(state.position(writer) == name.end());
        CHECK(state.newest_at == two.start() + 40ms);
        return lines;
    }

    Storage_Memory memory;
    Log_Paths const paths = log_paths();
    Segment_Name name;
};

/// Events of some blocks, in which transfer t-0 is everywhere, another one in a hundred events, and a token in four.
auto many_lines() -> std::vector<std::string> {
    std::mt19937_64 random(1); // so that they cannot be compressed to nothing
    std::vector<std::string> events;
    for (int i = 0; i < 4'000; ++i) {
        auto text = R"({"timestamp":)" + std::to_string(to_millis(two.start()) + i * 400) + R"(,"path":"/)" +
                    to_hex(random()) + to_hex(random()) + to_hex(random()) + to_hex(random()) +
                    R"(","transfer_id":"t-)" + std::to_string(i % 7 == 0 ? 0 : i / 100) + "\"";
        if (i % 1'000 == 0)
            text += R"(,"token_id":"k \"1\" \u00e9")";
        events.push_back(text + "}");
    }
    return lines_of(events);
}

auto unhex(std::string const& text) -> std::string {
    std::string bytes;
    std::string digits = text;
    std::erase(digits, '\n');
    for (std::size_t i = 0; i + 1 < digits.size(); i += 2)
        bytes += static_cast<char>(parse_hex(digits.substr(i, 2)).value());
    return bytes;
}

} // namespace

TEST_SUITE("events/sealed_segment") {
    TEST_CASE("the documented file is read, and what is written of its events has the documented lines") {
        std::vector<std::string> const lines =
            lines_of({R"({"timestamp":1770991200005,"path":"/"})",
                      R"({"timestamp":1770991200031,"path":"/a","transfer_id":"tr-1"})"});
        Sealed_File file(lines);
        auto const text = documented("sealed lines");
        CHECK(zstd_text(file.bytes()) == text);
        CHECK(text.starts_with(documented("sealed header")));
        CHECK(file.key() + "\n" == documented("sealed name"));
        file.put(unhex(documented("sealed file")));
        CHECK(zstd_text(file.bytes()) == text);
        CHECK(file.read().value() == lines);
        auto const index = file.index();
        CHECK(index.line(file.name, two) == text.substr(text.rfind('\n', text.size() - 2) + 1));
    }

    TEST_CASE("all lines come back, from whatever position, and other readers of zstd find the plain segment in it") {
        auto const lines = many_lines();
        Sealed_File file(lines);
        std::string plain = segment_header(file.name, two, file.index().header);
        for (auto const& line : lines)
            plain += line + "\n";
        auto const text = zstd_text(file.bytes());
        CHECK(text.substr(0, plain.size()) == plain);
        CHECK(text.substr(plain.size()) == file.index().line(file.name, two));
        CHECK(file.bytes().size() * 2 < text.size());
        CHECK(file.index().blocks.size() > 4);
        for (auto const from : {0U, 1U, 1'500U, 3'998U, 3'999U})
            CHECK(file.read({}, from).value() == std::vector(lines.begin() + from, lines.end()));
    }

    TEST_CASE("of what is wanted all is read, and few bytes of the rest: by time, token and transfer") {
        auto const lines = many_lines();
        Sealed_File file(lines);
        auto const bytes_read = [&](Wanted_Events const& wanted, auto&& is_wanted) {
            auto const before = file.memory.counters().bytes_read;
            auto const read = file.read(wanted).value();
            auto const bytes = file.memory.counters().bytes_read - before;
            auto const count = [&](auto const& in) { return std::count_if(in.begin(), in.end(), is_wanted); };
            REQUIRE(count(lines) > 0);
            CHECK(count(read) == count(lines));
            return bytes;
        };
        auto const all = bytes_read({}, [](auto const&) { return true; });
        auto const has = [](char const* what) {
            return [what](std::string const& line) { return line.find(what) != std::string::npos; };
        };
        auto const some = bytes_read({.member = "transfer_id", .value = "t-12"}, has("\"t-12\""));
        CHECK(some * 2 < all);
        CHECK(bytes_read({.member = "transfer_id", .value = "t-0"}, has("\"t-0\"")) == all);
        CHECK(bytes_read({.member = "token_id", .value = "k \"1\" \xc3\xa9"}, has("token_id")) < all);
        CHECK(file.read({.member = "transfer_id", .value = "nobody's"}).value().empty());
        CHECK(file.read({.member = "token_name", .value = "in no event"}).value().empty());
        CHECK(bytes_read({.member = "path", .value = "not indexed"}, [](auto const&) { return true; }) == all);
        auto const longer = std::string(Sealed_Index::longest_value + 1, 'x');
        CHECK(file.read({.member = "transfer_id", .value = longer}).value() == lines);

        auto const middle = two.start() + 2'000 * 400ms;
        auto const time_of = [&](std::string const& line) { return from_millis(std::stoll(line.substr(13))); };
        CHECK(bytes_read({.after = middle}, [&](auto const& line) { return time_of(line) > middle; }) < all * 3 / 4);
        CHECK(bytes_read({.before = middle}, [&](auto const& line) { return time_of(line) < middle; }) < all * 7 / 8);
        CHECK(file.read({.after = two.end()}).value().empty());
        auto const last = two.start() + 3'999 * 400ms;
        CHECK(file.read({.after = last}).value().empty());
        CHECK(file.read({.after = last - 1ms}).value().back() == lines.back());
        CHECK(file.read({.before = two.start()}).value().empty());
        CHECK(file.read({.before = two.start() + 1ms}).value().front() == lines.front());
    }

    TEST_CASE("an event that does not say when it was may be anywhere in its half-hour") {
        for (auto const* event : {R"({"n":"x"})", R"({"timestamp":"noon"})", R"({"timestamp":5})"}) {
            Sealed_File file(lines_of({event}));
            CHECK(file.name.first_time == two.start());
            CHECK(file.read({.after = two.end() - 2ms}).value().size() == 1);
            CHECK(file.read({.before = two.start() + 1ms}).value().size() == 1);
            CHECK(file.read({.after = two.end() - 1ms}).value().empty());
        }
    }

    TEST_CASE("with any one byte changed, lost or added a segment is damage and names itself, or reads as before") {
        auto const seed = seed_of_run();
        CAPTURE(seed);
        std::mt19937_64 random(seed);
        auto const lines = lines_of(
            {R"({"timestamp":1770991200005,"path":"/"})", R"({"timestamp":1770991200031,"transfer_id":"tr-1"})"});
        Sealed_File file(lines);
        auto const good = file.bytes();
        std::size_t refused = 0;
        std::size_t tried = 0;
        auto const look = [&](std::string const& bytes) {
            file.put(bytes);
            ++tried;
            Read_State state;
            std::vector<std::string> read;
            auto const done = Raw_Reader<Storage_Memory>(file.memory, file.paths)
                                  .read(two, state, [&](Raw_Event const& event) -> Result<void> {
                                      read.emplace_back(event.json);
                                      return {};
                                  });
            if (done) {
                CHECK(read == lines);
                return;
            }
            ++refused;
            CHECK(done.error().code == Errc::corrupt_data);
            CHECK(done.error().context.find(file.key()) != std::string::npos);
        };
        for (std::size_t i = 0; i < good.size(); ++i) {
            CAPTURE(i);
            for (unsigned bit = 0; bit < 8; ++bit) {
                auto changed = good;
                changed[i] = static_cast<char>(static_cast<unsigned char>(changed[i]) ^ (1U << bit));
                look(changed);
            }
            look(good.substr(0, i));
            look(good.substr(0, i) + good.substr(i + 1));
            look(good.substr(0, i) + static_cast<char>(random()) + good.substr(i));
        }
        CHECK((tried - refused) * 100 < tried); // a few bits of a frame mean nothing
    }

    TEST_CASE("the index of another piece is refused, however whole it is") {
        auto const name = Segment_Name{two.start(), writer, 0, 1, true};
        Sealed_File file(lines_of({R"({"n":"x"})"}));
        auto line = file.index().line(name, two);
        line.pop_back();
        CHECK(Sealed_Index::parse(line, name, two));
        auto longer = name;
        longer.count = 2;
        CHECK_FALSE(Sealed_Index::parse(line, longer, two));
        auto later = name;
        later.base = 1;
        CHECK_FALSE(Sealed_Index::parse(line, later, two));
        auto foreign = name;
        foreign.writer = "fedcba9876543210";
        CHECK_FALSE(Sealed_Index::parse(line, foreign, two));
        CHECK_FALSE(Sealed_Index::parse(line, name, two.next()));
    }

    TEST_CASE("an index whose blocks make no sense is refused, also with its checksum right") {
        auto const name = Segment_Name{two.start(), writer, 0, 3, true};
        Sealed_Index good;
        good.header = {two.start(), {}, two.end()};
        good.blocks = {{10, 0, two.start(), two.start()}, {20, 2, two.start(), two.start()}};
        good.values[2]["t-1"] = {0, 1};
        auto const is_read = [&](Sealed_Index const& index) {
            auto line = index.line(name, two);
            line.pop_back();
            return Sealed_Index::parse(line, name, two).has_value();
        };
        REQUIRE(is_read(good));
        auto const spoiled = [&](auto&& spoil) {
            auto index = good;
            spoil(index);
            return !is_read(index);
        };
        CHECK(spoiled([](auto& index) { index.blocks[1].offset = 10; }));
        CHECK(spoiled([](auto& index) { index.blocks[0].offset = 0; }));
        CHECK(spoiled([](auto& index) { index.blocks[0].position = 1; }));
        CHECK(spoiled([](auto& index) { index.blocks[1].position = 0; }));
        CHECK(spoiled([](auto& index) { index.blocks[1].position = 3; }));
        CHECK(spoiled([](auto& index) { index.values[2]["t-1"] = {2}; }));
    }
}
