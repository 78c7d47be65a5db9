# SPDX-License-Identifier: Apache-2.0
"""Windows of local calendars and of some events only, against a recount by Python's own calendar and time zones."""
from __future__ import annotations

import csv
import io
import json
import shutil
from collections import Counter, defaultdict
from datetime import date, datetime, timedelta
from typing import Callable, Iterable
from zoneinfo import ZoneInfo

import pytest

from harness import Store
from oracle import Event, TOP, ranked

QUERIES = "cache/analytics/data/queries"
EVERYTHING: tuple[str, ...] = ()

# Europe changes on 2024-03-31 and 2024-10-27, Lord Howe by half an hour on 2024-04-07, New York on 2024-11-03, Cairo at
# midnight on 2024-11-01.
SPRING, AUTUMN = ("2024-03-29", "2024-04-09"), ("2024-10-25", "2024-11-05")
ZONES = ["UTC", "Europe/Lisbon", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "Asia/Kathmandu",
         "Asia/Kolkata"]

FILTERS: dict[tuple[str, ...], Callable[[Event], bool]] = {
    EVERYTHING: lambda event: True,
    ("status=404",): lambda event: event.status == 404,
    ("status=4xx", "status=5xx", "method=!GET"): lambda event: event.status >= 400 and event.method != "GET",
    ("path=/s*", "path=!/steady"): lambda event: event.path.startswith("/s") and event.path != "/steady",
    ("path=/nowhere",): lambda event: False,
}


def key_of(event: Event, level: str, zone: ZoneInfo) -> str:
    local = datetime.fromtimestamp(event.time, zone)
    iso = local.isocalendar()
    offset = "" if zone.key == "UTC" else local.strftime("%z")[:3] + ":" + local.strftime("%z")[3:5]
    return {"hourly": local.strftime("%Y-%m-%dT%H") + offset, "daily": local.strftime("%Y-%m-%d"),
            "weekly": f"{iso.year:04}-W{iso.week:02}", "monthly": local.strftime("%Y-%m"),
            "yearly": local.strftime("%Y")}[level]


