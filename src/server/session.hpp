// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kept_views.hpp"
#include "waiting_threads.hpp"
#include <memfs_cache/namespaces/analytics/client_memo.hpp>
#include <memfs_cache/server/server.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <unordered_set>

namespace memfs_cache {

class Observers;
class Request_Reader;
class Session;
struct Told_Headers;

/// What the sessions of a server share.
struct Service {
    Handler handler;
    Observers& observers;
    Waiting_Threads& threads; ///< for handlers, sinks and sources
    Server_Options const& options;

    [[nodiscard]] auto counters() const noexcept -> Server_Counters& { return *options.counters; }
    void log(std::string_view sentence) const noexcept;
};

/// One thread with its event loop, and its share of what a server may hold. Everything but `context` and `open` is
/// touched by that thread only.
class Worker {
  public:
    using Steady = std::chrono::steady_clock;
    struct Share {
        std::size_t connections;
        std::uint64_t body_bytes;
    };

    Worker(Service const& service, Share share);

    /// Begins to serve a connection that was just accepted. From any thread.
    void take(boost::asio::ip::tcp::socket socket);
    /// How many more connections it may have. From any thread.
    [[nodiscard]] auto free_places() const noexcept -> std::ptrdiff_t;
    /// Loses the connection that has been waited for longest, of the address that has most.
    void crowd_out_one();
    void stop();

    boost::asio::io_context context{1};
    std::thread thread;

  private:
    friend Session;
    /// Gives a place back.
    struct Release {
        void operator()(Worker* worker) const noexcept;
    };
    using Place = std::unique_ptr<Worker, Release>;

    void start(boost::asio::ip::tcp::socket socket, Place place);
    void enter(Session& session);
    void leave(Session& session) noexcept;
    /// Makes room for more bytes of a body of this session, at the cost of others. False: there is none.
    auto make_body_room(Session const& session) -> bool;
    /// How much more of a body may be held.
    [[nodiscard]] auto free_body_bytes() const noexcept -> std::uint64_t {
        return share_.body_bytes - std::min(share_.body_bytes, body_bytes_);
    }
    template <class Fits>
    auto crowd_out(Fits&& fits) -> bool;
    void watch_the_time();
    /// Tells the observer of a request, together with the others that end in the same turn of the loop: one after the
    /// other they find the observer's code and tables in the caches, between two requests the system has taken these.
    void tell(Request_View const& view) noexcept;
    void tell_all() noexcept;

    Service const& service_;
    Share const share_;
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{context.get_executor()};
    boost::asio::steady_timer tick_{context};
    boost::asio::steady_timer stop_limit_{context};
    std::atomic<std::size_t> open_{0};
    std::unordered_set<Session*> sessions_;
    std::unordered_map<std::uint64_t, std::size_t> neighbours_; ///< connections of an address
    std::uint64_t body_bytes_ = 0;                              ///< of all sessions
    std::size_t leaving_ = 0;                                   ///< sessions that are crowded out and not yet gone
    bool watching_ = false;
    bool stopping_ = false;
    Kept_Views told_;                     ///< in this turn, and not yet heard
    std::array<char, 16 * 1024> scratch_; ///< what was read last: a connection that waits holds no buffer
};

/// One connection: reads a request, answers, tells the observer, and begins again while both sides keep it open.
class Session {
  public:
    Session(boost::asio::ip::tcp::socket socket, Worker::Place place, Worker& worker);
    Session(Session const&) = delete;
    auto operator=(Session const&) -> Session& = delete;
    ~Session();

    auto run() -> boost::asio::awaitable<void>;

    // For the worker, between two waits of the session.
    void end_if_idle();
    void end_if_late(Worker::Steady::time_point now);
    void crowd_out();
    void close();
    [[nodiscard]] auto address() const noexcept -> std::uint64_t { return address_; }
    [[nodiscard]] auto waits_since() const noexcept -> Worker::Steady::time_point { return moved_; }
    [[nodiscard]] auto is_leaving() const noexcept -> bool { return over_ == Over::crowded_out; }
    [[nodiscard]] auto body_bytes() const noexcept -> std::uint64_t { return body_bytes_; }
    /// For its client?
    [[nodiscard]] auto waits() const noexcept -> bool { return waits_; }

