// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/core/json.hpp>

#include <boost/json.hpp>

namespace memfs_cache {

auto parse_object(std::string_view text, std::string_view what) -> Result<boost::json::object> {
    boost::system::error_code error;
    // What is read is looked at and let go: one block for all of it, instead of one for each name and array.
    auto value = boost::json::parse({text.data(), text.size()}, error,
                                    boost::json::make_shared_resource<boost::json::monotonic_resource>());
    if (error || !value.is_object())
        return fail(Errc::corrupt_data, std::string(what) + " does not hold one JSON object");
    return std::move(value.get_object());
}

auto json_text(boost::json::object const& object) -> std::string { return boost::json::serialize(object); }

auto Member_Reader::find(std::string_view name) -> boost::json::value const* {
    auto const* found = object_.if_contains({name.data(), name.size()});
    if (found == nullptr)
        refuse(name);
    return found;
}

auto Member_Reader::unsigned_number(std::string_view name) -> std::uint64_t {
    auto const number = signed_number(name);
    if (number < 0)
        refuse(name);
    return number < 0 ? 0 : static_cast<std::uint64_t>(number);
}

auto Member_Reader::signed_number(std::string_view name) -> std::int64_t {
    auto const* value = find(name);
    if (value == nullptr)
        return 0;
    boost::system::error_code error;
    auto const number = value->to_number<std::int64_t>(error);
    if (error)
        refuse(name);
    return error ? 0 : number;
}

auto Member_Reader::text(std::string_view name) -> std::string_view {
    auto const* value = find(name);
    auto const* string = value == nullptr ? nullptr : value->if_string();
    if (string == nullptr) {
        refuse(name);
        return {};
    }
    return {string->data(), string->size()};
}

auto Member_Reader::flag(std::string_view name) -> bool {
    auto const* value = find(name);
    auto const* boolean = value == nullptr ? nullptr : value->if_bool();
    if (boolean == nullptr)
        refuse(name);
    return boolean != nullptr && *boolean;
}

auto Member_Reader::object(std::string_view name) -> boost::json::object const& {
    static boost::json::object const none;
    auto const* value = find(name);
    auto const* object = value == nullptr ? nullptr : value->if_object();
    if (object == nullptr)
        refuse(name);
    return object == nullptr ? none : *object;
}

auto Member_Reader::array(std::string_view name) -> boost::json::array const& {
    static boost::json::array const none;
    auto const* value = find(name);
    auto const* array = value == nullptr ? nullptr : value->if_array();
    if (array == nullptr)
        refuse(name);
    return array == nullptr ? none : *array;
}

} // namespace memfs_cache
