# SPDX-License-Identifier: Apache-2.0
"""What holds for every panel: it can be used by all, it is quick, and it outlives the troubles of its server."""
from __future__ import annotations

import json
import statistics
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import SCREENSHOTS, Tab
from playwright.sync_api import Browser, Page, Route, expect
from sites import KEY, Site

VIEWS = {
    "overview": "#overview?at=2015-05-18T00:00Z",
    "month": "#overview?type=monthly&at=2026-02-10T00:00Z&metric=requests,bytes",
    "tokens": "#tokens",
    "token": "#tokens?token=seen-1",
    "costs": "#costs?month=2026-02",
    "transfers": "#transfers?minutes=360&transfer=photos",
    "operations": "#operations?month=2026-03&day=2026-03-02",
}


@pytest.fixture(scope="module", autouse=True)
def seen(site: Site) -> None:
    """Something to see in each panel."""
    site.ask("tokens/create", {"token_name": "seen-1", "usage_limit": 5, "created_by": "ann", "metadata": {"plan": "free"}})
    for _ in range(6):
        site.ask("tokens/seen-1/use", {"ip_hash": "ab12cd34ef"})
    lines = ["date,service,amount_usd", *(f"2026-02-{day:02},AmazonS3,{day / 8}" for day in range(1, 29))]
    site.post_text("costs/import", "\n".join(lines) + "\n", "text/csv")


def settle(page: Page) -> None:
    """Waits until nothing is asked for any more but pulses."""
    expect(page.locator("main")).to_be_visible()
    expect(page.locator(".loading")).to_have_count(0)
    page.wait_for_timeout(400)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_nothing_serious_and_nothing_is_wider_than_the_screen(browser: Browser, site: Site, view: str, scheme: str) -> None:
    context = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme=scheme, reduced_motion="reduce",
                                  bypass_csp=True)  # axe is a script of its own
    tab = Tab(context, site)
    page = tab.open(VIEWS[view])
    settle(page)
    host = "prefixed" if "/behind/" in site.base else "server"
    for width in (1440, 360):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(200)
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SCREENSHOTS / f"{view}-{scheme}-{width}-{host}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
        found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
        serious = [(one["id"], [node["html"][:120] for node in one["nodes"]][:3]) for one in found
                   if one["impact"] in ("serious", "critical")]
        assert serious == []
    context.close()
    assert tab.complaints == []


def test_everything_is_reached_by_the_keyboard_alone(tab: Tab, site: Site) -> None:
    page = tab.page
    page.goto(site.base + VIEWS["overview"])
    expect(page.locator("#key")).to_be_focused()
    page.keyboard.type(KEY)
    page.keyboard.press("Enter")
    expect(page.locator("[data-card=paths] .row").first).to_be_visible()
    settle(page)
    reached = set()
    for _ in range(400):
        page.keyboard.press("Tab")
        name = page.evaluate("""() => { const e = document.activeElement; if (e === document.body) return '';
            if (getComputedStyle(e).outlineStyle === 'none') return 'no ring: ' + e.outerHTML.slice(0, 80);
            e.dataset.reached = '1'; return 'reached'; }""")
        if name == "":
            break
        reached.add(name)
    assert reached == {"reached"}
    left = page.evaluate("""() => [...document.querySelectorAll('a[href], button:not(:disabled), input, [tabindex="0"]')]
        .filter((e) => e.offsetParent !== null && !e.dataset.reached && !e.closest('.live')).map((e) => e.outerHTML.slice(0, 80))""")
    assert left == []

    page.locator("[data-card=methods] [data-name=HEAD]").focus()
    page.keyboard.press("Shift+Enter")
    expect(page.locator(".pill")).to_have_text("method is not HEAD ×")
    page.keyboard.press("Escape")
    expect(page.locator(".pill")).to_have_count(0)
    page.locator(".plot").focus()
    for keys in ("Home", "ArrowRight", "Shift+ArrowRight", "Shift+ArrowRight", "Enter"):
        page.keyboard.press(keys)
    expect(page.get_by_role("button", name="Whole window")).to_be_visible()
    for key, panel in (("2", "Tokens"), ("3", "Costs"), ("4", "Transfers"), ("5", "Operations"), ("1", "Overview")):
        page.keyboard.press(key)
        expect(page.locator("nav [aria-current=page]")).to_have_text(panel)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("m")
    expect(page.get_by_role("button", name="Month", exact=True).first).to_have_attribute("aria-pressed", "true")


@pytest.mark.parametrize(("answer", "state", "said"), [
    ({"status": 200, "json": {"status": "ok"}}, "good", "Health: good"),
    ({"status": 200, "json": {"status": "degraded"}}, "bad", "Health: degraded"),
    ({"status": 500, "json": {}}, "unknown", "Health: not known"),
    (None, "unknown", "Health: not known"),
])
def test_the_dot_of_health_is_green_only_while_the_server_says_so(tab: Tab, answer: dict[str, Any] | None, state: str, said: str) -> None:
    page = tab.open("#costs")
    dot = page.locator("health-dot a")
    expect(dot).to_have_attribute("data-state", "good")
    page.route("**/health", lambda route: route.abort() if answer is None else route.fulfill(**answer))
    page.reload()
    expect(dot).to_have_attribute("data-state", state)
    expect(page.get_by_role("link", name=said)).to_be_visible()
    page.unroute("**/health")
    expect(dot).to_have_attribute("data-state", "good")
    dot.click()
    expect(page.locator("nav [aria-current=page]")).to_have_text("Operations")
    tab.complaints.clear()  # the browser says what failed


