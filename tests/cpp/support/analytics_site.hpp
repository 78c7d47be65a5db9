// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "support/wrapped_storage.hpp"
#include <memfs_cache/namespaces/analytics.hpp>
#include <memfs_cache/storage/memory.hpp>
#include <memfs_cache/storage/words.hpp>

#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace memfs_cache::testing {

using Watched_Memory = Wrapped_Storage<Storage_Memory>;

/// "2026-02-13T14:10" or "2026-02-13T14:10:05.250"
inline auto time_at(std::string const& text) -> Utc_Time {
    auto const number = [&](std::size_t at, std::size_t digits) {
        return at < text.size() ? std::stoi(text.substr(at, digits)) : 0;
    };
    return day_from_civil(number(0, 4), static_cast<unsigned>(number(5, 2)), static_cast<unsigned>(number(8, 2)))
               .value() +
           std::chrono::hours(number(11, 2)) + std::chrono::minutes(number(14, 2)) +
           std::chrono::seconds(number(17, 2)) + std::chrono::milliseconds(number(20, 3));
}

/// Every stored object, its name and its bytes.
template <StorageBackend Storage>
auto stored_files(Storage const& storage, std::string_view prefix = "") -> std::map<std::string, std::string> {
    std::map<std::string, std::string> files;
    for (auto const& name : files_list(storage, prefix).value())
        files[name] = read(storage, name).value().value();
    return files;
}

/// The stored events, without their checksums, in the order of their files and lines.
template <StorageBackend Storage>
auto stored_events(Storage const& storage) -> std::vector<std::string> {
    std::vector<std::string> events;
    for (auto const& [name, text] : stored_files(storage, "cache/analytics/data/raw/")) {
        auto at = text.find('\n') + 1; // behind the header
        while (at < text.size()) {
            auto const end = text.find('\n', at);
            events.push_back(text.substr(at, text.rfind(",\"crc32c\"", end) - at) + "}");
            at = end + 1;
        }
    }
    return events;
}

/// One process: analytics, and a clock that the test moves, on a store that may be shared with others.
template <StorageBackend Storage>
struct Site_Process {
    Site_Process(Storage& store, Utc_Time now, Analytics_Options options = {})
        : clock(std::make_shared<Manual_Clock>(now)),
          analytics(Analytics<Storage>::open(store, "cache", Namespace_Name("analytics"), clock, std::move(options))
                        .value()) {}

    auto operator->() const -> Analytics<Storage>* { return analytics.get(); }

    std::shared_ptr<Manual_Clock> clock;
    std::unique_ptr<Analytics<Storage>> analytics;
};

/// A process with a store of its own, whose operations a test may watch and answer.
struct Site {
    explicit Site(std::string const& now = "2026-02-13T14:10", Analytics_Options options = {})
        : process(storage, time_at(now), std::move(options)) {}

    auto operator->() const -> Analytics<Watched_Memory>* { return process.analytics.get(); }
    auto clock() const -> Manual_Clock& { return *process.clock; }
    /// Records and gives the stored form.
    auto stored(Request_View const& request) -> std::string {
        return event_with_id(std::string(process->record_view(request).value().view()));
    }
    auto stored(Analytics_Event const& event) -> std::string { return event_with_id(process->record(event).value()); }
    auto event_with_id(std::string const& id) const -> std::string {
        for (auto const& event : stored_events(memory))
            if (event.starts_with(R"({"event_id":")" + id + '"'))
                return event;
        throw std::runtime_error("event " + id + " is not stored");
    }

    Storage_Memory memory;
    Watched_Memory storage{memory};
    Site_Process<Watched_Memory> process;
};

/// A member's value as it stands in a flat JSON text: "text" in quotes, numbers bare; "" if there is none.
inline auto member(std::string const& json, std::string const& name) -> std::string {
    auto const mark = "\"" + name + "\":";
    auto const at = json.find(mark);
    if (at == std::string::npos)
        return "";
    auto const begin = at + mark.size();
    auto const end = json[begin] == '"' ? json.find('"', begin + 1) + 1 : json.find_first_of(",}", begin);
    return json.substr(begin, end - begin);
}

} // namespace memfs_cache::testing

/// Compiled once, with the tests of Analytics.
extern template class memfs_cache::Analytics<memfs_cache::testing::Watched_Memory>;
