// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/zstd.hpp>

#include <new>
#include <zstd.h>

namespace memfs_cache {
namespace {

/// zstd fails to compress for one reason only: there is no memory.
auto enough_memory(std::size_t outcome) -> std::size_t {
    if (ZSTD_isError(outcome) != 0)
        throw std::bad_alloc();
    return outcome;
}

} // namespace

struct Zstd_Packer::Context {
    std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> zstd{ZSTD_createCCtx(), &ZSTD_freeCCtx};
};

Zstd_Packer::Zstd_Packer(int level) : context_(std::make_unique<Context>()) {
    if (!context_->zstd)
        throw std::bad_alloc();
    enough_memory(ZSTD_CCtx_setParameter(context_->zstd.get(), ZSTD_c_compressionLevel, level));
    enough_memory(ZSTD_CCtx_setParameter(context_->zstd.get(), ZSTD_c_checksumFlag, 1));
}
Zstd_Packer::Zstd_Packer(Zstd_Packer&&) noexcept = default;
auto Zstd_Packer::operator=(Zstd_Packer&&) noexcept -> Zstd_Packer& = default;
Zstd_Packer::~Zstd_Packer() = default;

void Zstd_Packer::append_frame(Bytes& out, Byte_View plain) {
    auto const begin = out.size();
    out.resize(begin + ZSTD_compressBound(plain.size()));
    auto const packed = enough_memory(
        ZSTD_compress2(context_->zstd.get(), out.data() + begin, out.size() - begin, plain.data(), plain.size()));
    out.resize(begin + packed);
}

struct Zstd_Unpacker::Context {
    std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> zstd{ZSTD_createDCtx(), &ZSTD_freeDCtx};
};

Zstd_Unpacker::Zstd_Unpacker() : context_(std::make_unique<Context>()) {
    if (!context_->zstd)
        throw std::bad_alloc();
}
Zstd_Unpacker::Zstd_Unpacker(Zstd_Unpacker&&) noexcept = default;
auto Zstd_Unpacker::operator=(Zstd_Unpacker&&) noexcept -> Zstd_Unpacker& = default;
Zstd_Unpacker::~Zstd_Unpacker() = default;

auto Zstd_Unpacker::unpack(Byte_View frame, std::size_t most_bytes, Bytes& plain) -> Result<void> {
    auto const size = ZSTD_getFrameContentSize(frame.data(), frame.size());
    // Both values that stand for "unknown" are greater than any size.
    if (size > most_bytes || ZSTD_findFrameCompressedSize(frame.data(), frame.size()) != frame.size())
        return fail(Errc::corrupt_data, "is no zstd frame of the size that it has to have");
    plain.resize(size);
    auto const unpacked =
        ZSTD_decompressDCtx(context_->zstd.get(), plain.data(), plain.size(), frame.data(), frame.size());
    if (ZSTD_isError(unpacked) != 0 || unpacked != size)
        return fail(Errc::corrupt_data, std::string("cannot be decompressed: ") + ZSTD_getErrorName(unpacked));
    return {};
}

} // namespace memfs_cache
