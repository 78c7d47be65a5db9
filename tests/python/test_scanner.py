# SPDX-License-Identifier: Apache-2.0
"""The scanner finds what was planted: only then does an empty result mean something."""
from __future__ import annotations

import base64
import ipaddress

import pytest

from generate_log import spellings
from harness import SALTS
from scanner import Scanner, assert_nothing_found

LONG_AGENT = "Mozilla/5.0 (X11; Secretive; U; Build/QWZ-77) Netscape/9.9 (like nothing else)"
ADDRESSES = ["198.18.7.9", "2001:db8:0:ab::c0de", "::ffff:198.18.7.10"]


@pytest.mark.parametrize("address", ADDRESSES)
def test_the_scanner_finds_an_address_in_every_spelling(address):
    parsed = ipaddress.ip_address(address)
    scanner = Scanner(addresses=[address])
    planted = {*spellings(str(parsed)), parsed.compressed, parsed.exploded, parsed.exploded.upper(), str(parsed).upper(),
               parsed.packed.hex(), parsed.packed.hex().upper(), base64.b64encode(parsed.packed).decode(),
               base64.urlsafe_b64encode(parsed.packed).decode()}
    for text in planted:
        assert scanner.found(f'{{"path":"/a","x":"{text}"}}'.encode()), text
    assert scanner.found(b"\x00" + parsed.packed + b"\x01")
    assert not scanner.found(b'{"ip_hash":"00112233445566ff","path":"/198.18.7","t":1424217900000}')


def test_the_scanner_finds_mapped_and_bare_forms_of_each_other():
    assert Scanner(addresses=["::ffff:198.18.7.10"]).found(b"from 198.18.7.10.")
    assert Scanner(addresses=["198.18.7.10"]).found(b"from 0:0:0:0:0:FFFF:C612:70A")


def test_the_scanner_is_not_misled_by_hashes_that_hold_the_digits():
    scanner = Scanner(addresses=["198.18.7.9"])
    packed = "c6120709"
    assert scanner.found(f'"{packed}"'.encode())
    assert not scanner.found(f'"ip_hash":"12{packed}345678"'.encode())
    assert not scanner.found(f'{{"a":1,"crc32c":"{packed}"}}'.encode())
    assert scanner.found(f'{{"a":"{packed}","crc32c":"{packed}"}}'.encode())


def test_the_scanner_finds_secrets_and_long_agents_at_both_ends_and_in_any_case():
    scanner = Scanner(secrets=["S3cr3tabc"], agents=["curl/8.4.0", LONG_AGENT])
    for text in ("S3cr3tabc", "xx s3CR3TABC", "S3cr3tabc yy", LONG_AGENT, LONG_AGENT.lower()):
        assert scanner.found(text.encode()), text
    assert not scanner.found(b"S3cr3tab curl/8.4.0 " + LONG_AGENT[:-1].encode())


def test_a_salt_outside_of_its_file_is_noticed():
    salt = b'{"v":1,"salt":"00112233445566778899aabbccddeeff"}'
    places = {f"{SALTS}/2024-01-01.json": salt, "cache/analytics/data/x.json": b"{}"}
    assert_nothing_found(Scanner(), places)
    with pytest.raises(AssertionError, match="a salt"):
        assert_nothing_found(Scanner(), places | {"output 1": b"salt 00112233445566778899aabbccddeeff"})
