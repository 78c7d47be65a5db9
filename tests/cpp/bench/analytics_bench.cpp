// SPDX-License-Identifier: Apache-2.0
#include "bench/bench.hpp"
#include "support/scratch_folder.hpp"
#include <memfs_cache/core/crc32c.hpp>
#include <memfs_cache/core/unique_fd.hpp>
#include <memfs_cache/namespaces/analytics/access_log_import.hpp>
#include <memfs_cache/storage/disk.hpp>
#include <memfs_cache/storage/memory.hpp>
#include <memfs_cache/storage/words.hpp>

#include <array>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <sys/stat.h>
#include <unistd.h>
#ifdef MEMFS_CACHE_BENCH_SIMDJSON
#include <simdjson.h>
#endif

namespace memfs_cache::bench {

namespace {

constexpr std::size_t million = 1'000'000;

void require(bool done, char const* what) {
    if (!done)
        throw std::runtime_error(what);
}

/// Requests as a site gets them: the usual browsers and one bot, and 2,000 paths and 4,000 clients unless fewer are
/// wanted.
class Traffic {
  public:
    explicit Traffic(unsigned paths = 2'000, unsigned clients = 4'000) {
        for (unsigned i = 0; i < paths; ++i)
            targets_.push_back("/articles/2026/section-" + std::to_string(i % 40) + "/page-" + std::to_string(i) +
                               (i % 3 == 0 ? "?utm_source=newsletter" : ""));
        for (unsigned i = 0; i < clients; ++i)
            clients_.push_back("198.18." + std::to_string(i / 250) + "." + std::to_string(i % 250));
    }

