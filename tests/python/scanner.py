# SPDX-License-Identifier: Apache-2.0
"""Finds what must never be stored or shown, however it is spelt."""
from __future__ import annotations

import base64
import ipaddress
import re
from collections import defaultdict
from typing import Iterable

from generate_log import spellings
from harness import RAW, SALTS

SHORTEST = 4
Needles = defaultdict[bytes, defaultdict[int, set[bytes]]]
HEX_DIGITS = b"0123456789abcdef"
# A checksum is eight arbitrary hex digits, as is a packed IPv4 address: among many lines some are equal by chance.
CHECKSUM = re.compile(rb'"crc32c":"[0-9a-f]{8}"')


class Scanner:
    """A set of forbidden byte strings, and a look at every position of a text for all of them at once."""

    def __init__(self, addresses: Iterable[str] = (), secrets: Iterable[str] = (), agents: Iterable[str] = ()) -> None:
        # first bytes -> length -> needles; the first in lower case
        self.any_case_: Needles = defaultdict(lambda: defaultdict(set))
        self.exact_: Needles = defaultdict(lambda: defaultdict(set))
        self.hex_words_: set[bytes] = set()  # needles that count only as a whole hex number
        for address in set(addresses):
            self.forbid_address_(ipaddress.ip_address(address))
        for text in {*secrets, *(agent for agent in agents if len(agent) > 20)}:
            self.forbid_(text.encode())

    def forbid_(self, needle: bytes, exact: bool = False) -> None:
        needle = needle if exact else needle.lower()
        assert len(needle) >= SHORTEST, f"{needle!r} is too short to be searched for"
        (self.exact_ if exact else self.any_case_)[needle[:SHORTEST]][len(needle)].add(needle)

    def forbid_address_(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
        forms = [address]
        mapped = getattr(address, "ipv4_mapped", None)
        if mapped:
            forms.append(mapped)
        if address.version == 4:
            forms.append(ipaddress.IPv6Address(f"::ffff:{address}"))
        for form in forms:
            for spelt in spellings(str(form)):
                self.forbid_(spelt.encode())
            self.forbid_(form.packed.hex().encode())
            if form.version == 4:
                self.hex_words_.add(form.packed.hex().encode())
            self.forbid_(form.packed, exact=True)
            for encode in (base64.b64encode, base64.urlsafe_b64encode):
                self.forbid_(encode(form.packed), exact=True)

    def found(self, text: bytes) -> list[bytes]:
        """Every forbidden string in a text."""
        text = CHECKSUM.sub(b"", text)
        hits = set()
        for haystack, needles in ((text.lower(), self.any_case_), (text, self.exact_)):
            for at in range(len(haystack) - SHORTEST + 1):
                begin = haystack[at:at + SHORTEST]
                if begin in needles:
                    for size, candidates in needles[begin].items():
                        word = haystack[at:at + size]
                        if word in candidates and not (word in self.hex_words_ and self.inside_hex_(haystack, at, size)):
                            hits.add(word)
        return sorted(hits)

    @staticmethod
    def inside_hex_(text: bytes, at: int, size: int) -> bool:
        before, after = text[at - 1:at] if at else b"", text[at + size:at + size + 1]
        return (before != b"" and before in HEX_DIGITS) or (after != b"" and after in HEX_DIGITS)


def assert_nothing_found(scanner: Scanner, places: dict[str, bytes]) -> None:
    """No forbidden string, and no day's salt outside of the salt files, in any place or name of a place."""
    salts = {word.encode() for name, text in places.items() if SALTS in name
             for word in re.findall(r"[0-9A-Za-z+/_=-]{16,}", text.decode())}
    assert salts or not any(RAW in name for name in places), "where are the salts?"
    for name, text in places.items():
        hits = scanner.found(name.encode()) + scanner.found(text)
        if SALTS not in name:
            hits += [b"a salt" for salt in salts if salt in text]
        assert not hits, f"{name} holds {hits[:5]}"
