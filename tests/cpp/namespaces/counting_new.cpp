// SPDX-License-Identifier: Apache-2.0
// Each test program needs an operator new of its own.
#include "events/counting_new.cpp" // NOLINT(bugprone-suspicious-include)
