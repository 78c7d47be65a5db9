# SPDX-License-Identifier: Apache-2.0
"""What goes in and out: wrong values are refused with a sentence that says what to give, right ones come back whole."""
from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone

import pytest
from conftest import NOON, ROOT, Conditional_Files
from hypothesis import given
from hypothesis import strategies as st

import memfs_cache
from memfs_cache import (
    Analytics_Event,
    Cache_Error,
    Cache_Hash,
    Cache_Service,
    Closed,
    Invalid_Argument,
    Manual_Clock,
    Not_Found,
    Permission_Denied,
    Pulse,
    Storage_Disk,
    Storage_Memory,
    Storage_Python,
    Storage_Sqlite,
    open_storage,
)


def test_the_error_classes_are_those_of_the_table_in_the_code():
    rows = re.findall(r"^\| `(\w+)` .*?`(\w+)`", (ROOT / "docs" / "errors.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(rows) == 15
    for code, name in rows:
        error = getattr(memfs_cache, name)
        assert issubclass(error, Cache_Error) and error.code == code
        assert str(error("key: why")) == error("key: why").context == "key: why"


@pytest.mark.parametrize(("error", "builtin"), [
    ("Invalid_Argument", ValueError), ("Not_Found", KeyError), ("Permission_Denied", PermissionError),
    ("Unavailable", ConnectionError), ("Timed_Out", TimeoutError)])
def test_errors_are_also_what_python_calls_them(error, builtin):
    assert issubclass(getattr(memfs_cache, error), builtin)


HUGE = 10**30
NAIVE = datetime(2026, 2, 14)
ZONED = datetime(2026, 2, 14, 12, tzinfo=timezone(timedelta(hours=1)))


@pytest.mark.parametrize(("call", "says"), [
    (lambda cache: cache.analytics.pulse(0), "give 1 to 1440"),
    (lambda cache: cache.analytics.pulse(HUGE), "64 bits"),
    (lambda cache: cache.analytics.pulse(-HUGE), "64 bits"),
    (lambda cache: cache.analytics.aggregation("daily", "tomorrow"), "2026-02-13"),
    (lambda cache: cache.analytics.aggregation("fortnightly", "2026-02-13"), "daily"),
    (lambda cache: cache.analytics.record({"event_type": "page_view", "timestamp": NAIVE}), "tzinfo"),
    (lambda cache: cache.analytics.record({"event_type": "page_view", "timestamp": HUGE}), "64 bits"),
    (lambda cache: cache.analytics.record({"event_type": "page_view", "path": "\udc80"}), "surrogate"),
    (lambda cache: cache.analytics.record({"event_type": "page_view", "duration_ms": float("nan")}), "NaN"),
    (lambda cache: cache.analytics.record({"event_type": 5}), "event_type.*text"),
    (lambda cache: cache.analytics.record({}), "event_type"),
    (lambda cache: cache.analytics.record_request("GET", "/", 200, -1, 0), "content_bytes: give 0 or more"),
    (lambda cache: cache.analytics("../x"), "namespace"),
    (lambda cache: cache.tokens.create("a b", 1), "token_name"),
    (lambda cache: cache.tokens.create("a", -1), "limit: give 0 or more"),
    (lambda cache: cache.tokens.create("a", 1, expires_at=NAIVE), "tzinfo"),
    (lambda cache: cache.tokens.create("a", 1, metadata={"x": HUGE}), "64 bits"),
    (lambda cache: cache.tokens.events("a", 0), "limit"),
    (lambda cache: cache.entries.store("ns", "sideways", "x"), "temporal_latest"),
    (lambda cache: cache.entries.store("ns", "direct", ""), r"\w"),
    (lambda cache: cache.entries.retrieve("ns", "no-uuid"), r"\w"),
    (lambda cache: cache.entries.exists("ns"), "either"),
    (lambda cache: cache.storage_fs.read("../secret"), r"\w"),
    (lambda cache: cache.storage_fs.read("a\udc80"), "surrogate"),
    (lambda cache: cache.write_temporal("ns", None, {"a": 1}, "a.txt"), r"\.json"),
    (lambda _: Manual_Clock(-1), "1970"),
    (lambda _: Manual_Clock(NAIVE), "tzinfo"),
    (lambda _: Cache_Hash("sha1"), "sha256"),
    (lambda _: Cache_Hash(length=9), "10"),
    (lambda _: Cache_Service(recording="sometimes"), "buffered"),
    (lambda _: Cache_Service(visitor_key="name"), "ip_ua"),
    (lambda _: Cache_Service(flush_interval_ms=0), "flush_interval_ms"),
    (lambda _: Cache_Service(trusted_proxies=["10.0.0.0/8", "nobody"]), "2"),
    (lambda _: open_storage("ftp://x"), "disk:PATH"),
])
def test_a_wrong_value_is_refused_with_what_to_give(cache, call, says):
    with pytest.raises(Invalid_Argument, match=says):
        call(cache)


@pytest.mark.parametrize("call", [
    lambda cache: cache.analytics.record(["page_view"]),
    lambda cache: cache.analytics.record({"event_type": "x", "own": object()}),
    lambda cache: cache.analytics.record({1: "x"}),
    lambda cache: cache.analytics.pulse("5"),
    lambda cache: cache.analytics.pulse(True),
    lambda cache: cache.analytics.pulse(5.0),
    lambda cache: cache.tokens.create(b"name", 1),
    lambda cache: cache.tokens.create("a", 1, expires_at="tomorrow"),
    lambda cache: cache.entries.store("ns", "direct", 5),
    lambda cache: cache.storage_fs.write("a", "text"),
    lambda _: Cache_Service(storage_fs="disk:./data"),
    lambda _: Cache_Service(clock=lambda: 0),
    lambda _: Cache_Service(colour="red"),
    lambda _: Manual_Clock("now"),
])
def test_a_wrong_type_is_a_type_error(cache, call):
    with pytest.raises(TypeError, match=r"\w"):
        call(cache)


def test_a_closed_service_records_nothing_more_and_still_answers(cache):
    cache.analytics.record({"event_type": "page_view"})
    cache.close()
    with pytest.raises(Closed, match="open"):
        cache.analytics.record({"event_type": "page_view"})
    with pytest.raises(Closed):
        cache.analytics("another")
    assert cache.analytics.pulse().active_requests == 1
    cache.close()


def test_a_dead_storage_costs_no_recording_and_is_shown():
    files = Conditional_Files()
    cache = Cache_Service(storage_fs=Storage_Python(files), flush_interval_ms=1)
    cache.analytics.prepare()
    files.breaks = PermissionError("the disk is gone")
    assert cache.analytics.record_request("GET", "/", 200, 0, 1, "203.0.113.7")
    assert cache.analytics.record({"event_type": "page_view"})
    with pytest.raises(Permission_Denied, match="the disk is gone"):
        cache.flush()
    assert cache.health()["status"] == "degraded"
    with pytest.raises(Permission_Denied):
        cache.tokens.use("anybody")
    files.breaks = None
    cache.flush()
    assert cache.analytics.pulse().active_requests == 2
    assert cache.health()["namespaces"]["analytics"]["dropped"] == 0


def test_times_are_milliseconds_or_datetimes_with_a_zone(clock, cache):
    assert Manual_Clock(ZONED).now() == NOON
    by_number = Analytics_Event(event_type="page_view", timestamp=NOON)
    by_datetime = Analytics_Event(event_type="page_view", timestamp=ZONED)
    assert by_number.timestamp == by_datetime.timestamp == NOON
    clock.set(ZONED + timedelta(microseconds=1999))
    assert clock.now() == NOON + 1
    clock.advance(-1)
    assert clock.now() == NOON
    cache.analytics.record({"event_type": "page_view", "timestamp": ZONED - timedelta(minutes=4)})
    assert cache.analytics.pulse(5).active_requests == 1
    assert cache.analytics.pulse(3).active_requests == 0


@given(st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)) | st.lists(st.text(), max_size=3)))
def test_an_event_of_anything_is_recorded_or_refused_as_documented(fields):
    cache = Cache_Service(visitor_key="none")
    try:
        cache.analytics.record(fields)
    except (Cache_Error, TypeError):
        assert cache.analytics.pulse().active_requests == 0
    else:
        assert cache.analytics.pulse().active_requests == 1


