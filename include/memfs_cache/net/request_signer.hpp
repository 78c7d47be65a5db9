// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/clock.hpp>
#include <memfs_cache/net/http_client.hpp>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace memfs_cache {

/// What proves to an AWS-like service who asks. Never printed.
struct Aws_Credentials {
    std::string access_key_id;
    std::string secret_access_key;
    std::string session_token; ///< "" for long-lived keys
};

/// Query parameters, names and values as text, not encoded.
using Query_Parameters = std::vector<std::pair<std::string, std::string>>;

/// Percent-encoding of Signature Version 4: everything but A-Z a-z 0-9 - . _ ~ as %XX, upper case.
/// @param  keep_slash  '/' stays, as in a path
[[nodiscard]] auto uri_encode(std::string_view text, bool keep_slash) -> std::string;
/// Sorted and encoded as the signature wants it, a missing value as "name="; what goes over the wire is the same text.
[[nodiscard]] auto canonical_query(Query_Parameters parameters) -> std::string;

/// What was signed. A service that finds another signature answers with its own version of both texts: where they
/// differ lies the fault. They hold the session token: for a person who looks for that fault, never for a log.
struct Signed_Texts {
    std::string canonical_request;
    std::string string_to_sign;
};

/// Signs requests with AWS Signature Version 4. Pure: time and keys are given; nothing is asked or kept but the derived
/// key of the day.
/// Threads  any
/// Cost     one SHA-256 of the body and four short ones
/// @source  AWS, "Signature Version 4 signing process", header-based authentication
class Request_Signer {
  public:
    /// @param  service  "s3": the path is encoded once and never normalised; any other: as the generic rules have it
    Request_Signer(std::string region, std::string service);
    Request_Signer(Request_Signer&&) noexcept;
    auto operator=(Request_Signer&&) noexcept -> Request_Signer&;
    ~Request_Signer();

    /// Adds the headers x-amz-date, x-amz-content-sha256 (service s3), x-amz-security-token (if there is one) and
    /// authorization; those of an earlier signature go, so that a request can be signed again. Signed are host, every
    /// x-amz-*, every if-*, content-type, content-md5 and range among the headers.
    /// @param  host   what the header Host will say
    auto sign(Client_Request& request, std::string_view host, Aws_Credentials const& keys, Utc_Time now) const
        -> Signed_Texts;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

} // namespace memfs_cache
