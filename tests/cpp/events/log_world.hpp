// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "support/printers.hpp"
#include "support/quiet_log.hpp"
#include "support/wait_until.hpp"
#include "support/wrapped_storage.hpp"
#include <memfs_cache/events/event_log.hpp>
#include <memfs_cache/storage/memory.hpp>
#include <memfs_cache/storage/words.hpp>

#include <doctest/doctest.h>

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

/// What the tests of the event log share: events with names, so that a lost or doubled one has a name, and a store
/// whose operations can be made to fail.
namespace memfs_cache::testing {

using Names = std::map<std::string, int>; ///< how often each event was met

/// Those met once or more often than that, in words: doctest cannot print a map.
inline auto in_words(Names const& names) -> std::string {
    std::string words;
    for (auto const& [name, times] : names)
        words += name + (times == 1 ? " " : "(" + std::to_string(times) + "x) ");
    return words;
}

/// "2026-02-13T14:10"
inline auto at(std::string const& text) -> Utc_Time {
    auto const half = text.substr(0, 14) + (text.substr(14) < "30" ? "00" : "30");
    return Base_Window::parse(half)->start() + std::chrono::minutes(std::stoi(text.substr(14)) % 30);
}
inline auto window(std::string_view key) -> Base_Window { return *Base_Window::parse(key); }

inline auto event_text(std::string_view name) -> std::string {
    return std::string(R"({"n":")").append(name).append("\"}");
}
inline auto name_in(std::string_view json) -> std::string { return std::string(json.substr(6, json.find('"', 6) - 6)); }

template <class Log>
auto try_record(Log& log, Utc_Time time, std::string_view name) -> Result<void> {
    return log.record(time, [&](std::string& out) { out += event_text(name); });
}
template <class Log>
void record(Log& log, Utc_Time time, std::string_view name) {
    REQUIRE(try_record(log, time, name));
}

/// What lies on the storage, read anew.
template <class Log>
auto stored_names(Log const& log, Base_Window window, Read_State& seen) -> Names {
    Names names;
    log.read(window, seen,
             [&](Raw_Event const& event) -> Result<void> {
                 ++names[name_in(event.json)];
                 return {};
             })
        .value();
    return names;
}
template <class Log>
auto stored_names(Log const& log, Base_Window window) -> Names {
    Read_State seen;
    return stored_names(log, window, seen);
}
/// What a query of the same process finds.
template <class Log>
auto all_names(Log const& log, Base_Window window) -> Names {
    Read_State seen;
    auto names = stored_names(log, window, seen);
    log.read_unlanded(window, seen,
                      [&](Raw_Event const& event) -> Result<void> {
                          ++names[name_in(event.json)];
                          return {};
                      })
        .value();
    return names;
}

inline auto log_paths() -> Log_Paths { return {"cache", Namespace_Name("site")}; }
inline std::string const data_prefix = "cache/site/data/";

/// A store in memory that looks to the log like one that outlives the process, so that it buffers; straight_through
/// shows it as the memory that it is.
struct World {
    using Store = Wrapped_Storage<Storage_Memory>;
    using Log = Event_Log<Store>;
    using Verdict = Store::Verdict;
    using Operation = Store::Operation;

    World() { store.promised.survives_process = true; }

    Storage_Memory memory;
    Store store{memory};
    std::shared_ptr<Manual_Clock> clock = std::make_shared<Manual_Clock>(at("2026-02-13T14:10"));

    /// Only flush() and close() land anything: the background thread is as good as not there.
    static auto quiet() -> Event_Log_Options { return quiet_log(); }
    auto try_open(Event_Log_Options options = quiet()) -> Result<std::unique_ptr<Log>> {
        return Log::open(store, log_paths(), clock, std::move(options));
    }
    auto open(Event_Log_Options options = quiet()) -> std::unique_ptr<Log> {
        return try_open(std::move(options)).value();
    }
    auto files(std::string const& below) const -> std::map<std::string, std::string> {
        std::map<std::string, std::string> found;
        for (auto const& path : files_list(memory, data_prefix + below).value())
            found[path.substr(data_prefix.size())] = read(memory, path).value().value();
        return found;
    }
    auto late(Utc_Time start, Utc_Time end) -> Late_State {
        return Late_Marks<Store>(store, log_paths()).state(start, end).value();
    }
    void close_ledger(Utc_Time until) { REQUIRE(Ledger<Store>(store, log_paths().ledger()).close(until)); }
    /// Makes the manifest of every writer that of a process that is no more.
    void kill_writers() {
        for (auto const& [path, text] : files("writers/")) {
            auto manifest = Writer_Manifest::from_json(text).value();
            ++manifest.process.started;
            write(memory, data_prefix + path, manifest.to_json()).value();
        }
    }
};

/// The same on a store in which nothing can grow.
struct Parts_World : World {
    Parts_World() { store.promised.append = false; }
};

inline auto is_below(std::string const& key, std::string_view folder) -> bool {
    return key.starts_with(data_prefix + std::string(folder));
}

/// A door that holds whoever comes to it until it is opened.
class Gate {
  public:
    void pass() {
        std::unique_lock lock(mutex_);
        ++arrived_;
        changed_.notify_all();
        changed_.wait(lock, [&] { return open_; });
    }
    void wait_for_somebody() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return arrived_ > 0; });
    }
    void open() {
        std::unique_lock const lock(mutex_);
        open_ = true;
        changed_.notify_all();
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    int arrived_ = 0;
    bool open_ = false;
};

inline auto each_once(std::set<std::string> const& names) -> Names {
    Names expected;
    for (auto const& name : names)
        expected[name] = 1;
    return expected;
}

} // namespace memfs_cache::testing