  private:
    using Steady = Worker::Steady;
    template <class T>
    using Awaitable = boost::asio::awaitable<T>;
    /// Why no wait may begin any more.
    enum class Over { no, late, crowded_out };
    struct Sent {
        std::uint64_t bytes = 0; ///< of the body
        bool whole = false;
    };
    /// Who takes the body of a request, and what was answered while it came.
    struct Taking {
        Reception reception = {};
        std::optional<Response> verdict = {};
    };

    auto serve() -> Awaitable<void>;
    auto first_bytes() -> Awaitable<std::string_view>;
    auto exchange(std::string_view bytes) -> Awaitable<bool>;
    auto read_request(Request_Reader& reader, std::string_view bytes, Taking& taking) -> Awaitable<void>;
    void find_sink(Request_Reader& reader, Taking& taking);
    auto begin_sink(Request_Reader const& reader, Taking& taking) -> Awaitable<void>;
    auto take_piece(Request_Reader& reader, Taking& taking) -> Awaitable<void>;
    auto reply_to(Request const& request, Request_Reader const& reader, Taking& taking) -> Awaitable<Response>;
    auto reply_of_handler(Request const& request) -> Awaitable<Response>;
    auto read_source(Body_Source& source, std::uint64_t begin, std::uint64_t end) -> Awaitable<Bytes>;
    /// Sends a body that goes on until it is over, its client has gone, or the server stops.
    auto send_stream(std::string_view header, Body_Stream& stream) -> Awaitable<Sent>;
    /// True: the time is over, and the client still listens.
    auto pause(std::chrono::milliseconds time) -> Awaitable<bool>;
    auto let_go(Reception& reception, Response& response, bool whole) -> Awaitable<void>;
    /// Runs what may wait for a storage apart.
    template <class Work>
    auto apart(Work work) -> Awaitable<std::invoke_result_t<Work&>>;
    auto send(std::string_view text, Response const& response, std::uint64_t begin, std::uint64_t end)
        -> Awaitable<Sent>;
    auto answer_and_tell(Told_Headers const& headers,
                         Request const& request,
                         Response const& response,
                         std::string_view header,
                         Steady::time_point start) -> Awaitable<bool>;
    [[nodiscard]] auto
    view_of(Told_Headers const& headers, Request const& request, Response const& response, Steady::time_point start)
        -> Request_View;
    auto linger() -> Awaitable<void>;

    auto read() -> Awaitable<std::string_view>;
    auto read_now() -> std::string_view;
    auto wait_until_writable() -> Awaitable<bool>;
    void hold_body(std::uint64_t bytes) noexcept;
    /// Ends the wait that lasts longer, and allows no other after it.
    void allow_until(Steady::time_point limit) noexcept { deadline_ = limit; }
    /// The same for something that moves: as long as it goes on, and as it is fast enough on average.
    void allow_transfer(Steady::time_point start, std::uint64_t bytes) noexcept;

    boost::asio::ip::tcp::socket socket_;
    Worker::Place place_;
    Worker& worker_;
    Service const& service_;
    Server_Options const& options_;
    std::string remote_;
    std::uint64_t address_ = 0;
    Client_Memo memo_;  ///< of the observer
    std::string ahead_; ///< bytes of the next request that came with the last one
    std::uint64_t body_bytes_ = 0;
    Steady::time_point moved_ = Steady::now(); ///< bytes last went in or out then
    Steady::duration apart_{0};                ///< how long this exchange has waited for storages
    Steady::time_point deadline_;
    Over over_ = Over::no;
    bool waits_ = false; ///< for its client
    bool idle_ =
        false; ///< waits, and nothing is lost if it ends: for a request to begin, or between pieces of a stream
};

} // namespace memfs_cache
