// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace memfs_cache::testing {

/// While it lives, this program's name service knows unknown.test (no such name), two.test (an address at which nobody
/// listens, then 127.0.0.1) and silent.test (no answer until the end of this object). Other names are the system's.
class Name_Service {
  public:
    Name_Service();
    Name_Service(Name_Service const&) = delete;
    auto operator=(Name_Service const&) -> Name_Service& = delete;
    /// Returns once nobody waits for an answer any more.
    ~Name_Service();
};

} // namespace memfs_cache::testing
