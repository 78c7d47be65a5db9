// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/events/log_writer.hpp>

namespace memfs_cache {

auto Event_Log_Options::on(Capabilities const& storage) const -> Event_Log_Options {
    using std::chrono::milliseconds;
    bool const is_remote = storage.shared_between_machines;
    auto all = *this;
    all.flush_interval = flush_interval.value_or(milliseconds(is_remote ? 1'000 : 100));
    all.check_interval = check_interval.value_or(milliseconds(is_remote ? 10'000 : 1'000));
    all.land_bytes = land_bytes.value_or(storage.append ? 256U << 10 : 4U << 20);
    all.whole_list_interval = whole_list_interval.value_or(milliseconds(is_remote ? 30'000 : 0));
    return all;
}

} // namespace memfs_cache
