// SPDX-License-Identifier: Apache-2.0
#include "bench/bench.hpp"
#include "support/fake_s3.hpp"
#include <memfs_cache/net/request_signer.hpp>
#include <memfs_cache/storage/s3.hpp>
#include <memfs_cache/storage/words.hpp>

#include <cstdio>
#include <cstdlib>

namespace memfs_cache::bench {

namespace {

void require(bool holds, char const* what) {
    if (!holds) {
        std::fprintf(stderr, "s3_bench: %s\n", what);
        std::abort();
    }
}

constexpr std::size_t many = 100'000;

/// The server of the tests on loopback, ours, and a client that signs and sends and knows nothing else.
struct On_S3 {
    On_S3() {
        settings.bucket = server.options().bucket;
        settings.endpoint_url = server.url();
        settings.region = server.options().region;
        settings.credentials = keys;
    }
    /// @return status and size of the answer's body
    [[nodiscard]] auto bare(char const* method, std::string const& path, std::string const& query, Byte_View body) const
        -> std::pair<unsigned, std::size_t> {
        Client_Request request;
        request.method = method;
        request.target = "/" + settings.bucket + "/" + path + (query.empty() ? "" : "?" + query);
        request.body = body;
        signer.sign(request, client.endpoint().host_header(), keys, System_Clock().now());
        auto const answer = client.send(request);
        require(answer.has_value(), "no answer");
        return {answer->status, answer->body.size()};
    }
    static auto name(std::size_t i) -> std::string { return "key-" + std::to_string(1'000'000 + i); }

    testing::Fake_S3 server;
    Aws_Credentials const keys{server.options().access_key_id, server.options().secret_access_key, ""};
    S3_Settings settings;
    Http_Client client = Http_Client::create(Http_Endpoint::parse(server.url()).value()).value();
    Request_Signer signer{server.options().region, "s3"};
    Bytes const value = Bytes(200, 'x');
};

auto put_some(std::size_t threads) -> Sides {
    auto const s3 = std::make_shared<On_S3>();
    auto const storage = std::make_shared<Storage_S3>(Storage_S3::open(s3->settings).value());
    return {.ours =
                [s3, storage, threads](std::size_t operations) {
                    from_threads(threads, operations, [&](std::size_t own) {
                        for (std::size_t i = 0; i < own; ++i)
                            require(storage->put(Storage_Key(On_S3::name(i)), s3->value, Precondition::none())->state ==
                                        Put_State::applied,
                                    "put");
                    });
                },
            .limit =
                [s3, threads](std::size_t operations) {
                    from_threads(threads, operations, [&](std::size_t own) {
                        for (std::size_t i = 0; i < own; ++i)
                            require(s3->bare("PUT", On_S3::name(i), "", s3->value).first == 200, "bare put");
                    });
                }};
}

auto get_some(std::size_t threads) -> Sides {
    auto const s3 = std::make_shared<On_S3>();
    auto const storage = std::make_shared<Storage_S3>(Storage_S3::open(s3->settings).value());
    s3->server.store(On_S3::name(0), s3->value);
    return {.ours =
                [s3, storage, threads](std::size_t operations) {
                    Storage_Key const key(On_S3::name(0));
                    from_threads(threads, operations, [&](std::size_t own) {
                        for (std::size_t i = 0; i < own; ++i)
                            require(storage->get(key).value()->bytes.size() == s3->value.size(), "get");
                    });
                },
            .limit =
                [s3, threads](std::size_t operations) {
                    from_threads(threads, operations, [&](std::size_t own) {
                        for (std::size_t i = 0; i < own; ++i)
                            require(s3->bare("GET", On_S3::name(0), "", "").second == s3->value.size(), "bare get");
                    });
                }};
}

auto list_many() -> Sides {
    auto const s3 = std::make_shared<On_S3>();
    auto const storage = std::make_shared<Storage_S3>(Storage_S3::open(s3->settings).value());
    for (std::size_t i = 0; i < many; ++i)
        s3->server.store(On_S3::name(i), "");
    return {.ours =
                [storage](std::size_t operations) {
                    for (std::size_t i = 0; i < operations; ++i) {
                        std::size_t found = 0;
                        for (List_Query query{"key-", "", 1000};;) {
                            auto const page = storage->list(query).value();
                            found += page.items.size();
                            if (page.next.empty())
                                break;
                            query.start_after = page.next;
                        }
                        require(found == many, "list");
                    }
                },
            .limit =
                [s3](std::size_t operations) {
                    for (std::size_t i = 0; i < operations; ++i)
                        for (std::size_t page = 0; page < many; page += 1000) {
                            auto const after = page == 0 ? std::string() : "start-after=" + On_S3::name(page - 1);
                            auto const query =
                                "list-type=2&max-keys=1000&prefix=key-" + (after.empty() ? "" : "&" + after);
                            require(s3->bare("GET", "", query, "").second > 100'000, "bare list");
                        }
                }};
}

} // namespace

auto s3_rows() -> Rows {
    constexpr auto bare = "the same requests by a client that signs and sends, the answers not looked at";
    return {{"put, S3 on loopback, 200 bytes, 1 connection", bare, [] { return put_some(1); }},
            {"put, S3 on loopback, 200 bytes, 32 in flight", bare, [] { return put_some(32); }, {}, 3'200},
            {"get, S3 on loopback, 200 bytes, 1 connection", bare, [] { return get_some(1); }},
            {"get, S3 on loopback, 200 bytes, 32 in flight", bare, [] { return get_some(32); }, {}, 3'200},
            {"list of 100,000 keys, S3 on loopback", bare, list_many, {}, 1}};
}

} // namespace memfs_cache::bench
