// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

/// Runs actors in threads of their own, but only one at a time. Whoever runs says where another may go on, and the test
/// says who: a run depends on nothing but its choices, and can be had again.
///
/// Actors must not share a lock that one of them holds while it pauses.
class Turns {
  public:
    /// @param  choose  (n): who of n goes on, below n
    explicit Turns(std::function<std::size_t(std::size_t)> choose) : choose_(std::move(choose)) {}

    /// Before run().
    void add(std::function<void()> actor) { actors_.push_back(std::move(actor)); }

    /// Runs all actors to their ends; an exception that left one of them comes out here.
    void run() {
        std::vector<std::thread> threads;
        for (std::size_t i = 0; i < actors_.size(); ++i) {
            waiting_.push_back(i);
            chosen_.emplace_back();
        }
        hand_over();
        for (std::size_t i = 0; i < actors_.size(); ++i)
            threads.emplace_back([this, i] { act(i); });
        for (auto& thread : threads)
            thread.join();
        if (failure_)
            std::rethrow_exception(failure_);
    }

    /// Called by the running actor: another one goes on, or the same.
    void pause() {
        std::unique_lock lock(mutex_);
        auto const own = running_;
        waiting_.push_back(own);
        hand_over();
        chosen_[own].wait(lock, [&] { return running_ == own; });
    }

  private:
    static constexpr auto nobody = static_cast<std::size_t>(-1);

    void act(std::size_t own) {
        {
            std::unique_lock lock(mutex_);
            chosen_[own].wait(lock, [&] { return running_ == own; });
        }
        try {
            actors_[own]();
        } catch (...) {
            if (!failure_)
                failure_ = std::current_exception();
        }
        std::unique_lock const lock(mutex_);
        hand_over();
    }

    void hand_over() {
        if (waiting_.empty()) {
            running_ = nobody;
            return;
        }
        auto const next = waiting_.begin() + static_cast<std::ptrdiff_t>(choose_(waiting_.size()));
        running_ = *next;
        waiting_.erase(next);
        chosen_[running_].notify_one();
    }

    std::function<std::size_t(std::size_t)> choose_;
    std::vector<std::function<void()>> actors_;
    std::mutex mutex_;
    std::deque<std::condition_variable> chosen_; ///< one for each actor
    std::vector<std::size_t> waiting_;
    std::size_t running_ = nobody;
    std::exception_ptr failure_;
};
