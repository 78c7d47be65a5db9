// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memfs_cache/core/error.hpp>

#include <doctest/doctest.h>

#include <string>

/// Boost's operator<< for result is unconstrained and would be chosen by doctest; this shows the Error in words.
template <class T>
struct doctest::StringMaker<memfs_cache::Result<T>> {
    static auto convert(memfs_cache::Result<T> const& result) -> doctest::String {
        if (result.has_value())
            return "value";
        return ("error " + result.error().message()).c_str();
    }
};

template <>
struct doctest::StringMaker<memfs_cache::Errc> {
    static auto convert(memfs_cache::Errc code) -> doctest::String {
        return std::string(memfs_cache::info(code).name).c_str();
    }
};
