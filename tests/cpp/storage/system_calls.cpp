// SPDX-License-Identifier: Apache-2.0
// Each test program needs definitions of its own that come before the C library's.
#include "support/system_calls.cpp" // NOLINT(bugprone-suspicious-include)
