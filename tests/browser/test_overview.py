# SPDX-License-Identifier: Apache-2.0
"""The overview shows what the API answers, number by number, and its address is all that it remembers."""
from __future__ import annotations

import csv
import io
import json
import re
import time
from typing import Any

import pytest
from conftest import Tab
from playwright.sync_api import Browser, Page, Route, expect
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


def test_a_click_filters_shift_click_excludes_and_the_way_back_undoes_it(tab: Tab, site: Site) -> None:
    page = tab.open(DAY)
    page.locator("[data-card=status_codes] [data-name='404']").click()
    compare(page, site.ask("analytics/daily/2015-05-18", status="404"))
    page.locator("[data-card=methods] [data-name=GET]").click(modifiers=["Shift"])
    filtered = site.ask("analytics/daily/2015-05-18", status="404", method="!GET")
    expect(page.locator("[data-metric=requests]")).to_have_attribute("data-value", str(filtered["total_requests"]) if filtered["recorded"] else "")
    assert page.locator(".pill").all_inner_texts() == ["status is 404 ×", "method is not GET ×"]
    shared = page.url
    page.go_back()
    compare(page, site.ask("analytics/daily/2015-05-18", status="404"))
    page.go_back()
    compare(page, site.ask("analytics/daily/2015-05-18"))
    page.goto(shared)
    page.reload()
    expect(page.locator(".pill")).to_have_count(2)
    page.get_by_role("button", name="Clear all").click()
    compare(page, site.ask("analytics/daily/2015-05-18"))


def drag(page: Page, start: float, end: float) -> None:
    box = page.locator(".u-over").bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + start * box["width"], y)
    page.mouse.down()
    page.mouse.move(box["x"] + (start + end) / 2 * box["width"], y, steps=3)
    page.mouse.move(box["x"] + end * box["width"], y, steps=3)
    page.mouse.up()


def test_a_drag_zooms_into_the_graph_a_click_opens_a_window_and_both_can_be_undone(tab: Tab, site: Site) -> None:
    page = tab.open(MONTH)
    window = site.ask("analytics/monthly/2026-02")
    compare(page, window)
    expect(page.locator(".u-over")).to_be_visible()
    drag(page, 0.2, 0.4)
    expect(page.get_by_role("button", name="Whole window")).to_be_visible()
    found = re.search(r"from=([^&]+)&to=([^&]+)", page.url)
    assert found
    compare(page, window)  # the numbers stay those of the window in the heading
    page.get_by_role("button", name="Table").click()
    first = page.locator("time-chart tbody th").first.inner_text()
    assert re.search(r"\d\d:00 to \d\d:[03]0$", first), "the zoomed graph has finer windows"
    page.go_back()
    expect(page.get_by_role("button", name="Whole window")).to_have_count(0)
    expect(page.locator("time-chart tbody tr")).to_have_count(28)
    page.get_by_role("button", name="Tuesday, 3 February 2026").click()
    compare(page, site.ask("analytics/daily/2026-02-03"))
    page.get_by_role("button", name="Larger window").click()
    compare(page, window)
    page.get_by_role("button", name="Earlier window").click()
    january = site.ask("analytics/monthly/2026-01")
    assert not january["recorded"]
    expect(page.get_by_text("Nothing is recorded in this window.")).to_be_visible()
    assert shown(page, "requests") == "–", "what nobody recorded is no zero"


def test_what_is_recorded_now_is_open_dashed_and_comes_by_itself(tab: Tab, site: Site) -> None:
    site.visit("/now")
    page = tab.open("#overview?type=hourly")
    requests = page.locator("[data-metric=requests]")
    expect(requests).not_to_have_attribute("data-value", "")
    expect(page.locator(".tag.open").first).to_have_text("still open")
    expect(page.locator(".key-open")).to_have_count(1)
    pulse = page.locator("[data-pulse=requests]")
    before = int(pulse.get_attribute("data-value") or 0)
    counted = int(requests.get_attribute("data-value") or 0)
    for _ in range(3):
        site.visit("/now")
    expect(pulse).to_have_attribute("data-value", re.compile(f"^{before + 3}$"))
    expect(requests).to_have_attribute("data-value", re.compile(f"^{counted + 3}$"), timeout=40_000)


