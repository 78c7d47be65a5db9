// SPDX-License-Identifier: Apache-2.0
#include "session.hpp"

#include "observers.hpp"
#include "request_reader.hpp"
#include "response_bytes.hpp"
#include <memfs_cache/http/replies.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <exception>
#include <tuple>
#include <utility>

namespace memfs_cache {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr auto linger_time = std::chrono::seconds(1);
constexpr auto as_tuple = asio::as_tuple(asio::use_awaitable);
constexpr std::uint64_t least_piece_bytes = 64 * 1024;
constexpr std::string_view broken_off = "other";
constexpr std::string_view leave_to_send = "HTTP/1.1 100 Continue\r\n\r\n";

/// What counts as one address: of IPv6 the network, as whoever has one of its addresses has them all.
auto number_of(asio::ip::address const& address) -> std::uint64_t {
    if (address.is_v4())
        return address.to_v4().to_uint();
    auto const bytes = address.to_v6().to_bytes();
    std::uint64_t number = 0;
    for (std::size_t i = 0; i < sizeof number; ++i)
        number = number << 8U | bytes[i];
    return number;
}

/// Calls `act` at the end of a scope.
template <class Act>
struct At_End {
    Act act;
    ~At_End() { act(); }
};
template <class Act>
At_End(Act) -> At_End<Act>;

} // namespace

// Worker

Worker::Worker(Service const& service, Share share) : service_(service), share_(share) {}

void Worker::Release::operator()(Worker* worker) const noexcept {
    worker->open_.fetch_sub(1);
    worker->service_.counters().open.fetch_sub(1);
}

auto Worker::free_places() const noexcept -> std::ptrdiff_t {
    return static_cast<std::ptrdiff_t>(share_.connections) - static_cast<std::ptrdiff_t>(open_.load());
}

void Worker::take(tcp::socket socket) {
    open_.fetch_add(1);
    service_.counters().open.fetch_add(1);
    service_.counters().accepted.fetch_add(1);
    asio::post(context, [this, socket = std::move(socket), place = Place(this)]() mutable {
        start(std::move(socket), std::move(place));
    });
}

void Worker::start(tcp::socket socket, Place place) {
    if (sessions_.size() - leaving_ >= share_.connections)
        crowd_out_one();
    auto session = std::make_unique<Session>(std::move(socket), std::move(place), *this);
    asio::co_spawn(
        context, [session = std::move(session)] { return session->run(); }, asio::detached);
}

void Worker::enter(Session& session) {
    sessions_.insert(&session);
    ++neighbours_[session.address()];
    if (!std::exchange(watching_, true))
        watch_the_time();
}

void Worker::leave(Session& session) noexcept {
    tell_all(); // its memo goes with it
    if (session.is_leaving())
        --leaving_;
    sessions_.erase(&session);
    auto const counted = neighbours_.find(session.address());
    if (--counted->second == 0)
        neighbours_.erase(counted);
    if (sessions_.empty()) {
        tick_.cancel();
        stop_limit_.cancel();
    }
}

template <class Fits>
auto Worker::crowd_out(Fits&& fits) -> bool {
    Session* chosen = nullptr;
    // Of the largest crowd, and rather one that waits for its client than one that a storage is at work for.
    std::tuple<std::size_t, bool, Steady::duration> most{};
    for (auto* const session : sessions_) {
        if (session->is_leaving() || !fits(*session))
            continue;
        auto const since = session->waits_since().time_since_epoch();
        auto const rank = std::tuple(neighbours_.at(session->address()), session->waits(), -since);
        if (chosen == nullptr || rank > most) {
            chosen = session;
            most = rank;
        }
    }
    if (chosen == nullptr)
        return false;
    chosen->crowd_out();
    ++leaving_;
    service_.counters().crowded_out.fetch_add(1);
    return true;
}

void Worker::crowd_out_one() {
    (void)crowd_out([](Session const&) { return true; });
}

