# SPDX-License-Identifier: Apache-2.0
"""The example service under a real server, asked by a real client: from the checkout, and from a wheel far away of it."""
from __future__ import annotations

import os
import signal
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from conftest import ROOT, free_port, wait_until

from memfs_cache import Cache_Service, Storage_Disk

KEY = "sesame-0123456789"
ADMIN = {"X-API-Key": KEY}
EXAMPLE = ROOT / "examples" / "fastapi_app"


class Uvicorn:
    def __init__(self, folder: Path, store: Path, python: str = sys.executable, **environment: str) -> None:
        port = free_port()
        self.process = subprocess.Popen(
            [python, "-W", "error", "-m", "uvicorn", "--port", str(port), "--log-level", "warning", "app:app"], cwd=folder,
            env={**os.environ, "MEMFS_CACHE_STORAGE": f"disk:{store}", "MEMFS_CACHE_ADMIN_KEY": KEY, **environment},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.client = httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=60)
        wait_until(self.answers)

    def answers(self) -> bool:
        assert self.process.poll() is None, self.process.communicate()[0]
        try:
            return self.client.get("/admin/health").status_code < 500
        except httpx2.ConnectError:
            return False

    def stop(self) -> str:
        self.client.close()
        self.process.send_signal(signal.SIGTERM)
        said, _ = self.process.communicate(timeout=60)
        return said


@contextmanager
def uvicorn(*arguments: object, **environment: str) -> Iterator[httpx2.Client]:
    server = Uvicorn(*arguments, **environment)  # type: ignore[arg-type]
    try:
        yield server.client
    finally:
        said = server.stop()
    assert said == ""


def use_the_example(client: httpx2.Client) -> None:
    """What a visitor and the operator do."""
    token = client.post("/admin/tokens/create", headers=ADMIN, json={"token_name": "community-x", "usage_limit": 1})
    assert token.status_code == 201
    upload = {"content": b"\x00data", "headers": {"x-access-token": "community-x"}}
    stored = client.put("/files/a.bin", **upload)
    assert stored.status_code == 201
    assert client.get(f"/files/{stored.json()['id']}").content == b"\x00data"
    assert client.put("/files/b.bin", **upload).status_code == 403
    assert client.get("/files/no-id").status_code == 422
    pulse = client.get("/admin/analytics/pulse", headers=ADMIN).json()
    assert pulse["active_requests"] == 4
    day = client.get("/admin/analytics/latest/daily", headers=ADMIN).json()
    assert day["top_paths"] == {"/files/{cache_id}": 2, "/files/{name}": 2}
    assert day["status_codes"] == {"200": 1, "201": 1, "403": 1, "422": 1}


def test_the_example_runs_under_uvicorn_and_its_end_loses_nothing(tmp_path):
    with uvicorn(EXAMPLE, tmp_path) as client:
        use_the_example(client)
        for _ in range(50):
            client.get("/files/last")
    with Cache_Service(Storage_Disk(tmp_path)) as cache:
        assert cache.analytics.latest("yearly").total_requests == 54, "4 of use_the_example and 50"
        assert [event.accepted for event in cache.tokens.events("community-x")] == [False, True]


def test_a_fastapi_app_records_and_runs_all_token_and_aggregation_calls(tmp_path):
    with uvicorn(EXAMPLE, tmp_path) as client:
        def ask(method: str, path: str, **body: object) -> dict:
            answer = client.request(method, f"/admin{path}", headers=ADMIN, json=body or None)
            assert answer.is_success, answer.text
            return answer.json()

        client.get("/files/81af14c1-0000-4000-8000-000000000011")
        assert ask("POST", "/tokens/create", token_name="beta", usage_limit=3)["remaining"] == 3
        assert ask("POST", "/tokens/beta/use", action_id="once")["usage_count"] == 1
        assert ask("POST", "/tokens/beta/limit", usage_limit=1)["status"] == "exhausted"
        assert ask("POST", "/tokens/beta/use")["rejection_reason"] == "exhausted"
        assert ask("POST", "/tokens/beta/reactivate", usage_limit=5)["status"] == "active"
        assert ask("POST", "/tokens/beta/revoke")["status"] == "revoked"
        assert len(ask("GET", "/tokens/beta/events")["events"]) == 2
        assert [token["token_name"] for token in ask("GET", "/tokens")["tokens"]] == ["beta"]
        for level in ("30min", "hourly", "daily", "weekly", "monthly", "yearly"):
            latest = ask("GET", f"/analytics/latest/{level}")
            assert latest["total_requests"] == 1
            assert ask("GET", f"/analytics/{level}/{latest['window_key']}")["top_paths"] == {"/files/{cache_id}": 1}


FREEZING = """
import os
from fastapi import FastAPI
from memfs_cache import Cache_Service, open_storage
from memfs_cache.fastapi import Analytics_Middleware

app = FastAPI()
app.add_middleware(Analytics_Middleware, cache=Cache_Service(
    open_storage(os.environ["MEMFS_CACHE_STORAGE"]), recording="per_request", exclude_paths=["/admin/*"]))

@app.get("/page")
def page() -> int:
    return 1
"""


def test_per_request_is_stored_when_a_host_freezes_the_process_after_the_response(tmp_path):
    (tmp_path / "app.py").write_text(FREEZING, encoding="utf-8")
    server = Uvicorn(tmp_path, tmp_path / "store")
    try:
        for served in range(1, 4):
            assert server.client.get("/page").status_code == 200
            server.process.send_signal(signal.SIGSTOP)
            with Cache_Service(Storage_Disk(tmp_path / "store")) as cache:
                assert cache.analytics.pulse().active_requests == served
            server.process.send_signal(signal.SIGCONT)
    finally:
        assert server.stop() == ""


@pytest.fixture
def wheel() -> Path:
    """The one that was installed here."""
    found = list((ROOT / "build" / "wheels").glob("memfs_cache-*.whl"))
    assert found, "no wheel: `make python` makes it"
    return found[0]


def test_a_wheel_in_a_clean_environment_runs_the_example_away_from_the_sources(wheel, tmp_path):
    """Clean of this package, that is: what it needs from others is lent by the environment of the tests."""
    venv.create(tmp_path / "venv", symlinks=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    purelib = subprocess.run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
                             capture_output=True, text=True, check=True).stdout.strip()
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", purelib, wheel],
                   check=True, timeout=600)
    (tmp_path / "app.py").write_bytes((EXAMPLE / "app.py").read_bytes())
    where = subprocess.run([python, "-I", "-c", "import memfs_cache; print(memfs_cache.__file__)"], cwd=tmp_path,
                           capture_output=True, text=True, check=True).stdout
    assert where.startswith(purelib)
    lent = os.path.dirname(os.path.dirname(httpx2.__file__))
    with uvicorn(tmp_path, tmp_path / "store", python, PYTHONPATH=f"{purelib}{os.pathsep}{lent}") as client:
        use_the_example(client)
