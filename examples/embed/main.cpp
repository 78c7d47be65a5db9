// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/memfs_cache.hpp>

#include <iostream>

int main() {
    memfs_cache::Cache_Service cache{memfs_cache::Storage_Memory()};

    cache.analytics().record_request({.method = "GET",
                                      .target = "/hello?name=x",
                                      .status = 200,
                                      .content_bytes = 5,
                                      .duration_us = 120,
                                      .remote = "203.0.113.7"});

    auto const pulse = cache.analytics().pulse(5).value();
    std::cout << pulse.active_requests << " request, " << pulse.active_visitors << " visitor\n";
}
