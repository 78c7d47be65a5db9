// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "disk_model.hpp"
#include "support/scratch_folder.hpp"
#include "support/test_seed.hpp"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <iterator>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace memfs_cache::testing {

/// A folder in memory, where there is one: a crash is tried thousands of times.
inline auto quick_folder() -> std::filesystem::path {
    std::filesystem::path const memory = "/dev/shm";
    return std::filesystem::is_directory(memory) ? memory : std::filesystem::temp_directory_path();
}

/// A moment and a kind of death. What was promised after more than `changes` changes was never heard of.
struct Crash {
    enum class Kind { kill, power } kind;
    std::size_t changes;
    Tree seen{}; ///< before the power failed
};

/// What a scenario does to the files below a folder, change by change.
class Recording {
  public:
    explicit Recording(std::filesystem::path const& root) : before(root) {}

    /// From here on the calls are recorded.
    void watch(System_Calls& calls) {
        calls.changed = [this](File_Change const& change) { changes.push_back(change); };
    }
    /// What is known of promises has changed.
    auto note() -> std::size_t {
        notes.push_back(changes.size());
        return changes.size();
    }

    Disk_Model before;
    std::vector<File_Change> changes;
    std::vector<std::size_t> notes;
};

/// One call that fails, by its number.
struct Fault {
    std::size_t number = 0;
    int error = 0;
    bool is_done = false; ///< although it is said to have failed
    bool is_last = false; ///< all others after it fail, too, and leave no trace: as if the process were killed here
};

/// Makes a call fail, until it is disarmed.
class Armed_Fault {
  public:
    Armed_Fault(System_Calls& calls, Fault const& fault) : calls_(calls), fault_(fault), changed_(calls.changed) {
        (fault.is_done ? calls.after : calls.before) = [this](std::string const& call) { return strike(call); };
    }
    Armed_Fault(Armed_Fault const&) = delete;
    auto operator=(Armed_Fault const&) -> Armed_Fault& = delete;
    ~Armed_Fault() { disarm(); }

    void disarm() {
        if (!std::exchange(is_armed_, false))
            return;
        calls_.before = calls_.after = nullptr;
        calls_.changed = changed_;
    }
    /// The call that failed; nothing if there were not so many.
    [[nodiscard]] auto met() const -> std::optional<std::string> const& { return met_; }

  private:
    auto strike(std::string const& call) -> int {
        auto const number = count_++;
        if (number < fault_.number || (number > fault_.number && !fault_.is_last))
            return 0;
        if (!met_)
            met_ = call;
        if (fault_.is_last)
            calls_.changed = nullptr;
        return fault_.error;
    }

    System_Calls& calls_;
    Fault const fault_;
    std::function<void(File_Change const&)> changed_;
    std::optional<std::string> met_;
    std::size_t count_ = 0;
    bool is_armed_ = true;
};

inline auto open_files() -> std::ptrdiff_t {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), std::filesystem::directory_iterator());
}

/// Looks at what is left after a crash.
/// @return the promise that was broken, in words; "" if all were kept
using Inspection = std::function<std::string(Crash const& crash, std::filesystem::path const& left)>;

/// Kills and cuts the power at every call boundary of a recording, and within every write, and has what is left
/// inspected: all combinations of what may last where they are few, and a random choice of them otherwise.
class Crash_Lab {
  public:
    Crash_Lab(Recording const& recording, std::uint64_t seed, Inspection inspection)
        : recording_(recording), random_(seed), inspection_(std::move(inspection)) {}

    /// So many combinations of one moment are tried, and no more; MEMFS_CACHE_TEST_ROUNDS times as many.
    std::size_t exhaustive_limit = 48 * number_from_environment("MEMFS_CACHE_TEST_ROUNDS", 1);
    std::size_t first_moment = 0; ///< in changes
    std::size_t inspected = 0;    ///< different states

