// SPDX-License-Identifier: Apache-2.0
#include "observers.hpp"
#include "session.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <future>
#include <mutex>
#include <vector>

namespace memfs_cache {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr auto accept_pause = std::chrono::milliseconds(10);
constexpr auto as_tuple = asio::as_tuple(asio::use_awaitable);

auto listen_error(error_code reason, Listen_Address const& address) -> Error {
    auto const from = address.option.empty() ? std::string() : " (" + address.option + ")";
    auto const where = address.str() + from;
    if (reason == asio::error::address_in_use) {
        return fail(Errc::unavailable, where + " is in use by another program: stop it or choose another port.");
    }
    if (reason == asio::error::access_denied) {
        return fail(Errc::permission_denied, where + " is not open to this user: choose a port from 1024 on.");
    }
    return fail(Errc::invalid_argument, "Cannot listen on " + where + ": " + reason.message() + ".");
}

/// Has the system run out of descriptors or memory?
auto is_shortage(error_code reason) -> bool {
    return reason == asio::error::no_descriptors || reason == asio::error::no_buffer_space ||
           reason == asio::error::no_memory || reason == boost::system::errc::too_many_files_open_in_system;
}

} // namespace

void Service::log(std::string_view sentence) const noexcept { say(options.log, sentence); }

class Server::Impl {
  public:
    Impl(Handler handler, Observer observe, Server_Options options)
        : options_(std::move(options)),
          observers_(std::move(observe), options_), service_{std::move(handler), observers_, threads_, options_},
          workers_(make_workers(service_)) {}
    ~Impl() { stop(); }
    Impl(Impl const&) = delete;
    auto operator=(Impl const&) -> Impl& = delete;

    auto listen(Listen_Address const& address) -> Result<void> {
        error_code failure;
        auto const host = asio::ip::make_address(address.host, failure);
        if (!failure)
            acceptor_.open(host.is_v4() ? tcp::v4() : tcp::v6(), failure);
        if (!failure)
            acceptor_.set_option(tcp::acceptor::reuse_address(true), failure);
        if (!failure)
            acceptor_.bind({host, address.port}, failure);
        if (!failure)
            acceptor_.non_blocking(true, failure);
        if (!failure)
            acceptor_.listen(asio::socket_base::max_listen_connections, failure);
        if (failure)
            return listen_error(failure, address);
        address_ = address;
        address_.port = acceptor_.local_endpoint().port();
        return {};
    }

    void run() {
        begin_to_accept();
        for (auto& worker : workers_)
            worker->thread = std::thread([this, &context = worker->context] { run(context); });
    }

    void stop() noexcept {
        std::call_once(stopped_, [this] {
            if (first().thread.joinable()) {
                // Nobody deals out connections any more when the workers hear of the end.
                std::promise<void> closed;
                asio::post(first().context, [&] {
                    // Clients that the system has connected already believe that they are served.
                    (void)accept_what_waits();
                    acceptor_.close();
                    pause_.cancel();
                    closed.set_value();
                });
                closed.get_future().wait();
            }
            for (auto& worker : workers_)
                asio::post(worker->context, [&worker = *worker] { worker.stop(); });
            for (auto& worker : workers_)
                if (worker->thread.joinable())
                    worker->thread.join();
            threads_.finish();
            observers_.finish();
        });
    }

    [[nodiscard]] auto address() const noexcept -> Listen_Address const& { return address_; }

  private:
    using Workers = std::vector<std::unique_ptr<Worker>>;

    static auto make_workers(Service const& service) -> Workers {
        auto const& options = service.options;
        std::size_t const threads =
            options.threads > 0 ? options.threads : std::max(1U, std::thread::hardware_concurrency());
        Workers workers;
        for (std::size_t i = 0; i < threads; ++i) {
            // The shares differ by one at most, and a body that is allowed has room in each.
            auto const connections = (options.max_connections + threads - 1 - i) / threads;
            auto const body_bytes = std::max(options.bodies_limit_bytes / threads, options.body_limit_bytes);
            workers.push_back(std::make_unique<Worker>(service, Worker::Share{connections, body_bytes}));
        }
        return workers;
    }
    [[nodiscard]] auto first() -> Worker& { return *workers_.front(); }

    /// Nothing that goes wrong with one connection ends the thread of many.
    void run(asio::io_context& context) noexcept {
        for (;;) {
            try {
                context.run();
                return;
            } catch (std::exception const& error) {
                service_.log(std::string("A connection was given up: ") + error.what());
            }
        }
    }

    /// The worker with most free places: while there are some, nobody has to give way.
    [[nodiscard]] auto most_free() -> Worker& {
        return **std::max_element(workers_.begin(), workers_.end(),
                                  [](auto const& a, auto const& b) { return a->free_places() < b->free_places(); });
    }

    void begin_to_accept() {
        asio::co_spawn(
            first().context, [this] { return accept(); },
            [this](std::exception_ptr const& failure) { // out of memory, most likely
                if (failure)
                    begin_to_accept();
            });
    }

    auto accept() -> asio::awaitable<void> {
        while (acceptor_.is_open()) {
            auto const [failure] = co_await acceptor_.async_wait(tcp::acceptor::wait_read, as_tuple);
            if (failure || !is_shortage(accept_what_waits()))
                continue;
            // Trying again at once would only burn time: connections that wait for their clients make room first.
            for (auto& worker : workers_)
                asio::post(worker->context, [&worker = *worker] { worker.crowd_out_one(); });
            pause_.expires_after(accept_pause);
            co_await pause_.async_wait(as_tuple);
        }
    }

    /// Deals out connections until there is none or something fails.
    auto accept_what_waits() -> error_code {
        for (;;) {
            auto& worker = most_free();
            tcp::socket socket(worker.context);
            error_code failure;
            acceptor_.wait(tcp::acceptor::wait_read, failure); // without descriptors accept() fails for nobody, too
            if (failure)
                return {};
            acceptor_.accept(socket, failure);
            if (!failure)
                failure = deal(std::move(socket), worker);
            if (failure)
                service_.counters().failed_accepts.fetch_add(1);
            if (failure && failure != asio::error::connection_aborted) // that client has gone, the next is there
                return failure;
        }
    }

    auto deal(tcp::socket socket, Worker& worker) noexcept -> error_code {
        try {
            worker.take(std::move(socket));
            return {};
        } catch (std::exception const&) {
            return asio::error::no_memory;
        }
    }

    Server_Options options_;
    Observers observers_;
    Waiting_Threads threads_;
    Service service_;
    Workers workers_;
    tcp::acceptor acceptor_{first().context};
    asio::steady_timer pause_{first().context};
    Listen_Address address_;
    std::once_flag stopped_;
};

Server::Server(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
Server::Server(Server&&) noexcept = default;
auto Server::operator=(Server&&) noexcept -> Server& = default;
Server::~Server() = default;

auto Server::start(Listen_Address const& address, Handler handler, Observer observe, Server_Options options)
    -> Result<Server> {
    auto impl = std::make_unique<Impl>(std::move(handler), std::move(observe), std::move(options));
    if (auto const listening = impl->listen(address); !listening)
        return listening.error();
    impl->run();
    return Server(std::move(impl));
}

auto Server::address() const noexcept -> Listen_Address const& { return impl_->address(); }

void Server::stop() noexcept { impl_->stop(); }

} // namespace memfs_cache
