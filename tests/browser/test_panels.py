# SPDX-License-Identifier: Apache-2.0
"""Costs, transfers and operations show what the API answers."""
from __future__ import annotations

import json
import re

import pytest
from conftest import Tab
from playwright.sync_api import expect
from sites import Site


@pytest.fixture(scope="module", autouse=True)
def costs(site: Site) -> None:
    """Two months of two services, and a budget that the second month has used up."""
    lines = ["date,service,amount_usd"]
    for month in ("01", "02"):
        for day in range(1, 29):
            lines += [f"2026-{month}-{day:02},AmazonS3,{day / 8}", f"2026-{month}-{day:02},AmazonEC2,3.25"]
    site.post_text("costs/import", "\n".join(lines) + "\n", "text/csv")
    site.ask("costs/budgets", {"name": "everything", "amount_usd": "100", "period": "monthly"})


def test_the_costs_of_a_month_are_those_of_the_api(tab: Tab, site: Site) -> None:
    page = tab.open("#costs?month=2026-02")
    month = site.ask("costs/monthly/2026-02")
    assert month["recorded"] and month["total_cost_usd"] == 141.75
    for member in ("month_to_date_usd", "projected_month_usd", "previous_total_usd", "cost_per_request", "cost_per_transfer",
                   "cost_per_active_user"):
        shown = page.locator(f"[data-cost={member}]")
        expect(shown).to_be_visible()
        said = shown.get_attribute("data-value")
        assert (float(said) if said else None) == month[member], member
    for service, cost in month["cost_by_service"].items():
        cell = page.locator(f"[data-service={service}]")
        expect(cell).to_have_text(f"${cost:,.2f}")
    expect(page.locator("[data-budget=everything]")).to_contain_text("$141.75 of $100.00")
    page.get_by_role("button", name="Table").click()
    rows = page.get_by_role("region", name="Services over time").locator("tbody tr")
    expect(rows).to_have_count(len(month["cost_by_day"]))
    day = site.ask("costs/daily/2026-02-08")
    cells = rows.nth(7).locator("td").all_inner_texts()
    assert sorted(cells) == sorted(f"${cost:.2f}" for cost in day["cost_by_service"].values())


def test_what_is_not_known_of_costs_is_no_zero(tab: Tab, site: Site) -> None:
    page = tab.open("#costs?month=2020-03")
    assert site.ask("costs/monthly/2020-03")["recorded"] is False
    expect(page.get_by_role("status").get_by_text("No costs are known")).to_be_visible()
    for shown in page.locator("[data-cost]").all():
        assert shown.get_attribute("data-value") == "" and shown.locator(".figure-value").inner_text() == "–"


def test_transfers_are_shown_or_are_said_not_to_be_there(tab: Tab, site: Site) -> None:
    page = tab.open("#transfers")
    if "/transfers/active" not in site.ask("openapi.json")["paths"]:
        expect(page.get_by_text("This server does not have this part")).to_be_visible()
        return
    expect(page.get_by_role("region", name="Most active")).to_be_visible()
    active = site.ask("transfers/active")
    expect(page.locator("[data-transfer]")).to_have_count(len(active["transfers"]))
    for row, transfer in zip(page.locator("tbody tr").all(), active["transfers"]):
        for member in ("events", "views", "downloads", "bytes"):
            expect(row.locator(f"[data-member={member}]")).to_have_attribute("data-value", str(transfer[member]))


