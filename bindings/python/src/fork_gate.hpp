// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pybind11/pybind11.h>

/// What a child after fork() inherits of a call that another thread was in the middle of, such as a locked mutex of a
/// storage, nobody there will ever give back. So a fork waits, for a few seconds at most, until no thread is in a call
/// that has given up the interpreter's lock, and calls that come meanwhile wait for the fork. Who keeps the lock needs
/// no gate, since a fork by Python holds it. What the library does in the background knows by itself of forks.
namespace memfs_cache::python {

/// Other threads of the interpreter run while this lives; its thread touches nothing of Python.
class Lock_Given_Up {
  public:
    Lock_Given_Up();
    Lock_Given_Up(Lock_Given_Up const&) = delete;
    auto operator=(Lock_Given_Up const&) -> Lock_Given_Up& = delete;
    ~Lock_Given_Up();

  private:
    pybind11::gil_scoped_release released_;
};

/// Has os.fork() pass through the gate.
void register_fork_gate();

} // namespace memfs_cache::python
