// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/system/result.hpp>

#include <array>
#include <exception>
#include <optional>
#include <string>
#include <string_view>

namespace memfs_cache {

/// Everything that can go wrong, once. docs/errors.md is generated from the table in src/core/error.cpp.
enum class Errc {
    invalid_argument,
    not_found,
    already_exists,
    conflict,
    indeterminate,
    too_large,
    no_space,
    permission_denied,
    throttled,
    unavailable,
    timed_out,
    corrupt_data,
    unsupported,
    closed,
    internal,
};

/// One row of the error catalogue.
struct Errc_Info {
    Errc code;
    std::string_view name;         ///< the word used in HTTP bodies, logs and Python's `.code`
    std::string_view sentence;     ///< what it means
    std::string_view python_class; ///< class of the Python package
    std::string_view advice;       ///< what the caller does next
};

/// All rows, in the order of Errc.
[[nodiscard]] auto errc_table() noexcept -> std::array<Errc_Info, 15> const&;
/// The row of one code.
[[nodiscard]] auto info(Errc code) noexcept -> Errc_Info const&;

/// What went wrong and where. `context` is a sentence for the person who has to mend it: it names the key, window or
/// option, never a secret, an address or a stored value.
struct Error {
    Errc code = Errc::internal;
    std::string context;

    /// "name: context", for logs and exceptions.
    [[nodiscard]] auto message() const -> std::string;
};

/// A value or an Error. `.value()` throws Cache_Error, everything else in the library returns.
template <class T>
using Result = boost::system::result<T, Error>;

/// Thrown by Result::value() on an Error; nothing else of the library throws it.
class Cache_Error : public std::exception {
  public:
    explicit Cache_Error(Error error);
    [[nodiscard]] auto code() const noexcept -> Errc { return error_.code; }
    [[nodiscard]] auto context() const noexcept -> std::string const& { return error_.context; }
    [[nodiscard]] auto error() const noexcept -> Error const& { return error_; }
    [[nodiscard]] auto what() const noexcept -> char const* override { return what_.c_str(); }

  private:
    Error error_;
    std::string what_;
};

/// Found by argument-dependent lookup from Result::value().
[[noreturn]] void throw_exception_from_error(Error const& error, boost::source_location const& where);

/// Shorthand for returning an error.
[[nodiscard]] inline auto fail(Errc code, std::string context) -> Error { return Error{code, std::move(context)}; }

/// An Error for a failed system call: maps errno to the closest code and says which call on what.
[[nodiscard]] auto error_from_errno(int errno_value, std::string_view call, std::string_view subject) -> Error;

} // namespace memfs_cache