def test_the_calendar_is_what_is_stored_and_a_day_leads_to_its_windows(tab: Tab, site: Site) -> None:
    page = tab.open("#operations?month=2026-02")
    days = page.locator("[data-day]")
    expect(days).to_have_count(28)
    sums = dict.fromkeys((f"2026-02-{day:02}" for day in range(1, 29)), 0)
    daily = set()
    for part in ("raw", "aggregations/30min", "aggregations/hourly", "aggregations/daily"):
        start_after = ""
        while True:
            answer = site.ask("storage/files", prefix=f"cache/analytics/data/{part}/2026/02/", start_after=start_after, limit=1000)
            for file in answer["files"]:
                day = "2026-02-" + re.search(r"/2026/02/(\d\d)", file["path"])[1]
                sums[day] += file["size_bytes"]
                if part.endswith("daily"):
                    daily.add(day)
            start_after = answer["next"]
            if not start_after:
                break
    for day in days.all():
        key = day.get_attribute("data-day")
        assert int(day.get_attribute("data-value")) == sums[key] > 0
        assert (day.get_attribute("data-state") in ("final", "revised")) == (key in daily)
    days.nth(8).click()
    expect(page.get_by_text("Stored of 9 Feb 2026")).to_be_visible()


def test_rebuild_and_purge_say_first_what_they_would_do(tab: Tab, site: Site) -> None:
    page = tab.open("#operations")
    site.ask("analytics/daily/2026-02-10")
    page.locator("#rebuild-from").fill("2026-02-10")
    page.locator("#rebuild-to").fill("2026-02-11")
    rebuild = page.get_by_role("region", name="Rebuild")
    rebuild.get_by_role("button", name="Try without changing").click()
    wanted = site.ask("upkeep/rebuild", {"from": 1770681600000, "to": 1770768000000, "dry_run": True})["rebuilt"]
    told = page.locator("[data-upkeep=rebuild]")
    expect(told).to_have_attribute("data-value", str(len(wanted)))
    expect(told).to_have_text(f"Would rebuild {len(wanted):,} windows")
    before = site.ask("analytics/daily/2026-02-10")
    rebuild.get_by_role("button", name="Do it").click()
    expect(told).to_have_text(f"Would rebuild {len(wanted):,} windows")
    rebuild.get_by_role("button", name="Click again to do it").click()
    expect(told).to_have_text(f"Rebuilt {len(wanted):,} windows")
    after = site.ask("analytics/daily/2026-02-10")
    assert {**after, "computed_at": 0, "revision": 0} == {**before, "computed_at": 0, "revision": 0}

    purge = page.get_by_role("region", name="Purge")
    purge.get_by_role("button", name="Try without changing").click()
    reports = site.ask("upkeep/purge", {})
    for name, report in reports.items():
        expect(page.locator(f"[data-upkeep=purge-{name}]")).to_have_attribute("data-value", str(report["objects"]))


def test_health_is_that_of_the_api(tab: Tab, site: Site) -> None:
    page = tab.open("#operations")
    health = site.ask("health")
    expect(page.locator("[data-health=status]")).to_have_attribute("data-value", health["status"])
    dropped = sum(log.get("dropped", 0) for log in health["namespaces"].values())
    expect(page.locator("[data-health=dropped]")).to_have_attribute("data-value", str(dropped))
    expect(page.locator("[data-health=storage]")).to_have_attribute("data-value", "true")


def test_every_kind_of_stored_file_opens_token_entries_too(tab: Tab, site: Site) -> None:
    site.ask("tokens/create", {"token_name": "stored-1", "usage_limit": 5})
    files = []
    for prefix in ("cache/tokens/", "cache/analytics/data/raw/2026/02/09/", "cache/analytics/data/aggregations/daily/2026/02/"):
        files += site.ask("storage/files", prefix=prefix, limit=2)["files"]
    assert len(files) >= 5
    page = tab.open("#operations")
    for file in files:
        page.locator("storage-browser input").fill(file["path"])
        page.locator(f'[data-path="{file["path"]}"]').click()
        content = page.get_by_role("region", name="Content")
        expect(content.locator("h3")).to_have_text(file["path"])
        if file["path"].endswith(".json"):
            stored = site.fetch("storage/file", path=file["path"])
            expect(content.locator("pre")).to_be_visible()
            assert json.loads(content.locator("pre").inner_text()) == json.loads(stored)
        with page.expect_download() as download:
            content.get_by_role("button", name="Save file").click()
        assert download.value.path().stat().st_size == file["size_bytes"]
        content.get_by_role("button", name="Close").click()