auto Worker::make_body_room(Session const& session) -> bool {
    while (body_bytes_ > share_.body_bytes) {
        if (!crowd_out(
                [&](Session const& other) { return &other != &session && other.waits() && other.body_bytes() > 0; }))
            return false;
    }
    return true;
}

/// Looks at all deadlines now and then instead of keeping a timer for each: a request costs no timer at all.
void Worker::watch_the_time() {
    auto const& options = service_.options;
    auto const shortest = std::min(options.idle_timeout, options.request_timeout);
    auto const interval = std::clamp<std::chrono::milliseconds>(shortest / 4, std::chrono::milliseconds(5),
                                                                std::chrono::milliseconds(250));
    tick_.expires_after(interval);
    tick_.async_wait([this](error_code) {
        watching_ = !sessions_.empty();
        if (!watching_)
            return;
        auto const now = Steady::now();
        for (auto* const session : sessions_)
            session->end_if_late(now);
        watch_the_time();
    });
}

void Worker::tell(Request_View const& view) noexcept {
    constexpr std::size_t most_at_once = 64;
    if (sessions_.size() == 1) // nobody to share with
        return service_.observers.tell(view);
    try {
        if (told_.count() == 0)
            asio::post(context, [this] { tell_all(); });
        told_.add(view);
    } catch (...) { // out of memory
        return service_.observers.tell(view);
    }
    if (told_.count() == most_at_once)
        tell_all();
}

void Worker::tell_all() noexcept {
    if (told_.count() == 0)
        return;
    service_.observers.tell(told_);
    told_.clear();
}

void Worker::stop() {
    stopping_ = true;
    work_.reset();
    for (auto* const session : sessions_)
        session->end_if_idle();
    if (sessions_.empty())
        return;
    stop_limit_.expires_after(service_.options.stop_timeout);
    stop_limit_.async_wait([this](error_code ended_before) {
        if (ended_before)
            return;
        for (auto* const session : sessions_)
            session->close();
    });
}

// Session

Session::Session(tcp::socket socket, Worker::Place place, Worker& worker)
    : socket_(std::move(socket)), place_(std::move(place)), worker_(worker), service_(worker.service_),
      options_(service_.options) {
    error_code ignored;
    socket_.non_blocking(true, ignored);
    socket_.set_option(tcp::no_delay(true), ignored);
    auto address = socket_.remote_endpoint(ignored).address();
    if (address.is_v6() && address.to_v6().is_v4_mapped())
        address = asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
    remote_ = address.to_string();
    address_ = number_of(address);
    worker_.enter(*this);
}

Session::~Session() { worker_.leave(*this); }

auto Session::run() -> Awaitable<void> {
    try {
        co_await serve();
    } catch (std::exception const& error) { // out of memory, most likely: this connection ends, the others go on
        service_.log(std::string("A connection was given up: ") + error.what());
    }
}

auto Session::serve() -> Awaitable<void> {
    for (;;) {
        auto const bytes = co_await first_bytes();
        if (bytes.empty())
            co_return;
        if (!co_await exchange(bytes))
            break;
    }
    co_await linger();
}

void Session::end_if_idle() {
    if (idle_)
        socket_.cancel();
}

void Session::end_if_late(Steady::time_point now) {
    if (!waits_ || over_ != Over::no || now < deadline_)
        return;
    over_ = Over::late;
    error_code ignored;
    socket_.cancel(ignored);
}

void Session::crowd_out() {
    over_ = Over::crowded_out;
    hold_body(0); // it goes before anybody else has a turn
    error_code ignored;
    socket_.cancel(ignored);
}

void Session::close() {
    error_code ignored;
    socket_.close(ignored);
}

void Session::allow_transfer(Steady::time_point start, std::uint64_t bytes) noexcept {
    auto const earned = std::chrono::seconds(bytes / std::max<std::uint64_t>(1, options_.least_bytes_per_second));
    deadline_ = std::min<Steady::time_point>(moved_ + options_.idle_timeout, start + options_.request_timeout + earned);
}

