# SPDX-License-Identifier: Apache-2.0
# The dashboard, src/admin_ui, as a source file of the library: ${memfs_cache_page_source}. Made again when a source of it
# changes; its packages are fetched, into the build tree, when the lock file does. Without Node.js it holds nothing, and
# the server says so.
set(page_folder ${CMAKE_CURRENT_BINARY_DIR}/admin_page)
set(memfs_cache_page_source ${page_folder}/page_files.cpp)
if(MEMFS_CACHE_ADMIN_PAGE)
    find_program(MEMFS_CACHE_NODE node)
    find_program(MEMFS_CACHE_NPM npm)
endif()
if(MEMFS_CACHE_ADMIN_PAGE AND MEMFS_CACHE_NODE AND MEMFS_CACHE_NPM)
    set(page ${CMAKE_CURRENT_SOURCE_DIR}/src/admin_ui)
    file(GLOB_RECURSE page_sources CONFIGURE_DEPENDS ${page}/src/*.js ${page}/src/*.css)
    set(packages ${page_folder}/node_modules/.package-lock.json)
    add_custom_command(OUTPUT ${packages}
        COMMAND ${CMAKE_COMMAND} -E copy ${page}/package.json ${page}/package-lock.json ${page_folder}
        COMMAND ${MEMFS_CACHE_NPM} ci --ignore-scripts --no-audit --no-fund --silent
        COMMAND ${CMAKE_COMMAND} -E touch ${packages}
        DEPENDS ${page}/package.json ${page}/package-lock.json
        WORKING_DIRECTORY ${page_folder}
        COMMENT "Fetching the packages of the dashboard (-DMEMFS_CACHE_ADMIN_PAGE=OFF builds without it)"
        VERBATIM)
    add_custom_command(OUTPUT ${memfs_cache_page_source}
        COMMAND ${MEMFS_CACHE_NODE} ${page}/build.mjs ${page_folder}
        DEPENDS ${packages} ${page}/build.mjs ${page}/index.html ${page_sources}
        COMMENT "Bundling the dashboard"
        VERBATIM)
    file(MAKE_DIRECTORY ${page_folder})
else()
    message(STATUS "Built without the dashboard, for want of node or npm, or by MEMFS_CACHE_ADMIN_PAGE=OFF")
    file(CONFIGURE OUTPUT ${memfs_cache_page_source} @ONLY CONTENT [[
#include <memfs_cache/http/admin_page.hpp>

auto memfs_cache::built_page_files() noexcept -> std::span<Page_File const> { return {}; }
]])
endif()
