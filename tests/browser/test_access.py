# SPDX-License-Identifier: Apache-2.0
"""Nobody sees anything without the key, and nothing but the page itself runs in the page."""
from __future__ import annotations

import gzip
import urllib.request

import pytest
from conftest import Tab
from playwright.sync_api import expect
from sites import KEY, Site

FILES = ("", "dashboard.js", "theme.css")


def fetch(url: str, **headers: str) -> tuple[dict[str, str], bytes]:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=60) as answer:
        return {name.lower(): value for name, value in answer.getheaders()}, answer.read()


@pytest.mark.parametrize("file", FILES)
def test_the_files_of_the_page_are_guarded_and_no_cache_keeps_them(site: Site, file: str) -> None:
    packed_headers, packed = fetch(site.base + file, **{"Accept-Encoding": "gzip"})
    headers, plain = fetch(site.base + file, **{"Accept-Encoding": "identity"})
    assert packed_headers["content-encoding"] == "gzip" and "content-encoding" not in headers
    assert gzip.decompress(packed) == plain
    policy = dict(directive.strip().split(" ", 1) for directive in headers["content-security-policy"].split(";"))
    assert policy == {"default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "connect-src": "'self'",
                      "img-src": "'self' data:", "base-uri": "'none'", "form-action": "'none'", "frame-ancestors": "'none'"}
    for name, value in (("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer"),
                        ("x-frame-options", "DENY"), ("cache-control", "no-store")):
        assert headers[name] == value


def test_the_policy_is_obeyed_no_script_from_inside_or_outside_runs(tab: Tab) -> None:
    page = tab.open()
    broken = page.evaluate("""async () => {
        const broken = [];
        addEventListener("securitypolicyviolation", (event) => broken.push(event.effectiveDirective));
        const inside = document.createElement("script");
        inside.textContent = "window.caught = 1";
        const outside = Object.assign(document.createElement("script"), { src: "data:text/javascript,window.caught=2" });
        const frame = Object.assign(document.createElement("iframe"), { src: "/" });
        document.body.append(inside, outside, frame);
        await new Promise((resolve) => setTimeout(resolve, 300));
        return broken;
    }""")
    assert page.evaluate("window.caught") is None
    assert sorted(broken) == ["frame-src", "script-src-elem", "script-src-elem"]
    tab.complaints.clear()  # the browser says what was refused


def test_the_whole_page_is_at_most_120_kb_compressed(site: Site) -> None:
    sizes = [len(fetch(site.base + file, **{"Accept-Encoding": "gzip"})[1]) for file in FILES]
    print(f"the page has {sum(sizes)} bytes: {dict(zip(FILES, sizes))}")
    assert sum(sizes) <= 120 * 1024


def test_a_wrong_key_shows_nothing_and_the_right_one_is_kept_for_the_tab_only(tab: Tab, site: Site) -> None:
    page = tab.page
    page.goto(site.base)
    page.fill("#key", "wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("The server refuses this key.")
    expect(page.locator("header.top")).to_have_count(0)
    tab.complaints.clear()  # the browser says that an answer was 401

    page.fill("#key", KEY)
    page.keyboard.press("Enter")
    expect(page.locator("header.top")).to_be_visible()
    page.reload()
    expect(page.locator("header.top")).to_be_visible()
    assert page.evaluate("document.cookie + JSON.stringify(localStorage)") == "{}"

    other = page.context.new_page()
    other.goto(site.base)
    expect(other.locator("#key")).to_be_visible()
    page.get_by_role("button", name="Lock").click()
    expect(page.locator("#key")).to_be_visible()
    assert page.evaluate("JSON.stringify(sessionStorage)") == "{}"


def test_the_key_travels_in_a_header_and_in_no_address(tab: Tab, site: Site) -> None:
    asked = []
    tab.page.on("request", lambda request: asked.append(request))
    tab.open()
    expect(tab.page.locator("[data-metric=requests]")).to_be_visible()
    with_key = [request for request in asked if request.headers.get("x-api-key") == KEY]
    assert len(with_key) >= 3
    assert not [request.url for request in asked if KEY in request.url]
