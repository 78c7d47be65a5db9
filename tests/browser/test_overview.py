# SPDX-License-Identifier: Apache-2.0
"""The overview shows what the API answers, number by number, and its address is all that it remembers."""
from __future__ import annotations

import re
from typing import Any

import pytest
from conftest import Tab
from playwright.sync_api import Page, expect
from sites import Site

DAY = "#overview?at=2015-05-18T00:00Z"
MONTH = "#overview?type=monthly&at=2026-02-10T00:00Z"
FIGURES = {"requests": "total_requests", "visitors": "unique_visitors", "page_views": "page_views", "errors": "error_count",
           "bytes": "total_bytes", "uploads": "file_uploads", "downloads": "file_downloads", "tokens": "token_uses",
           "bots": "bot_requests"}
CARDS = {"paths": "top_paths", "referrers": "top_referrers", "user_agents": "top_user_agents", "countries": "top_countries",
         "status_codes": "status_codes", "methods": "methods", "event_types": "event_types"}


def shown(page: Page, metric: str) -> str:
    return page.locator(f"[data-metric={metric}] .figure-value").inner_text()


def compare(page: Page, window: dict[str, Any]) -> None:
    """Every number of the strip and of the cards with the window of the API."""
    expect(page.locator("[data-metric=requests]")).to_have_attribute("data-value", str(window["total_requests"]))
    for metric, member in FIGURES.items():
        expect(page.locator(f"[data-metric={metric}]")).to_have_attribute("data-value", str(window[member]))
        if metric != "bytes":
            assert shown(page, metric) == f"{window[member]:,}"
    for card, member in CARDS.items():
        rows = page.locator(f"[data-card={card}] .row")
        texts = [(row.get_attribute("data-name"), int(row.locator(".row-value").inner_text().replace(",", "")))
                 for row in rows.all()]
        assert sorted(texts) == sorted(window[member].items()), card
        assert [count for _, count in texts] == sorted((count for _, count in texts), reverse=True), card


@pytest.mark.parametrize(("address", "target"), [
    (DAY, "analytics/daily/2015-05-18"),
    (MONTH, "analytics/monthly/2026-02"),
    ("#overview?type=hourly&at=2015-05-18T10:00Z", "analytics/hourly/2015-05-18T10"),
    ("#overview?type=yearly&at=2015-01-01T00:00Z", "analytics/yearly/2015"),
    ("#overview?type=weekly&at=2026-02-10T00:00Z&status=4xx&method=!GET", "analytics/weekly/2026-W07?status=4xx&method=!GET"),
])
def test_every_number_is_that_of_the_api(tab: Tab, site: Site, address: str, target: str) -> None:
    compare(tab.open(address), site.ask(target))


def test_what_is_estimated_has_its_bound_beside_it_and_what_is_exact_has_none(tab: Tab, site: Site) -> None:
    page = tab.open(MONTH)
    window = site.ask("analytics/monthly/2026-02")
    expect(page.locator("[data-metric=requests]")).to_have_attribute("data-value", str(window["total_requests"]))
    for metric, error in (("visitors", window["unique_visitors_error"]), ("requests", 0)):
        said = page.locator(f"[data-metric={metric}] .sampled")
        if error == 0:
            expect(said).to_have_count(0)
        else:
            found = re.fullmatch(r"± ([\d.]+) %", said.inner_text())
            assert found and float(found[1]) == pytest.approx(100 * error, rel=0.01)


def test_the_course_in_the_table_is_the_series_of_the_api(tab: Tab, site: Site) -> None:
    page = tab.open(DAY + "&metric=requests,errors")
    page.get_by_role("button", name="Table").click()
    rows = page.locator("time-chart tbody tr")
    expect(rows).to_have_count(24)
    start = 1431907200000
    series = site.ask("analytics/series", start=start, end=start + 86_400_000, step="hourly", compare="previous")["rows"]
    for row, window in zip(rows.all(), series, strict=True):
        before = window["previous"]
        assert [cell.replace(",", "") for cell in row.locator("td").all_inner_texts()] == [
            str(window["total_requests"]), str(before["total_requests"]) if before and before["recorded"] else "–",
            str(window["error_count"]), str(before["error_count"]) if before and before["recorded"] else "–"]
