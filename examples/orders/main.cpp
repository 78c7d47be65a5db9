// SPDX-License-Identifier: Apache-2.0
// Counts the orders of a shop by half-hour, hour, day and month: an event and a summary of your own (order.hpp), and a
// handler of your own (orders.hpp) that the service opens beside analytics and tokens.
#include "orders.hpp"
#include <memfs_cache/service/cache_service.hpp>
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

namespace {

/// Eighty orders from eight in the morning until half past five.
void record_a_day(Orders<Storage_Memory>& orders, memfs_cache::Manual_Clock& clock, memfs_cache::Utc_Time midnight) {
    constexpr std::array customers{"ann", "bo", "cy", "di", "eve", "fay", "gus"};
    constexpr std::array products{"tea", "coffee", "cake"};
    for (unsigned i = 0; i < 80; ++i) {
        clock.set(midnight + 8h + i * 7min);
        // Errors come back as a Result. An example may give up at the first one: .value() throws what went wrong.
        orders.record({clock.now(), customers[i / 2 % 7], products[i % 3], 250 + i * 37 % 400, 900 + i * 113 % 2000})
            .value();
    }
}

void print(Orders<Storage_Memory>& orders, Window const& window) {
    auto const answer = orders.aggregation(window).value();
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

    // A service with a namespace of your own. With Storage_Disk the orders stay.
    auto const clock = std::make_shared<memfs_cache::Manual_Clock>(day.start());
    memfs_cache::Service_Options options;
    options.clock = clock;
    memfs_cache::Cache_Service<Storage_Memory> cache(Storage_Memory(), options);
    auto& orders = *cache.add_namespace<Orders<Storage_Memory>>("orders").value();

    record_a_day(orders, *clock, day.start());

    std::cout << "window            orders    cents largest customers  95% us   rev   most ordered\n";
    print(orders, day); // asked before it is over, a window is answered from what is there, and not saved
    clock->set(day.start() + 30 * 24h);
    for (auto const type : {Window_Type::half_hour, Window_Type::hourly, Window_Type::daily, Window_Type::monthly})
        print(orders, Window::containing(type, morning.start()));

    // A saved window can always be made again, to the byte: from the events, and from nothing else.
    auto const file = orders.file_of(day);
    auto const saved = memfs_cache::read(cache.storage(), file).value();
    memfs_cache::remove(cache.storage(), file).value();
    orders.aggregation(day).value();
    std::cout << file
              << (memfs_cache::read(cache.storage(), file).value() == saved ? ": rebuilt, equal bytes\n"
                                                                            : ": differs\n");

    // An order that comes in weeks late is neither lost nor does it hide: what holds it is revised when asked next.
    orders.record({morning.start() + 5min, "zoe", "cake", 9900, 1500}).value();
    for (auto const type : {Window_Type::half_hour, Window_Type::hourly, Window_Type::daily, Window_Type::monthly})
        print(orders, Window::containing(type, morning.start()));
}
