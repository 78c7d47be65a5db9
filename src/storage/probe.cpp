// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/random.hpp>
#include <memfs_cache/storage/probe.hpp>
#include <memfs_cache/storage/update.hpp>
#include <memfs_cache/storage/words.hpp>

#include <algorithm>
#include <barrier>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

namespace memfs_cache {
namespace {

using Steady = std::chrono::steady_clock;

/// The clients, what they have measured, and the first error that any of them met.
class Race {
  public:
    Race(std::vector<Any_Storage> clients, Probe_Options const& options)
        : clients_(std::move(clients)), options_(options), folder_("memfs-cache-probe-" + random_hex(8) + "/") {}

    auto run() -> Result<Probe_Report> {
        Probe_Report report;
        using Check = Probe_Check (Race::*)();
        std::vector<Check> checks{&Race::writes_are_seen, &Race::listings_are_whole, &Race::erased_is_gone};
        if (clients_.front().capabilities().conditional_put)
            checks.insert(checks.begin(),
                          {&Race::one_creator_wins, &Race::no_increment_is_lost, &Race::old_versions_are_refused});
        else
            report.checks.push_back({"conditions on writes are obeyed", "when it was opened they were not", false});
        for (auto const check : checks)
            if (!first_error_)
                report.checks.push_back((this->*check)());
        auto const cleaned = clean_up();
        if (first_error_)
            return *first_error_;
        if (!cleaned)
            return cleaned.error();
        for (auto& measured : took_) {
            auto& took = measured.second;
            std::sort(took.begin(), took.end());
            auto const at = [&](std::size_t percent) {
                return std::chrono::duration_cast<std::chrono::microseconds>(took[(took.size() - 1) * percent / 100]);
            };
            report.timings.push_back({measured.first, took.size(), at(50), at(99)});
        }
        return report;
    }

  private:
    auto one_creator_wins() -> Probe_Check {
        std::vector<std::atomic<int>> winners(options_.rounds);
        std::atomic<int> others_bytes{0};
        together([&](Any_Storage& storage, std::size_t client, std::size_t round) -> Result<void> {
            auto const mine = std::to_string(client);
            auto const put =
                timed("create", [&] { return storage.put(key("create", round), mine, Precondition::absent()); });
            if (!put)
                return put.error();
            auto const now = timed("get", [&] { return storage.get(key("create", round)); });
            if (!now)
                return now.error();
            bool const is_mine = *now && (*now)->bytes == mine;
            // Of an unknown outcome the object itself tells.
            bool const won = put->state == Put_State::applied || (put->state == Put_State::unknown && is_mine);
            winners[round] += won ? 1 : 0;
            others_bytes += won == is_mine ? 0 : 1;
            return {};
        });
        auto const good = std::count(winners.begin(), winners.end(), 1);
        auto const rounds = static_cast<std::ptrdiff_t>(options_.rounds);
        return {"one of " + std::to_string(clients_.size()) + " that create an object at once wins",
                std::to_string(good) + " of " + std::to_string(rounds) + " rounds with one winner, " +
                    std::to_string(others_bytes) + " reads that contradict the answer",
                good == rounds && others_bytes == 0};
    }

    auto no_increment_is_lost() -> Probe_Check {
        auto const counter = Storage_Key(folder_ + "counter");
        std::atomic<std::uint64_t> acknowledged{0};
        together([&](Any_Storage& storage, std::size_t, std::size_t) -> Result<void> {
            for (;;) {
                auto const changed = timed("increment", [&] {
                    return update_object(storage, counter, [](Object const* now) -> Result<std::optional<Bytes>> {
                        return Bytes(std::to_string(count_in(now) + 1) + " " + random_hex(8));
                    });
                });
                if (changed) {
                    ++acknowledged;
                    return {};
                }
                if (changed.error().code != Errc::conflict) // busy is not broken
                    return changed.error();
            }
        });
        auto const found = clients_.front().get(counter);
        if (!found) {
            note(found.error());
            return {};
        }
        auto const counted = count_in(*found ? &**found : nullptr);
        return {"no conditional increment of " + std::to_string(clients_.size()) + " clients is lost",
                std::to_string(counted) + " counted of " + std::to_string(acknowledged) + " acknowledged",
                counted == acknowledged};
    }

    auto old_versions_are_refused() -> Probe_Check {
        std::atomic<int> accepted{0};
        together([&](Any_Storage& storage, std::size_t client, std::size_t round) -> Result<void> {
            auto const own = Storage_Key(folder_ + "old/" + std::to_string(client) + "-" + std::to_string(round));
            auto const first = storage.put(own, "first " + random_hex(8), Precondition::none());
            if (!first)
                return first.error();
            auto const second = storage.put(own, "second " + random_hex(8), Precondition::none());
            if (!second)
                return second.error();
            if (first->state != Put_State::applied || second->state != Put_State::applied)
                return {};
            for (auto const& when : {Precondition::only_if(first->version), Precondition::absent()}) {
                auto const put = storage.put(own, "third", when);
                if (!put)
                    return put.error();
                accepted += put->state == Put_State::applied ? 1 : 0;
            }
            if (auto const erased = storage.erase(own, Precondition::none()); !erased)
                return erased.error();
            auto const gone = storage.put(own, "fourth", Precondition::only_if(second->version));
            if (!gone)
                return gone.error();
            accepted += gone->state == Put_State::applied ? 1 : 0;
            return {};
        });
        return {"nothing is written over a version that is gone, or created over what is there",
                std::to_string(accepted) + " of " + std::to_string(3 * clients_.size() * options_.rounds) +
                    " such writes were accepted",
                accepted == 0};
    }

