// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>
#include <unistd.h>

namespace memfs_cache::testing {

/// A new empty folder, removed with all that is in it. A forked child leaves it to its parent.
class Scratch_Folder {
  public:
    explicit Scratch_Folder(std::filesystem::path const& inside = std::filesystem::temp_directory_path()) {
        auto name = (inside / "memfs_cache-XXXXXX").string();
        if (::mkdtemp(name.data()) == nullptr)
            throw std::system_error(errno, std::generic_category(), name);
        path_ = name;
    }
    Scratch_Folder(Scratch_Folder const&) = delete;
    auto operator=(Scratch_Folder const&) -> Scratch_Folder& = delete;
    ~Scratch_Folder() {
        std::error_code ignored;
        if (process_ == ::getpid())
            std::filesystem::remove_all(path_, ignored);
    }

    [[nodiscard]] auto path() const -> std::filesystem::path const& { return path_; }

  private:
    std::filesystem::path path_;
    pid_t process_ = ::getpid();
};

} // namespace memfs_cache::testing
