# SPDX-License-Identifier: Apache-2.0
"""The Python cache service and ours, each as a process on a free port of loopback."""
from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

ROOT = Path(__file__).resolve().parents[2]
KEY_NAME, KEY = "x-api-key", "sesame-0123456789"
WITH_KEY = {KEY_NAME: KEY}
KEYS = {"FAST_API__AUTH__API_KEY__NAME": KEY_NAME, "FAST_API__AUTH__API_KEY__VALUE": KEY}
AT_MOST_SECONDS = 60


@contextmanager
def ours(storage: str, *options: str, **environment: str) -> Iterator[str]:
    command = os.environ.get("MEMFS_CACHE_COMMAND", str(ROOT / "build" / "release" / "memfs-cache"))
    process = subprocess.Popen(
        [command, "serve", "--storage", storage, "--root-prefix", "", "--cache", "127.0.0.1:0", "--public", "off",
         "--admin", "off", *options], env={**os.environ, **KEYS, **environment}, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found is not None
        yield found[0]
    finally:
        process.terminate()
        process.communicate(timeout=AT_MOST_SECONDS)


@contextmanager
def theirs(**environment: str) -> Iterator[str]:
    """On the storage that the variables name, and in UTC, since it files by local time."""
    port = _free_port()
    program = ("from mgraph_ai_service_cache.fast_api.Cache_Service__Fast_API import Cache_Service__Fast_API as Service\n"
               "import uvicorn\n"
               f"uvicorn.run(Service().setup().app(), host='127.0.0.1', port={port}, log_level='error')\n")
    process = subprocess.Popen([sys.executable, "-W", "ignore", "-c", program],
                               env={**os.environ, **KEYS, **environment, "TZ": "UTC"})
    with _answering(process, f"http://127.0.0.1:{port}", "/info/health") as url:
        yield url


BUCKET, REGION = "shared-bucket", "us-east-1"


@contextmanager
def s3_service() -> Iterator[str]:
    """An S3 service of its own with one bucket, which forgets everything at its end."""
    port = _free_port()
    process = subprocess.Popen([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with _answering(process, f"http://127.0.0.1:{port}", "/moto-api/data.json") as url:
        requests.put(f"{url}/{BUCKET}", timeout=AT_MOST_SECONDS).raise_for_status()
        yield url


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def _answering(process: subprocess.Popen, url: str, path: str) -> Iterator[str]:
    try:
        until = time.monotonic() + AT_MOST_SECONDS
        while not _answers(url + path):
            assert process.poll() is None and time.monotonic() < until, f"nothing answers at {path}"
            time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(AT_MOST_SECONDS)


def _answers(url: str) -> bool:
    try:
        return requests.get(url, headers=WITH_KEY, timeout=AT_MOST_SECONDS).status_code == 200
    except requests.ConnectionError:
        return False
