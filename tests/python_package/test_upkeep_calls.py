# SPDX-License-Identifier: Apache-2.0
"""What a scheduler calls: purge, rebuild, refresh_due; and holds."""
from __future__ import annotations

from datetime import datetime, timezone

import pytest

from memfs_cache import Cache_Service, Invalid_Argument, Manual_Clock, Not_Found, Storage_Memory

DAY_MS = 86_400_000
BEGIN = 1_770_991_200_000  # 2026-02-13T14:00


def raw_files(storage: Storage_Memory) -> list[str]:
    return [path for path in storage.files_list("cache/analytics/data/raw/")]


def begun_long_ago(events: int) -> tuple[Storage_Memory, Manual_Clock, Cache_Service]:
    storage, clock = Storage_Memory(), Manual_Clock(BEGIN)
    with Cache_Service(storage_fs=storage, clock=clock) as recorder:  # who may still be writing to what would be purged
        for number in range(events):
            recorder.analytics.record({"event_type": "page_view", "path": f"/{number}", "timestamp": BEGIN + number})
    clock.advance(200 * DAY_MS)
    return storage, clock, Cache_Service(storage_fs=storage, clock=clock)


def test_a_purge_deletes_what_its_dry_run_lists_and_the_numbers_stay() -> None:
    storage, _, cache = begun_long_ago(events=3)
    with cache:
        listed = cache.purge(dry_run=True)["analytics"]
        assert raw_files(storage) and set(raw_files(storage)) <= set(listed["objects"])
        assert cache.purge(namespace="analytics", by="ann")["analytics"]["objects"] == listed["objects"]
        assert not raw_files(storage)
        assert cache.analytics.aggregation("daily", "2026-02-13").total_requests == 3
        with pytest.raises(Not_Found, match="purged"):
            cache.analytics.rebuild("30min", "2026-02-13T14:00")


def test_the_policy_of_a_call_takes_the_place_of_that_of_the_service() -> None:
    storage, _, cache = begun_long_ago(events=1)
    with cache:
        cache.purge(raw_days=0)  # for ever
        assert raw_files(storage)
        with pytest.raises(Invalid_Argument, match="raw_days"):
            cache.purge(raw_days=-1)
        cache.purge(raw_days=199)
        assert not raw_files(storage)


def test_a_hold_keeps_its_range_until_it_is_released() -> None:
    storage, _, cache = begun_long_ago(events=1)
    with cache:
        cache.hold("analytics", "court", "a lawyer asked", start=datetime(2026, 2, 13, tzinfo=timezone.utc))
        assert [hold["name"] for hold in cache.holds("analytics")] == ["court"]
        cache.purge()
        assert raw_files(storage)
        assert cache.release_hold("analytics", "court") and not cache.release_hold("analytics", "court")
        cache.purge()
        assert not raw_files(storage)


def test_windows_are_rebuilt_by_range_and_when_late_events_have_overtaken_them() -> None:
    _, _, cache = begun_long_ago(events=2)
    with cache:
        assert cache.analytics.aggregation("daily", "2026-02-13").total_requests == 2
        done = cache.rebuild("analytics", BEGIN, BEGIN + DAY_MS, dry_run=True)
        assert len(done["rebuilt"]) == len(cache.rebuild("analytics", BEGIN, BEGIN + DAY_MS)["rebuilt"]) > 0
        assert cache.refresh_due()["rebuilt"] == 0
        cache.analytics.record({"event_type": "page_view", "path": "/late", "timestamp": BEGIN})
        cache.flush()
        assert cache.refresh_due(limit=100)["rebuilt"] > 0
        assert cache.analytics.aggregation("daily", "2026-02-13").total_requests == 3
        with pytest.raises(Not_Found):
            cache.rebuild("costs", BEGIN, BEGIN + DAY_MS)