void Session::hold_body(std::uint64_t bytes) noexcept {
    worker_.body_bytes_ += bytes - body_bytes_;
    body_bytes_ = bytes;
}

/// Waits for a request to begin. Empty: none will.
auto Session::first_bytes() -> Awaitable<std::string_view> {
    if (!ahead_.empty()) {
        co_await asio::post(asio::use_awaitable); // others have their turn, however much was sent ahead
        co_return ahead_;
    }
    std::string_view bytes;
    if (!worker_.stopping_) {
        idle_ = true;
        allow_until(moved_ + options_.idle_timeout);
        bytes = co_await read();
        idle_ = false;
    }
    if (bytes.empty())
        bytes = read_now(); // whatever ended the wait: a request that is there is answered
    if (bytes.empty() && over_ == Over::late)
        service_.counters().idle_closed.fetch_add(1);
    co_return bytes;
}

/// One request and its answer. True if another one may follow.
auto Session::exchange(std::string_view bytes) -> Awaitable<bool> {
    auto const start = Steady::now();
    moved_ = start;
    apart_ = {};
    Request_Reader reader(options_);
    Taking taking;
    At_End const forget_body{[this] { hold_body(0); }};
    co_await read_request(reader, bytes, taking);

    bool const is_read = reader.is_over();
    auto request = reader.take_request();
    request.remote = remote_;
    auto response = co_await reply_to(request, reader, taking);
    bool const keep =
        is_read && reader.keeps_alive() && response.has_length() && !worker_.stopping_ && over_ == Over::no;
    auto const* const connection = !keep ? "close" : reader.is_old() ? "keep-alive" : "";
    auto const header = header_text(response, options_.clock->now(), connection);
    bool const whole = co_await answer_and_tell(reader.told_headers(), request, response, header, start);
    if (!whole && over_ == Over::late)
        service_.counters().stalled.fetch_add(1);
    co_await let_go(taking.reception, response, whole && has_body(request.method, response.status));
    co_return keep&& whole;
}

/// Sends an answer and tells the observer: after the last byte, or before it if that was asked for and it is known which
/// one that is. True: all was sent.
auto Session::answer_and_tell(Told_Headers const& headers,
                              Request const& request,
                              Response const& response,
                              std::string_view header,
                              Steady::time_point start) -> Awaitable<bool> {
    bool const is_sent = has_body(request.method, response.status);
    auto const size = is_sent ? response.body_bytes() : 0;
    bool const is_stream = is_sent && !response.has_length();
    bool const first_tell = options_.observe_before_end && service_.observers.are_there() && !is_stream;
    auto const held_of_header = first_tell && size == 0 ? 1U : 0U;
    auto const held_of_body = first_tell && size > 0 ? 1U : 0U;
    auto const last_of_header = header.substr(header.size() - held_of_header);
    header.remove_suffix(held_of_header);

    Sent sent;
    if (is_stream)
        sent = co_await send_stream(header, *std::get<std::unique_ptr<Body_Stream>>(response.body));
    else
        sent = co_await send(header, response, 0, size - held_of_body);
    if (!service_.observers.are_there())
        co_return sent.whole;
    auto view = view_of(headers, request, response, start);
    view.content_bytes = sent.bytes;
    if (!sent.whole && !response.event_type.empty())
        view.event_type = broken_off;
    if (!first_tell || !sent.whole) {
        worker_.tell(view);
        co_return sent.whole;
    }
    view.content_bytes = size;
    co_await service_.observers.tell_and_wait(view);
    sent = co_await send(last_of_header, response, size - held_of_body, size);
    co_return sent.whole;
}

