# SPDX-License-Identifier: Apache-2.0
"""Series and filters through the bindings; what they count is tested with the command."""
from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from conftest import NOON

from memfs_cache import Invalid_Argument, Series_Row, Window_Summary

DAY_MS = 86_400_000


@pytest.fixture
def filled(cache):
    for days_ago, path in ((0, "/a"), (1, "/b"), (1, "/a"), (3, "/a*")):
        cache.analytics.record({"event_type": "page_view", "path": path, "status_code": 404, "timestamp": NOON - days_ago * DAY_MS})
    return cache.analytics


def test_a_series_is_a_list_of_windows_with_those_before(filled):
    rows = filled.series(NOON - 2 * DAY_MS, NOON, "daily", compare="previous")
    assert [type(row) for row in rows] == [Series_Row] * 3
    assert [row.total_requests for row in rows] == [0, 2, 1]
    assert [row.recorded for row in rows] == [False, True, True]
    assert isinstance(rows[0].previous, type(None)) and isinstance(rows[2].previous, Window_Summary)
    assert rows[2].previous.window_end == rows[0].window_start
    assert Series_Row.from_dict(rows[2].to_dict()) == rows[2]


def test_times_may_be_datetimes_and_days_those_of_a_place(filled):
    from zoneinfo import ZoneInfo
    noon = datetime.fromtimestamp(NOON / 1000, ZoneInfo("Asia/Kathmandu"))
    row = filled.series(noon - timedelta(minutes=1), noon, "daily", "Asia/Kathmandu")[0]
    assert row.window_start == noon.replace(hour=0, minute=0).timestamp() * 1000 and row.window_key == str(noon.date())


def test_filters_are_texts_or_lists_of_them(filled):
    def total(filters):
        return sum(row.total_requests for row in filled.series(NOON - 4 * DAY_MS, NOON, "daily", filters=filters))

    assert total(None) == total({}) == total({"path": "/*"}) == total({"status": 404}) == 4
    assert total({"path": "/a"}) == 2 and total({"path": ["/a", "/b"]}) == 3 and total({"path": "/a\\*"}) == 1
    assert total({"path": ("/*", "!/a*"), "status": [404, "5xx"]}) == 1
    assert filled.aggregation("daily", "2026-02-14", {"path": "/b"}).total_requests == 0


@pytest.mark.parametrize(("wrong", "sentence"), [
    ({"time_zone": "Europe/Atlantis"}, "time_zone: .*Europe/Lisbon"),
    ({"step": "day"}, "window type: "),
    ({"compare": "next"}, "compare: "),
    ({"filters": {"status": "4"}}, "status: "),
    ({"filters": {"ip": "x"}}, "filter: give one of country"),
    ({"end": NOON - DAY_MS}, "end: "),
])
def test_what_cannot_be_asked_raises_with_a_sentence(filled, wrong, sentence):
    with pytest.raises(Invalid_Argument, match=sentence):
        filled.series(**{"start": NOON - DAY_MS, "end": NOON, "step": "daily", **wrong})


def test_filters_of_another_type_are_a_type_error(filled):
    for wrong in ({"path": 1.5}, {"path": None}, {"path": [None]}):
        with pytest.raises(TypeError):
            filled.series(NOON - DAY_MS, NOON, "daily", filters=wrong)