@given(st.text(st.characters(codec=None)), st.text(st.characters(codec=None)), st.integers(), st.integers(min_value=0, max_value=2**63 - 1))
def test_a_request_of_anything_is_recorded_or_refused_as_documented(method, target, status, size):
    cache = Cache_Service(visitor_key="none")
    try:
        cache.analytics.record_request(method, target, status, size, None, remote=target, headers={"User-Agent": "x"})
    except (Cache_Error, TypeError):
        pass
    assert cache.analytics.pulse().active_requests <= 1


def test_answers_are_values_with_attributes_and_go_to_dict_and_back(cache):
    cache.analytics.record({"event_type": "page_view", "path": "/", "country": "PT"})
    pulse = cache.analytics.pulse()
    assert pulse.recent_events[0].path == "/"
    assert Pulse.from_dict(json.loads(json.dumps(pulse.to_dict()))) == pulse
    day = cache.analytics.aggregation("daily", "2026-02-14")
    assert (day.total_requests, day.top_countries, day.final) == (1, {"PT": 1}, False)
    assert type(day).from_dict(day.to_dict()) == day
    assert "total_requests=1" in repr(day)


def test_everything_says_what_it_is(tmp_path, cache):
    assert repr(Storage_Memory()) == "Storage_Memory()"
    assert repr(Storage_Disk(tmp_path)) == f"Storage_Disk({str(tmp_path)!r})"
    assert repr(Storage_Sqlite(tmp_path / "a.db")) == f"Storage_Sqlite({str(tmp_path / 'a.db')!r})"
    assert repr(Manual_Clock(NOON)) == f"Manual_Clock({NOON})"
    assert repr(Cache_Service()) == "Cache_Service(storage_fs=Storage_Memory(), root_prefix='cache')"
    assert repr(Analytics_Event(event_type="x", path="/")) == "Analytics_Event(event_type='x', path='/', status_code=0)"
    assert "analytics" in repr(cache.analytics) and "tokens" in repr(cache.tokens)


