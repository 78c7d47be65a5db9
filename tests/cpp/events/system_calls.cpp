// SPDX-License-Identifier: Apache-2.0
// Each test program that watches its system calls needs them.
#include "support/system_calls.cpp" // NOLINT(bugprone-suspicious-include)
