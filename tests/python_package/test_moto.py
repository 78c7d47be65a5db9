# SPDX-License-Identifier: Apache-2.0
"""Storage_S3 on moto, an implementation of S3 by others."""
from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from conftest import free_port, wait_until
from s3_services import answers, check_conformance, make_bucket

KEYS = ("moto-access", "moto-secret")
# Its own command answers in many threads, and checks a condition some time before it writes: one after the other both are
# one step, as S3 promises.
SERVER = """
import sys
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple
run_simple("127.0.0.1", int(sys.argv[1]), DomainDispatcherApplication(create_backend_app), threaded=False)
"""


@pytest.fixture
def moto(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEYS[0])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEYS[1])
    port = free_port()
    server = subprocess.Popen([sys.executable, "-c", SERVER, str(port)], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: answers(port))
        make_bucket(f"http://127.0.0.1:{port}", "trial", *KEYS)
        yield f"s3://trial?endpoint_url=http://127.0.0.1:{port}&region=us-east-1"
    finally:
        server.terminate()
        server.wait(timeout=60)


def test_the_conformance_suite_passes_on_moto(moto: str) -> None:
    check_conformance(moto)
