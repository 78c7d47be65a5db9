# SPDX-License-Identifier: Apache-2.0
"""A browser, and what it looks at: a real log and a generated month, behind both hosts of the dashboard."""
from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from generate_log import generate
from harness import Command, Store, write_lines
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from sites import KEY, Bundled, Mounted, Site

PROJECT = Path(__file__).resolve().parents[2]
SCREENSHOTS = Path(os.environ.get("MEMFS_CACHE_BINARY_DIR", PROJECT / "build" / "release")) / "screenshots"
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
    return store.folder


@pytest.fixture(scope="session", params=HOSTS)
def site(request: pytest.FixtureRequest, command: Command, filled: Path) -> Iterator[Site]:
    if request.param == "admin_app" and importlib.util.find_spec("memfs_cache") is None:
        pytest.fail("the Python package is not installed here: `make python`", pytrace=False)
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
