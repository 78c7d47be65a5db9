// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/error.hpp>
#include <memfs_cache/net/request_signer.hpp>

#include <functional>
#include <optional>
#include <string>

namespace memfs_cache {

/// Where credentials are looked for, so that tests bring their own.
struct Credential_Sources {
    std::function<std::optional<std::string>(std::string const&)> environment; ///< of the process unless given
    std::string home; ///< folder that holds .aws/; "" for $HOME
};

/// Finds credentials as other AWS programs do: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN; else the
/// profile AWS_PROFILE (default "default") of AWS_SHARED_CREDENTIALS_FILE (default ~/.aws/credentials).
/// @errors not_found: nowhere, and the message says where was looked; invalid_argument: half of a pair, an unreadable
///         or malformed file, an unknown profile, a profile without keys, a value that cannot stand in a header. No
///         message repeats a value.
[[nodiscard]] auto find_credentials(Credential_Sources const& sources = {}) -> Result<Aws_Credentials>;

/// AWS_REGION, else AWS_DEFAULT_REGION, else the profile's region in AWS_CONFIG_FILE (default ~/.aws/config).
[[nodiscard]] auto find_region(Credential_Sources const& sources = {}) -> std::optional<std::string>;

} // namespace memfs_cache
