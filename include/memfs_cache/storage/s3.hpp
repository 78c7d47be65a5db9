// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/clock.hpp>
#include <memfs_cache/net/credentials.hpp>
#include <memfs_cache/net/http_client.hpp>
#include <memfs_cache/storage/concept.hpp>

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace memfs_cache {

/// Where a bucket is and how to talk to it.
struct S3_Settings {
    std::string bucket;
    std::string prefix;                         ///< of every key, without a slash at its end; "" for none
    std::string endpoint_url;                   ///< "" for Amazon's own of the region
    std::string region;                         ///< "" as the environment says, else us-east-1
    std::optional<Aws_Credentials> credentials; ///< else as find_credentials() finds them
    /// bucket.host instead of host/bucket. Nothing: at Amazon yes, elsewhere no.
    std::optional<bool> virtual_host;
    Http_Client_Options client;
    std::chrono::milliseconds retry_budget{60'000}; ///< no try of one operation begins later
    Clock_Ptr clock;                                ///< for signatures; the machine's unless given

    /// @param  url  s3://bucket/prefix?endpoint_url=...&region=...&addressing=path|virtual&ca_file=...
    /// @errors invalid_argument: not of this form, an unknown parameter, credentials in it; the text is never repeated
    [[nodiscard]] static auto parse(std::string_view url) -> Result<S3_Settings>;
};

} // namespace memfs_cache
