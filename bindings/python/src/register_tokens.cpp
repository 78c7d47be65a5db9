// SPDX-License-Identifier: Apache-2.0
#include "service.hpp"

#include <boost/json.hpp>

namespace memfs_cache::python {
namespace {

using namespace pybind11::literals;

auto limit_of(Whole limit) -> std::uint64_t { return at_least(0, limit, "limit"); }

/// @param  ask  (Tokens&) -> Result<T>, where a T shows itself as JSON
template <class Ask>
auto answer(Tokens_Handle const& self, char const* type, Ask const& ask) -> py::object {
    return to_answer(type, waiting([&] { return ask(*self.tokens); }).to_json());
}

auto create(Tokens_Handle const& self,
            Text name,
            Whole limit,
            Text created_by,
            Time expires_at,
            py::object const& metadata,
            Whole block_size) -> py::object {
    New_Token wanted;
    wanted.limit = limit_of(limit);
    wanted.created_by = created_by.value;
    wanted.expires_at = expires_at.value;
    if (!metadata.is_none())
        wanted.metadata = to_json(metadata.cast<py::dict>()).as_object();
    wanted.block_size = at_least(0, block_size, "block_size");
    return answer(self, "Token", [&](auto& tokens) { return tokens.create(name.value, wanted); });
}

auto use(Tokens_Handle const& self,
         Text name,
         Text ip_hash,
         Text action,
         Text transfer_id,
         std::optional<std::string> const& action_id) -> py::object {
    Use_Of_Token const use{std::string(ip_hash.value), std::string(action.value), std::string(transfer_id.value),
                           action_id.value_or("")};
    return answer(self, "Token_Use", [&](auto& tokens) { return tokens.use(name.value, use); });
}

} // namespace

auto tokens_of(py::object const& service, std::string_view name) -> Tokens_Handle {
    auto const& self = service.cast<Service const&>();
    return {service, waiting([&] { return self.cache->open_tokens(name); })};
}

void register_tokens(py::class_<Tokens_Handle>& tokens) {
    tokens.doc() = R"(Invitation tokens whose limits hold across threads, processes and machines.

Names are kept in small letters: a letter or digit, then up to 127 of a-z 0-9 _ -; others raise Invalid_Argument. A use
that is refused is a result, not an error; a token that cannot be checked is refused with an error.
Every call may be made from any thread.)";
    tokens
        .def(
            "__call__", [](Tokens_Handle const& self, Text name) { return tokens_of(self.service, name.value); },
            "name"_a, "The tokens of another namespace of the same service.")
        .def("create", &create, "name"_a, "limit"_a, "created_by"_a = Text{""}, "expires_at"_a = Time{},
             "metadata"_a = py::none(), "block_size"_a = Whole{0}, R"(Creates a token.

limit: uses that it grants, 0 for any number; expires_at: epoch milliseconds or a datetime with a zone, 0 for never;
block_size: how many uses a process may lease at once and then grant without writing, 0 to write every use.
Raises Already_Exists if there is a token of this name.)")
        .def(
            "lookup",
            [](Tokens_Handle const& self, Text name) {
                auto const found = waiting([&] { return self.tokens->lookup(name.value); });
                return found ? to_answer("Token", found->to_json()) : py::object(py::none());
            },
            "name"_a, "The token, or None.")
        .def(
            "list",
            [](Tokens_Handle const& self) { return list_of("Token", waiting([&] { return self.tokens->list(); })); },
            "Every token, by name.")
        .def("use", &use, "name"_a, "ip_hash"_a = Text{""}, "action"_a = Text{"page_opened"},
             "transfer_id"_a = Text{""}, "action_id"_a = py::none(), R"(Uses a token once, if it may be used.

action_id: of this use; the same one again within a day counts once. Raises Unavailable if the outcome is not known:
then nothing is granted.)")
        .def(
            "check",
            [](Tokens_Handle const& self, Text name) {
                return answer(self, "Token_Use", [&](auto& asked) { return asked.check(name.value); });
            },
            "name"_a, "What use() would answer now, without using it up.")
        .def(
            "revoke",
            [](Tokens_Handle const& self, Text name) {
                return answer(self, "Token", [&](auto& asked) { return asked.revoke(name.value); });
            },
            "name"_a, "From now on it is refused. Raises Not_Found.")
        .def(
            "set_limit",
            [](Tokens_Handle const& self, Text name, Whole limit) {
                return answer(self, "Token", [&](auto& asked) { return asked.set_limit(name.value, limit_of(limit)); });
            },
            "name"_a, "limit"_a, "A limit below the uses so far shows as exhausted at once. Raises Not_Found.")
        .def(
            "reactivate",
            [](Tokens_Handle const& self, Text name, Whole limit) {
                return answer(self, "Token",
                              [&](auto& asked) { return asked.reactivate(name.value, limit_of(limit)); });
            },
            "name"_a, "limit"_a,
            "Makes a revoked or exhausted token usable again. Raises Invalid_Argument if the limit leaves no uses.")
        .def(
            "events",
            [](Tokens_Handle const& self, Text name, Whole limit) {
                auto const most = at_least(1, limit, "limit");
                return list_of("Token_Event", waiting([&] { return self.tokens->events(name.value, most); }));
            },
            "name"_a, "limit"_a = Whole{100}, "The last uses and refusals, newest first; limit: 1 to 10000.")
        .def(
            "aggregation",
            [](Tokens_Handle const& self, Text name, Text type, Text key) {
                auto const figures =
                    waiting([&] { return self.tokens->aggregation(name.value, type.value, key.value); });
                return to_answer("Token_Figures", {{"accepted", figures.accepted},
                                                   {"exhausted", figures.exhausted},
                                                   {"expired", figures.expired},
                                                   {"revoked", figures.revoked},
                                                   {"charged", figures.charged}});
            },
            "name"_a, "window_type"_a, "window_key"_a, "How often a token was used and refused in a window.")
        .def("__repr__",
             [](Tokens_Handle const& self) { return "<Tokens of namespace '" + self.tokens->name().str() + "'>"; });
}

} // namespace memfs_cache::python