/// Reads up to the end of one request, or until it cannot go on.
auto Session::read_request(Request_Reader& reader, std::string_view bytes, Taking& taking) -> Awaitable<void> {
    auto const start = moved_;
    Response const no_body;
    auto kept = std::exchange(ahead_, {});
    if (!kept.empty())
        bytes = kept;
    for (bool asked = false;;) {
        while (!bytes.empty() && !reader.is_over() && !taking.verdict) {
            bytes.remove_prefix(reader.put(bytes));
            bool const is_head = !asked && reader.has_head();
            if (is_head) {
                asked = true;
                find_sink(reader, taking);
            }
            if (!taking.reception.sink || !(is_head || reader.has_piece()))
                continue;
            bytes = kept = std::string(bytes); // while this session waits, the worker's hands are others'
            if (is_head)
                co_await begin_sink(reader, taking);
            else
                co_await take_piece(reader, taking);
        }
        hold_body(reader.piece().size());
        if (reader.is_over() || taking.verdict)
            break;
        if (body_bytes_ > 0 && !worker_.make_body_room(*this)) {
            reader.refuse(Refusal::crowded_out);
            break;
        }
        if (reader.body_bytes() > 0)
            allow_transfer(start + apart_, reader.body_bytes());
        else
            allow_until(start + apart_ + options_.request_timeout);
        if (reader.waits_for_leave())
            co_await send(leave_to_send, no_body, 0, 0);
        bytes = co_await read();
        if (!bytes.empty())
            continue;
        reader.refuse(over_ == Over::late          ? Refusal::timed_out
                      : over_ == Over::crowded_out ? Refusal::crowded_out
                                                   : Refusal::malformed);
        break;
    }
    if (reader.refusal())
        co_return;
    ahead_ = bytes;
    if (taking.reception.sink && !taking.verdict && !reader.piece().empty())
        co_await take_piece(reader, taking);
}

/// Settles, when the headers are there, how the body is taken.
void Session::find_sink(Request_Reader& reader, Taking& taking) {
    reader.head().remote = remote_;
    if (options_.receive && reader.announces_body()) {
        auto const ask = [&]() -> std::optional<Response> {
            taking.reception = options_.receive(reader.head());
            return std::nullopt;
        };
        taking.verdict = answer_if_any(ask, options_.log);
    }
    if (auto const& sink = taking.reception.sink)
        reader.expect_body({sink->limit_bytes()}, sink->piece_bytes());
    else
        reader.expect_body(reader.body_limit());
}

auto Session::begin_sink(Request_Reader const& reader, Taking& taking) -> Awaitable<void> {
    if (reader.refusal()) // of what is too long from the start
        co_return;
    auto const begin = [&] { return taking.reception.sink->begin(); };
    taking.verdict = co_await apart([&] { return answer_if_any(begin, options_.log); });
}

auto Session::take_piece(Request_Reader& reader, Taking& taking) -> Awaitable<void> {
    hold_body(reader.piece().size());
    auto const take = [&] { return taking.reception.sink->take(reader.piece()); };
    taking.verdict = co_await apart([&] { return answer_if_any(take, options_.log); });
    reader.drop_piece();
}

auto Session::reply_to(Request const& request, Request_Reader const& reader, Taking& taking) -> Awaitable<Response> {
    Response response;
    if (auto const refusal = reader.refusal()) {
        service_.counters().of(*refusal).fetch_add(1);
        response = refusal_reply(*refusal, options_, reader.body_limit());
    } else {
        service_.counters().answered.fetch_add(1, std::memory_order_relaxed);
        if (taking.verdict)
            response = *std::move(taking.verdict);
        else if (auto const& sink = taking.reception.sink)
            response = co_await apart([&] { return answer([&] { return sink->finish(); }, options_.log); });
        else
            response = co_await reply_of_handler(request);
    }
    if (!is_sendable(response)) {
        service_.log("A request handler gave a status or header that cannot be sent.");
        Reception none;
        co_await let_go(none, response, false);
        response = error_reply(fail(Errc::internal, {}));
    }
    taking.reception.complete(response);
    co_return response;
}

