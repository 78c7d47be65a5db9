// SPDX-License-Identifier: Apache-2.0
#include "resolve.hpp"

#include <condition_variable>
#include <cstring>
#include <memory>
#include <mutex>
#include <netdb.h>
#include <optional>
#include <system_error>
#include <thread>

namespace memfs_cache {
namespace {

struct Lookup {
    int failure = 0; ///< of getaddrinfo
    std::vector<Socket_Address> addresses;
};

auto look_up(std::string const& host, std::uint16_t port, int flags) -> Lookup {
    addrinfo wanted{};
    wanted.ai_family = AF_UNSPEC;
    wanted.ai_socktype = SOCK_STREAM;
    wanted.ai_flags = flags | AI_NUMERICSERV;
    addrinfo* first = nullptr;
    Lookup found;
    found.failure = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &wanted, &first);
    if (found.failure != 0)
        return found;
    std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> const list(first, &::freeaddrinfo);
    for (auto const* info = list.get(); info != nullptr; info = info->ai_next) {
        auto& address = found.addresses.emplace_back();
        std::memcpy(&address.bytes, info->ai_addr, info->ai_addrlen);
        address.size = info->ai_addrlen;
    }
    return found;
}

/// Belongs to whoever waits and to the thread that asks, whichever of them is there last.
struct Question {
    std::mutex mutex;
    std::condition_variable answered;
    std::optional<Lookup> answer;
};

} // namespace

auto resolve(std::string const& host, std::uint16_t port, std::chrono::steady_clock::time_point deadline)
    -> Result<std::vector<Socket_Address>> {
    auto found = look_up(host, port, AI_NUMERICHOST);
    if (found.failure == 0)
        return std::move(found.addresses);

    auto const question = std::make_shared<Question>();
    try {
        std::thread([question, host, port] {
            auto answer = look_up(host, port, 0);
            std::lock_guard const lock(question->mutex);
            question->answer = std::move(answer);
            question->answered.notify_one();
        }).detach();
    } catch (std::system_error const&) {
        return fail(Errc::unavailable, host + " cannot be looked up: the system has no thread left for it");
    }
    std::unique_lock lock(question->mutex);
    if (!question->answered.wait_until(lock, deadline, [&] { return question->answer.has_value(); })) {
        return fail(Errc::timed_out, host +
                                         " was not found in time: the name service does not answer, or the time limit "
                                         "(connect_timeout, or the caller's deadline) is too short");
    }
    if (question->answer->failure != 0) {
        return fail(Errc::unavailable, host + " cannot be found (" + ::gai_strerror(question->answer->failure) +
                                           "): check the host in endpoint_url and the name service");
    }
    return std::move(question->answer->addresses);
}

} // namespace memfs_cache
