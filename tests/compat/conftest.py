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


@pytest.fixture(scope="session", params=["folder", "bucket"])
def both(request, tmp_path_factory) -> Iterator[Both]:
    """Ours and theirs on one folder, or on one bucket, at the same time."""
    if request.param == "folder":
        folder = tmp_path_factory.mktemp("shared")
        variables = {"CACHE__SERVICE__STORAGE_MODE": "local_disk", "CACHE__SERVICE__LOCAL_DISK_PATH": str(folder)}
        with servers.ours(f"disk:{folder}") as ours, servers.theirs(**variables) as theirs:
            yield Both(ours, theirs)
        return
    with servers.s3_service() as endpoint:
        variables = {"CACHE__SERVICE__STORAGE_MODE": "s3", "CACHE__SERVICE__BUCKET_NAME": servers.BUCKET,
                     "AWS_ENDPOINT_URL": endpoint, "AWS_DEFAULT_REGION": servers.REGION,
                     "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
        place = f"s3://{servers.BUCKET}?endpoint_url={endpoint}&region={servers.REGION}"
        with servers.ours(place, **variables) as ours, servers.theirs(**variables) as theirs:
            yield Both(ours, theirs)


@pytest.fixture(scope="session", params=["memory", "disk"])
def url(request, tmp_path_factory) -> Iterator[str]:
    storage = "memory:" if request.param == "memory" else f"disk:{tmp_path_factory.mktemp('store')}"
    with servers.ours(storage) as found:
        yield found
