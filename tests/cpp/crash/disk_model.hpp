// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "support/system_calls.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace memfs_cache::testing {

/// Files by their paths, with their bytes; folders without.
using Tree = std::map<std::string, std::optional<std::string>>;

/// Picks one of n possibilities, below n. The last of them is always what a running process sees, the first what was
/// flushed.
using Luck = std::function<std::size_t(std::size_t)>;

/// A disk with a cache before it: what stands on it when the process is killed or the power fails, as a function of the
/// calls that were made and of luck. These are all its rules, and there are no others: nothing is promised that a file
/// system might do on top, such as to flush a file's name with the file.
///
/// 1. When a process is killed, every call that was finished stands, and of one that was writing any first part.
/// 2. fsync and fdatasync of a file make its bytes and its size last, not its name.
/// 3. fsync of a folder makes the names in it last, not the files, nor its own name in the folder above.
/// 4. Of every other name each state since its last flush may be the one that lasts, whatever lasts of other names. So a
///    rename may be lost, and each half of one may; but what stands under the target is the old file or the new one.
/// 5. Of every other write each sector of 512 bytes may last or not, whatever lasts of other writes; where none did
///    there are NULs, or what was there before. The size may be as if all had lasted.
/// 6. A file or folder whose name is lost takes along what is in it.
/// 7. syncfs makes everything last.
/// 8. What a flush has failed for is lost to all later flushes: the system takes it for clean. It may last all the
///    same.
class Disk_Model {
  public:
    /// What lies below `root` now has lasted.
    explicit Disk_Model(std::filesystem::path const& root);

    void apply(File_Change const& change);

    /// What is found after a crash in this moment.
    [[nodiscard]] auto after_crash(Luck const& luck) const -> Tree;
    /// What is found when the process was killed.
    [[nodiscard]] auto seen_by_processes() const -> Tree {
        return after_crash([](std::size_t n) { return n - 1; });
    }

  private:
    using Node = std::size_t; ///< a file or folder; never used again, unlike its inode

    struct Write {
        std::uint64_t offset = 0;
        std::string bytes;
        bool truncates = false; ///< to `offset`
        bool given_up = false;  ///< rule 8
    };
    struct Name {
        struct Change {
            std::optional<Node> node; ///< empty: removed
            bool given_up = false;
        };
        std::optional<Node> lasting;
        std::vector<Change> changes; ///< since the last flush
        [[nodiscard]] auto now() const -> std::optional<Node> {
            return changes.empty() ? lasting : changes.back().node;
        }
    };
    struct Stored {
        bool is_folder = false;
        std::string bytes;         ///< of a file, that have lasted
        std::vector<Write> writes; ///< since the last flush
        std::map<std::string, Name> names;
    };

    auto add(ino_t inode, bool is_folder) -> Node;
    [[nodiscard]] auto at(ino_t inode) -> Stored& { return stored_[nodes_.at(inode)]; }
    static void flush(Stored& stored);
    static void give_up(Stored& stored);
    static void write(std::string& bytes, Write const& write);
    [[nodiscard]] static auto bytes_after_crash(Stored const& file, Luck const& luck) -> std::string;
    void collect(Stored const& folder, std::string const& path, Luck const& luck, Tree& tree) const;

    std::vector<Stored> stored_; ///< the first is the root
    std::map<ino_t, Node> nodes_;
};

/// Every sequence of picks, one after the other.
class Every_Luck {
  public:
    [[nodiscard]] auto pick(std::size_t possibilities) -> std::size_t {
        if (depth_ == picks_.size())
            picks_.push_back({0, possibilities});
        return picks_[depth_++].pick;
    }
    /// Goes on to the next sequence; false after the last one.
    [[nodiscard]] auto next() -> bool {
        depth_ = 0;
        while (!picks_.empty() && ++picks_.back().pick == picks_.back().possibilities)
            picks_.pop_back();
        return !picks_.empty();
    }

  private:
    struct Pick {
        std::size_t pick;
        std::size_t possibilities;
    };
    std::vector<Pick> picks_;
    std::size_t depth_ = 0;
};

/// Makes a tree of files below an empty folder.
void write_tree(std::filesystem::path const& folder, Tree const& tree);

} // namespace memfs_cache::testing