    /// @return the first broken promise, and where; "" if there is none
    [[nodiscard]] auto run() -> std::string {
        auto model = recording_.before;
        for (std::size_t moment = 0;; ++moment) {
            if (moment >= first_moment)
                if (auto broken = crash_at(model, moment); !broken.empty())
                    return broken;
            if (moment == recording_.changes.size())
                return {};
            model.apply(recording_.changes[moment]);
        }
    }

  private:
    auto crash_at(Disk_Model const& model, std::size_t moment) -> std::string {
        if (auto broken = inspect({Crash::Kind::kill, moment, {}}, model.seen_by_processes()); !broken.empty())
            return broken;
        if (moment < recording_.changes.size() && recording_.changes[moment].kind == File_Change::Kind::written)
            if (auto broken = kill_within(model, moment); !broken.empty())
                return broken;
        for (auto const& tree : survivors(model))
            if (auto broken = inspect({Crash::Kind::power, moment, model.seen_by_processes()}, tree); !broken.empty())
                return broken;
        return {};
    }

    auto kill_within(Disk_Model const& model, std::size_t moment) -> std::string {
        auto const& write = recording_.changes[moment];
        auto const size = write.bytes.size();
        for (auto const cut : {std::size_t{1}, std::size_t{511}, std::size_t{512}, size / 2, size - 1}) {
            if (cut == 0 || cut >= size)
                continue;
            auto part = write;
            part.bytes.resize(cut);
            auto torn = model;
            torn.apply(part);
            if (auto broken = inspect({Crash::Kind::kill, moment, {}}, torn.seen_by_processes()); !broken.empty())
                return broken;
        }
        return {};
    }

    auto survivors(Disk_Model const& model) -> std::set<Tree> {
        std::set<Tree> trees;
        Every_Luck every;
        std::size_t tried = 0;
        do
            trees.insert(model.after_crash([&](std::size_t n) { return every.pick(n); }));
        while (every.next() && ++tried < exhaustive_limit);
        if (tried < exhaustive_limit)
            return trees;
        trees.clear();
        trees.insert(model.after_crash([](std::size_t) { return 0; })); // nothing but what was flushed
        for (std::size_t i = 0; i < exhaustive_limit; ++i) {
            // In every other one most things last: of a file below many new folders nothing would be left otherwise.
            std::bernoulli_distribution lasts(i % 2 == 0 ? 0 : 0.85);
            trees.insert(model.after_crash([&](std::size_t n) {
                return lasts(random_) ? n - 1 : std::uniform_int_distribution<std::size_t>(0, n - 1)(random_);
            }));
        }
        return trees;
    }

    auto inspect(Crash const& crash, Tree const& tree) -> std::string {
        auto const heard_of = std::count_if(recording_.notes.begin(), recording_.notes.end(),
                                            [&](auto note) { return note <= crash.changes; });
        if (!seen_.emplace(crash.kind, heard_of, fingerprint(tree)).second)
            return {};
        ++inspected;
        Scratch_Folder const left(quick_folder());
        write_tree(left.path(), tree);
        auto broken = inspection_(crash, left.path());
        if (!broken.empty())
            broken += where(crash, tree);
        return broken;
    }

    static auto fingerprint(Tree const& tree) -> std::size_t {
        std::string all;
        for (auto const& [path, bytes] : tree)
            all.append(path).append(bytes ? " " + std::to_string(bytes->size()) + " " + *bytes : "/").append("\n");
        return std::hash<std::string>()(all);
    }

    auto where(Crash const& crash, Tree const& tree) const -> std::string {
        auto text = std::string(crash.kind == Crash::Kind::kill ? "; killed" : "; power cut") + " after " +
                    std::to_string(crash.changes) + " changes, which left";
        for (auto const& [path, bytes] : tree)
            if (bytes && path.find(".memfs_cache") == std::string::npos)
                text += " " + path + " (" + std::to_string(bytes->size()) + ")";
        return text;
    }

    Recording const& recording_;
    std::mt19937_64 random_;
    Inspection inspection_;
    std::set<std::tuple<Crash::Kind, std::ptrdiff_t, std::size_t>> seen_;
};

} // namespace memfs_cache::testing