def test_nothing_is_green_before_the_server_has_said_how_it_is(tab: Tab) -> None:
    held: list[Route] = []
    tab.page.route("**/health", lambda route: held.append(route))
    page = tab.open("#operations")
    expect(page.locator("health-dot a")).to_have_attribute("data-state", "unknown")
    expect(page.locator("[data-health=status] .figure-value")).to_have_text("–")
    expect(page.locator("[data-health=dropped] .figure-value")).to_have_text("–")
    for route in held:
        route.continue_()
    expect(page.locator("health-dot a")).to_have_attribute("data-state", "good")
    page.unroute("**/health")


def test_themes_can_be_chosen_and_stay(tab: Tab) -> None:
    page = tab.open()
    for theme in ("Light", "Dark"):
        page.keyboard.press("t")
        expect(page.get_by_role("button", name=f"Theme: {theme}")).to_be_visible()
    page.reload()
    expect(page.get_by_role("button", name="Theme: Dark")).to_be_visible()
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"


# The browser tells of a paint after it, so an element may be seen before its entry is there.
FIRST_PAINT = """() => new Promise((tell) => new PerformanceObserver((list) => {
    for (const paint of list.getEntriesByName('first-contentful-paint')) tell(paint.startTime);
}).observe({type: 'paint', buffered: true}))"""


def test_the_first_paint_comes_within_300_ms(tab: Tab, site: Site) -> None:
    tab.open()
    painted = []
    for _ in range(5):
        tab.page.reload()
        expect(tab.page.locator("header.top")).to_be_visible()
        painted.append(tab.page.evaluate(FIRST_PAINT))
    print(f"first contentful paint: {sorted(painted)} ms")
    assert statistics.median(painted) <= 300


@pytest.mark.parametrize(("status", "said"), [
    (500, "The server has a problem"), (503, "The server has a problem"), (429, "The server asks to wait"), (0, "The server does not answer"),
])
def test_the_page_says_what_is_wrong_with_the_server_and_goes_on_by_itself(tab: Tab, site: Site, status: int, said: str) -> None:
    page = tab.open(VIEWS["overview"])
    expect(page.locator("[data-metric=requests]")).to_be_visible()
    shown = page.locator("[data-metric=requests]").get_attribute("data-value")

    def fail(route: Route) -> None:
        if status == 0:
            route.abort()
        else:
            route.fulfill(status=status, headers={"Retry-After": "1"}, body=json.dumps({"error": {"code": "x", "message": "y"}}))

    page.route("**/analytics/**", fail)
    page.get_by_role("button", name="Month", exact=True).click()
    banner = page.locator(".banner")
    expect(banner).to_contain_text(said)
    assert page.locator("[data-metric=requests]").get_attribute("data-value") == shown, "what was shown stays"
    page.unroute("**/analytics/**")
    expect(banner).to_be_hidden()
    expect(page.locator("[data-metric=requests]")).to_have_attribute(
        "data-value", str(site.ask("analytics/monthly/2015-05")["total_requests"]))
    tab.complaints.clear()  # the browser says what failed


def test_a_slow_server_is_called_slow_until_it_has_answered(tab: Tab, site: Site) -> None:
    page = tab.open(VIEWS["overview"])
    held: list[Route] = []
    page.route("**/analytics/series**", lambda route: held.append(route))
    page.get_by_role("button", name="Month", exact=True).click()
    expect(page.locator(".banner")).to_contain_text("slow to answer")
    for route in held:
        route.continue_()
    page.unroute("**/analytics/series**")
    expect(page.locator(".banner")).to_be_hidden()


def test_a_key_that_is_refused_later_locks_the_page_and_the_same_view_comes_back(tab: Tab, site: Site) -> None:
    page = tab.open(VIEWS["month"])
    expect(page.locator("[data-metric=requests]")).to_be_visible()
    page.route("**/analytics/**", lambda route: route.fulfill(status=401, body="{}"))
    page.get_by_role("button", name="Earlier window").click()
    expect(page.get_by_role("alert")).to_have_text("The server refuses this key.")
    page.unroute("**/analytics/**")
    page.fill("#key", KEY)
    page.keyboard.press("Enter")
    expect(page.locator(".window-name")).to_have_text("January 2026")
    tab.complaints.clear()  # the browser says that an answer was 401


def test_a_page_that_nobody_touches_locks_itself(browser: Browser, site: Site) -> None:
    context = browser.new_context()
    tab = Tab(context, site)
    tab.page.clock.install()
    page = tab.open()
    page.clock.fast_forward("29:00")
    expect(page.locator("header.top")).to_be_visible()
    page.keyboard.press("Shift")
    page.clock.fast_forward("29:00")
    expect(page.locator("header.top")).to_be_visible()
    page.clock.fast_forward("02:00")
    expect(page.get_by_role("alert")).to_contain_text("Locked")
    assert page.evaluate("sessionStorage.length") == 0
    context.close()
