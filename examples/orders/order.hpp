// SPDX-License-Identifier: Apache-2.0
// An event and a summary of your own. Nothing in the library knows what an order is; these two types are all that
// LETS_Aggregator needs to count orders by half-hour, hour, day, week, month and year.
#pragma once

#include <memfs_cache/core/json.hpp>
#include <memfs_cache/core/json_text.hpp>
#include <memfs_cache/core/siphash.hpp>
#include <memfs_cache/lets/concepts.hpp>
#include <memfs_cache/lets/distinct_set.hpp>
#include <memfs_cache/lets/name_counts.hpp>
#include <memfs_cache/lets/percentiles.hpp>

#include <algorithm>
#include <cstdint>
#include <string>

/// What happened. It models the concept LogEvent: a time, a way to JSON and a way back.
struct Order_Event {
    memfs_cache::Utc_Time timestamp;
    std::string customer;
    std::string product;
    std::uint64_t cents = 0;
    std::int64_t processing_us = 0;

    void append_json(std::string& out) const {
        out += R"({"timestamp":)";
        memfs_cache::append_json_number(out, memfs_cache::to_millis(timestamp));
        out += R"(,"customer":)";
        memfs_cache::append_json_string(out, customer);
        out += R"(,"product":)";
        memfs_cache::append_json_string(out, product);
        out += R"(,"cents":)";
        memfs_cache::append_json_number(out, cents);
        out += R"(,"processing_us":)";
        memfs_cache::append_json_number(out, processing_us);
        out += '}';
    }

    auto read(memfs_cache::Raw_Event const& raw) -> memfs_cache::Result<void> {
        auto const object = memfs_cache::parse_object(raw.json, "order");
        if (!object)
            return object.error();
        memfs_cache::Member_Reader reader(*object);
        timestamp = memfs_cache::from_millis(reader.signed_number("timestamp"));
        customer = reader.text("customer");
        product = reader.text("product");
        cents = reader.unsigned_number("cents");
        processing_us = reader.signed_number("processing_us");
        if (!reader.good())
            return memfs_cache::fail(memfs_cache::Errc::corrupt_data, "order: " + std::string(reader.first_bad()));
        return {};
    }
};
static_assert(memfs_cache::LogEvent<Order_Event>);

/// What a window says about its orders. It models WindowSummary: everything in it can be merged in any order, so a day
/// is the merge of its hours. That is why there is a sum and a count where a report will show an average.
struct Order_Summary {
    std::uint64_t orders = 0;
    std::uint64_t total_cents = 0;
    std::uint64_t largest_cents = 0;      ///< a maximum
    memfs_cache::Distinct_Set customers;  ///< a set: who ordered twice counts once, also across windows
    memfs_cache::Percentiles processing;  ///< how long the orders took
    memfs_cache::Name_Counts per_product; ///< how often each product was ordered

    void add(Order_Event const& order) {
        // Of a customer only a keyed hash is kept. Where names are personal data, the key is random and secret.
        constexpr memfs_cache::Sip_Key example_key{};
        ++orders;
        total_cents += order.cents;
        largest_cents = std::max(largest_cents, order.cents);
        customers.add(memfs_cache::siphash24(example_key, order.customer));
        processing.add(order.processing_us);
        per_product.add(order.product);
    }

    void merge(Order_Summary const& other) {
        orders += other.orders;
        total_cents += other.total_cents;
        largest_cents = std::max(largest_cents, other.largest_cents);
        customers.merge(other.customers);
        processing.merge(other.processing);
        per_product.merge(other.per_product);
    }

    void append_members(std::string& out) const {
        out += R"("orders":)";
        memfs_cache::append_json_number(out, orders);
        out += R"(,"total_cents":)";
        memfs_cache::append_json_number(out, total_cents);
        out += R"(,"largest_cents":)";
        memfs_cache::append_json_number(out, largest_cents);
        out += R"(,"customers":)";
        memfs_cache::append_json_string(out, customers.to_text());
        out += R"(,"processing":)";
        processing.append_json(out);
        out += R"(,"per_product":)";
        per_product.append_json(out);
    }

    static auto from_object(boost::json::object const& object) -> memfs_cache::Result<Order_Summary> {
        memfs_cache::Member_Reader reader(object);
        Order_Summary summary;
        summary.orders = reader.unsigned_number("orders");
        summary.total_cents = reader.unsigned_number("total_cents");
        summary.largest_cents = reader.unsigned_number("largest_cents");
        auto customers = memfs_cache::Distinct_Set::from_text(reader.text("customers"));
        auto processing = memfs_cache::Percentiles::from_json(reader.object("processing"));
        auto per_product = memfs_cache::Name_Counts::from_json(reader.object("per_product"));
        if (!reader.good() || !customers || !processing || !per_product)
            return memfs_cache::fail(memfs_cache::Errc::corrupt_data, "not a summary of orders");
        summary.customers = *std::move(customers);
        summary.processing = *std::move(processing);
        summary.per_product = *std::move(per_product);
        return summary;
    }
};
static_assert(memfs_cache::WindowSummary<Order_Summary, Order_Event>);
