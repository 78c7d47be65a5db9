# SPDX-License-Identifier: Apache-2.0
"""Transfers through the command and the admin routes, against a recount of the events in plain Python."""
from __future__ import annotations

import json
import random
import shutil
from collections import Counter, defaultdict
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

import pytest

from harness import Store

FIRST = datetime(2024, 1, 28, tzinfo=timezone.utc)  # with the leap day
DAYS = 35
STORED_AS = {"created": "transfer_created", "upload_completed": "file_upload", "viewed": "transfer_viewed",
             "downloaded": "file_download"}
NUMBER_OF = {"created": "created", "upload_completed": "uploads", "viewed": "views", "downloaded": "downloads"}


class Event(NamedTuple):
    timestamp: int
    event_id: str
    transfer_id: str
    act: str
    country: str
    ip_hash: str
    content_bytes: int

    @property
    def time(self) -> datetime:
        return datetime.fromtimestamp(self.timestamp / 1000, timezone.utc)

    def stored(self) -> dict:
        fields = {"event_id": self.event_id, "event_type": STORED_AS[self.act], "timestamp": self.timestamp,
                  "ip_hash": self.ip_hash, "country": self.country, "content_bytes": self.content_bytes,
                  "transfer_id": self.transfer_id}
        return {name: value for name, value in fields.items() if value}

    def shown(self) -> dict:
        return {"timestamp": self.timestamp, "event_id": self.event_id, "event_type": self.act, "country": self.country,
                "ip_hash": self.ip_hash[:8], "content_bytes": self.content_bytes}


def random_events(seed: int, count: int) -> list[Event]:
    chance = random.Random(seed)
    begin = int(FIRST.timestamp() * 1000)
    times = sorted(begin + chance.randrange(DAYS * 86_400_000) for _ in range(count))
    return [Event(time, f"{number:016x}", f"t{chance.randrange(6) * chance.randrange(3)}", chance.choice(list(STORED_AS)),
                  chance.choice(["", "GB", "PT", "BR"]), chance.choice(["", *(f"{who:016x}" for who in range(1, 8))]),
                  chance.randrange(5000)) for number, time in enumerate(times)]


def write(store: Store, events: list[Event], noise: int = 0) -> None:
    """As tools do that store one file an event, among requests that are of no transfer."""
    requests = [({"event_id": f"{number + 2**32:016x}", "event_type": "page_view", "timestamp": event.timestamp, "path": "/"},
                 event.timestamp) for number, event in enumerate(events[:noise])]
    for fields, timestamp in [*((event.stored(), event.timestamp) for event in events), *requests]:
        time = datetime.fromtimestamp(timestamp / 1000, timezone.utc)
        folder = store.folder / "cache/analytics/data/raw" / time.strftime("%Y/%m/%d/%H")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{timestamp}__{fields['event_id']}.json").write_text(json.dumps(fields), encoding="utf-8")


def transfers(store: Store, *words: str, exit_code: int = 0) -> list[dict]:
    """What `memfs-cache transfers` prints, one object a line."""
    finished = store.command.run("transfers", *words, "--storage", store.url, "--json")
    assert finished.exit_code == exit_code, finished.err.decode(errors="replace")
    return [json.loads(line) for line in finished.out.splitlines()]


def sums(events: list[Event]) -> dict[str, int]:
    of_acts = Counter(NUMBER_OF[event.act] for event in events)
    return {"events": len(events), **{name: of_acts[name] for name in ("views", "downloads", "uploads", "created")},
            "bytes": sum(event.content_bytes for event in events)}


def by_transfer(events: list[Event]) -> dict[str, list[Event]]:
    found = defaultdict(list)
    for event in events:
        found[event.transfer_id].append(event)
    return found


def rows(events: list[Event]) -> list[dict]:
    """What a window tells of each transfer, the most active first."""
    found = []
    for transfer_id, of_it in sorted(by_transfer(events).items(), key=lambda one: (-len(one[1]), one[0])):
        found.append({"transfer_id": transfer_id, **sums(of_it), "first_activity_at": of_it[0].timestamp,
                      "last_activity_at": of_it[-1].timestamp, "unique_downloaders_error": 0,
                      "unique_downloaders": len({event.ip_hash for event in of_it if event.act == "downloaded" and event.ip_hash})})
    return found


