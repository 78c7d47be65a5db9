# SPDX-License-Identifier: Apache-2.0
"""The life of a token in the browser, beside what the API says of it."""
from __future__ import annotations

import io
import json
import re
import time
from collections import Counter

import zxingcpp
from conftest import Tab
from PIL import Image
from playwright.sync_api import Page, expect
from sites import SHARE_URL_BASE, Site


CREATE = re.compile(r"^Create (token|\d+ tokens)$")


def create(page: Page, names: str, **fields: str) -> None:
    page.get_by_role("button", name="New token").click()
    page.locator("#names").fill(names)
    for name, value in fields.items():
        page.locator(f"#{name}").fill(value)
    page.get_by_role("button", name=CREATE).click()


def fact(page: Page, name: str) -> str | None:
    return page.locator(f"[data-fact={name}]").get_attribute("data-value")


def test_a_token_is_made_used_used_up_raised_revoked_and_reactivated(tab: Tab, site: Site) -> None:
    page = tab.open("#tokens")
    create(page, "Life-1", limit="3", created_by="ann", metadata='{"plan": "free"}')
    expect(page.get_by_role("status").get_by_text("1 created")).to_be_visible()
    page.locator("[data-token=life-1]").click()
    expect(page.locator("[data-share]")).to_have_attribute("data-share", f"{SHARE_URL_BASE}life-1")
    expect(page.get_by_role("img", name="QR code of the share link")).to_be_visible()
    assert fact(page, "remaining") == "3"

    for granted in (True, True, True, False):
        assert site.ask("tokens/life-1/use", {"ip_hash": "ab12cd34ef"})["success"] is granted
    page.reload()
    expect(page.locator("[data-fact=usage_count]")).to_have_attribute("data-value", "3")
    expect(page.locator(".bar .tag")).to_have_text("used up")
    events = site.ask("tokens/life-1/events")["events"]
    rows = page.get_by_role("region", name="Uses and refusals").locator("tbody tr")
    expect(rows).to_have_count(len(events))
    for row, event in zip(rows.all(), events, strict=True):
        cells = row.locator("td").all_inner_texts()
        assert cells[0] == event["action"] and cells[2] == event["ip_hash"]
        assert cells[1] == ("granted" if event["accepted"] else "refused: used up")
    assert page.locator(".chart-head .legend li").all_inner_texts() == ["Granted", "Refused"]

    page.locator("#new-limit").fill("5")
    page.get_by_role("button", name="Reactivate").click()
    expect(page.locator("[data-fact=remaining]")).to_have_attribute("data-value", "2")
    page.get_by_role("button", name="Revoke").click()
    assert site.ask("tokens/life-1")["status"] == "active"  # one click is none
    page.get_by_role("button", name="Click again to do it").click()
    expect(page.locator(".bar .tag")).to_have_text("revoked")
    assert site.ask("tokens/life-1")["status"] == "revoked"
    assert site.ask("tokens/life-1/use", {})["rejection_reason"] == "revoked"
    page.locator("#new-limit").fill("0")
    page.get_by_role("button", name="Reactivate").click()
    expect(page.locator(".bar .tag")).to_have_text("active")
    assert site.ask("tokens/life-1")["usage_limit"] == 0


def test_the_form_says_what_a_token_cannot_be_before_it_asks(tab: Tab, site: Site) -> None:
    page = tab.open("#tokens")
    before = site.ask("tokens")["total"]
    asked = []
    page.on("request", lambda request: asked.append(request.url) if request.method == "POST" else None)
    page.get_by_role("button", name="New token").click()
    for field, value, complaint in (("names", "a b", "cannot be a name"), ("names", "two\nTwo", "there twice"),
                                    ("names", "", "at least one"), ("limit", "-1", "whole number"),
                                    ("metadata", "[1]", "no JSON object"), ("expires", "2020-01-01T00:00", "in the past")):
        page.locator("#names").fill("fine-name")
        page.locator(f"#{field}").fill(value)
        expect(page.locator(f"#{field}-hint")).to_contain_text(complaint)
        page.get_by_role("button", name=CREATE).click()
        expect(page.locator(f"#{field}")).to_be_focused()
        page.locator(f"#{field}").fill("" if field in ("metadata", "expires") else "7")
    assert asked == []
    assert site.ask("tokens")["total"] == before


