# SPDX-License-Identifier: Apache-2.0
"""A store with a hundred thousand tokens, all made by the service, and what it takes to look through them."""
from __future__ import annotations

import time

from conftest import CROWD, Tab
from playwright.sync_api import Browser, expect
from sites import Site

LONG_TASKS = """() => { window.longest = 0;
    new PerformanceObserver((list) => { for (const task of list.getEntries()) window.longest = Math.max(window.longest, task.duration); })
        .observe({ type: 'longtask', buffered: true }); }"""


def test_a_hundred_thousand_tokens_are_paged_through_without_a_long_task(browser: Browser, crowded_site: Site) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    tab = Tab(context, crowded_site)
    page = tab.open("#costs")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Costs")
    page.evaluate(LONG_TASKS)
    page.keyboard.press("2")
    rows = page.locator("tbody th")
    expect(rows.filter(has_text="row-000000")).to_be_visible()
    assert page.locator("table").get_attribute("aria-rowcount") == str(CROWD + 1)
    box = page.locator(".table-box.is-long")
    for share in (0.25, 0.5, 0.75, 1):
        box.evaluate("(e, share) => e.scrollTo(0, e.scrollHeight * share)", share)
        expect(rows.filter(has_text="…")).to_have_count(0)
    last = rows.filter(has_text=f"row-{CROWD - 1:06}")
    expect(last).to_be_visible()
    page.locator(".search").fill("row-05000")
    expect(rows).to_have_text([f"row-05000{digit}" for digit in range(10)])
    tell_longest_task(tab, crowded_site, "tokens?offset=50000&limit=100")
    context.close()
    assert tab.complaints == []


def test_a_hundred_thousand_files_are_paged_through_without_a_long_task(browser: Browser, crowded_site: Site) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    tab = Tab(context, crowded_site)
    prefix = "cache/tokens/data/direct/"
    page = tab.open("#costs")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Costs")
    page.evaluate(LONG_TASKS)
    page.keyboard.press("5")
    page.locator("storage-browser input").fill(prefix)
    listed = page.locator("[data-files]")
    box = page.locator("storage-browser .table-box.is-long")
    known = 0
    for _ in range(2 * CROWD // 1000):
        expect(listed).not_to_have_attribute("data-files", str(known))
        known = int(listed.get_attribute("data-files") or 0)
        box.evaluate("(e) => e.scrollTo(0, e.scrollHeight)")
        if listed.get_attribute("data-more") == "false":
            break
    expect(listed).to_have_attribute("data-files", str(CROWD))
    expect(listed).to_have_attribute("data-more", "false")
    box.evaluate("(e) => e.scrollTo(0, e.scrollHeight)")
    last = page.locator("storage-browser tbody tr").last
    expect(last).to_have_attribute("aria-rowindex", str(CROWD + 1))
    last.get_by_role("button").click()
    expect(page.get_by_role("region", name="Content").locator("pre")).to_contain_text('"token_name": "row-')
    tell_longest_task(tab, crowded_site, f"storage/files?prefix={prefix}&start_after={prefix}8&limit=1000")
    context.close()
    assert tab.complaints == []


def tell_longest_task(tab: Tab, site: Site, page_of_the_server: str) -> None:
    began = time.perf_counter()
    for _ in range(10):
        site.ask(page_of_the_server)
    longest = tab.page.evaluate("window.longest")
    print(f"longest task: {longest} ms; {page_of_the_server}: {100 * (time.perf_counter() - began):.1f} ms a page")
    assert longest <= 200