auto Session::reply_of_handler(Request const& request) -> Awaitable<Response> {
    if (request.method == "CONNECT") // 200 would turn the connection into a tunnel
        co_return error_reply(405, "method_not_allowed", "This server is no proxy.");
    if (request.target == "*") {
        Response nothing;
        nothing.status = 204;
        co_return nothing;
    }
    auto const handle = [&] { return answer([&] { return service_.handler(request); }, options_.log); };
    if (options_.handler_may_wait && options_.handler_may_wait(request))
        co_return co_await apart(handle);
    co_return handle();
}

template <class Work>
auto Session::apart(Work work) -> Awaitable<std::invoke_result_t<Work&>> {
    auto const before = Steady::now();
    At_End const count_time{[&] {
        moved_ = Steady::now();
        apart_ += moved_ - before;
    }};
    co_return co_await service_.threads.run(std::move(work));
}

/// A piece of the bytes [begin, end) of a source. Empty: it has none to give.
auto Session::read_source(Body_Source& source, std::uint64_t begin, std::uint64_t end) -> Awaitable<Bytes> {
    auto const room = std::max<std::uint64_t>(worker_.free_body_bytes(), least_piece_bytes);
    auto const most = static_cast<std::size_t>(std::min<std::uint64_t>({end - begin, source.piece_bytes(), room}));
    auto piece = co_await apart([&]() -> Result<Bytes> {
        try {
            return source.read(begin, most);
        } catch (std::exception const& error) {
            return fail(Errc::internal, error.what());
        }
    });
    if (!piece)
        service_.log("An answer was broken off, as the rest of it could not be read: " + piece.error().message());
    if (!piece || piece->size() > most)
        co_return Bytes();
    hold_body(piece->size());
    co_return *std::move(piece);
}

/// Ends the sink and the source of an exchange, which may have to wait for a storage.
/// @param  whole  was all of the answer's body sent?
auto Session::let_go(Reception& reception, Response& response, bool whole) -> Awaitable<void> {
    auto* const source = std::get_if<std::unique_ptr<Body_Source>>(&response.body);
    if (source == nullptr && !reception.sink)
        co_return;
    auto const finish = [&]() -> std::optional<Response> {
        if (source != nullptr && whole)
            (*source)->finish();
        return std::nullopt;
    };
    co_await apart([&] {
        (void)answer_if_any(finish, options_.log);
        reception.sink.reset();
        response.body = Bytes();
    });
}

auto Session::send_stream(std::string_view header, Body_Stream& stream) -> Awaitable<Sent> {
    auto const next = [&]() -> Result<Bytes> {
        try {
            return stream.next();
        } catch (std::exception const& error) {
            return fail(Errc::internal, error.what());
        }
    };
    Response const no_body;
    std::string text(header);
    for (Sent sent;;) {
        auto const piece = co_await apart(next);
        if (!piece)
            service_.log("A stream was broken off, as nothing more could be read: " + piece.error().message());
        auto const count = piece ? piece->size() : 0;
        if (piece)
            text += *piece;
        if (!(co_await send(text, no_body, 0, 0)).whole)
            co_return sent;
        sent.bytes += count;
        if (count == 0 || !co_await pause(stream.pause())) {
            sent.whole = static_cast<bool>(piece);
            co_return sent;
        }
        text.clear();
    }
}

auto Session::pause(std::chrono::milliseconds time) -> Awaitable<bool> {
    if (worker_.stopping_)
        co_return false;
    idle_ = true;
    allow_until(Steady::now() + time);
    (void)co_await read(); // whoever listens has nothing to say: bytes, as the end, are the end
    idle_ = false;
    if (over_ != Over::late)
        co_return false;
    over_ = Over::no;
    co_return !worker_.stopping_;
}

