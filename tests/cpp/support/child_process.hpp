// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <doctest/doctest.h>

#include <poll.h>
#include <stdexcept>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

namespace memfs_cache::testing {

// The sanitizers cannot go on in the child of a process with several threads.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool is_sanitized = true;
#else
inline constexpr bool is_sanitized = false;
#endif

/// May a child of this process, which has several threads, go on? Where it may not, says aloud that the test is not run.
/// Without a sanitizer it always may.
[[nodiscard]] inline auto can_fork_with_threads() -> bool {
    WARN_MESSAGE(!is_sanitized,
                 "NOT RUN: a sanitizer's runtime holds locks of the threads that a child after fork() does "
                 "not have, and ends or stops there; run this test without a sanitizer");
    return !is_sanitized;
}

/// Bytes from a child to its parent.
class Pipe {
  public:
    Pipe() { REQUIRE(::pipe(ends_) == 0); }
    Pipe(Pipe const&) = delete;
    auto operator=(Pipe const&) -> Pipe& = delete;
    ~Pipe() {
        close_end(0);
        close_end(1);
    }
    /// Each side keeps its own end.
    void close_end(int which) {
        if (ends_[which] >= 0)
            ::close(std::exchange(ends_[which], -1));
    }
    template <class Number>
    void send(Number number) const {
        (void)!::write(ends_[1], &number, sizeof number);
    }
    /// @return false at the end: all who could send are gone
    template <class Number>
    [[nodiscard]] auto receive(Number& number) const -> bool {
        pollfd coming{ends_[0], POLLIN, 0};
        REQUIRE(::poll(&coming, 1, 60'000) != 0); // a minute is as good as never
        return ::read(ends_[0], &number, sizeof number) == static_cast<ssize_t>(sizeof number);
    }

  private:
    int ends_[2] = {-1, -1};
};

/// Runs `work` in a child, which ends without running what belongs to its parent.
template <class Work>
auto in_child(Work&& work) -> pid_t {
    auto const child = ::fork();
    if (child == 0) {
        int status = 1;
        try {
            work();
            status = 0;
        } catch (...) { // the parent sees the status
        }
        ::_exit(status);
    }
    return child;
}
inline auto status_of(pid_t child) -> int {
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    return status;
}

/// Does a child find that all is well? One that hangs is killed after a minute.
template <class IsWell>
[[nodiscard]] auto is_well_in_child(IsWell&& is_well) -> bool {
    return status_of(in_child([&] {
               ::alarm(60);
               if (!is_well())
                   throw std::runtime_error("something is wrong in the child");
           })) == 0;
}

} // namespace memfs_cache::testing
