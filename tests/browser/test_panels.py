# SPDX-License-Identifier: Apache-2.0
"""Costs, transfers and operations show what the API answers."""
from __future__ import annotations

import calendar
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from conftest import Tab
from playwright.sync_api import Browser, Page, expect
from sites import Site


@pytest.fixture(scope="module", autouse=True)
def costs(site: Site) -> None:
    """Two months of two services, and a budget that the second month has used up."""
    site.ask("costs/budgets", {"name": "everything", "amount_usd": "100", "period": "monthly"})
    lines = ["date,service,amount_usd"]
    for month in ("01", "02"):
        for day in range(1, 29):
            lines += [f"2026-{month}-{day:02},AmazonS3,{day / 8}", f"2026-{month}-{day:02},AmazonEC2,3.25"]
    site.post_text("costs/import", "\n".join(lines) + "\n", "text/csv")


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
    budget = page.locator("[data-budget=everything]")
    expect(budget).to_contain_text("$141.75 of $100.00")
    expect(budget).to_contain_text(f"Projected month: ${month['projected_month_usd']:,.2f}")
    alerts = [alert for alert in site.ask("costs/alerts")["alerts"] if alert["budget"] == "everything"]
    for alert in alerts:
        expect(page.get_by_role("region", name="Alerts")).to_contain_text(
            f"everything: {alert['threshold_percent']} % used in {alert['window_key']}")
    assert {alert["threshold_percent"] for alert in alerts if alert["window_key"] == "2026-02"} >= {100}
    page.get_by_role("button", name="Table").click()
    rows = page.get_by_role("region", name="Services over time").locator("tbody tr")
    expect(rows).to_have_count(len(month["cost_by_day"]))
    day = site.ask("costs/daily/2026-02-08")
    cells = rows.nth(7).locator("td").all_inner_texts()
    assert sorted(cells) == sorted(f"${cost:.2f}" for cost in day["cost_by_service"].values())


def test_the_month_of_now_is_shown_so_far_and_projected_beside_its_budget(tab: Tab, site: Site) -> None:
    today = datetime.now(timezone.utc).date()
    lines = ["date,service,amount_usd", *(f"{today:%Y-%m}-{day:02},AmazonS3,{2 + day / 4}" for day in range(1, today.day + 1))]
    site.post_text("costs/import", "\n".join(lines) + "\n", "text/csv")
    page = tab.open("#costs")
    month = site.ask("costs/current")
    assert month["window_key"] == f"{today:%Y-%m}"
    assert month["month_to_date_usd"] == pytest.approx(sum(2 + day / 4 for day in range(1, today.day + 1)))
    for member in ("month_to_date_usd", "projected_month_usd"):
        shown = page.locator(f"[data-cost={member}]")
        assert float(shown.get_attribute("data-value") or "nan") == month[member] > 0
        expect(shown.locator(".figure-value")).to_have_text(f"${month[member]:,.2f}")
    budget = page.locator("[data-budget=everything]")
    expect(budget).to_contain_text(f"${month['month_to_date_usd']:,.2f} of $100.00")
    expect(budget).to_contain_text(f"Projected month: ${month['projected_month_usd']:,.2f}")
    expect(page.locator(".standing")).to_have_text("may still change")
    expect(page.get_by_role("button", name="Later window")).to_be_disabled()
    page.get_by_role("button", name="Earlier window").click()
    before = today.replace(day=1) - timedelta(days=1)
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Costs: {before:%B %Y}")


def test_what_is_not_known_of_costs_is_no_zero(tab: Tab, site: Site) -> None:
    page = tab.open("#costs?month=2020-03")
    assert site.ask("costs/monthly/2020-03")["recorded"] is False
    expect(page.get_by_role("status").get_by_text("No costs are known")).to_be_visible()
    for shown in page.locator("[data-cost]").all():
        assert shown.get_attribute("data-value") == "" and shown.locator(".figure-value").inner_text() == "–"