def recount(events: Iterable[Event], level: str, zone: str, fits: Callable[[Event], bool]) -> dict[str, dict]:
    """Each window that holds an event, counted from its own events."""
    windows: dict[str, list[Event]] = defaultdict(list)
    place = ZoneInfo(zone)
    for event in events:
        windows[key_of(event, level, place)].append(event)
    counted = {}
    for key, inside in windows.items():
        chosen = [event for event in inside if fits(event)]
        counted[key] = {
            "total_requests": len(chosen),
            # The salt of visitors changes at midnight UTC: the same address on two days is two visitors.
            "unique_visitors": len({(event.visitor, event.time // 86400) for event in chosen if event.visitor}),
            "total_bytes": sum(event.size for event in chosen),
            "error_count": sum(event.status >= 400 for event in chosen),
            "status_codes": ranked(Counter(str(event.status) for event in chosen)),
            "methods": ranked(Counter(event.method for event in chosen)),
            "top_paths": ranked(Counter(event.path for event in chosen), TOP),
        }
    return counted


def series(store: Store, level: str, zone: str, span: tuple[str, str], words: Iterable[str] = (),
           env: dict[str, str] | None = None, form: str = "--json") -> bytes:
    filters = [part for word in words for part in ("--filter", word)]
    finished = store.command.run("series", "--storage", store.url, "--step", level, "--time-zone", zone, "--start", span[0],
                                 "--end", span[1], form, *filters, env=env)
    assert finished.exit_code == 0, finished.err.decode(errors="replace")
    return finished.out


def shown(out: bytes, members: Iterable[str]) -> dict[str, dict]:
    """The windows with events, with the members that were recounted."""
    rows = [json.loads(line) for line in out.splitlines()]
    return {row["window_key"]: {name: list(row[name].items()) if isinstance(row[name], dict) else row[name]
                                for name in members} for row in rows if row["recorded"]}


def check(store: Store, events: list[Event], level: str, zone: str, span: tuple[str, str], words: tuple[str, ...] = EVERYTHING,
          env: dict[str, str] | None = None) -> None:
    expected = recount(events, level, zone, FILTERS[words])
    first, last = (datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() for text in span)
    inside = {key_of(event, level, ZoneInfo(zone)) for event in events if first <= event.time < last}
    members = next(iter(expected.values())).keys()
    found = shown(series(store, level, zone, span, words, env), members)
    assert found == {key: expected[key] for key in inside}, (level, zone, span, words)


@pytest.fixture(scope="module")
def clock_changes(make_log):
    """Two logs, one around the changes of spring and one around those of autumn."""
    return [make_log(seed=331, lines=1_500, first=SPRING[0], days=11), make_log(seed=1027, lines=1_500, first=AUTUMN[0], days=11)]


@pytest.fixture(scope="module")
def events(clock_changes) -> list[Event]:
    return [line.event for log in clock_changes for line in log.lines if line.event]


@pytest.fixture
def filled(store, clock_changes) -> Store:
    for log in clock_changes:
        store.import_(log.path)
    return store


@pytest.mark.parametrize("zone", ZONES)
def test_local_windows_are_what_a_recount_finds_where_clocks_are_set_forward_and_back(filled, events, zone):
    for span in (SPRING, AUTUMN):
        check(filled, events, "daily", zone, span)
        check(filled, events, "weekly", zone, span)
    check(filled, events, "hourly", zone, ("2024-03-30", "2024-04-01"))
    check(filled, events, "hourly", zone, ("2024-10-26", "2024-10-28"))
    check(filled, events, "monthly", zone, ("2024-03-01", "2024-12-01"), env={"TZ": "Asia/Tokyo"})
    check(filled, events, "yearly", zone, ("2024-01-01", "2025-01-01"))


@pytest.mark.parametrize("words", [words for words in FILTERS if words])
def test_filtered_windows_are_what_a_recount_finds(filled, events, words):
    for zone in ("UTC", "Europe/Lisbon", "Asia/Kathmandu"):
        check(filled, events, "daily", zone, AUTUMN, words)
        check(filled, events, "weekly", zone, AUTUMN, words)
        check(filled, events, "yearly", zone, ("2024-01-01", "2025-01-01"), words)


def test_events_that_come_later_revise_what_was_saved_and_deleted_answers_come_back_byte_for_byte(filled, events, make_log):
    asked = [(level, zone, words) for level in ("daily", "weekly", "monthly", "yearly")
             for zone in ("Europe/Lisbon", "Asia/Kathmandu") for words in (EVERYTHING, ("status=404",))]
    for level, zone, words in asked:
        check(filled, events, level, zone, AUTUMN, words)
    late = make_log(seed=1028, lines=500, first="2024-10-26", days=3)
    filled.import_(late.path)
    more = events + [line.event for line in late.lines if line.event]
    for level, zone, words in asked:
        check(filled, more, level, zone, AUTUMN, words)
    saved = filled.files(QUERIES)
    assert len(saved) > 60
    shutil.rmtree(filled.folder / QUERIES)
    for level, zone, words in asked:
        check(filled, more, level, zone, AUTUMN, words, env={"TZ": "America/New_York"})
    again = filled.files(QUERIES)
    assert saved == again


def test_a_comparison_is_with_as_many_windows_before(filled, events):
    expected = recount(events, "daily", "Europe/Lisbon", FILTERS[EVERYTHING])
    finished = filled.command.run("series", "--storage", filled.url, "--time-zone", "Europe/Lisbon", "--start", "2024-10-26",
                                  "--end", "2024-10-30", "--compare", "previous", "--json")
    rows = [json.loads(line) for line in finished.out.splitlines()]
    assert len(rows) == 4
    for row in rows:
        before = str(date.fromisoformat(row["window_key"]) - timedelta(days=4))
        if before in expected:
            assert row["previous"]["window_key"] == before
            assert row["previous"]["total_requests"] == expected[before]["total_requests"]
        else:
            assert row["previous"] is None
    assert any(row["previous"] for row in rows) and not all(row["previous"] for row in rows)


def test_a_table_holds_the_numbers_of_the_json(filled):
    rows = [json.loads(line) for line in series(filled, "daily", "Africa/Cairo", AUTUMN).splitlines()]
    table = list(csv.DictReader(io.StringIO(series(filled, "daily", "Africa/Cairo", AUTUMN, form="--csv").decode(), newline="")))
    assert len(table) == len(rows)
    for row, line in zip(rows, table):
        single = {name: value for name, value in row.items() if not isinstance(value, dict) and name != "previous"}
        assert line.keys() == single.keys()
        for name, value in single.items():
            spelled = json.dumps(value) if isinstance(value, bool) else value
            assert line[name] == str(spelled) or float(line[name]) == value, name

    finished = filled.command.run("query", "--storage", filled.url, "analytics", "daily", "2024-10-27", "--csv")
    day = filled.query("daily", ["2024-10-27"])[0]
    lines = list(csv.reader(io.StringIO(finished.out.decode(), newline="")))
    assert lines[0] == ["dimension", "name", "value"]
    counts = defaultdict(list)
    for dimension, name, value in lines[1:]:
        counts[dimension].append((name, value))
    assert dict(counts["summary"])["total_requests"] == str(day["total_requests"])
    assert dict(counts["dimensions"])["paths.total"] == str(day["dimensions"]["paths"]["total"])
    assert dict(counts["exact"])["paths"] == "true"
    for dimension in ("top_paths", "status_codes", "methods"):
        assert counts[dimension] == [(name, str(value)) for name, value in day[dimension].items()]


@pytest.mark.parametrize(("words", "sentence"), [
    (["--start", "2024-02-30", "--end", "2024-03-02"], "--start: give a date"),
    (["--start", "2024-03-02", "--end", "2024-03-02"], "end: must be later"),
    (["--start", "2024-03-01", "--end", "2024-03-02", "--time-zone", "Europe/Atlantis"], "Europe/Lisbon"),
    (["--start", "2024-03-01", "--end", "2024-03-02", "--filter", "path"], "--filter: give dimension=value"),
    (["--start", "2024-03-01", "--end", "2024-03-02", "--filter", "status=4"], "status: give"),
    (["--start", "2024-03-01", "--end", "2999-03-02"], "end: "),
    (["--start", "2024-03-01", "--end", "2024-03-02", "--step", "fortnightly"], "weekly"),
    (["--start", "2024-03-01", "--end", "2024-03-02", "--json", "--csv"], "--csv"),
])
def test_wrong_usage_is_told_in_a_sentence(store, words, sentence):
    finished = store.command.run("series", "--storage", store.url, *words)
    assert finished.exit_code == 2, finished
    assert sentence in finished.err.decode()
    assert finished.out == b""
