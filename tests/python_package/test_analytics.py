# SPDX-License-Identifier: Apache-2.0
"""Recording and asking through the bindings."""
from __future__ import annotations

import pytest
from conftest import NOON

from memfs_cache import Analytics, Analytics_Event, Cache_Service, Invalid_Argument, Storage_Disk, Storage_Memory, Throttled

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0"


def test_a_request_is_classified_hashed_and_normalised(cache):
    headers = {"User-Agent": FIREFOX, "Referer": "https://news.example.org/a?b", "X-Forwarded-For": "198.51.100.9"}
    event_id = cache.analytics.record_request(
        "GET", "/reports/7?secret=1", 200, 512, 1500, "203.0.113.7", headers,
        content_type="text/html; charset=utf-8", country="PT")
    assert len(event_id) == 16
    day = cache.analytics.aggregation("daily", "2026-02-14")
    assert (day.page_views, day.total_bytes, day.avg_duration_ms, day.unique_visitors) == (1, 512, 1.5, 1)
    assert day.top_paths == {"/reports/7": 1} and day.top_countries == {"PT": 1}
    assert day.top_referrers == {"news.example.org": 1} and day.top_user_agents == {"Firefox on Linux": 1}
    shown = cache.analytics.pulse().recent_events[0]
    assert shown.event_id == event_id
    assert cache.analytics.visitor_hash("203.0.113.7", NOON).startswith(shown.ip_hash)


def test_headers_come_as_servers_have_them(cache):
    as_asgi = [(b"user-agent", FIREFOX.encode()), (b"x-forwarded-for", b"198.51.100.9"), (b"\xff", b"\xff")]
    cache.analytics.record_request("GET", b"/", 200, 0, None, headers=as_asgi, route="/users/{id}")
    cache.analytics.record_request("GET", "/", 200, 0, None, headers=[("User-Agent", FIREFOX)])
    day = cache.analytics.aggregation("daily", "2026-02-14")
    assert day.top_user_agents == {"Firefox on Linux": 2} and day.top_paths == {"/": 1, "/users/{id}": 1}


def test_forwarded_for_counts_from_trusted_proxies_only():
    for proxies, same_client in ((None, True), ("10.0.0.0/8", False), (["192.0.2.1", "10.0.0.0/8"], False)):
        cache = Cache_Service(trusted_proxies=proxies)
        for client in ("198.51.100.1", "198.51.100.2"):
            cache.analytics.record_request("GET", "/", 200, 0, 1, "10.0.0.1", {"X-Forwarded-For": client})
        assert (cache.analytics.pulse().active_visitors == 1) is same_client


def test_a_prepared_event_is_recorded_as_often_as_needed(cache, clock):
    event = Analytics_Event(event_type="page_view", path="/a?b", duration_ms=1.5, ip="203.0.113.7", plan="free")
    ids = {cache.analytics.record(event) for _ in range(3)}
    assert len(ids) == 3 and event.extra == {"plan": "free"}
    clock.advance(60_000)
    assert cache.analytics.pulse(1).active_requests == 0
    assert cache.analytics.pulse(2).active_visitors == 1
    assert cache.analytics.latest("30min").top_paths == {"/a": 3}


def test_record_many_gives_the_ids_in_order(cache):
    events = [{"event_type": "page_view", "event_id": "a"}, Analytics_Event(event_type="page_view", event_id="b")]
    assert cache.analytics.record_many(iter(events)) == ["a", "b"]


def test_no_address_query_or_user_agent_is_in_any_stored_byte(storage, clock):
    with Cache_Service(storage, clock=clock) as cache:
        cache.analytics.record_request("GET", "/a?token=sesame", 200, 1, 1, "203.0.113.7", {"User-Agent": FIREFOX})
        cache.analytics.record({"event_type": "page_view", "ip": "203.0.113.7", "user_agent": FIREFOX, "query": "sesame",
                                "own": {"client_ip": "203.0.113.7", "note": "seen 203.0.113.7"}})
        cache.analytics.aggregation("daily", "2026-02-14")
    stored = b"".join(storage.read(path) or b"" for path in storage.files_list())
    assert b"page_view" in stored
    assert not [word for word in (b"203.0.113.7", b"sesame", b"Gecko") if word in stored]


@pytest.mark.parametrize("recording", ["buffered", "durable", "per_request"])
def test_every_mode_keeps_what_it_recorded(tmp_path, recording):
    with Cache_Service(Storage_Disk(tmp_path), recording=recording) as cache:
        cache.analytics.record({"event_type": "page_view"})
        if recording != "buffered":
            other = Cache_Service(Storage_Disk(tmp_path))
            assert other.analytics.pulse().active_requests == 1
    assert Cache_Service(Storage_Disk(tmp_path)).analytics.pulse().active_requests == 1


def test_recording_can_be_switched_off():
    storage = Storage_Memory()
    cache = Cache_Service(storage, recording="off")
    assert cache.analytics.record({"event_type": "page_view"}) == ""
    assert cache.analytics.record_request("GET", "/", 200, 0, 1) == ""
    cache.close()
    assert storage.files_list() == []


def test_options_reach_what_they_are_for(clock):
    cache = Cache_Service(clock=clock, visitor_key="none", keep_country=False, exclude_paths=["/health", "/static/*"],
                          grace_ms=1000, salt_period="week", share_url_base="https://files.example/t/")
    for path in ("/health", "/static/a.css", "/seen"):
        cache.analytics.record_request("GET", path, 200, 0, 1, "203.0.113.7", country="PT")
    day = cache.analytics.aggregation("daily", "2026-02-14")
    assert (day.top_paths, day.unique_visitors, day.top_countries) == ({"/seen": 1}, 0, {})
    assert day.unique_visitors_period == "week"
    clock.advance(30 * 60_000 + 1001)
    assert cache.analytics.aggregation("30min", "2026-02-14T11:00").final
    assert cache.tokens.create("a", 1).share_url == "https://files.example/t/a"


def test_a_full_buffer_refuses_the_newest_and_says_so(tmp_path):
    storage = Storage_Disk(tmp_path / "store")
    cache = Cache_Service(storage, buffer_bytes=1, flush_interval_ms=3_600_000)
    cache.analytics.prepare()
    cache.analytics.record({"event_type": "page_view"})
    with pytest.raises(Throttled, match="buffer"):
        for _ in range(1000):
            cache.analytics.record({"event_type": "page_view"})
    assert cache.health()["namespaces"]["analytics"]["dropped"] == 1


def test_namespaces_are_apart(cache):
    cache.analytics("site-x").record({"event_type": "page_view"})
    assert cache.analytics.pulse().active_requests == 0
    assert cache.compute_aggregation("site-x", "daily", "2026-02-14").total_requests == 1
    cache.tokens("beta").create("a", 1)
    assert cache.tokens.lookup("a") is None
    assert cache.namespaces() == ["analytics", "beta", "site-x", "tokens"]
    assert Cache_Service.NS_ANALYTICS == "analytics" and Cache_Service.NS_TOKENS == "tokens"
    with pytest.raises(Invalid_Argument, match="another kind"):
        cache.add_namespace("beta", Analytics)
    with pytest.raises(TypeError, match="Tokens"):
        cache.add_namespace("gamma", dict)


def test_a_deleted_window_is_rebuilt_with_the_same_answer(cache):
    cache.analytics.record({"event_type": "page_view", "path": "/"})
    before = cache.analytics.aggregation("daily", "2026-02-14")
    assert cache.analytics.rebuild("daily", "2026-02-14").to_dict() == before.to_dict()
