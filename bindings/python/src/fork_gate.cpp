// SPDX-License-Identifier: Apache-2.0
#include "fork_gate.hpp"

#include <chrono>
#include <condition_variable>
#include <mutex>

namespace memfs_cache::python {
namespace {

namespace py = pybind11;

struct Gate {
    std::mutex mutex;
    std::condition_variable changed;
    int threads_inside = 0;
    bool forking = false;
};

/// One for the process, as forks are. A child makes a new one and leaves that of its parent alone.
auto gate() -> Gate*& {
    static Gate* current = new Gate;
    return current;
}

/// How many calls this thread is in: a storage in Python may call back into the library.
thread_local int depth = 0;

void before_fork() {
    py::gil_scoped_release const released; // those inside may need it to come to an end
    constexpr std::chrono::seconds longest_wait(5);
    std::unique_lock lock(gate()->mutex);
    gate()->changed.wait(lock, [] { return !gate()->forking; });
    gate()->forking = true;
    int const mine = depth > 0 ? 1 : 0;
    (void)gate()->changed.wait_for(lock, longest_wait, [&] { return gate()->threads_inside == mine; });
}

void after_fork_in_parent() {
    std::lock_guard const lock(gate()->mutex);
    gate()->forking = false;
    gate()->changed.notify_all();
}

void after_fork_in_child() {
    gate() = new Gate;
    gate()->threads_inside = depth > 0 ? 1 : 0;
}

} // namespace

Lock_Given_Up::Lock_Given_Up() {
    if (depth++ > 0)
        return;
    std::unique_lock lock(gate()->mutex);
    gate()->changed.wait(lock, [] { return !gate()->forking; });
    ++gate()->threads_inside;
}

Lock_Given_Up::~Lock_Given_Up() {
    if (--depth > 0)
        return;
    std::lock_guard const lock(gate()->mutex);
    if (--gate()->threads_inside <= 1 && gate()->forking)
        gate()->changed.notify_all();
}

void register_fork_gate() {
    using namespace pybind11::literals;
    py::module_::import("os").attr("register_at_fork")("before"_a = py::cpp_function(&before_fork),
                                                       "after_in_parent"_a = py::cpp_function(&after_fork_in_parent),
                                                       "after_in_child"_a = py::cpp_function(&after_fork_in_child));
}

} // namespace memfs_cache::python
