# SPDX-License-Identifier: Apache-2.0
"""The example tests of the original plan, in its own names."""
from memfs_cache import Cache_Service, Storage_Memory


def test_a_token_is_created_and_looked_up_by_its_hash():
    cache = Cache_Service(storage_fs=Storage_Memory())
    cache_id = cache.create_cache_entry("tokens", "community-x")
    cache_hash = cache.resolve_cache_hash("community-x")
    assert cache.lookup_by_hash("tokens", cache_hash) == cache_id
    assert cache.lookup_by_hash("tokens", cache_hash, "community-x") == cache_id
    assert cache.lookup_by_hash("tokens", cache.resolve_cache_hash("community-y")) is None
    assert cache.create_cache_entry("tokens", "community-x") == cache_id


def test_a_recorded_event_is_one_file_below_raw():
    storage = Storage_Memory()
    cache = Cache_Service(storage_fs=storage)
    cache.record_analytics_event({"event_type": "page_view", "path": "/", "status_code": 200, "duration_ms": 12})
    cache.flush()
    assert len(storage.files_list("cache/analytics/data/raw/")) == 1


def test_ten_events_are_ten_active_requests():
    cache = Cache_Service(storage_fs=Storage_Memory())
    for number in range(10):
        cache.record_analytics_event({"event_type": "page_view", "path": f"/page/{number}"})
    assert cache.compute_pulse(window_minutes=5).active_requests == 10


def test_a_token_of_limit_ten_takes_ten_uses():
    cache = Cache_Service(storage_fs=Storage_Memory())
    cache.create_token("community-x", limit=10)
    assert [cache.use_token("community-x").success for _ in range(3)] == [True] * 3
    token = cache.lookup_token("Community-X")
    assert token is not None and token.usage_count == 3
    assert [cache.use_token("community-x").success for _ in range(7)] == [True] * 7
    refused = cache.use_token("community-x")
    assert (refused.success, refused.rejection_reason) == (False, "exhausted")
