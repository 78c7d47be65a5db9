// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/zip_archive.hpp>

#if MEMFS_CACHE_HAS_ZIP
#include <array>
#include <memory>
#include <unordered_map>
#include <zip.h>
#endif

namespace memfs_cache {

#if MEMFS_CACHE_HAS_ZIP
namespace {

using Archive = std::unique_ptr<zip_t, decltype([](zip_t* archive) { zip_discard(archive); })>;
using Source = std::unique_ptr<zip_source_t, decltype([](zip_source_t* source) { zip_source_free(source); })>;
using File = std::unique_ptr<zip_file_t, decltype([](zip_file_t* file) { zip_fclose(file); })>;

auto damaged() -> Error { return fail(Errc::corrupt_data, "zip archive: damaged, encrypted or none at all"); }
auto not_written() -> Error { return fail(Errc::internal, "zip archive: could not be written"); }

auto open(Source const& source, int flags) -> Archive {
    zip_error_t ignored;
    zip_error_init(&ignored);
    zip_source_keep(source.get()); // the archive gives back one reference, and only if it is opened
    Archive archive(zip_open_from_source(source.get(), flags, &ignored));
    if (!archive)
        zip_source_free(source.get());
    zip_error_fini(&ignored);
    return archive;
}

auto content_of(zip_t* archive, zip_uint64_t index, std::size_t most_bytes) -> Result<Bytes> {
    File const file(zip_fopen_index(archive, index, 0));
    if (!file)
        return damaged();
    Bytes content;
    std::array<char, 16384> part{};
    for (;;) {
        auto const read = zip_fread(file.get(), part.data(), part.size());
        if (read < 0)
            return damaged();
        if (read == 0)
            return content;
        content.append(part.data(), static_cast<std::size_t>(read));
        if (content.size() > most_bytes)
            return fail(Errc::too_large, "zip archive: too many bytes unpacked");
    }
}

} // namespace

auto read_zip(Byte_View archive, std::size_t most_bytes) -> Result<std::vector<Zip_Member>> {
    Source const source(zip_source_buffer_create(archive.data(), archive.size(), 0, nullptr));
    auto const opened = source ? open(source, ZIP_RDONLY) : nullptr;
    if (archive.empty() || !opened)
        return damaged();
    std::vector<Zip_Member> members;
    std::unordered_map<std::string, std::size_t> known; // where each name stands
    auto const count = static_cast<zip_uint64_t>(zip_get_num_entries(opened.get(), 0));
    for (zip_uint64_t i = 0; i < count; ++i) {
        zip_stat_t about;
        if (zip_stat_index(opened.get(), i, 0, &about) != 0 || (about.valid & ZIP_STAT_NAME) == 0)
            return damaged();
        auto content = content_of(opened.get(), i, most_bytes);
        if (!content)
            return content.error();
        most_bytes -= content->size();
        Zip_Member member{about.name, *std::move(content), about.comp_method != ZIP_CM_STORE};
        auto const [at, is_new] = known.try_emplace(member.name, members.size());
        if (is_new)
            members.push_back(std::move(member));
        else
            members[at->second] = std::move(member);
    }
    return members;
}

auto write_zip(std::vector<Zip_Member> const& members) -> Result<Bytes> {
    if (members.empty()) { // of which libzip makes no archive: the record of the end alone
        Bytes end("PK\5\6");
        end.resize(22);
        return end;
    }
    Source const target(zip_source_buffer_create(nullptr, 0, 0, nullptr));
    auto archive = target ? open(target, ZIP_CREATE | ZIP_TRUNCATE) : nullptr;
    if (!archive)
        return not_written();
    for (auto const& [name, content, is_packed] : members) {
        Source from(zip_source_buffer(archive.get(), content.data(), content.size(), 0));
        auto const index = zip_file_add(archive.get(), name.c_str(), from.get(), ZIP_FL_ENC_UTF_8);
        if (index < 0)
            return fail(Errc::invalid_argument, "zip archive: a name is empty, twice there, or no UTF-8");
        (void)from.release(); // the archive's now
        auto const method = is_packed ? ZIP_CM_DEFLATE : ZIP_CM_STORE;
        if (zip_set_file_compression(archive.get(), static_cast<zip_uint64_t>(index), method, 0) != 0)
            return not_written();
    }
    if (zip_close(archive.get()) != 0)
        return not_written();
    (void)archive.release();

    zip_stat_t about;
    zip_stat_init(&about);
    if (zip_source_stat(target.get(), &about) != 0 || zip_source_open(target.get()) != 0)
        return not_written();
    Bytes bytes(about.size, '\0');
    auto const read = zip_source_read(target.get(), bytes.data(), bytes.size());
    zip_source_close(target.get());
    if (read != static_cast<zip_int64_t>(bytes.size()))
        return not_written();
    return bytes;
}

#else

namespace {
auto no_zip() -> Error { return fail(Errc::unsupported, "zip archives: this build has no libzip"); }
} // namespace

auto read_zip(Byte_View, std::size_t) -> Result<std::vector<Zip_Member>> { return no_zip(); }
auto write_zip(std::vector<Zip_Member> const&) -> Result<Bytes> { return no_zip(); }

#endif

} // namespace memfs_cache
