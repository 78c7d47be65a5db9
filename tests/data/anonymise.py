#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Replaces every client address of an access log, consistently, by an address that nobody can own.

    python3 anonymise.py < apache_access.log > apache_access_anonymised.log

The n-th distinct address of the log becomes the n-th address of 198.18.0.0/15 (RFC 2544, benchmarks), also where it
stands inside a path, a referrer or a user agent. Nothing else changes: not the order, not a damaged line, not a size.
The same input gives the same bytes.
"""
import ipaddress
import re
import sys

# A dotted quad that is an address: it follows the start of the line, a space, a quote, '=', '//' and the like, and is
# not a part of a longer dotted number. "Firefox/2.0.0.4" and "rv:1.9.0.14" are versions and stay.
QUAD = re.compile(rb"(?:(?<![\w.\-/:])|(?<=//))\d{1,3}(?:\.\d{1,3}){3}(?![\w.]*\d)")
FIRST = ipaddress.ip_address("198.18.0.0")


class Aliases:
    """Address -> its replacement, in order of first use."""

    def __init__(self) -> None:
        self.known_: dict[bytes, bytes] = {}

    def of(self, match: "re.Match[bytes]") -> bytes:
        address = match.group()
        try:
            ipaddress.IPv4Address(address.decode())
        except ValueError:
            return address
        return self.known_.setdefault(address, str(FIRST + len(self.known_) + 1).encode())


def anonymise(lines):
    """Yields each line with its addresses replaced."""
    aliases = Aliases()
    for line in lines:
        yield QUAD.sub(aliases.of, line)


if __name__ == "__main__":
    sys.stdout.buffer.writelines(anonymise(sys.stdin.buffer))