    auto writes_are_seen() -> Probe_Check {
        std::atomic<int> unseen{0};
        std::barrier<> turn(static_cast<std::ptrdiff_t>(clients_.size()));
        together([&](Any_Storage& storage, std::size_t client, std::size_t round) -> Result<void> {
            auto const name = [&](std::size_t of) { return Storage_Key(folder_ + "seen/" + std::to_string(of)); };
            auto const text = "round " + std::to_string(round);
            auto const put = timed("put", [&] { return storage.put(name(client), text, Precondition::none()); });
            turn.arrive_and_wait(); // nobody looks before all have been told that they wrote
            auto const found = storage.get(name((client + 1) % clients_.size()));
            turn.arrive_and_wait(); // and nobody writes before all have looked
            if (!put)
                return put.error();
            if (!found)
                return found.error();
            unseen += *found && (*found)->bytes == text ? 0 : 1;
            return {};
        });
        return {"what one client wrote is what the others read at once",
                std::to_string(unseen) + " of " + std::to_string(clients_.size() * options_.rounds) +
                    " reads saw something older",
                unseen == 0};
    }

    auto listings_are_whole() -> Probe_Check {
        std::atomic<int> missing{0};
        together([&](Any_Storage& storage, std::size_t client, std::size_t round) -> Result<void> {
            auto const own = folder_ + "listed/" + std::to_string(client) + "/";
            auto const put = storage.put(Storage_Key(own + std::to_string(round)), "", Precondition::none());
            if (!put)
                return put.error();
            auto const names = timed("list", [&] { return files_list(storage, own); });
            if (!names)
                return names.error();
            missing += names->size() == round + 1 && std::is_sorted(names->begin(), names->end()) ? 0 : 1;
            return {};
        });
        return {"a listing shows at once what was written, in byte order",
                std::to_string(missing) + " of " + std::to_string(clients_.size() * options_.rounds) +
                    " listings lacked something or were out of order",
                missing == 0};
    }

    auto erased_is_gone() -> Probe_Check {
        std::atomic<int> still_there{0};
        together([&](Any_Storage& storage, std::size_t client, std::size_t round) -> Result<void> {
            auto const own = Storage_Key(folder_ + "listed/" + std::to_string(client) + "/" + std::to_string(round));
            auto const erased = timed("erase", [&] { return storage.erase(own, Precondition::none()); });
            if (!erased)
                return erased.error();
            auto const found = storage.get(own);
            if (!found)
                return found.error();
            still_there += *found || !*erased ? 1 : 0;
            return {};
        });
        return {"what was erased is gone at once",
                std::to_string(still_there) + " of " + std::to_string(clients_.size() * options_.rounds) +
                    " were still there or were not found to be erased",
                still_there == 0};
    }

    static auto count_in(Object const* object) -> std::uint64_t {
        return object == nullptr ? 0 : parse_decimal(object->bytes.substr(0, object->bytes.find(' '))).value_or(0);
    }

    [[nodiscard]] auto key(char const* kind, std::size_t round) const -> Storage_Key {
        return Storage_Key(folder_ + kind + "/" + std::to_string(round));
    }

    /// Every client does its part of every round at the same time as the others.
    template <class Work>
    void together(Work const& work) {
        std::barrier<> start(static_cast<std::ptrdiff_t>(clients_.size()));
        std::vector<std::thread> threads;
        for (std::size_t client = 0; client < clients_.size(); ++client)
            threads.emplace_back([&, client] {
                for (std::size_t round = 0; round < options_.rounds; ++round) {
                    start.arrive_and_wait();
                    if (auto const done = work(clients_[client], client, round); !done)
                        note(done.error()); // and go on, so that nobody waits for this one in vain
                }
            });
        for (auto& thread : threads)
            thread.join();
    }

    template <class Do>
    auto timed(char const* operation, Do&& run) -> decltype(run()) {
        auto const begun = Steady::now();
        auto result = run();
        auto const took = Steady::now() - begun;
        std::unique_lock const lock(mutex_);
        took_[operation].push_back(took);
        return result;
    }

    void note(Error const& error) {
        std::unique_lock const lock(mutex_);
        if (!first_error_)
            first_error_ = error;
    }

    auto clean_up() -> Result<void> {
        auto& storage = clients_.front();
        auto const names = files_list(storage, folder_);
        if (!names)
            return names.error();
        for (auto const& name : *names)
            if (auto const erased = storage.erase(Storage_Key(name), Precondition::none()); !erased)
                return erased.error();
        return {};
    }

    std::vector<Any_Storage> clients_;
    Probe_Options const options_;
    std::string const folder_;
    std::mutex mutex_;
    std::map<std::string, std::vector<Steady::duration>> took_;
    std::optional<Error> first_error_;
};

} // namespace

auto Probe_Report::all_kept() const noexcept -> bool {
    return std::all_of(checks.begin(), checks.end(), [](auto const& check) { return check.kept; });
}

auto probe_storage(std::function<Result<Any_Storage>()> const& open, Probe_Options const& options)
    -> Result<Probe_Report> {
    if (options.clients < 2 || options.clients > 256)
        return fail(Errc::invalid_argument, "clients: give 2 to 256");
    if (options.rounds < 1 || options.rounds > 10'000)
        return fail(Errc::invalid_argument, "rounds: give 1 to 10000");
    std::vector<Any_Storage> clients;
    for (std::size_t i = 0; i < options.clients; ++i) {
        auto opened = open();
        if (!opened)
            return opened.error();
        clients.push_back(*std::move(opened));
    }
    return Race(std::move(clients), options).run();
}

} // namespace memfs_cache
