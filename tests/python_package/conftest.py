# SPDX-License-Identifier: Apache-2.0
"""What the tests of the installed package share."""
from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from memfs_cache import Cache_Service, Manual_Clock, Storage, Storage_Disk, Storage_Memory

ROOT = Path(__file__).resolve().parents[2]
NOON = 1_771_066_800_000  # 2026-02-14T11:00:00Z

# Hypothesis prints what reproduces a failure; MEMFS_CACHE_TEST_ROUNDS asks for more than the quick run.
settings.register_profile("quick", max_examples=100 * int(os.environ.get("MEMFS_CACHE_TEST_ROUNDS", "1")),
                          deadline=None, database=None, print_blob=True,
                          suppress_health_check=[HealthCheck.function_scoped_fixture])
settings.load_profile("quick")


@pytest.fixture(params=["memory", "disk"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    return Storage_Memory() if request.param == "memory" else Storage_Disk(tmp_path / "store")


@pytest.fixture
def clock() -> Manual_Clock:
    return Manual_Clock(NOON)


@pytest.fixture
def cache(storage: Storage, clock: Manual_Clock) -> Iterator[Cache_Service]:
    with Cache_Service(storage_fs=storage, clock=clock) as cache:
        yield cache
