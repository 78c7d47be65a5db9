// SPDX-License-Identifier: Apache-2.0
#include "support/analytics_site.hpp"
#include "support/printers.hpp"

#include <doctest/doctest.h>

using namespace memfs_cache;
using namespace memfs_cache::testing;

template class memfs_cache::Analytics<Watched_Memory>;