def spelt(page: Page, ms: int) -> str:
    """A time as this browser spells it for people in Great Britain, in UTC."""
    return page.evaluate("""(ms) => ms === 0 ? "–" : new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", hourCycle: "h23", day: "numeric",
        month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit" }).format(ms)""", ms)


@pytest.mark.parametrize(("minutes", "button"), [(60, "1 h"), (360, "6 h"), (1440, "day")])
def test_the_most_active_transfers_are_those_of_the_api(tab: Tab, site: Site, minutes: int, button: str) -> None:
    page = tab.open("#transfers")
    page.get_by_role("group", name="In the last").get_by_role("button", name=button, exact=True).click()
    active = site.ask("transfers/active", window_minutes=minutes)
    assert len(active["transfers"]) == active["active_transfers"] == {60: 2, 360: 14, 1440: 14}[minutes]
    table = page.get_by_role("region", name="Most active").locator("tbody tr")
    expect(table).to_have_count(active["active_transfers"])
    for row, transfer in zip(table.all(), active["transfers"], strict=True):
        expect(row.locator("[data-transfer]")).to_have_text(transfer["transfer_id"])
        for member in ("events", "views", "downloads", "bytes"):
            shown = row.locator(f"[data-member={member}]")
            expect(shown).to_have_attribute("data-value", str(transfer[member]))
            if member != "bytes":
                expect(shown).to_have_text(f"{transfer[member]:,}")
        expect(row.locator("td").last).to_have_text(spelt(page, transfer["last_activity_at"]))


def test_a_receipt_says_who_had_a_transfer_and_when_with_the_hours_of_the_day(tab: Tab, site: Site) -> None:
    page = tab.open("#transfers")
    page.get_by_role("button", name="photos", exact=True).click()
    summary = site.ask("transfers/photos/summary")
    assert (summary["total_views"], summary["total_downloads"]) == (4, 10)
    # Who comes before and after midnight UTC is two: the salt of visitors is another one.
    day_ms = 86_400_000
    one_day = summary["first_download_at"] // day_ms == summary["last_download_at"] // day_ms
    assert summary["unique_downloaders"] in ({4} if one_day else range(4, 9))
    for member in ("total_views", "total_downloads", "unique_downloaders", "total_bytes"):
        expect(page.locator(f"[data-receipt={member}]")).to_have_attribute("data-value", str(summary[member]))
    facts = page.get_by_role("region", name="Receipt").locator(".facts")
    for title, member in (("Created", "created_at"), ("First download", "first_download_at"), ("Last download", "last_download_at"),
                          ("Last activity", "last_activity_at")):
        expect(facts.locator(f"dt:text-is('{title}') + dd")).to_have_text(spelt(page, summary[member]))
    countries = ", ".join(f"{name} {count}" for name, count in summary["active_countries"].items())
    expect(facts.locator("dt:text-is('Countries') + dd")).to_have_text(countries)

    hours = {str(hour): summary["active_hours"].get(str(hour), 0) for hour in range(24)}
    cells = page.locator("[data-hour]")
    assert {cell.get_attribute("data-hour"): int(cell.get_attribute("data-value") or 0) for cell in cells.all()} == hours
    heats = {cell.get_attribute("data-hour"): int((cell.get_attribute("class") or "heat-0")[-1]) for cell in cells.all()}
    busiest = max(hours, key=lambda hour: hours[hour])
    assert heats[busiest] == 4 and all((heat > 0) == (hours[hour] > 0) for hour, heat in heats.items())

    events = site.ask("transfers/photos/events")["events"]
    assert len(events) == summary["total_events"] == 16
    rows = page.get_by_role("region", name="Who and when").locator("tbody tr")
    expect(rows).to_have_count(len(events))
    acts = {"created": "created", "upload_completed": "uploaded", "viewed": "viewed", "downloaded": "downloaded"}
    for row, event in zip(rows.all(), events, strict=True):
        cells = row.locator("th, td").all_inner_texts()
        assert cells[:4] == [spelt(page, event["timestamp"]), acts[event["event_type"]], event["country"], event["ip_hash"]]
    with page.expect_download() as download:
        page.get_by_role("button", name="Receipt photos as JSON").click()
    assert json.loads(download.value.path().read_text()) == events


