# SPDX-License-Identifier: Apache-2.0
"""An independent reader of access logs and a brute-force recount of every window: what the program must agree with.

It shares no code, no table and no idea with the library: one regular expression, the ipaddress and datetime modules of
the standard library, and a Counter for each window made directly from its own events, never from other windows.
"""
from __future__ import annotations

import ipaddress
import re
from collections import Counter, defaultdict
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Iterable, NamedTuple

from sketches import name_hash

LEVELS = ("30min", "hourly", "daily", "weekly", "monthly", "yearly")
TOP = 20

EXACT_VISITORS = 2_048
EXACT_NAMES = 16_384
LONGEST_NAME = 120  # bytes

QUOTED = r'"((?:[^"\\]|\\.)*)"'
LINE = re.compile(
    r"(\S+) \S+ \S+ "                                                             # address, ident, user
    r"\[(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)\] "
    + QUOTED + r" (\d{3}) (\d+|-)"                                                # request, status, size
    + r"(?: " + QUOTED + " " + QUOTED + r")?\r?\n?")                              # referrer, user agent
MONTHS = {name: number for number, name in enumerate(
    "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), start=1)}
REQUEST = re.compile(r"([A-Z]+) (\S+)(?: HTTP/\d(?:\.\d)?)?")
ABSOLUTE = re.compile(r"\Ahttps?://[^/?#]*", re.IGNORECASE)


class Event(NamedTuple):
    time: int        # seconds since 1970, UTC
    visitor: str     # canonical address; "" if the log names a host instead
    method: str
    path: str
    status: int
    size: int


@lru_cache(maxsize=None)
def canonical_address(text: str) -> str:
    """One spelling for one address; an IPv4 address mapped into IPv6 is the IPv4 address. "" for a host name."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return ""
    return str(getattr(address, "ipv4_mapped", None) or address)


def path_of(target: str) -> str:
    """What the visitor asked for, without origin, query and fragment."""
    return re.split(r"[?#]", ABSOLUTE.sub("", target, count=1), maxsplit=1)[0]


def parse(line: str) -> Event | None:
    """One line of a combined or common log; None when it is damaged."""
    found = LINE.fullmatch(line)
    if not found:
        return None
    address, day, month, year, hour, minute, second, sign, off_hour, off_minute, request, status, size = found.groups()[:13]
    asked = REQUEST.fullmatch(request)
    try:
        local = datetime(int(year), MONTHS[month], int(day), int(hour), int(minute), int(second), tzinfo=timezone.utc)
    except (KeyError, ValueError):
        return None
    if not asked:
        return None
    offset = timedelta(hours=int(off_hour), minutes=int(off_minute)) * (1 if sign == "+" else -1)
    return Event(int((local - offset).timestamp()), canonical_address(address), asked[1], path_of(asked[2]), int(status),
                 0 if size == "-" else int(size))


@lru_cache(maxsize=None)
def keys_of_half_hour(half_hour: int) -> dict[str, str]:
    """The keys of the six windows that hold the n-th half-hour since 1970."""
    at = datetime.fromtimestamp(half_hour * 1800, timezone.utc)
    iso = at.isocalendar()
    return {"30min": at.strftime("%Y-%m-%dT%H:%M"), "hourly": at.strftime("%Y-%m-%dT%H"), "daily": at.strftime("%Y-%m-%d"),
            "weekly": f"{iso.year:04}-W{iso.week:02}", "monthly": at.strftime("%Y-%m"), "yearly": at.strftime("%Y")}


def window_bounds(level: str, key: str) -> tuple[int, int]:
    """[start, end) of a window in milliseconds since 1970."""
    if level == "weekly":
        year, week = key.split("-W")
        start = datetime.fromisocalendar(int(year), int(week), 1).replace(tzinfo=timezone.utc)
    else:
        text = {"30min": key, "hourly": key + ":00", "daily": key + "T00:00", "monthly": key + "-01T00:00",
                "yearly": key + "-01-01T00:00"}[level]
        start = datetime.strptime(text, "%Y-%m-%dT%H:%M").replace(tzinfo=timezone.utc)
    if level == "yearly":
        end = start.replace(year=start.year + 1)
    elif level == "monthly":
        end = (start + timedelta(days=31)).replace(day=1)
    else:
        end = start + {"30min": timedelta(minutes=30), "hourly": timedelta(hours=1), "daily": timedelta(days=1),
                       "weekly": timedelta(days=7)}[level]
    return int(start.timestamp()) * 1000, int(end.timestamp()) * 1000


def ranked(counts: Counter, limit: int | None = None) -> list[tuple[str, int]]:
    """Largest first, then by the bytes of the name."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0].encode()))[:limit]


def counted_as(name: str) -> str:
    """The name under which a name is counted: a long one is cut, where a character ends, and ends with its hash."""
    if len(name.encode()) <= LONGEST_NAME:
        return name
    return name.encode()[: LONGEST_NAME - 17].decode(errors="ignore") + f"~{name_hash(name):016x}"


class Recount:
    """Every window of every level over one bag of events."""

    def __init__(self, events: Iterable[Event]) -> None:
        self.windows_: dict[str, dict[str, list[Event]]] = {level: defaultdict(list) for level in LEVELS}
        for event in events:
            for level, key in keys_of_half_hour(event.time // 1800).items():
                self.windows_[level][key].append(event)

    def keys(self, level: str) -> list[str]:
        """The windows that hold an event, in time order."""
        return sorted(self.windows_[level])

    def window(self, level: str, key: str) -> dict:
        """What a query of the window must say. Mappings are lists of pairs, because their order counts."""
        events = self.windows_[level].get(key, [])
        start, end = window_bounds(level, key)
        # The salt of visitors changes at midnight UTC: the same address on two days is two visitors.
        visitor_days = {(event.visitor, event.time // 86400) for event in events if event.visitor}
        return {
            "window_type": level, "window_key": key, "window_start": start, "window_end": end,
            "recorded": bool(events), "total_requests": len(events), "unique_visitors": len(visitor_days),
            "total_bytes": sum(event.size for event in events),
            "error_count": sum(event.status >= 400 for event in events),
            "status_codes": ranked(Counter(str(event.status) for event in events)),
            "methods": ranked(Counter(event.method for event in events)),
            "top_paths": ranked(self.paths(level, key), TOP),
        }

    def paths(self, level: str, key: str) -> Counter:
        return Counter(counted_as(event.path) for event in self.windows_[level].get(key, []))


def abs_error(actual: int, expected: int) -> float:
    return abs(actual / expected - 1)


def differences(recount: Recount, summary: dict) -> list[str]:
    """Where a window summary of the program differs from the recount; empty when it agrees."""
    level, key = summary["window_type"], summary["window_key"]
    found = []
    expected_window = recount.window(level, key)
    for name, expected in expected_window.items():
        actual = summary[name]
        if name == "unique_visitors" and expected > EXACT_VISITORS:
            if not abs_error(actual, expected) <= 5 * summary["unique_visitors_error"] < 0.05:
                found.append(f"{level} {key} {name}: {actual} is no estimate of {expected}")
            continue
        if isinstance(actual, dict):
            actual = list(actual.items())
        if actual != expected or type(actual) is not type(expected):
            found.append(f"{level} {key} {name}: {actual!r}, recounted {expected!r}")
    is_exact = expected_window["unique_visitors"] <= EXACT_VISITORS
    if summary["exact"]["unique_visitors"] != is_exact or (summary["unique_visitors_error"] == 0) != is_exact:
        found.append(f"{level} {key}: unique_visitors are not what they say, exact or estimated")
    paths = recount.paths(level, key)
    if len(paths) <= EXACT_NAMES:
        total, shown = paths.total(), sum(count for _, count in expected_window["top_paths"])
        expected = {"total": total, "other": total - shown, "distinct": len(paths), "distinct_error": 0, "error": 0}
        if summary["dimensions"]["paths"] != expected:
            found.append(f"{level} {key} paths: {summary['dimensions']['paths']}, recounted {expected}")
    # Which path is a page is the library's own table; that every event has one type is not.
    if sum(summary["event_types"].values()) != expected_window["total_requests"]:
        found.append(f"{level} {key} event_types: {summary['event_types']} do not add up")
    return found