def test_many_are_made_at_once_and_what_failed_is_said_by_name(tab: Tab, site: Site) -> None:
    page = tab.open("#tokens")
    site.ask("tokens/create", {"token_name": "many-2", "usage_limit": 1})
    create(page, "many-1\nmany-2, many-3", limit="0")
    expect(page.get_by_role("status").get_by_text("2 created")).to_be_visible()
    expect(page.get_by_text("many-2: ")).to_be_visible()
    assert site.ask("tokens/many-3")["remaining"] is None
    tab.complaints.clear()  # the browser says that an answer was 409
    page.locator(".search").fill("many-")
    expect(page.locator("tbody th")).to_have_text(["many-1", "many-2", "many-3"])
    row = page.locator("tbody tr", has_text="many-1")
    expect(row).to_contain_text("no limit")


def test_chosen_tokens_are_revoked_at_once_after_a_second_click(tab: Tab, site: Site) -> None:
    for i in range(4):
        site.ask("tokens/create", {"token_name": f"bulk-{i}", "usage_limit": 5})
    page = tab.open("#tokens?search=bulk-")
    expect(page.locator("tbody tr")).to_have_count(4)
    for i in (0, 1, 3):
        page.get_by_role("checkbox", name=f"Choose bulk-{i}").check()
    page.get_by_role("checkbox", name="Choose bulk-1").uncheck()
    expect(page.locator("[data-chosen]")).to_have_attribute("data-chosen", "2")
    chosen = page.get_by_role("group", name="Chosen tokens")
    chosen.get_by_role("button", name="Revoke").click()
    assert [site.ask(f"tokens/bulk-{i}")["status"] for i in range(4)] == ["active"] * 4  # one click is none
    chosen.get_by_role("button", name="Click again to do it").click()
    expect(page.get_by_role("status").get_by_text("2 revoked")).to_be_visible()
    assert [site.ask(f"tokens/bulk-{i}")["status"] for i in range(4)] == ["revoked", "active", "active", "revoked"]
    expect(page.locator("tbody .tag")).to_have_text(["revoked", "active", "active", "revoked"])
    expect(chosen).to_have_count(0)


def test_those_that_could_not_be_revoked_are_named_and_stay_chosen(tab: Tab, site: Site) -> None:
    for i in range(2):
        site.ask("tokens/create", {"token_name": f"stays-{i}", "usage_limit": 5})
    page = tab.open("#tokens?search=stays-")
    page.route("**/tokens/stays-0/revoke", lambda route: route.fulfill(
        status=409, json={"error": {"code": "conflict", "message": "Somebody else was first."}}))
    for i in range(2):
        page.get_by_role("checkbox", name=f"Choose stays-{i}").check()
    chosen = page.get_by_role("group", name="Chosen tokens")
    chosen.get_by_role("button", name="Revoke").click()
    chosen.get_by_role("button", name="Click again to do it").click()
    expect(page.get_by_text("stays-0: Somebody else was first.")).to_be_visible()
    expect(page.get_by_text("1 revoked")).to_be_visible()
    expect(page.get_by_role("checkbox", name="Choose stays-0")).to_be_checked()
    expect(page.get_by_role("checkbox", name="Choose stays-1")).not_to_be_checked()
    tab.complaints.clear()  # the browser says that an answer was 409


def test_the_qr_code_holds_the_share_link_in_both_themes_and_the_link_is_copied(tab: Tab, site: Site) -> None:
    site.ask("tokens/create", {"token_name": "scanned-1_x", "usage_limit": 5})
    tab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = tab.open("#tokens?token=scanned-1_x")
    link = site.ask("tokens/scanned-1_x")["share_url"]
    assert link == f"{SHARE_URL_BASE}scanned-1_x"
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        code = page.get_by_role("img", name="QR code of the share link")
        found = zxingcpp.read_barcodes(Image.open(io.BytesIO(code.screenshot())))
        assert [barcode.text for barcode in found] == [link]
    page.get_by_role("button", name="Copy: Share link").click()
    assert page.evaluate("navigator.clipboard.readText()") == link


