// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/error.hpp>

#include <boost/assert/source_location.hpp>

#include <cerrno>
#include <cstring>

namespace memfs_cache {

auto errc_table() noexcept -> std::array<Errc_Info, 15> const& {
    static constexpr std::array<Errc_Info, 15> table{{
        {Errc::invalid_argument, "invalid_argument", "A value given by the caller is not acceptable.",
         "Invalid_Argument", "Correct the value that the message names; nothing was written."},
        {Errc::not_found, "not_found", "Something that the caller claimed to exist does not.", "Not_Found",
         "Check the name or id; create it first."},
        {Errc::already_exists, "already_exists", "Something with this name is already there.", "Already_Exists",
         "Choose another name, or use the one that exists."},
        {Errc::conflict, "conflict", "Another writer was faster, more often than we retry.", "Conflict",
         "Read the current state and try again."},
        {Errc::indeterminate, "indeterminate", "The storage did not say whether a write took effect.", "Indeterminate",
         "Read before writing again: the old or the new value stands, never a mix."},
        {Errc::too_large, "too_large", "A value is larger than its limit.", "Too_Large",
         "Send less, or raise the limit that the message names."},
        {Errc::no_space, "no_space", "The storage is full.", "No_Space",
         "Free space on the storage; recording goes on by itself afterwards."},
        {Errc::permission_denied, "permission_denied", "The storage refuses access.", "Permission_Denied",
         "Give this user access to what the message names."},
        {Errc::throttled, "throttled", "Too many requests for now.", "Throttled", "Wait as long as told, then retry."},
        {Errc::unavailable, "unavailable", "The storage or a peer cannot be reached, or is busy.", "Unavailable",
         "Check that it runs and is reachable, then retry."},
        {Errc::timed_out, "timed_out", "No answer came in time.", "Timed_Out",
         "Retry; raise the time limit if it happens often."},
        {Errc::corrupt_data, "corrupt_data", "Stored bytes are not what was written.", "Corrupt_Data",
         "Keep the file that the message names, restore it from a copy, and look at the disk."},
        {Errc::unsupported, "unsupported", "This backend or build cannot do that.", "Unsupported",
         "Choose another backend, or build with the part that the message names."},
        {Errc::closed, "closed", "The object was closed before this call.", "Closed", "Open a new one."},
        {Errc::internal, "internal", "A fault of the library itself.", "Internal", "Report it with the message."},
    }};
    return table;
}

auto info(Errc code) noexcept -> Errc_Info const& { return errc_table()[static_cast<std::size_t>(code)]; }

auto Error::message() const -> std::string {
    std::string text(info(code).name);
    if (!context.empty())
        text.append(": ").append(context);
    return text;
}

Cache_Error::Cache_Error(Error error) : error_(std::move(error)), what_(error_.message()) {}

void throw_exception_from_error(Error const& error, boost::source_location const&) { throw Cache_Error(error); }

auto error_from_errno(int errno_value, std::string_view call, std::string_view subject) -> Error {
    auto code = Errc::unavailable;
    switch (errno_value) {
    case ENOSPC:
    case EDQUOT:
        code = Errc::no_space;
        break;
    case EACCES:
    case EPERM:
    case EROFS:
        code = Errc::permission_denied;
        break;
    case ENOENT:
        code = Errc::not_found;
        break;
    case EEXIST:
        code = Errc::already_exists;
        break;
    case ENAMETOOLONG:
    case ENOTDIR:
    case EISDIR:
    case EINVAL:
        code = Errc::invalid_argument;
        break;
    case EFBIG:
        code = Errc::too_large;
        break;
    default:
        break;
    }
    std::string context(call);
    context.append(" of ").append(subject).append(": ").append(
        std::strerror(errno_value)); // NOLINT(concurrency-mt-unsafe)
    return Error{code, std::move(context)};
}

} // namespace memfs_cache
