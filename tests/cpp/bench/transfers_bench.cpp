// SPDX-License-Identifier: Apache-2.0
#include "bench/bench.hpp"
#include "support/scratch_folder.hpp"
#include "transfer_api.hpp"
#include <memfs_cache/core/unique_fd.hpp>
#include <memfs_cache/http/public_api.hpp>
#include <memfs_cache/http/static_files.hpp>
#include <memfs_cache/server/server.hpp>
#include <memfs_cache/storage/disk.hpp>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>

#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <memory>
#include <optional>
#include <stdexcept>
#include <unistd.h>

namespace memfs_cache::bench {

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

constexpr std::uint64_t mebi = 1 << 20;

/// MEMFS_CACHE_BENCH_TRANSFER_MIB: how large a transfer is.
auto transfer_bytes() -> std::uint64_t {
    auto const* const chosen = std::getenv("MEMFS_CACHE_BENCH_TRANSFER_MIB");
    return (chosen == nullptr ? 64 : std::stoull(chosen)) * mebi;
}

/// A client with one buffer.
class Client {
  public:
    explicit Client(std::uint16_t port) { socket_.connect({asio::ip::address_v4::loopback(), port}); }

    void get(std::string const& path) {
        asio::write(socket_, asio::buffer("GET " + path + " HTTP/1.1\r\nHost: bench\r\n\r\n"));
        auto const [head, of_body] = read_head();
        auto const mark = head.find("Content-Length: ");
        auto left = std::stoull(head.substr(mark + 16)) - of_body;
        while (left > 0)
            left -= socket_.read_some(asio::buffer(buffer_, std::min<std::uint64_t>(left, buffer_.size())));
    }
    void put(std::string const& path, std::uint64_t size) {
        asio::write(socket_, asio::buffer("PUT " + path + " HTTP/1.1\r\nHost: bench\r\nContent-Length: " +
                                          std::to_string(size) + "\r\n\r\n"));
        for (std::uint64_t sent = 0; sent < size; sent += buffer_.size())
            asio::write(socket_, asio::buffer(buffer_, std::min<std::uint64_t>(size - sent, buffer_.size())));
        read_head();
    }

  private:
    auto read_head() -> std::pair<std::string, std::size_t> {
        std::string text;
        std::size_t end = 0;
        while ((end = text.find("\r\n\r\n")) == std::string::npos)
            text.append(buffer_, 0, socket_.read_some(asio::buffer(buffer_)));
        if (!text.starts_with("HTTP/1.1 200 "))
            throw std::runtime_error(text);
        return {text.substr(0, end), text.size() - end - 4};
    }

    asio::io_context context_;
    tcp::socket socket_{context_};
    std::string buffer_ = std::string(256 << 10, 'x');
};

/// The transfers of the example, one of them completed, on a disk; and the same payload as a file in a folder.
class House {
  public:
    House() {
        auto const transfers = std::make_shared<example::Transfer_Store>(
            example::Transfer_Store::open(cache_.storage(), cache_.clock()).value());
        api_.emplace(cache_, Handler(), Log(), 30, transfer_routes(cache_, transfers, {}));
        Server_Options options;
        options.receive = [this](Request const& request) { return api_->receive(request); };
        options.handler_may_wait = [this](Request const& request) { return api_->may_wait(request); };
        server_.emplace(Server::start({}, *api_, {}, options).value());
        client_.emplace(server_->address().port);

        pending_ = transfers->create({}).value().transfer_id;
        completed_ = transfers->create({}).value().transfer_id;
        upload(completed_);
        auto const upload = transfers
                                ->change(completed_,
                                         [](auto& it) {
                                             it.status = "completed";
                                             return true;
                                         })
                                .value()
                                ->payload.upload;
        plain_.emplace(
            Server::start({}, Static_Files::open(folder_.path() / "transfers" / completed_ / "payload").value(), {})
                .value());
        plain_client_.emplace(plain_->address().port);
        plain_path_ = "/" + upload;
    }

    void upload() { upload(pending_); }
    void download() { client_->get("/transfers/" + completed_ + "/payload"); }
    void download_file() { plain_client_->get(plain_path_); }
    void write_file() {
        std::string const piece(256 << 10, 'x');
        Unique_Fd const file(::open((folder_.path() / "plain").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600));
        for (std::uint64_t size = 0; size < transfer_bytes(); size += piece.size())
            if (::write(file.get(), piece.data(), piece.size()) < 0)
                throw std::runtime_error("the disk is full");
        ::fdatasync(file.get());
    }

  private:
    void upload(std::string const& id) { client_->put("/transfers/" + id + "/payload", transfer_bytes()); }

    testing::Scratch_Folder folder_{std::filesystem::current_path()};
    example::Cache cache_{Any_Storage(Storage_Disk::open(folder_.path()).value())};
    std::optional<Public_Api<Any_Storage>> api_;
    std::optional<Server> server_, plain_;
    std::optional<Client> client_, plain_client_;
    std::string pending_, completed_, plain_path_;
};

auto sides(void (House::*ours)(), void (House::*limit)()) -> std::function<Sides()> {
    return [ours, limit]() -> Sides {
        auto const house = std::make_shared<House>();
        auto const repeat = [house](void (House::*act)()) {
            return [house, act](std::size_t times) {
                for (std::size_t i = 0; i < times; ++i)
                    (house.get()->*act)();
            };
        };
        return {.ours = repeat(ours), .limit = repeat(limit)};
    };
}

} // namespace

auto transfers_rows() -> Rows {
    auto const size = std::to_string(transfer_bytes() / mebi) + " MiB";
    return {{.name = "download of a transfer of " + size + " from a disk, through the server",
             .limit = "Static_Files, the same file",
             .make = sides(&House::download, &House::download_file),
             .operations = 1},
            {.name = "upload of a transfer of " + size + " to a disk, through the server, with its SHA-256",
             .limit = "write of a file, flushed",
             .make = sides(&House::upload, &House::write_file),
             .operations = 1}};
}

} // namespace memfs_cache::bench