    [[nodiscard]] auto request(std::size_t i) const -> Request_View {
        static constexpr std::array<std::string_view, 4> agents{
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 "
            "Safari/537.36",
            "Mozilla/5.0 (X11; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
            "Version/17.2 Mobile/15E148 Safari/604.1",
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"};
        auto const mixed = i * 2654435761U >> 7U;
        return {.method = "GET",
                .target = targets_[mixed % targets_.size()],
                .status = mixed % 50 == 0 ? 404 : 200,
                .content_bytes = 1'000 + mixed % 9'000,
                .duration_us = static_cast<std::int64_t>(100 + mixed % 5'000),
                .remote = clients_[mixed % clients_.size()],
                .user_agent = agents[mixed % agents.size()],
                .referrer = mixed % 4 == 0 ? "https://search.example/find?q=something" : "",
                .content_type = "text/html; charset=utf-8"};
    }

    [[nodiscard]] auto log_lines(std::size_t count) const -> std::string {
        std::ostringstream out;
        for (std::size_t i = 0; i < count; ++i) {
            auto const request = this->request(i);
            auto const second = i * 7'200 / count; // two hours
            auto const two = [](std::size_t number) { return (number < 10 ? "0" : "") + std::to_string(number); };
            out << request.remote << " - - [13/Feb/2026:" << two(10 + second / 3'600) << ':' << two(second / 60 % 60)
                << ':' << two(second % 60) << " +0000] \"GET " << request.target << " HTTP/1.1\" " << request.status
                << ' ' << request.content_bytes << " \"" << (request.referrer.empty() ? "-" : request.referrer)
                << "\" \"" << request.user_agent << "\"\n";
        }
        return out.str();
    }

  private:
    std::vector<std::string> targets_, clients_;
};

/// Half past two of some day; its half-hour is closed when the clock stands at three.
constexpr auto half_hour_key = "2026-02-13T14:30";
auto half_hour() -> Utc_Time { return Window::parse(Window_Type::half_hour, half_hour_key).value().start(); }

/// Analytics over a storage, at a standing clock.
template <class Storage>
struct Site {
    explicit Site(Storage of, std::size_t summary_cache_bytes = 64 << 20) : storage(std::move(of)) {
        Analytics_Options options;
        options.summary_cache_bytes = summary_cache_bytes;
        analytics = Analytics<Storage>::open(storage, "cache", Namespace_Name("analytics"), clock, options).value();
    }
    void record(std::size_t events) {
        for (std::size_t i = 0; i < events; ++i)
            require(static_cast<bool>(analytics->record_request(traffic.request(i))), "a request was not recorded");
    }

    std::shared_ptr<Manual_Clock> clock = std::make_shared<Manual_Clock>(half_hour() + std::chrono::minutes(10));
    Traffic traffic;
    Storage storage;
    std::unique_ptr<Analytics<Storage>> analytics;
};

/// The same on a disk: the one that the user stands on.
struct Disk_Site {
    explicit Disk_Site(std::size_t summary_cache_bytes = 64 << 20)
        : site(Storage_Disk::open(folder.path() / "store").value(), summary_cache_bytes) {}

    testing::Scratch_Folder folder{std::filesystem::current_path()};
    Site<Storage_Disk> site;

    /// The files in the store whose keys have this in them; at least one.
    [[nodiscard]] auto files(std::string_view part) const -> std::vector<std::filesystem::path> {
        std::vector<std::filesystem::path> found;
        for (auto const& name : files_list(site.storage).value())
            if (name.find(part) != std::string::npos)
                found.push_back(folder.path() / "store" / name);
        require(!found.empty(), "no such file in the store");
        return found;
    }
    /// Makes a final window of so many events.
    void finish(std::size_t events) {
        site.record(events);
        site.clock->advance(std::chrono::minutes(40));
        require(site.analytics->aggregation("30min", half_hour_key).value().final, "the window is still open");
    }
};

auto read_file(std::filesystem::path const& path) -> Bytes {
    Unique_Fd const file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat status {};
    require(file && ::fstat(file.get(), &status) == 0, "opening a file");
    Bytes bytes(static_cast<std::size_t>(status.st_size), '\0');
    require(::read(file.get(), bytes.data(), bytes.size()) == status.st_size, "reading a file");
    return bytes;
}

/// A stored line as long as those of the traffic.
auto prepared_line() -> Bytes {
    Site<Storage_Memory> site{Storage_Memory()};
    site.record(1);
    auto const names = files_list(site.storage, "cache/analytics/data/raw/").value();
    auto const stored = read(site.storage, names.front()).value().value();
    return stored.substr(stored.find('\n') + 1);
}

auto record_into_memory() -> Sides {
    return {[site = std::make_shared<Site<Storage_Memory>>(Storage_Memory())](std::size_t operations) {
                site->record(operations);
            },
            [line = prepared_line(), stored = std::make_shared<Bytes>()](std::size_t operations) {
                for (std::size_t i = 0; i < operations; ++i) {
                    stored->append(line);
                    keep(crc32c(0, line));
                }
            }};
}

auto record_to_disk() -> Sides {
    auto const disk = std::make_shared<Disk_Site>();
    auto const file = std::make_shared<Unique_Fd>(
        ::open((disk->folder.path() / "bare").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
    require(static_cast<bool>(*file), "opening a file");
    return {[disk](std::size_t operations) {
                disk->site.record(operations);
                disk->site.analytics->flush().value();
            },
            [disk, file, line = prepared_line()](std::size_t operations) {
                constexpr std::size_t chunk_bytes = 1 << 20;
                Bytes chunk;
                for (std::size_t i = 0; i < operations; ++i) {
                    chunk += line;
                    if (chunk.size() < chunk_bytes && i + 1 < operations)
                        continue;
                    require(::write(file->get(), chunk.data(), chunk.size()) == static_cast<ssize_t>(chunk.size()),
                            "write");
                    chunk.clear();
                }
            }};
}

/// Is there a program of this name?
auto is_installed(std::string const& program) -> bool {
    return std::system(("command -v " + program + " >/dev/null").c_str()) == 0;
}

auto import_a_log() -> Sides {
    auto const disk = std::make_shared<Disk_Site>();
    auto const log = disk->folder.path() / "access.log";
    std::ofstream(log) << disk->site.traffic.log_lines(million);
    Work peer;
    if (is_installed("goaccess"))
        // It counts the same, and keeps nothing of the lines.
        peer = [command = "goaccess " + log.string() + " --log-format=COMBINED --no-progress -o " +
                          (disk->folder.path() / "report.json").string() + " >/dev/null 2>&1",
                disk](std::size_t operations) {
            for (std::size_t i = 0; i < operations; ++i)
                require(std::system(command.c_str()) == 0, "goaccess failed");
        };
    return {.ours =
                [disk, log](std::size_t operations) {
                    for (std::size_t i = 0; i < operations; ++i) {
                        Access_Log_Import<Storage_Disk>::Options options;
                        options.count_again = true;
                        Access_Log_Import<Storage_Disk> import(disk->site.storage, *disk->site.analytics, options);
                        std::ifstream in(log);
                        auto const read_some = [&](char* out, std::size_t size) -> Result<std::size_t> {
                            in.read(out, static_cast<std::streamsize>(size));
                            return static_cast<std::size_t>(in.gcount());
                        };
                        import.import("access.log", read_some).value();
                        require(import.report().accepted == million, "a line was rejected");
                    }
                },
            .limit =
                [disk, log](std::size_t operations) {
                    for (std::size_t i = 0; i < operations; ++i) {
                        auto const text = read_file(log);
                        std::size_t lines = 0;
                        for (std::size_t at = 0; (at = text.find('\n', at)) != Bytes::npos; ++at)
                            ++lines;
                        keep(lines);
                    }
                },
            .peer = peer};
}

#ifdef MEMFS_CACHE_BENCH_SIMDJSON
/// Reads of each line the fields that a half-hour is counted from, and counts nothing.
void read_with_simdjson(std::filesystem::path const& piece) {
    // Its parser of whole documents: the other one is chosen by the compiler's flags, not by the machine.
    simdjson::dom::parser parser;
    simdjson::dom::document_stream lines = parser.load_many(piece.string()).value();
    std::uint64_t sum = 0;
    for (auto line : lines) {
        simdjson::dom::object const object = line.get_object().value();
        for (auto const field : object) {
            auto const name = field.key;
            if (name == "timestamp" || name == "status_code" || name == "content_bytes")
                sum += field.value.get_uint64().value();
            else if (name == "duration_ms")
                sum += static_cast<std::uint64_t>(field.value.get_double().value());
            else if (name == "path" || name == "method" || name == "event_type" || name == "ip_hash" ||
                     name == "user_agent_normalised" || name == "referrer_domain")
                sum += field.value.get_string().value().size();
        }
    }
    keep(sum);
}
#endif

auto cold_half_hour() -> Sides {
    auto const disk = std::make_shared<Disk_Site>();
    disk->finish(million);
    auto const raw = disk->files("/raw/");
    Work peer;
#ifdef MEMFS_CACHE_BENCH_SIMDJSON
    peer = [raw](std::size_t operations) {
        for (std::size_t i = 0; i < operations; ++i)
            for (auto const& piece : raw)
                read_with_simdjson(piece);
    };
#endif
    return {.ours =
                [disk](std::size_t operations) {
                    for (std::size_t i = 0; i < operations; ++i)
                        keep(disk->site.analytics->rebuild("30min", half_hour_key).value());
                },
            .limit =
                [disk, raw](std::size_t operations) {
                    for (std::size_t i = 0; i < operations; ++i)
                        for (auto const& piece : raw)
                            keep(crc32c(0, read_file(piece)));
                },
            .peer = peer};
}

/// One section of forty of a day's requests.
auto filtered_day(bool is_cold) -> Sides {
    auto const disk = std::make_shared<Disk_Site>();
    disk->finish(million);
    disk->site.clock->advance(std::chrono::hours(24));
    Analytics_Filter filter;
    filter.add("path", "/articles/2026/section-7/*").value();
    auto const ask = [disk, filter, day = std::string(half_hour_key).substr(0, 10)] {
        auto const answer = disk->site.analytics->aggregation("daily", day, filter).value();
        require(answer.final && answer.total_requests == million / 40, "the day was not counted");
    };
    ask();
    auto const read = disk->files(is_cold ? "/raw/" : "/queries/");
    auto const saved = disk->folder.path() / "store/cache/analytics/data/queries";
    return {[=](std::size_t operations) {
                for (std::size_t i = 0; i < operations; ++i) {
                    if (is_cold)
                        std::filesystem::remove_all(saved);
                    ask();
                }
            },
            [disk, read](std::size_t operations) {
                for (std::size_t i = 0; i < operations; ++i)
                    for (auto const& piece : read)
                        keep(crc32c(0, read_file(piece)));
            }};
}

/// With what dead processes left taken over, as a service does it.
auto open_a_large_store() -> Sides {
    auto const disk = std::make_shared<Disk_Site>();
    disk->site.record(million);
    disk->site.analytics->flush().value();
    auto const folder = disk->folder.path() / "store";
    return {[disk, folder](std::size_t operations) {
                for (std::size_t i = 0; i < operations; ++i) {
                    Site<Storage_Disk> site(Storage_Disk::open(folder).value());
                    site.analytics->log().adopt_dead_writers().value();
                }
            },
            [disk, folder](std::size_t operations) {
                for (std::size_t i = 0; i < operations; ++i)
                    keep(Storage_Disk::open(folder).value());
            }};
}

auto warm_final_window(unsigned paths, unsigned visitors) -> Sides {
    auto const disk = std::make_shared<Disk_Site>();
    disk->site.traffic = Traffic(paths, visitors);
    disk->finish(100'000);
    return {[disk](std::size_t operations) {
                for (std::size_t i = 0; i < operations; ++i)
                    keep(disk->site.analytics->aggregation("30min", half_hour_key).value());
            },
            [disk, window = disk->files("/30min/").front()](std::size_t operations) {
                for (std::size_t i = 0; i < operations; ++i) {
                    struct stat status {};
                    require(::stat(window.c_str(), &status) == 0, "stat");
                    keep(status);
                }
            }};
}

auto first_read_of_a_final_window() -> Sides {
    auto const disk = std::make_shared<Disk_Site>(0);
    disk->site.traffic = Traffic(500, 700);
    disk->finish(100'000);
    return {[disk](std::size_t operations) {
                for (std::size_t i = 0; i < operations; ++i)
                    keep(disk->site.analytics->aggregation("30min", half_hour_key).value());
            },
            [disk, window = disk->files("/30min/").front()](std::size_t operations) {
                for (std::size_t i = 0; i < operations; ++i)
                    keep(read_file(window));
            }};
}

/// Days whose windows are saved, each with all of its traffic in one half-hour.
struct Saved_Days {
    Saved_Days(std::string_view first, int days, Traffic traffic, std::size_t requests_a_day) : disk(0) {
        auto const start = Window::parse(Window_Type::daily, first).value().start();
        disk.site.clock->set(start + std::chrono::days(days + 40));
        for (int day = 0; day < days; ++day)
            for (std::size_t i = 0; i < requests_a_day; ++i) {
                auto request = traffic.request(i);
                request.timestamp = start + std::chrono::days(day) + std::chrono::hours(12);
                require(disk.site.analytics->record_view(request).has_value(), "a request was not recorded");
            }
        disk.site.analytics->flush().value();
    }
    void ask(std::string_view type, std::string_view key) {
        auto const answer = disk.site.analytics->aggregation(type, key).value();
        require(answer.final && answer.recorded, "the window is not final");
        keep(answer);
    }
    /// Removes what was saved of a level, states too.
    void forget(std::string const& level) {
        std::filesystem::remove_all(disk.folder.path() / "store/cache/analytics/data/aggregations" / level);
    }

    Disk_Site disk;
};

/// A window that is built from saved ones of another level. Nothing is kept in memory between two questions.
auto parent_of_saved_days(std::shared_ptr<Saved_Days> const& days,
                          std::string type,
                          std::string key,
                          std::vector<std::string> const& forgotten,
                          std::string const& children) -> Sides {
    days->ask(type, key);
    return {[=](std::size_t operations) {
                for (std::size_t i = 0; i < operations; ++i) {
                    for (auto const& level : forgotten)
                        days->forget(level);
                    days->ask(type, key);
                }
            },
            [days, files = days->disk.files("/" + children + "/")](std::size_t operations) {
                for (std::size_t i = 0; i < operations; ++i)
                    for (auto const& file : files)
                        keep(read_file(file));
            }};
}

auto year_of_saved(std::vector<std::string> const& forgotten, std::string const& children) -> Sides {
    return parent_of_saved_days(std::make_shared<Saved_Days>("2025-01-01", 365, Traffic(2'000, 700), 5'000), "yearly",
                                "2025", forgotten, children);
}

auto busy_month_of_saved_days() -> Sides {
    return parent_of_saved_days(std::make_shared<Saved_Days>("2025-01-01", 31, Traffic(20'000, 10'000), 40'000),
                                "monthly", "2025-01", {"monthly"}, "daily");
}

} // namespace

auto analytics_rows() -> Rows {
    return {
        {"record_request, memory", "append and crc32c of the line", record_into_memory},
        {"record_request, disk, flush included", "write of the lines in 1 MiB", record_to_disk},
        {"import of 1,000,000 lines, disk", "read, find line ends", import_a_log, "goaccess, nothing kept"},
        {"cold half-hour of 1,000,000 events, disk", "read, crc32c", cold_half_hour, "their fields through simdjson"},
        {"cold filtered day of 1,000,000 events, disk", "read, crc32c", [] { return filtered_day(true); }},
        {"the same when asked again", "read, crc32c", [] { return filtered_day(false); }},
        {"open of a store of 1,000,000 events, disk", "the folder alone", open_a_large_store},
        {"warm final window, 500 paths, 700 visitors", "stat", [] { return warm_final_window(500, 700); }},
        {"warm final window, 2,000 paths, 4,000 visitors", "stat", [] { return warm_final_window(2'000, 4'000); }},
        {"final window from disk, 500 paths, 700 visitors", "read", first_read_of_a_final_window},
        {"saved year from disk, 2,000 paths, 700 visitors a day", "read", [] { return year_of_saved({}, "yearly"); }},
        {"year from 12 saved months of it", "read them", [] { return year_of_saved({"yearly"}, "monthly"); }},
        {"year from 365 saved days of it", "read them",
         [] {
             return year_of_saved({"yearly", "monthly"}, "daily");
         }},
        {"month from 31 saved days, 20,000 paths, 10,000 visitors", "read them", busy_month_of_saved_days}};
}

} // namespace memfs_cache::bench