def test_a_receipt_is_found_by_its_id_also_of_a_transfer_that_rests_and_an_unknown_one_is_said_to_be_unknown(tab: Tab, site: Site) -> None:
    page = tab.open("#transfers")
    lookup = page.get_by_label("Transfer id")
    lookup.fill("old")
    lookup.press("Enter")
    expect(page.get_by_role("heading", name="Receipt: old")).to_be_visible()
    expect(page.locator("[data-receipt=total_downloads]")).to_have_attribute("data-value", "1")
    lookup.fill("nobody")
    lookup.press("Enter")
    expect(page.get_by_text("Nothing is known of this transfer.")).to_be_visible()
    tab.complaints.clear()  # the browser says that an answer was 404


@pytest.mark.parametrize("month", ["2026-02", "2026-03"])
def test_the_calendar_is_what_is_stored_and_a_day_leads_to_its_windows(browser: Browser, untouched_site: Site, month: str) -> None:
    context = browser.new_context()
    tab, site = Tab(context, untouched_site), untouched_site
    page = tab.open(f"#operations?month={month}")
    days = page.locator("[data-day]")
    expect(days).to_have_count(calendar.monthrange(2026, int(month[-2:]))[1])
    folder = month.replace("-", "/")
    sums: Counter[str] = Counter()
    windows: dict[str, set[str]] = defaultdict(set)
    for part in ("raw", "aggregations/30min", "aggregations/hourly", "aggregations/daily"):
        for file in stored_files(site, f"cache/analytics/data/{part}/{folder}/"):
            found = re.search(rf"/{folder}/(\d\d)", file["path"])
            assert found
            day = f"{month}-{found[1]}"
            sums[day] += file["size_bytes"]
            windows[day].add(part)

    def state(day: str) -> str:
        if "aggregations/daily" in windows[day]:
            path = f"cache/analytics/data/aggregations/daily/{day.replace('-', '/')}.json"
            return "revised" if json.loads(site.fetch("storage/file", path=path))["revision"] > 0 else "final"
        return "computed" if len(windows[day] - {"raw"}) > 0 else "raw" if windows[day] else "empty"

    shown = {day.get_attribute("data-day") or "": day for day in days.all()}
    assert {day: int(cell.get_attribute("data-value") or 0) for day, cell in shown.items()} == {day: sums[day] for day in shown}
    states = {day: cell.get_attribute("data-state") for day, cell in shown.items()}
    assert states == {day: state(day) for day in shown}
    if month == "2026-03":
        assert [states[f"2026-03-0{day}"] for day in (1, 2, 3, 4, 9)] == ["final", "revised", "computed", "raw", "empty"]
        shown["2026-03-02"].click()
        expect(page.get_by_text("Stored of 2 Mar 2026")).to_be_visible()
        expect(page.get_by_text("revision 1")).to_be_visible()
        page.get_by_role("region", name="Windows").get_by_role("button", name="Day", exact=True).click()
        expect(page.get_by_role("region", name="Content").locator("h3")).to_have_text(
            "cache/analytics/data/aggregations/daily/2026/03/02.json")
    context.close()
    assert tab.complaints == []


def stored_files(site: Site, prefix: str) -> Iterator[dict[str, Any]]:
    start_after = ""
    while True:
        answer = site.ask("storage/files", prefix=prefix, start_after=start_after, limit=1000)
        yield from answer["files"]
        start_after = answer["next"]
        if not start_after:
            return


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
