// SPDX-License-Identifier: Apache-2.0
#include "convert.hpp"
#include <memfs_cache/version.hpp>

PYBIND11_MODULE(_core, module) {
    using namespace memfs_cache::python;
    module.doc() = "The compiled part of memfs_cache; import memfs_cache instead.";
    module.attr("__version__") = std::string(memfs_cache::version);
    translate_errors();
    register_fork_gate();
    register_values(module);
    register_storage(module);
    register_service(module);
    register_http(module);
}
