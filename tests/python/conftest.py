# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import random
from pathlib import Path
from typing import NamedTuple

import pytest

from generate_log import Line, generate
from harness import Command, Server, Store, write_lines
from oracle import Recount, parse

PROJECT = Path(__file__).resolve().parents[2]
DATA = PROJECT / "tests" / "data"
APACHE_LOG = DATA / "apache_access_anonymised.log"
APACHE_DAMAGED_LINE = 8899
APACHE_SUMS = {"total_requests": 9_999, "total_bytes": 2_747_282_505, "error_count": 220, "unique_visitors": 2_034}


def find_command() -> Path:
    """MEMFS_CACHE_COMMAND, else the newest program that was built in this checkout."""
    named = os.environ.get("MEMFS_CACHE_COMMAND")
    if named:
        return Path(named).absolute()
    built = [PROJECT / "build/release/memfs-cache", *PROJECT.glob("build/*/memfs-cache")]
    return max((path for path in built if path.is_file()), key=lambda path: path.stat().st_mtime,
               default=PROJECT / "build/release/memfs-cache")


@pytest.fixture(scope="session")
def command() -> Command:
    path = find_command()
    if not os.access(path, os.X_OK) or not path.is_file():
        pytest.fail(f"{path} is missing: build it with `make test`, or name it in MEMFS_CACHE_COMMAND", pytrace=False)
    return Command(path)


@pytest.fixture
def store(command: Command, tmp_path: Path) -> Store:
    return Store(command, tmp_path / "store")


@pytest.fixture
def new_store(command: Command, tmp_path: Path):
    """Makes further stores: new_store("name")."""
    return lambda name: Store(command, tmp_path / name)


class Log(NamedTuple):
    path: Path
    lines: list[Line]
    recount: Recount

    @property
    def good(self) -> int:
        return sum(line.event is not None for line in self.lines)

    @property
    def damaged_numbers(self) -> list[int]:
        return [number for number, line in enumerate(self.lines, start=1) if line.event is None]


@pytest.fixture(scope="session")
def make_log(tmp_path_factory):
    """Writes a generated log and its recount: make_log(seed, lines, first, days)."""
    def make(seed: int, lines: int, first: str, days: int) -> Log:
        made = list(generate(seed, lines, first, days))
        path = write_lines(tmp_path_factory.mktemp("log") / f"generated-{seed}.log", made)
        return Log(path, made, Recount(line.event for line in made if line.event))
    return make


@pytest.fixture(scope="session")
def small_log(make_log) -> Log:
    """Eleven days across a year's edge that is also an edge of ISO years: 2024-12-30 is 2025-W01."""
    return make_log(seed=20241230, lines=6_000, first="2024-12-26", days=11)


@pytest.fixture(scope="session")
def big_log(make_log) -> Log:
    """41 days across two months' edges and a leap day; every half-hour has events."""
    return make_log(seed=20240229, lines=200_000, first="2024-01-25", days=41)


@pytest.fixture(scope="session")
def apache_recount() -> Recount:
    with APACHE_LOG.open(encoding="utf-8") as lines:
        return Recount(event for event in map(parse, lines) if event)


@pytest.fixture
def chance(request) -> random.Random:
    """Random numbers; MEMFS_CACHE_TEST_SEED repeats a run whose seed was printed."""
    seed = int(os.environ.get("MEMFS_CACHE_TEST_SEED") or random.SystemRandom().getrandbits(32))
    print(f"{request.node.name}: MEMFS_CACHE_TEST_SEED={seed}")  # pytest shows it when the test fails
    return random.Random(seed)


@pytest.fixture
def static_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "static"
    (folder / "docs").mkdir(parents=True)
    (folder / "index.html").write_bytes(b"<!doctype html><title>Home</title><p>Welcome.</p>")
    (folder / "docs" / "page.html").write_bytes(b"<!doctype html><title>Page</title>" + b"<p>text</p>" * 500)
    (folder / "app.js").write_bytes(b"'use strict';\n")
    (folder / "data.bin").write_bytes(bytes(range(256)) * 400)
    (tmp_path / "outside.txt").write_bytes(b"This file lies beside the static folder and must not be served.")
    return folder


@pytest.fixture
def start_server(command: Command, static_folder: Path, tmp_path: Path):
    """Starts servers and ends them all, however the test ends: start_server(store, env=..., options=...)."""
    started: list[Server] = []

    def start(store: Store, **settings) -> Server:
        started.append(Server(command, store, static_folder, tmp_path / "admin.key", **settings))
        return started[-1]

    yield start
    for server in started:
        server.kill()
