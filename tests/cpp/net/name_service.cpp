// SPDX-License-Identifier: Apache-2.0
#include "name_service.hpp"

#include <condition_variable>
#include <dlfcn.h>
#include <mutex>
#include <netdb.h>
#include <string_view>

namespace memfs_cache::testing {
namespace {

struct Board {
    std::mutex mutex;
    std::condition_variable changed;
    bool is_open = false;
    int waiting = 0;
};
// getaddrinfo has no other way to its test.
Board board; // NOLINT

auto real_getaddrinfo(char const* name, char const* port, addrinfo const* wanted, addrinfo** found) -> int {
    static auto* const real = reinterpret_cast<decltype(&::getaddrinfo)>(::dlsym(RTLD_NEXT, "getaddrinfo"));
    return real(name, port, wanted, found);
}

} // namespace

Name_Service::Name_Service() {
    std::lock_guard const lock(board.mutex);
    board.is_open = true;
}
Name_Service::~Name_Service() {
    std::unique_lock lock(board.mutex);
    board.is_open = false;
    board.changed.notify_all();
    board.changed.wait(lock, [] { return board.waiting == 0; });
}

} // namespace memfs_cache::testing

extern "C" auto getaddrinfo(char const* name, char const* port, addrinfo const* wanted, addrinfo** found) -> int {
    using namespace memfs_cache::testing;
    std::string_view const asked = name;
    std::unique_lock lock(board.mutex);
    bool const is_lookup = board.is_open && (wanted->ai_flags & AI_NUMERICHOST) == 0;
    if (is_lookup && asked == "unknown.test")
        return EAI_NONAME;
    if (is_lookup && asked == "silent.test") {
        ++board.waiting;
        board.changed.wait(lock, [] { return !board.is_open; });
        --board.waiting;
        board.changed.notify_all();
        return EAI_AGAIN;
    }
    lock.unlock();
    if (!is_lookup || asked != "two.test")
        return real_getaddrinfo(name, port, wanted, found);
    auto const failure = real_getaddrinfo("127.0.0.2", port, wanted, found);
    return failure != 0 ? failure : real_getaddrinfo("127.0.0.1", port, wanted, &(*found)->ai_next);
}