def check_summary(told: dict, of_it: list[Event]) -> None:
    downloads = [event for event in of_it if event.act == "downloaded"]
    countries = Counter(event.country for event in downloads if event.country)
    number = sums(of_it)
    assert (told["total_events"], told["total_views"], told["total_downloads"], told["total_uploads"], told["total_bytes"]) == \
        (number["events"], number["views"], number["downloads"], number["uploads"], number["bytes"])
    assert told["created_at"] == min((event.timestamp for event in of_it if event.act == "created"), default=0)
    assert (told["first_activity_at"], told["last_activity_at"]) == (of_it[0].timestamp, of_it[-1].timestamp)
    assert told["first_download_at"] == min((event.timestamp for event in downloads), default=0)
    assert told["last_download_at"] == max((event.timestamp for event in downloads), default=0)
    assert told["active_hours"] == Counter(str(event.time.hour) for event in of_it)
    assert list(told["active_countries"].items()) == sorted(countries.items(), key=lambda row: (-row[1], row[0]))
    assert told["unique_downloaders"] == len({event.ip_hash for event in downloads if event.ip_hash})
    assert (told["unique_downloaders_error"], told["unique_downloaders_period"], told["error"]) == (0, "day", 0)
    assert told["events"] == [event.shown() for event in reversed(of_it[-20:])]


@pytest.mark.parametrize("seed", [8, 17])
def test_every_answer_equals_the_recount(store, seed):
    events = random_events(seed, 400)
    write(store, events, noise=40)
    days = {(FIRST + timedelta(days=day)).strftime("%Y-%m-%d") for day in range(DAYS)}
    for level, keys, form in (("daily", sorted(days), "%Y-%m-%d"), ("monthly", ["2024-01", "2024-02", "2024-03"], "%Y-%m")):
        for window in transfers(store, "query", level, *keys):
            inside = [event for event in events if event.time.strftime(form) == window["window_key"]]
            assert window["final"] and window["transfers"] == rows(inside)
            total = sums(inside)
            assert {name: window[f"total_{name}"] for name in total} == total
            assert window["active_transfers"] == len(window["transfers"])
            assert not any(window["other"].values()) and window["error"] == 0
    found = by_transfer(events)
    for told in transfers(store, "show", *found):
        check_summary(told, found[told["transfer_id"]])
    newest = [event.shown() for event in reversed(found["t0"])]
    assert transfers(store, "events", "t0", "--limit", "7") == newest[:7]
    assert transfers(store, "events", "t0", "--limit", "1000") == newest


def test_what_is_deleted_of_the_saved_is_made_again_with_the_same_bytes(store):
    write(store, random_events(5, 150))
    told = transfers(store, "show", "t0", "t2")
    transfers(store, "query", "monthly", "2024-01", "2024-02")
    windows = {path: text for path, text in store.files("cache/transfers/data/aggregations").items() if "per-transfer" not in path}
    assert windows and store.command.run("verify", "--storage", store.url).exit_code == 0
    shutil.rmtree(store.folder / "cache/transfers/data/aggregations")
    again = transfers(store, "show", "t0", "t2")
    transfers(store, "query", "monthly", "2024-01", "2024-02")
    assert {path: store.files("cache/transfers")[path] for path in windows} == windows
    assert [{**one, "computed_at": 0} for one in again] == [{**one, "computed_at": 0} for one in told]


def test_unknown_and_impossible_transfers_are_said_to_be_so(store):
    write(store, random_events(1, 3))
    for words, exit_code in ((("show", "none"), 1), (("show", "a b"), 2), (("events", "a/b"), 2), (("query", "daily", "2024-1-1"), 2),
                             (("query", "fortnightly", "2024-01-28"), 2), (("active", "--window-minutes", "0"), 2)):
        assert transfers(store, *words, exit_code=exit_code) == []
    assert transfers(store, "events", "none") == []


def test_the_command_says_in_words_what_happened(store):
    events = random_events(2, 50)
    write(store, events)
    in_words = store.command.run("transfers", "show", "t0", "--storage", store.url)
    downloads = sum(event.act == "downloaded" for event in events if event.transfer_id == "t0")
    assert f"downloads        {downloads}\n" in in_words.out.decode()
    assert b"final" in store.command.run("transfers", "query", "monthly", "2024-02", "--storage", store.url).out
    assert b"0 transfers" in store.command.run("transfers", "active", "--storage", store.url).out


def test_the_routes_answer_what_the_command_prints(store, start_server):
    events = random_events(3, 60)
    write(store, events)
    day = events[0].time.strftime("%Y-%m-%d")
    server = start_server(store)
    told = server.ask_admin("/transfers/t0/summary")
    assert told.status == 200
    check_summary(told.json(), by_transfer(events)["t0"])
    assert server.ask_admin("/transfers/t0/events?limit=2").json()["events"] == transfers(store, "events", "t0", "--limit", "2")
    window, = transfers(store, "query", "daily", day)
    assert server.ask_admin(f"/transfers/daily/{day}").json() == window
    assert server.ask_admin("/transfers/active").json()["transfers"] == []
    for path, status, field in (("/transfers/none/summary", 404, None), ("/transfers/a.b/summary", 400, "transfer_id"),
                                ("/transfers/t0/events?limit=0", 400, "limit"), ("/transfers/daily/2024-13-01", 400, "window_key"),
                                ("/transfers/active?window_minutes=1441", 400, "window_minutes")):
        answer = server.ask_admin(path)
        assert (answer.status, answer.json()["error"].get("field")) == (status, field), path
