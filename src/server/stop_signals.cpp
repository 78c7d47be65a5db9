// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/server/stop_signals.hpp>

#include <pthread.h>

namespace memfs_cache {

Stop_Signals::Stop_Signals() noexcept {
    ::sigemptyset(&stopping_);
    ::sigaddset(&stopping_, SIGTERM);
    ::sigaddset(&stopping_, SIGINT);
    ::pthread_sigmask(SIG_BLOCK, &stopping_, &before_);
}

Stop_Signals::~Stop_Signals() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

auto Stop_Signals::wait() noexcept -> int {
    int signal = 0;
    ::sigwait(&stopping_, &signal);
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    return signal;
}

} // namespace memfs_cache
