// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/ascii.hpp>
#include <memfs_cache/core/random.hpp>
#include <memfs_cache/core/unique_fd.hpp>
#include <memfs_cache/http/admin_key.hpp>

#include <openssl/crypto.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace memfs_cache {
namespace {

constexpr std::size_t key_bytes = 32;

/// Writes the file beside its place and links it there, so that nobody ever reads half a key and the first of several
/// processes wins.
auto make_file(std::string const& path) -> Result<void> {
    auto const temporary = path + "." + random_hex(8);
    Unique_Fd const file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR));
    if (!file)
        return error_from_errno(errno, "create", "the admin key file " + path);
    auto const text = random_hex(key_bytes) + "\n";
    bool const written = ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
                         ::fsync(file.get()) == 0 && (::link(temporary.c_str(), path.c_str()) == 0 || errno == EEXIST);
    int const reason = errno;
    ::unlink(temporary.c_str());
    if (!written)
        return error_from_errno(reason, "write", "the admin key file " + path);
    return {};
}

} // namespace

auto Admin_Key::from_text(std::string_view text) -> Result<Admin_Key> {
    if (text.empty() || !std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < '\x7f'; })) {
        return fail(Errc::invalid_argument, "An admin key is one or more visible ASCII characters without blanks.");
    }
    return Admin_Key(text);
}

auto Admin_Key::from_file(std::string const& path) -> Result<Admin_Key> {
    constexpr int flags = O_RDONLY | O_CLOEXEC;
    Unique_Fd file(::open(path.c_str(), flags));
    if (!file && errno == ENOENT) {
        if (auto const made = make_file(path); !made)
            return made.error();
        file = Unique_Fd(::open(path.c_str(), flags));
    }
    if (!file)
        return error_from_errno(errno, "open", "the admin key file " + path);

    struct stat status {};
    if (::fstat(file.get(), &status) != 0)
        return error_from_errno(errno, "stat", "the admin key file " + path);
    if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        return fail(Errc::permission_denied, "Others may read the admin key file: run chmod 600 " + path + ".");
    }

    std::array<char, 1024> bytes;
    auto const size = ::read(file.get(), bytes.data(), bytes.size());
    if (size < 0)
        return error_from_errno(errno, "read", "the admin key file " + path);
    std::string_view text(bytes.data(), static_cast<std::size_t>(size));
    while (text.ends_with('\n') || text.ends_with('\r'))
        text.remove_suffix(1);
    auto key = from_text(text);
    if (!key) {
        return fail(Errc::invalid_argument,
                    "The admin key file " + path + " holds no key: delete it and a new one is made.");
    }
    return key;
}

auto Admin_Key::is_in(Request const& request) -> bool {
    return !request.headers.value("X-API-Key").empty() || !request.headers.value("Authorization").empty();
}

auto Admin_Key::admits(Request const& request) const -> bool {
    auto const is_key = [this](std::string_view text) {
        return text.size() == text_.size() && CRYPTO_memcmp(text.data(), text_.data(), text.size()) == 0;
    };
    constexpr std::string_view scheme = "bearer ";
    auto const authorization = request.headers.value("Authorization");
    return is_key(request.headers.value("X-API-Key")) ||
           (starts_with_lower(authorization, scheme) && is_key(authorization.substr(scheme.size())));
}

} // namespace memfs_cache
