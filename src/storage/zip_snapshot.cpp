// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/random.hpp>
#include <memfs_cache/core/unique_fd.hpp>
#include <memfs_cache/core/zip_archive.hpp>
#include <memfs_cache/storage/words.hpp>
#include <memfs_cache/storage/zip_snapshot.hpp>

#include <cerrno>
#include <fcntl.h>
#include <fstream>
#include <iterator>
#include <limits>
#include <sys/stat.h>
#include <unistd.h>

namespace memfs_cache {
namespace {

auto write_all(int file, Byte_View bytes) -> bool {
    while (!bytes.empty()) {
        auto const written = ::write(file, bytes.data(), bytes.size());
        if (written < 0 && errno != EINTR)
            return false;
        bytes.remove_prefix(written < 0 ? 0 : static_cast<std::size_t>(written));
    }
    return true;
}

} // namespace

auto read_zip_snapshot(std::filesystem::path const& file) -> Result<Storage_Memory> {
    Storage_Memory storage;
    std::error_code unknown;
    if (!std::filesystem::exists(file, unknown) && !unknown)
        return storage;
    std::ifstream in(file, std::ios::binary);
    Bytes const archive{std::istreambuf_iterator<char>(in), {}};
    if (!in)
        return error_from_errno(errno, "read", file.string());
    if (archive.empty())
        return storage;
    auto const members = read_zip(archive, std::numeric_limits<std::size_t>::max());
    if (!members)
        return fail(members.error().code, file.string() + ": " + members.error().context);
    for (auto const& member : *members) {
        if (member.name.ends_with('/')) // a folder, which is no object
            continue;
        auto const written = write(storage, member.name, member.content);
        if (!written)
            return fail(Errc::corrupt_data, file.string() + ": a member has no name of an object");
    }
    return storage;
}

auto write_zip_snapshot(Storage_Memory const& storage, std::filesystem::path const& file) -> Result<void> {
    auto const names = files_list(storage);
    if (!names)
        return names.error();
    std::vector<Zip_Member> members;
    for (auto const& name : *names) {
        auto content = read(storage, name);
        if (!content)
            return content.error();
        if (*content)
            members.push_back({name, *std::move(*content)});
    }
    auto const archive = write_zip(members);
    if (!archive)
        return archive.error();
    auto const temporary = file.string() + "." + random_hex(8);
    Unique_Fd const out(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR));
    if (!out)
        return error_from_errno(errno, "create", temporary);
    bool const good =
        write_all(out.get(), *archive) && ::fsync(out.get()) == 0 && ::rename(temporary.c_str(), file.c_str()) == 0;
    if (good)
        return {};
    auto const reason = errno;
    ::unlink(temporary.c_str());
    return error_from_errno(reason, "write", file.string());
}

} // namespace memfs_cache
