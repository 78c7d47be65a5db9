// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/net/http_client.hpp>
#include <memfs_cache/net/request_signer.hpp>
#include <memfs_cache/storage/s3.hpp>

#include <atomic>
#include <optional>
#include <string>
#include <vector>

/// Requests to one bucket, sent until there is an answer that counts.
namespace memfs_cache::s3 {

struct Request {
    std::string method{};
    std::string name{}; ///< of an object; "" for the bucket itself
    Query_Parameters query{};
    std::vector<Http_Header> headers{};
    Byte_View body{};
    std::uint64_t longest_answer = 16 << 20; ///< in bytes
    bool answers_in_xml = false;             ///< then a success may turn out to be an error when it is read
    int most_tries = 0;                      ///< 0: as the settings say
};

/// What tries of a request that brought no answer may have left behind.
enum class Doubt {
    none,
    put_off,    ///< all were told to come later; some services have done the work all the same
    unanswered, ///< at least one may have been done, or may still be
};

/// How a request ended.
struct Outcome {
    std::optional<Client_Response> answer; ///< nothing: given up
    std::string code;                      ///< of an answer that is an error, as S3 names it
    Doubt doubt = Doubt::none;             ///< about tries before the answer, or about all
    Error problem;                         ///< what to tell if there is no answer, or an error that the caller did not
                                           ///< expect: which setting to change

    [[nodiscard]] auto status() const noexcept -> unsigned { return answer ? answer->status : 0; }
    [[nodiscard]] auto is_good() const noexcept -> bool { return status() >= 200 && status() < 300; }
};

/// Signs, sends, waits and sends again. Every request of S3 may be repeated: what that means for its outcome is what
/// `doubt` tells.
/// Threads  any
class Wire {
  public:
    /// @errors invalid_argument: an endpoint, authorities that cannot be read
    [[nodiscard]] static auto create(S3_Settings settings) -> Result<Wire>;

    [[nodiscard]] auto send(Request const& request) const -> Outcome;
    [[nodiscard]] auto settings() const noexcept -> S3_Settings const& { return settings_; }
    [[nodiscard]] auto counters() const noexcept -> Operation_Counters& { return *counters_; }
    /// Now, as the service sees it.
    [[nodiscard]] auto now() const -> Utc_Time;

  private:
    /// What to do after one try.
    struct Verdict {
        enum class Kind { final, again, again_at_once } kind = Kind::final;
        Doubt doubt = Doubt::none;
    };
    Wire(S3_Settings settings, Http_Client client, bool has_bucket_in_host);
    [[nodiscard]] auto try_once(Request const& request, Utc_Time signed_at, bool fresh_connection) const
        -> boost::system::result<Client_Response, No_Answer>;
    [[nodiscard]] auto judge(Request const& request, Client_Response const& answer, Outcome& outcome) const -> Verdict;
    [[nodiscard]] auto learn_clock(Client_Response const& answer, Utc_Time signed_at) const -> bool;
    void count(Request const& request, std::size_t bytes_read) const noexcept;
    [[nodiscard]] auto may_show(std::string_view word) const -> bool;
    [[nodiscard]] auto explain(Client_Response const& answer, std::string const& code, std::string const& region) const
        -> Error;

    S3_Settings settings_;
    Http_Client client_;
    Request_Signer signer_;
    bool has_bucket_in_host_;
    std::unique_ptr<Operation_Counters> counters_ = std::make_unique<Operation_Counters>();
    /// How far the service's clock is ahead of ours, in milliseconds; learned from the first request it finds too old
    /// or too new.
    std::unique_ptr<std::atomic<std::int64_t>> clock_offset_ = std::make_unique<std::atomic<std::int64_t>>(0);
};

} // namespace memfs_cache::s3
