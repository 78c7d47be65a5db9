# SPDX-License-Identifier: Apache-2.0
"""The summaries at sizes where their bounds bind: what a program of the library says of a million visitors and a million
names is compared with an exact recount here. Both make the same streams, by the formulas of `splitmix64` and `name`."""
from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from sketches import MASK, estimate, registers, registers_text, spread

MILLION = 1_000_000
PROGRAM = Path(os.environ.get("MEMFS_CACHE_BINARY_DIR", "build/release")) / "tests" / "memfs_cache_print_sketches"
KEPT = 4_096


def splitmix64(i: int) -> int:
    return spread((i + 1) * 0x9E3779B97F4A7C15 & MASK)


def name(kind: str, i: int) -> str:
    if kind == "flat":
        return f"/page/{i * 7_919 % MILLION}"
    number = splitmix64(i)
    return f"/page/{(number >> 8) % (2 << number % 20)}"


@pytest.fixture(scope="module")
def said() -> list[dict]:
    run = subprocess.run([PROGRAM], capture_output=True, check=True, timeout=60)
    return [json.loads(line) for line in run.stdout.splitlines()]


def test_a_million_visitors_in_overlapping_parts_have_the_registers_and_the_count_of_one_pass_elsewhere(said):
    held = registers(map(splitmix64, range(MILLION)))
    assert said[0] == {"count": estimate(held), "text": registers_text(held)}
    assert abs(said[0]["count"] / MILLION - 1) < 3 * 0.0081


@pytest.mark.parametrize("kind", ["flat", "heavy"])
def test_a_million_names_are_counted_within_the_stated_error_by_the_canonical_way_and_by_a_tree(said, kind):
    exact = Counter(name(kind, i) for i in range(MILLION))
    in_order, again, as_a_tree = said[1:4] if kind == "flat" else said[4:7]
    assert in_order == again
    for summary in (in_order, as_a_tree):
        assert summary["total"] == MILLION == sum(summary["names"].values()) + summary["other"]
        assert 0 < summary["error"] <= MILLION / (KEPT + 1)
        assert len(summary["names"]) <= KEPT
        for path, count in summary["names"].items():
            assert count <= exact[path] <= count + summary["error"]
        lost = [path for path, count in exact.items() if count > summary["error"] and path not in summary["names"]]
        assert not lost
        assert summary["distinct"] == in_order["distinct"]
        assert abs(summary["distinct"] / len(exact) - 1) < 4 * 0.0081
        assert summary["distinct_error_ppm"] == 8_100
    if kind == "heavy":  # the largest are found, and in their order as far as the error tells them apart
        largest = [path for path, _ in exact.most_common(20)]
        assert set(largest) <= set(list(in_order["names"])[:30])