/// Sends text and then the bytes [begin, end) of the body.
auto Session::send(std::string_view text, Response const& response, std::uint64_t begin, std::uint64_t end)
    -> Awaitable<Sent> {
    auto const* const source = std::get_if<std::unique_ptr<Body_Source>>(&response.body);
    auto const start = (moved_ = Steady::now()) - apart_;
    auto const wanted = end;
    auto taken = begin;
    std::string storage;
    std::string_view piece;
    for (Sent sent;;) {
        if (piece.empty() && taken < end) {
            if (source != nullptr) {
                piece = storage = co_await read_source(**source, taken, end);
            } else {
                if (taken > begin)
                    co_await asio::post(asio::use_awaitable); // others have their turn, however fast this client reads
                piece = piece_of(response, taken, end, storage);
            }
            taken += piece.size();
            if (piece.empty()) // a file became shorter meanwhile, or a source failed
                end = taken;
        }
        if (text.empty() && piece.empty()) {
            sent.whole = taken == wanted;
            co_return sent;
        }
        std::array<asio::const_buffer, 2> const buffers{asio::buffer(text), asio::buffer(piece)};
        error_code failure;
        auto const count = socket_.write_some(buffers, failure);
        if (failure == asio::error::would_block) {
            allow_transfer(start + apart_, sent.bytes);
            if (co_await wait_until_writable())
                continue;
            co_return sent;
        }
        if (failure)
            co_return sent;
        moved_ = Steady::now();
        auto const of_text = std::min(count, text.size());
        text.remove_prefix(of_text);
        piece.remove_prefix(count - of_text);
        sent.bytes += count - of_text;
    }
}

/// What is told of a request, but for the bytes that were sent.
auto Session::view_of(Told_Headers const& headers,
                      Request const& request,
                      Response const& response,
                      Steady::time_point start) -> Request_View {
    Request_View view;
    view.method = request.method;
    view.target = request.target;
    view.status = response.status;
    view.duration_us = std::chrono::duration_cast<std::chrono::microseconds>(moved_ - start).count();
    view.remote = request.remote;
    view.forwarded_for = headers.forwarded_for;
    view.user_agent = headers.user_agent;
    view.referrer = headers.referrer;
    view.content_type = response.headers.value("Content-Type");
    if (!options_.country_header.empty())
        view.country = request.headers.value(options_.country_header);
    view.route = response.route;
    view.event_type = response.event_type;
    view.transfer_id = response.transfer_id;
    view.token_id = response.token_id;
    view.memo = &memo_;
    return view;
}

/// Closing while the client still sends would reset the connection and could take the answer with it.
auto Session::linger() -> Awaitable<void> {
    if (over_ == Over::crowded_out)
        co_return;
    over_ = Over::no; // being late for a request leaves time enough to read the answer
    error_code ignored;
    socket_.shutdown(tcp::socket::shutdown_send, ignored);
    allow_until(Steady::now() + linger_time);
    while (!(co_await read()).empty()) {
    }
}

/// Waits for bytes, which lie in the worker's hands until the next wait. Empty: there will be none, or the time is over.
auto Session::read() -> Awaitable<std::string_view> {
    for (;;) {
        // What has just ended cannot be cancelled any more, so each wait asks before it begins.
        if (over_ != Over::no)
            co_return std::string_view();
        waits_ = true;
        auto const [failure] = co_await socket_.async_wait(tcp::socket::wait_read, as_tuple);
        waits_ = false;
        if (failure || over_ != Over::no)
            co_return std::string_view();
        error_code state;
        auto const count = socket_.read_some(asio::buffer(worker_.scratch_), state);
        if (state == asio::error::would_block)
            continue;
        moved_ = Steady::now();
        co_return std::string_view(worker_.scratch_.data(), state ? 0 : count);
    }
}

auto Session::read_now() -> std::string_view {
    error_code state;
    auto const count = socket_.read_some(asio::buffer(worker_.scratch_), state);
    return {worker_.scratch_.data(), state ? 0 : count};
}

auto Session::wait_until_writable() -> Awaitable<bool> {
    if (over_ != Over::no)
        co_return false;
    waits_ = true;
    auto const [failure] = co_await socket_.async_wait(tcp::socket::wait_write, as_tuple);
    waits_ = false;
    co_return !failure && over_ == Over::no;
}

} // namespace memfs_cache
