// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/json.hpp>
#include <memfs_cache/core/json_text.hpp>
#include <memfs_cache/lets/concepts.hpp>
#include <memfs_cache/lets/name_counts.hpp>

#include <string>

/// The smallest event and summary that can show a lost, doubled or misplaced event: each has a name of its own.
struct Test_Event {
    memfs_cache::Utc_Time timestamp;
    std::string name;

    void append_json(std::string& out) const {
        out += R"({"timestamp":)";
        memfs_cache::append_json_number(out, memfs_cache::to_millis(timestamp));
        out += R"(,"name":)";
        memfs_cache::append_json_string(out, name);
        out += '}';
    }
    auto read(memfs_cache::Raw_Event const& raw) -> memfs_cache::Result<void> {
        auto const object = memfs_cache::parse_object(raw.json, "test event");
        if (!object)
            return object.error();
        memfs_cache::Member_Reader reader(*object);
        timestamp = memfs_cache::from_millis(reader.signed_number("timestamp"));
        name = reader.text("name");
        if (!reader.good())
            return memfs_cache::fail(memfs_cache::Errc::corrupt_data, "not a test event");
        return {};
    }
};

struct Test_Summary {
    memfs_cache::Name_Counts names;
    std::uint64_t total = 0;

    void add(Test_Event const& event) {
        names.add(event.name);
        ++total;
    }
    void merge(Test_Summary const& other) {
        names.merge(other.names);
        total += other.total;
    }
    void append_members(std::string& out) const {
        out += R"("total":)" + std::to_string(total) + R"(,"names":)";
        names.append_json(out);
    }
    static auto from_object(boost::json::object const& object) -> memfs_cache::Result<Test_Summary> {
        memfs_cache::Member_Reader reader(object);
        Test_Summary summary;
        summary.total = reader.unsigned_number("total");
        auto names = memfs_cache::Name_Counts::from_json(reader.object("names"));
        if (!reader.good() || !names)
            return memfs_cache::fail(memfs_cache::Errc::corrupt_data, "not a test summary");
        summary.names = *std::move(names);
        return summary;
    }
};