def test_the_timeline_adds_up_to_the_events_of_the_api_and_says_why_uses_were_refused(tab: Tab, site: Site) -> None:
    site.ask("tokens/create", {"token_name": "course-1", "usage_limit": 4})
    for _ in range(6):
        site.ask("tokens/course-1/use", {"ip_hash": "ab12cd34ef"})
    site.ask("tokens/course-1/revoke", {})
    site.ask("tokens/course-1/use", {})
    events = site.ask("tokens/course-1/events")["events"]
    reasons = Counter(event["rejection_reason"] for event in events)
    assert reasons == {"": 4, "exhausted": 2, "revoked": 1}
    page = tab.open("#tokens?token=course-1")
    page.get_by_role("button", name="Table").click()
    rows = page.get_by_role("region", name="Timeline").locator("tbody tr")
    expect(rows.first).to_be_visible()
    cells = [row.locator("td").all_inner_texts() for row in rows.all()]
    assert sum(int(granted) for granted, _ in cells) == reasons[""]
    assert sum(int(refused) for _, refused in cells) == reasons["exhausted"] + reasons["revoked"]
    outcomes = page.get_by_role("region", name="Uses and refusals").locator("tbody td:nth-child(3)").all_inner_texts()
    assert Counter(outcomes) == {"granted": 4, "refused: used up": 2, "refused: revoked": 1}


def test_a_token_that_nears_its_end_says_so_in_the_list_and_when_it_will_be_there(tab: Tab, site: Site) -> None:
    site.ask("tokens/create", {"token_name": "near-1", "usage_limit": 10})
    for _ in range(8):
        site.ask("tokens/near-1/use", {})
        time.sleep(0.01)
    page = tab.open("#tokens?search=near-1")
    expect(page.get_by_role("img", name="8 of 10 used, nearly used up")).to_be_visible()
    page.locator("[data-token=near-1]").click()
    expect(page.get_by_text(re.compile("At this rate it is used up"))).to_be_visible()


def test_search_order_and_statuses_are_those_of_the_api_and_stand_in_the_address(tab: Tab, site: Site) -> None:
    for i, (limit, used) in enumerate(((10, 1), (10, 6), (10, 9), (2, 2), (0, 3))):
        site.ask("tokens/create", {"token_name": f"order-{i}", "usage_limit": limit, "created_by": "Zoe"})
        for _ in range(used):
            site.ask(f"tokens/order-{i}/use", {})
    page = tab.open("#tokens?search=zoe")
    names = page.locator("tbody th")
    expect(names).to_have_text([f"order-{i}" for i in range(5)])
    for i, kind in enumerate(("good", "open", "bad", "bad")):
        expect(page.locator("tbody tr").nth(i).locator(".usage")).to_have_class(f"usage {kind}")
    expect(page.locator("tbody tr").nth(2).get_by_role("img", name="nearly used up")).to_be_visible()
    page.get_by_role("button", name="Used", exact=True).click()
    listed = site.ask("tokens", search="zoe", sort="usage_count", order="descending")
    expect(names).to_have_text([token["token_name"] for token in listed["tokens"]])
    page.get_by_role("button", name="used up 1").click()
    expect(names).to_have_text(["order-3"])
    page.go_back()
    expect(names).to_have_count(5)
    assert "search=zoe" in page.url and "sort=usage_count" in page.url


def test_markup_in_names_and_metadata_stays_text(tab: Tab, site: Site) -> None:
    script = "<script>window.caught = 1</script><img src=x onerror='window.caught = 2'>"
    site.ask("tokens/create", {"token_name": "markup-1", "usage_limit": 5, "created_by": script, "metadata": {script: script}})
    site.ask("tokens/markup-1/use", {"action": "<script>window.caught=3</script>"})
    site.visit("/hello%3Cscript%3Ealert(1)%3C/script%3E")
    page = tab.open("#tokens?search=markup")
    expect(page.locator("tbody tr").first).to_contain_text("<script>window.caught")
    page.locator("[data-token=markup-1]").click()
    expect(page.locator("pre")).to_contain_text(json.dumps(script)[1:30])
    expect(page.get_by_role("region", name="Uses and refusals").first).to_be_visible()
    page.goto(site.base + "#overview")
    expect(page.locator("[data-card=paths] .row-name", has_text="<script>").or_(
        page.locator("[data-card=paths] .row-name", has_text="%3Cscript%3E")).first).to_be_visible()
    assert page.evaluate("window.caught") is None
    assert page.locator("admin-page script, admin-page img").count() == 0
