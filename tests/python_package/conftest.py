# SPDX-License-Identifier: Apache-2.0
"""What the tests of the installed package share."""
from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from memfs_cache import Cache_Service, Manual_Clock, Storage, Storage_Disk, Storage_Memory

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def cost_explorer() -> Iterator[Any]:
    """The Cost Explorer that the tests of the command ask, its keys in the environment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "tests" / "python"))
        from fake_cost_explorer import ENVIRONMENT, Fake_Cost_Explorer

        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        service = Fake_Cost_Explorer()
        try:
            yield service
        finally:
            service.stop()
NOON = 1_771_066_800_000  # 2026-02-14T11:00:00Z

# Hypothesis prints what reproduces a failure; MEMFS_CACHE_TEST_ROUNDS asks for more than the quick run.
settings.register_profile("quick", max_examples=100 * int(os.environ.get("MEMFS_CACHE_TEST_ROUNDS", "1")),
                          deadline=None, database=None, print_blob=True,
                          suppress_health_check=[HealthCheck.function_scoped_fixture])
settings.load_profile("quick")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def wait_until(happened: Callable[[], bool]) -> None:
    """For at most a minute."""
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline, "waited for a minute"
        time.sleep(0.02)


class Files:
    """A storage in Python with the methods of Memory-FS, in a dict. What `breaks` says is raised by every call."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.breaks: Exception | None = None

    def file__bytes(self, path: str) -> bytes | None:
        self.check()
        return self.files.get(path)

    def file__save(self, path: str, data: bytes) -> bool:
        self.check()
        self.files[path] = data
        return True

    def file__delete(self, path: str) -> bool:
        self.check()
        return self.files.pop(path, None) is not None

    def files__paths(self) -> list[str]:
        self.check()
        return list(self.files)

    def check(self) -> None:
        if self.breaks is not None:
            raise self.breaks


class Conditional_Files(Files):
    """The same with writes that have conditions, so that events and tokens can be kept in it."""

    def __init__(self) -> None:
        super().__init__()
        self.versions: dict[str, int] = {}
        self.lock = threading.Lock()

    def file__save(self, path: str, data: bytes) -> bool:
        self.versions[path] = self.versions.get(path, 0) + 1
        return super().file__save(path, data)

    def file__bytes_and_version(self, path: str) -> tuple[bytes, str] | None:
        with self.lock:
            data = self.file__bytes(path)
            return None if data is None else (data, str(self.versions[path]))

    def file__save_if(self, path: str, data: bytes, version: str | None) -> str | None:
        with self.lock:
            present = str(self.versions[path]) if path in self.files else None
            if present != version:
                return None
            self.file__save(path, data)
            return str(self.versions[path])


class Overtaken_Files(Conditional_Files):
    """Where somebody else saves right after each file__save."""

    def file__save(self, path: str, data: bytes) -> bool:
        super().file__save(path, data)
        return super().file__save(path, b"of another")


@pytest.fixture(params=["memory", "disk"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    return Storage_Memory() if request.param == "memory" else Storage_Disk(tmp_path / "store")


@pytest.fixture
def clock() -> Manual_Clock:
    return Manual_Clock(NOON)


@pytest.fixture
def cache(storage: Storage, clock: Manual_Clock) -> Iterator[Cache_Service]:
    with Cache_Service(storage_fs=storage, clock=clock) as cache:
        yield cache
