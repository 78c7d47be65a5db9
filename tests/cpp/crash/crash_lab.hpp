// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "disk_model.hpp"
#include "support/scratch_folder.hpp"

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace memfs_cache::testing {

/// A folder in memory, where there is one: a crash is tried thousands of times.
inline auto quick_folder() -> std::filesystem::path {
    std::filesystem::path const memory = "/dev/shm";
    return std::filesystem::is_directory(memory) ? memory : std::filesystem::temp_directory_path();
}

inline auto number_from_environment(char const* name, std::uint64_t otherwise) -> std::uint64_t {
    auto const* const text = std::getenv(name); // NOLINT(concurrency-mt-unsafe)
    return text == nullptr ? otherwise : std::stoull(text);
}

/// A moment and a kind of death. What was promised after more than `changes` changes was never heard of.
struct Crash {
    enum class Kind { kill, power } kind;
    std::size_t changes;
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

/// Looks at what is left after a crash.
/// @return the promise that was broken, in words; "" if all were kept
using Inspection = std::function<std::string(Crash const& crash, std::filesystem::path const& left)>;

/// Kills and cuts the power at every call boundary of a recording, and within every write, and has what is left
/// inspected: all combinations of what may last where they are few, and a random choice of them otherwise.
class Crash_Lab {
  public:
    Crash_Lab(Recording const& recording, std::uint64_t seed, Inspection inspection)
        : recording_(recording), random_(seed), inspection_(std::move(inspection)) {}

    std::size_t exhaustive_limit = 48; ///< as many combinations of one moment are tried, and no more
    std::size_t first_moment = 0;      ///< in changes
    std::size_t inspected = 0;         ///< different states

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
        if (auto broken = inspect({Crash::Kind::kill, moment}, model.seen_by_processes()); !broken.empty())
            return broken;
        if (moment < recording_.changes.size() && recording_.changes[moment].kind == File_Change::Kind::written)
            if (auto broken = kill_within(model, moment); !broken.empty())
                return broken;
        for (auto const& tree : survivors(model))
            if (auto broken = inspect({Crash::Kind::power, moment}, tree); !broken.empty())
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
            if (auto broken = inspect({Crash::Kind::kill, moment}, torn.seen_by_processes()); !broken.empty())
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
        for (std::size_t i = 0; i < exhaustive_limit; ++i)
            trees.insert(model.after_crash(
                [&](std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random_); }));
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
