// SPDX-License-Identifier: Apache-2.0
#include "support/fake_s3.hpp"

#include <CLI/CLI.hpp>

#include <iostream>

/// The fake S3 server as a program: prints its URL on the first line, serves until it is told to end or its standard
/// input does.
auto main(int argc, char** argv) -> int {
    using memfs_cache::testing::Fake_S3_Quirks;
    memfs_cache::testing::Fake_S3_Options options;
    std::string habits = "amazon";
    CLI::App app("An S3 server for tests. Objects live in memory.");
    app.add_option("--port", options.port, "0: any that is free");
    app.add_option("--bucket", options.bucket);
    app.add_option("--region", options.region);
    app.add_option("--access-key-id", options.access_key_id);
    app.add_option("--secret-access-key", options.secret_access_key);
    app.add_option("--like", habits, "whose habits it has")->check(CLI::IsMember({"amazon", "ceph", "unconditional"}));
    CLI11_PARSE(app, argc, argv)
    if (habits == "ceph")
        options.quirks = Fake_S3_Quirks::ceph();
    else if (habits == "unconditional")
        options.quirks = Fake_S3_Quirks::unconditional();

    memfs_cache::testing::Fake_S3 const server(options);
    std::cout << server.url() << std::endl; // at once: somebody waits for this line
    for (std::string line; std::getline(std::cin, line);) {
    }
    return 0;
}