def watch(page: Page) -> list[str]:
    """The routes of the pulse that are asked from now on, as they are asked."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.rpartition("/")[2])
            if re.search(r"analytics/(live|pulse)", request.url) else None)
    return asked


def test_pulses_come_over_one_stream_that_is_held_where_the_host_can_hold_it(tab: Tab, site: Site) -> None:
    asked = watch(tab.page)
    page = tab.open()
    requests = page.locator("[data-pulse=requests]")
    expect(requests).to_be_visible()
    for _ in range(3):
        before = int(requests.get_attribute("data-value") or 0)
        site.visit("/streamed")
        expect(requests).to_have_attribute("data-value", str(before + 1))
    assert set(asked) == {"live"}
    if "/behind/" in site.base:
        assert len(asked) >= 2, "a host of ASGI cannot hold a stream: the page comes back"
    else:
        assert len(asked) == 1


@pytest.mark.parametrize("trouble", ["broken", "full", "silent"])
def test_a_stream_that_does_not_come_through_is_replaced_by_asking_and_nobody_is_alarmed(tab: Tab, site: Site, trouble: str) -> None:
    page = tab.page
    page.clock.install()
    held: list[Route] = []
    act = {"broken": lambda route: route.abort(), "full": lambda route: route.fulfill(status=503, body="{}"), "silent": lambda route: held.append(route)}
    page.route("**/analytics/live", act[trouble])
    asked = watch(page)
    site.visit("/asked-for")
    tab.open()
    if trouble == "silent":
        expect(page.locator("[data-metric=requests]")).not_to_have_attribute("data-value", "")
        assert asked == ["live"]
        page.clock.fast_forward(10_000)
    requests = page.locator("[data-pulse=requests]")
    expect(requests).to_be_visible()
    assert asked[:2] == ["live", "pulse"]
    before = int(requests.get_attribute("data-value") or 0)
    site.visit("/asked-for")
    expect(requests).to_have_attribute("data-value", str(before + 1))
    expect(page.locator(".banner")).to_be_hidden()
    page.unroute("**/analytics/live")
    tab.complaints.clear()  # the browser says what failed


def test_the_pulse_can_be_paused_and_shows_what_came_last(tab: Tab, site: Site) -> None:
    site.visit("/last-page")
    page = tab.open()
    page.get_by_role("button", name="Newest requests").click()
    table = page.get_by_role("region", name="Newest requests")
    expect(table).to_contain_text("/last-page")
    for hash_cell in table.locator("tbody tr td:last-child").all_inner_texts():
        assert len(hash_cell) <= 8
    page.get_by_role("button", name="Pause the live view").click()
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "/live" in request.url or "/pulse" in request.url else None)
    shown_before = page.locator("[data-pulse=requests]").get_attribute("data-value")
    site.visit("/unseen")
    page.wait_for_timeout(5000)
    assert asked == []
    expect(page.locator("[data-pulse=requests]")).to_have_attribute("data-value", shown_before or "")
    with page.expect_request(re.compile("analytics/(live|pulse)")):
        page.get_by_role("button", name="Resume the live view").click()


def test_every_card_and_the_graph_are_saved_as_they_are_shown(tab: Tab, site: Site) -> None:
    page = tab.open(DAY)
    window = site.ask("analytics/daily/2015-05-18")
    compare(page, window)
    parsers = {"JSON": json.loads, "CSV": lambda text: list(csv.DictReader(io.StringIO(text)))}
    for card, member in CARDS.items():
        if not window[member]:
            expect(page.locator(f"[data-card={card}] header button")).to_have_count(0)
            continue
        page.reload()  # a page that was not touched by hand may save only so much
        for form, parse in parsers.items():
            with page.expect_download() as download:
                page.locator(f"[data-card={card}]").get_by_role("button", name=f"as {form}").click()
            rows = parse(download.value.path().read_text())
            # A name that begins like a formula is tamed in a table.
            assert {row["name"].removeprefix("'"): int(row["count"]) for row in rows} == window[member], (card, form)
    with page.expect_download() as download:
        page.get_by_role("button", name="Requests 2015-05-18 as JSON").click()
    course = json.loads(download.value.path().read_text())
    assert sum(row["total_requests"] for row in course) == window["total_requests"]


PIXELS = """() => { const canvas = document.querySelector("time-chart canvas");
    const probe = document.createElement("i");
    const rgb = (name) => { probe.style.color = `var(${name})`; document.body.append(probe);
        const found = getComputedStyle(probe).color.match(/[\\d.]+/g).map(Number); probe.remove(); return found; };
    const copy = Object.assign(document.createElement("canvas"), { width: canvas.width, height: canvas.height })
        .getContext("2d", { willReadFrequently: true });
    copy.drawImage(canvas, 0, 0);
    const { data, width, height } = copy.getImageData(0, 0, canvas.width, canvas.height);
    const line = rgb("--series-0");
    const columns = new Set();
    for (let i = 0; i < width * height; ++i)
        if ([0, 1, 2].every((c) => Math.abs(data[4 * i + c] - line[c]) < 12) && data[4 * i + 3] > 200) columns.add(i % width);
    return { columns: [...columns].sort((a, b) => a - b), width }; }"""


def drawn(page: Page) -> dict[str, Any]:
    """Where the first line of the chart is, once it is drawn."""
    page.wait_for_function(f"() => ({PIXELS})().columns.length > 0")
    return page.evaluate(PIXELS)


def test_a_course_of_one_window_is_a_point_that_can_be_seen(tab: Tab, site: Site) -> None:
    page = tab.open("#overview?type=30min&at=2015-05-18T10:00Z")
    expect(page.locator("[data-metric=requests]")).to_have_attribute(
        "data-value", str(site.ask("analytics/30min/2015-05-18T10:00")["total_requests"]))
    expect(page.locator("time-chart canvas")).to_be_visible()
    shown = drawn(page)
    assert 6 <= len(shown["columns"]) <= 40, "a dot, and no line"
    assert 0.4 < shown["columns"][0] / shown["width"] < 0.6, "in the middle"


def test_the_part_that_may_still_grow_is_dashed_and_all_before_it_is_not(tab: Tab, site: Site) -> None:
    def gaps(columns: list[int]) -> int:
        return sum(1 for one, other in zip(columns, columns[1:]) if other - one > 2)

    site.visit("/dashed")
    page = tab.open("#overview?type=monthly&at=2026-02-10T00:00Z&compare=no")
    expect(page.locator("time-chart canvas")).to_be_visible()
    expect(page.locator(".key-open")).to_have_count(0)
    assert gaps(drawn(page)["columns"]) == 0
    page.goto(site.base + "#overview?type=yearly&compare=no")
    expect(page.locator(".key-open")).to_have_count(1)
    assert gaps(drawn(page)["columns"]) >= 1


def test_every_chart_has_its_numbers_as_a_table(tab: Tab, site: Site) -> None:
    site.ask("tokens/create", {"token_name": "charted", "usage_limit": 5})
    site.ask("tokens/charted/use", {})
    site.post_text("costs/import", "date,service,amount_usd\n2026-02-01,AmazonS3,1.5\n", "text/csv")
    for address in (DAY, "#tokens?token=charted", "#costs?month=2026-02"):
        page = tab.open(address)
        charts = page.locator("time-chart")
        expect(charts).to_have_count(1)
        expect(charts.locator("canvas")).to_be_visible()
        charts.get_by_role("button", name="Table").click()
        expect(charts.locator("tbody tr").first).to_be_visible()
        expect(charts.locator("canvas")).to_have_count(0)


def test_local_days_are_those_of_the_series_in_that_zone(browser: Browser, site: Site) -> None:
    context = browser.new_context(timezone_id="Asia/Tokyo")
    tab = Tab(context, site)
    page = tab.open("#overview?zone=local&at=2015-05-18T00:00Z")
    start = 1431907200000
    row = site.ask("analytics/series", start=start, end=start + 1, step="daily", time_zone="Asia/Tokyo")["rows"][0]
    assert row["total_requests"] != site.ask("analytics/daily/2015-05-18")["total_requests"]
    compare(page, row)
    page.keyboard.press("z")
    compare(page, site.ask("analytics/daily/2015-05-18"))
    context.close()
    assert tab.complaints == []


def test_a_browser_whose_clock_is_wrong_shows_what_the_server_calls_now(tab: Tab, site: Site) -> None:
    site.visit("/on-time")
    page = tab.page
    page.clock.install(time=time.time() + 90_000)
    tab.open("#overview?type=hourly")
    requests = page.locator("[data-metric=requests]")
    expect(requests).to_have_attribute("data-value", str(site.ask("analytics/latest/hourly")["total_requests"]))
    expect(page.get_by_role("button", name="Later window")).to_be_disabled()


def test_an_empty_store_says_how_to_begin(browser: Browser, empty_site: Site) -> None:
    context = browser.new_context()
    tab = Tab(context, empty_site)
    page = tab.open()
    expect(page.get_by_role("heading", name="Nothing is recorded yet")).to_be_visible()
    expect(page.get_by_text("memfs-cache import")).to_be_visible()
    page.keyboard.press("2")
    expect(page.get_by_text("There are no tokens yet.")).to_be_visible()
    context.close()
    assert tab.complaints == []
