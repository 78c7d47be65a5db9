// SPDX-License-Identifier: Apache-2.0
// Counts the orders of a shop by half-hour, hour, day and month: an event and a summary of your own (order.hpp), a log
// that keeps the events, and an aggregator that answers.
#include "order.hpp"
#include <memfs_cache/events/event_log.hpp>
#include <memfs_cache/lets/aggregator.hpp>
#include <memfs_cache/storage/memory.hpp>
#include <memfs_cache/storage/words.hpp>

#include <array>
#include <chrono>
#include <iomanip>
#include <iostream>
#include <memory>
#include <string>

using namespace std::chrono_literals;
using memfs_cache::Storage_Memory;
using memfs_cache::Window;
using memfs_cache::Window_Type;
using Order_Log = memfs_cache::Event_Log<Storage_Memory>;
using Order_Aggregator = memfs_cache::LETS_Aggregator<Storage_Memory, Order_Event, Order_Summary>;

namespace {

// Errors come back as a Result. An example may give up at the first one: .value() throws what went wrong.
void record(Order_Log& log, Order_Event const& order) {
    log.record(order.timestamp, [&](std::string& out) { order.append_json(out); }).value();
}

/// Eighty orders from eight in the morning until half past five.
void record_a_day(Order_Log& log, memfs_cache::Manual_Clock& clock, memfs_cache::Utc_Time midnight) {
    constexpr std::array customers{"ann", "bo", "cy", "di", "eve", "fay", "gus"};
    constexpr std::array products{"tea", "coffee", "cake"};
    for (unsigned i = 0; i < 80; ++i) {
        clock.set(midnight + 8h + i * 7min);
        record(log, {clock.now(), customers[i / 2 % 7], products[i % 3], 250 + i * 37 % 400, 900 + i * 113 % 2000});
    }
}

void print(Order_Aggregator& aggregator, Window const& window) {
    auto const answer = aggregator.query(window).value();
    auto const& summary = *answer.summary;
    std::cout << std::left << std::setw(17) << window.key() << std::right << std::setw(7) << summary.orders
              << std::setw(9) << summary.total_cents << std::setw(8) << summary.largest_cents << std::setw(10)
              << summary.customers.count() << std::setw(8) << summary.processing.at(950) << std::setw(6)
              << answer.revision << "  ";
    for (auto const& [product, times] : summary.per_product.top(2))
        std::cout << ' ' << product << ' ' << times;
    std::cout << (answer.final ? "\n" : "  (still open)\n");
}

} // namespace

int main() {
    auto const morning = Window::parse(Window_Type::half_hour, "2026-02-13T10:00").value();
    auto const day = Window::containing(Window_Type::daily, morning.start());

    // A storage, a clock, a log in a namespace of its own, and the aggregator. With Storage_Disk the orders stay.
    Storage_Memory storage;
    auto const clock = std::make_shared<memfs_cache::Manual_Clock>(day.start());
    auto const log =
        Order_Log::open(storage, memfs_cache::Log_Paths("cache", memfs_cache::Namespace_Name("orders")), clock).value();
    Order_Aggregator aggregator(storage, *log);

    record_a_day(*log, *clock, day.start());

    std::cout << "window            orders    cents largest customers  95% us   rev   most ordered\n";
    print(aggregator, day); // asked before it is over, a window is answered from what is there, and not saved
    clock->set(day.start() + 30 * 24h);
    for (auto const type : {Window_Type::half_hour, Window_Type::hourly, Window_Type::daily, Window_Type::monthly})
        print(aggregator, Window::containing(type, morning.start()));

    // A saved window can always be made again, to the byte: from the events, and from nothing else.
    auto const file = aggregator.key_of(day).str();
    auto const saved = memfs_cache::read(storage, file).value();
    memfs_cache::remove(storage, file).value();
    aggregator.query(day).value();
    std::cout << file
              << (memfs_cache::read(storage, file).value() == saved ? ": rebuilt, equal bytes\n" : ": differs\n");

    // An order that comes in weeks late is neither lost nor does it hide: what holds it is revised when asked next.
    record(*log, {morning.start() + 5min, "zoe", "cake", 9900, 1500});
    for (auto const type : {Window_Type::half_hour, Window_Type::hourly, Window_Type::daily, Window_Type::monthly})
        print(aggregator, Window::containing(type, morning.start()));
}