def test_a_url_with_credentials_is_refused_and_never_repeated():
    with pytest.raises(Invalid_Argument) as raised:
        open_storage("s3://KEYID:hush@bucket/prefix")
    assert "hush" not in str(raised.value) and "KEYID" not in str(raised.value)


@pytest.mark.parametrize("url", ["memory:", "disk:{}/files", "sqlite:{}/files.db"])
def test_a_storage_is_files_with_words_of_everyday(tmp_path, url):
    storage = open_storage(url.format(tmp_path))
    storage.write("a/b.txt", b"one")
    storage.write("a/b.txt", memoryview(b"two"))
    storage.write("a/c", bytearray(b""))
    assert (storage.read("a/b.txt"), storage.read("a/c"), storage.read("a/d")) == (b"two", b"", None)
    assert storage.files_list() == ["a/b.txt", "a/c"] and storage.files_list("a/c") == ["a/c"]
    assert storage.exists("a/c") and not storage.exists("a")
    assert storage.delete("a/c") and not storage.delete("a/c")
    counts = storage.counters()
    assert (counts["writes"], counts["bytes_written"], counts["deletes"]) == (3, 6, 2)


def test_a_url_opens_the_storage_that_it_names(tmp_path):
    assert isinstance(open_storage("memory:"), Storage_Memory)
    disk = open_storage(f"disk:{tmp_path}")
    assert isinstance(disk, Storage_Disk)
    disk.write("a", b"1")
    assert (tmp_path / "a").read_bytes() == b"1"
    assert isinstance(open_storage(f"sqlite:{tmp_path / 'files.db'}"), Storage_Sqlite)


def test_an_unknown_token_is_a_key_that_is_not_there(cache):
    with pytest.raises(KeyError) as raised:
        cache.tokens.revoke("nobody")
    assert isinstance(raised.value, Not_Found) and "no such token" in str(raised.value)
