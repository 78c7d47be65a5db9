// SPDX-License-Identifier: Apache-2.0
#include "support/printers.hpp"
#include <memfs_cache/core/zstd.hpp>

#include <doctest/doctest.h>

#include <string>
#include <string_view>

using namespace memfs_cache;

namespace {

auto packed(Byte_View plain) -> Bytes {
    Bytes frame;
    Zstd_Packer().append_frame(frame, plain);
    return frame;
}
auto unpacked(Byte_View frame, std::size_t most_bytes = 1 << 20) -> Result<Bytes> {
    Bytes plain = "what was there before";
    if (auto const done = Zstd_Unpacker().unpack(frame, most_bytes, plain); !done)
        return done.error();
    return plain;
}

} // namespace

TEST_SUITE("core/zstd") {
    TEST_CASE("a frame of another program is read") {
        // printf 'memfs_cache memfs_cache memfs_cache\n' > f; zstd -c --check f
        constexpr std::string_view frame("\x28\xb5\x2f\xfd\x24\x24\x9d\x00\x00\x68\x6d\x65\x6d\x66\x73\x5f"
                                         "\x63\x61\x63\x68\x65\x20\x0a\x01\x00\xaf\x4b\x12\xef\xfb\xde\x4b",
                                         32);
        CHECK(unpacked(frame).value() == "memfs_cache memfs_cache memfs_cache\n");
    }

    TEST_CASE("frames one behind the other are told apart by their ends, and each gives what went in") {
        Zstd_Packer packer;
        Bytes file = "kept";
        packer.append_frame(file, "one");
        auto const second = file.size();
        auto const text = std::string(100'000, 'x');
        packer.append_frame(file, text);
        CHECK(file.substr(0, 4) == "kept");
        CHECK(file.size() < 200);
        CHECK(unpacked(Byte_View(file).substr(4, second - 4)).value() == "one");
        CHECK(unpacked(Byte_View(file).substr(second)).value() == text);
        CHECK(unpacked(packed("")).value().empty());
    }

    TEST_CASE("what is not one whole frame, or holds more than it may, is damage") {
        auto const frame = packed("some text, some text, some text");
        CHECK(unpacked(frame, 31).value().size() == 31);
        CHECK(unpacked(frame, 30).error().code == Errc::corrupt_data);
        CHECK(unpacked(frame + frame).error().code == Errc::corrupt_data);
        CHECK(unpacked(frame + " ").error().code == Errc::corrupt_data);
        for (std::size_t size = 0; size < frame.size(); ++size)
            CHECK(unpacked(Byte_View(frame).substr(0, size)).error().code == Errc::corrupt_data);
    }

    TEST_CASE("with one bit changed a frame is damage, or what went in") {
        auto const plain = std::string("some text, some text, some text");
        auto const frame = packed(plain);
        int damaged = 0;
        for (std::size_t i = 0; i < frame.size(); ++i)
            for (unsigned bit = 0; bit < 8; ++bit) {
                auto changed = frame;
                changed[i] = static_cast<char>(static_cast<unsigned char>(changed[i]) ^ (1U << bit));
                CAPTURE(i);
                auto const read = unpacked(changed);
                if (read)
                    CHECK(*read == plain); // a bit that means nothing
                else
                    ++damaged;
            }
        CHECK(damaged > static_cast<int>(frame.size()) * 7);
    }
}
