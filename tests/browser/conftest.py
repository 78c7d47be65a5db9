# SPDX-License-Identifier: Apache-2.0
"""A browser, and what it looks at: a real log and a generated month, behind both hosts of the dashboard."""
from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from generate_log import generate
from harness import WINDOWS, Command, Store, write_lines
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from sites import KEY, Bundled, Mounted, Site

from memfs_cache import Cache_Service, Storage_Disk

PROJECT = Path(__file__).resolve().parents[2]
SCREENSHOTS = Path(os.environ.get("MEMFS_CACHE_BINARY_DIR", PROJECT / "build" / "release")) / "screenshots"
CROWD = 100_000
HOSTS = {"server": Bundled, "admin_app": Mounted}

expect.set_options(timeout=20_000)


def chromium() -> str:
    found = os.environ.get("MEMFS_CACHE_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if not found:
        pytest.fail("there is no chromium: `make test-browser` installs it", pytrace=False)
    return found


@pytest.fixture(scope="session")
def command() -> Command:
    return Command(Path(os.environ.get("MEMFS_CACHE_COMMAND", PROJECT / "build" / "release" / "memfs-cache")))


@pytest.fixture(scope="session")
def filled(command: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with four days of a real site, and February 2026 of a generated one."""
    folder = tmp_path_factory.mktemp("filled")
    store = Store(command, folder / "store")
    log = write_lines(folder / "february.log", generate(seed=9, lines=20_000, first="2026-02-01", days=28))
    store.import_(PROJECT / "tests" / "data" / "apache_access_anonymised.log")
    store.import_(log)
    store.import_(write_lines(folder / "march.log", generate(seed=10, lines=500, first="2026-03-01", days=5)))
    make_every_state_of_a_day(store)
    record_transfers(store)
    return store.folder


def make_every_state_of_a_day(store: Store) -> None:
    """In the first days of March: final, revised, without its daily window, without any window."""
    store.query("daily", [f"2026-03-{day:02}" for day in range(1, 6)])
    with Cache_Service(Storage_Disk(store.folder)) as cache:
        cache.analytics.record({"event_type": "page_view", "path": "/late", "timestamp": 1772445600000})  # 2 March, 10:00
        cache.flush()
        assert cache.analytics.aggregation("daily", "2026-03-02").revision == 1
    for path in (store.folder / WINDOWS).rglob("*.json"):
        below = path.relative_to(store.folder / WINDOWS).as_posix()
        if re.match(r"\w+/2026/03/04", below) or below == "daily/2026/03/03.json":
            path.unlink()


def record_transfers(store: Store) -> None:
    """Some are active now, of one every kind of event is known, and one was active before this day."""
    now, minute = int(time.time() * 1000), 60_000
    with Cache_Service(Storage_Disk(store.folder)) as cache:
        def record(name: str, act: str, minutes_ago: int, **more: object) -> None:
            cache.transfers.record(name, act, timestamp=now - minutes_ago * minute, **more)

        record("photos", "created", 50)
        record("photos", "upload_completed", 49, content_bytes=5_000_000)
        for visitor, country in enumerate(("PT", "PT", "GB", "DE")):
            address = f"203.0.113.{visitor}"
            record("photos", "viewed", 40 - visitor, ip=address, country=country)
            for again in range(visitor + 1):
                record("photos", "downloaded", 30 - 7 * visitor + again, ip=address, country=country, content_bytes=5_000_000)
        record("report", "downloaded", 200, ip="203.0.113.9", country="FR", content_bytes=1234)
        record("report", "viewed", 20, ip="203.0.113.9", country="FR")
        for name in range(12):
            record(f"small-{name}", "viewed", 300 + name)
        record("old", "downloaded", 3000, ip="203.0.113.9", country="FR", content_bytes=99)
        cache.flush()


@pytest.fixture(scope="session", params=HOSTS)
def site(request: pytest.FixtureRequest, command: Command, filled: Path) -> Iterator[Site]:
    store = filled.with_name(f"store-{request.param}")
    shutil.copytree(filled, store)
    host = HOSTS[request.param](command, store)
    yield host.site
    host.stop()


@pytest.fixture(scope="session")
def empty_site(command: Command, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    host = Bundled(command, tmp_path_factory.mktemp("empty") / "store")
    yield host.site
    host.stop()


@pytest.fixture(scope="session")
def untouched_site(command: Command, filled: Path) -> Iterator[Site]:
    """Of which no test asks for windows, as that would compute what is missing on purpose."""
    store = filled.with_name("store-untouched")
    shutil.copytree(filled, store)
    host = Bundled(command, store)
    yield host.site
    host.stop()


@pytest.fixture(scope="session")
def crowded_site(command: Command) -> Iterator[Site]:
    """With 100,000 tokens, and so with many more files."""
    host = Mounted.crowded(tokens=CROWD)
    yield host.site
    host.stop()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # Chromium has no sandbox for root, and nothing but our own page is opened.
        started = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield started
        started.close()


class Tab:
    """A page of the dashboard, and all that it said and asked for."""

    def __init__(self, context: BrowserContext, site: Site) -> None:
        self.site = site
        self.page: Page = context.new_page()
        self.complaints: list[str] = []
        self.foreign: list[str] = []
        self.page.on("console", lambda said: self.complaints.append(said.text) if said.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.foreign.append(request.url)
                     if not request.url.startswith((site.base, "blob:", "data:")) else None)

    def open(self, address: str = "") -> Page:
        """Opens a view, with the key."""
        self.page.goto(self.site.base + address)
        expect(self.page.locator("#key, header.top")).to_be_visible()
        if self.page.locator("#key").is_visible():
            self.page.fill("#key", KEY)
            self.page.keyboard.press("Enter")
            expect(self.page.locator("header.top")).to_be_visible()
        return self.page


@pytest.fixture
def tab(browser: Browser, site: Site) -> Iterator[Tab]:
    """A fresh tab of a fresh browser; at the end it must have complained of nothing, and asked nobody else."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce", accept_downloads=True)
    tab = Tab(context, site)
    yield tab
    context.close()
    assert tab.complaints == []
    assert tab.foreign == []
