// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

/// An S3 server for tests: objects in memory, real signatures, the habits of real servers by switches, and faults by a
/// script of the test.
namespace memfs_cache::testing {

/// Where real servers differ. What stands here is Amazon's way.
struct Fake_S3_Quirks {
    bool quoted_matches = true;         ///< If-Match "etag"
    bool unquoted_matches = true;       ///< If-Match etag
    unsigned missing_match = 404;       ///< status of a PUT with If-Match where there is no object; others say 412
    bool ignores_conditions = false;    ///< of PUT
    bool erase_ignores_match = false;   ///< DELETE takes no notice of If-Match
    bool racing_losers_get_500 = false; ///< a write that meets another one on the same key gets 500, not 412
    enum class Start_After { works, ignored, fails } start_after = Start_After::works;
    bool lists_backwards = false;
    bool pages_loop = false; ///< every page is the first, and says that more come
    /// Ceph's gateway: ETags match without quotes only, 412 for a missing object, deletes without conditions.
    [[nodiscard]] static auto ceph() -> Fake_S3_Quirks;
    /// A server that knows no conditions at all.
    [[nodiscard]] static auto unconditional() -> Fake_S3_Quirks;
};

struct Fake_S3_Options {
    std::uint16_t port = 0; ///< 0: any that is free
    std::string bucket = "bucket";
    std::string region = "us-east-1";
    std::string access_key_id = "FAKEKEYID";
    std::string secret_access_key = "fake/secret+key";
    std::string session_token; ///< asked for if it is not empty
    std::int64_t clock_is_ahead_s = 0;
    Fake_S3_Quirks quirks;
};

/// A request as the server got it, for scripts and for tests that look back.
struct Seen_Request {
    std::size_t number = 0; ///< from 1
    std::size_t connection = 0;
    std::string method;
    std::string key; ///< decoded; "" for those of the bucket
    std::map<std::string, std::string> query;
    std::map<std::string, std::string> headers; ///< names in lower case
    std::string body;

    [[nodiscard]] auto has(std::string const& parameter) const -> bool { return query.count(parameter) != 0; }
    [[nodiscard]] auto header(std::string const& name) const -> std::string;
};

/// What goes wrong with one request.
struct Fault {
    enum class Effect { once, none, twice, late };
    enum class Answer {
        real,
        error,     ///< `status` and `code`
        text,      ///< `text` in place of the body, with `status`
        reset,     ///< the connection is cut
        truncated, ///< half of the body, then the connection is cut
        oversized, ///< more bytes than the header says
        drip,      ///< byte by byte, too slow for any patience
        silence,   ///< nothing until the client goes away
    };
    Effect effect = Effect::once;
    Answer answer = Answer::real;
    unsigned status = 200;
    std::string code;
    std::string text;
    std::string more_headers; ///< whole lines

    [[nodiscard]] static auto error(unsigned status, std::string code, std::string more_headers = {}) -> Fault {
        return {Effect::none, Answer::error, status, std::move(code), {}, std::move(more_headers)};
    }
    /// Takes effect, but the answer is an error.
    [[nodiscard]] static auto error_after(unsigned status, std::string code) -> Fault {
        return {Effect::once, Answer::error, status, std::move(code), {}, {}};
    }
    [[nodiscard]] static auto reset_before() -> Fault { return {Effect::none, Answer::reset, 0, {}, {}, {}}; }
    [[nodiscard]] static auto reset_after() -> Fault { return {Effect::once, Answer::reset, 0, {}, {}, {}}; }
    [[nodiscard]] static auto twice() -> Fault { return {Effect::twice, Answer::real, 0, {}, {}, {}}; }
    /// Takes effect when the test says so, long after the client gave up.
    [[nodiscard]] static auto late() -> Fault { return {Effect::late, Answer::reset, 0, {}, {}, {}}; }
    [[nodiscard]] static auto text_instead(std::string text, unsigned status = 200) -> Fault {
        return {Effect::none, Answer::text, status, {}, std::move(text), {}};
    }
    [[nodiscard]] static auto spoiled(Answer how) -> Fault { return {Effect::once, how, 0, {}, {}, {}}; }
};

/// Objects and unfinished uploads, which several servers may share as gateways of one cluster do.
class Fake_S3_Objects;
[[nodiscard]] auto make_fake_s3_objects() -> std::shared_ptr<Fake_S3_Objects>;

/// Listens on 127.0.0.1 from its construction to its destruction, with a thread for each connection.
class Fake_S3 {
  public:
    /// Asked for each request; without one nothing goes wrong. Called by the threads of the connections, one at a time;
    /// may ask and change what is stored, but not what was seen nor the script.
    using Script = std::function<Fault(Seen_Request const&)>;

    explicit Fake_S3(Fake_S3_Options options = {}, std::shared_ptr<Fake_S3_Objects> objects = make_fake_s3_objects());
    Fake_S3(Fake_S3 const&) = delete;
    auto operator=(Fake_S3 const&) -> Fake_S3& = delete;
    ~Fake_S3();

    [[nodiscard]] auto port() const -> std::uint16_t;
    [[nodiscard]] auto url() const -> std::string; ///< http://127.0.0.1:PORT
    [[nodiscard]] auto options() const -> Fake_S3_Options const&;
    [[nodiscard]] auto objects() const -> std::shared_ptr<Fake_S3_Objects>;

    void script(Script script);
    /// Requests since the start or the last forget(), in order of arrival.
    [[nodiscard]] auto seen() const -> std::vector<Seen_Request>;
    void forget();
    /// What Fault::late() held back takes effect, in order of arrival.
    void land_late();
    /// Listings show what is there now until they are thawed.
    void freeze_lists(bool frozen);
    [[nodiscard]] auto keys() const -> std::vector<std::string>;
    /// What is stored, past all faults; "(absent)" if nothing is.
    [[nodiscard]] auto bytes_of(std::string const& key) const -> std::string;
    /// Stores past all faults, as another client would.
    void store(std::string const& key, std::string bytes);
    [[nodiscard]] auto unfinished_uploads() const -> std::size_t;
    /// As if all unfinished uploads had been begun so much earlier.
    void age_uploads(std::int64_t seconds);

  private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

} // namespace memfs_cache::testing
