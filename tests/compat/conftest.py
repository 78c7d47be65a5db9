# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import servers  # noqa: E402


class Both(NamedTuple):
    ours: str
    theirs: str


@pytest.fixture(scope="session")
def both(tmp_path_factory) -> Iterator[Both]:
    """Ours and theirs on one folder, at the same time."""
    folder = tmp_path_factory.mktemp("shared")
    variables = {"CACHE__SERVICE__STORAGE_MODE": "local_disk", "CACHE__SERVICE__LOCAL_DISK_PATH": str(folder)}
    with servers.ours(f"disk:{folder}") as ours, servers.theirs(**variables) as theirs:
        yield Both(ours, theirs)


@pytest.fixture(scope="session", params=["memory", "disk"])
def url(request, tmp_path_factory) -> Iterator[str]:
    storage = "memory:" if request.param == "memory" else f"disk:{tmp_path_factory.mktemp('store')}"
    with servers.ours(storage) as found:
        yield found
