# SPDX-License-Identifier: Apache-2.0
"""The transfers of the example server as their users and their abusers see them, on every kind of storage."""
from __future__ import annotations

import hashlib
import json
import os
import random
import re
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Iterator, NamedTuple

import pytest

from harness import DEADLINE_SECONDS, Answer, Command, Server, wait_until

MEBI = 1 << 20
S3_KEYS = {"AWS_ACCESS_KEY_ID": "FAKEKEYID", "AWS_SECRET_ACCESS_KEY": "fake/secret+key"}
UNKNOWN = "0123456789ab"


class Place(NamedTuple):
    """What a server is told to keep its data in."""

    url: str


class App(Server):
    """The example server: the same options and listeners as `memfs-cache serve`."""

    words = ()

    def call(self, method: str, path: str, body: bytes | dict | None = None, **headers: str) -> Answer:
        """One request to the public listener on a connection of its own; names of headers with _ for -."""
        connection = self.connect(self.public)
        raw = json.dumps(body).encode() if isinstance(body, dict) else body
        try:
            return self.ask(connection, method, path, {name.replace("_", "-"): value for name, value in headers.items()}, raw)
        finally:
            connection.close()

    def create(self, **members) -> dict:
        answer = self.call("POST", "/transfers", members)
        assert answer.status == 201, answer
        return answer.json()

    def send(self, payload: bytes, **members) -> str:
        """Creates, uploads and completes a transfer; its id."""
        made = self.create(**members)
        uploaded = self.call("PUT", made["upload_url"], payload)
        assert uploaded.status == 200, uploaded
        assert uploaded.json()["sha256"] == hashlib.sha256(payload).hexdigest()
        done = self.call("POST", made["complete_url"], {"size_bytes": len(payload), "sha256": hashlib.sha256(payload).hexdigest()})
        assert (done.status, done.json()["status"]) == (200, "completed"), done
        return made["transfer_id"]

    def info(self, transfer_id: str) -> dict:
        answer = self.call("GET", f"/transfers/{transfer_id}")
        assert answer.status == 200, answer
        return answer.json()

    def download(self, transfer_id: str, **headers: str) -> Answer:
        return self.call("GET", f"/transfers/{transfer_id}/payload", **headers)

    def memory_peak(self) -> int:
        """The most memory that the process ever had, in bytes."""
        with open(f"/proc/{self.pid}/status") as status:
            return int(re.search(r"VmHWM:\s+(\d+) kB", status.read())[1]) * 1024

    def day(self) -> dict:
        """The sums of all days that the requests of a test may lie in."""
        days = {time.strftime("%Y-%m-%d", time.gmtime(time.time() - back)) for back in (0, 3600)}
        summaries = [self.ask_admin(f"/analytics/daily/{day}").json() for day in sorted(days)]
        return {"total": sum(one["total_requests"] for one in summaries),
                "types": sum((Counter(one["event_types"]) for one in summaries), Counter()),
                "paths": sum((Counter(one["top_paths"]) for one in summaries), Counter()),
                "statuses": sum((Counter(one["status_codes"]) for one in summaries), Counter())}


@pytest.fixture(scope="session")
def example(command: Command) -> Command:
    path = command.path.parent / "examples" / "server" / "memfs_cache_example_server"
    if not path.is_file():
        pytest.fail(f"{path} is missing: build it with `make test`", pytrace=False)
    return Command(path)


@pytest.fixture
def fake_s3(command: Command) -> Iterator[str]:
    """The S3 server of the C++ tests; it ends when its standard input does."""
    program = command.path.parent / "tests" / "memfs_cache_fake_s3"
    with subprocess.Popen([program, "--bucket", "files"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        yield server.stdout.readline().strip()
        server.stdin.close()
        assert server.wait(timeout=60) == 0


@pytest.fixture
def start_app(example, static_folder, tmp_path):
    """Starts example servers and ends them all: start_app(url, options=...). The same URL is the same store."""
    started: list[App] = []
    key_file = tmp_path / "admin.key"
    key_file.write_text("test-key\n")
    key_file.chmod(0o600)

    def start(url: str | None = None, **settings) -> App:
        place = Place(url or f"disk:{tmp_path}/data")
        started.append(App(example, place, static_folder, key_file, env=S3_KEYS, **settings))
        return started[-1]

    yield start
    for server in started:
        server.kill()


@pytest.fixture(params=["disk", "sqlite", "memory", "s3"])
def any_app(request, start_app, tmp_path) -> App:
    if request.param == "s3":
        return start_app(f"s3://files/app?endpoint_url={request.getfixturevalue('fake_s3')}&region=us-east-1")
    return start_app({"disk": f"disk:{tmp_path}/data", "sqlite": f"sqlite:{tmp_path}/data.db", "memory": "memory:"}[request.param])


@pytest.fixture
def app(start_app) -> App:
    return start_app()


def noise(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


# ---- what a transfer is

def test_a_payload_comes_back_byte_for_byte_whole_and_in_ranges_from_every_storage(any_app):
    payload = noise(3 * MEBI + 12_345)  # several pieces, the last one short
    transfer_id = any_app.send(payload, file_name="naïve plan.bin", content_type="application/x-plan")
    info = any_app.info(transfer_id)
    assert info["file_size_bytes"] == len(payload) and info["download_count"] == 0 and info["remaining"] is None
    whole = any_app.download(transfer_id)
    assert (whole.status, whole.body) == (200, payload)
    assert whole.headers["content-type"] == "application/x-plan"
    assert whole.headers["content-disposition"] == "attachment; filename*=UTF-8''na%c3%afve%20plan.bin"
    assert whole.headers["content-security-policy"] == "sandbox" and whole.headers["x-content-type-options"] == "nosniff"
    for first, last in [(0, 0), (MEBI - 1, MEBI), (MEBI, 2 * MEBI - 1), (12, 3 * MEBI), (len(payload) - 1, len(payload) - 1)]:
        part = any_app.download(transfer_id, Range=f"bytes={first}-{last}")
        assert (part.status, part.body) == (206, payload[first:last + 1]), (first, last)
        assert part.headers["content-range"] == f"bytes {first}-{last}/{len(payload)}"
    wait_until(lambda: any_app.info(transfer_id)["download_count"] == 2, "the two answers with the last byte are counted")


def test_one_upload_one_view_and_one_download_are_one_event_each_and_name_their_transfer(any_app):
    transfer_id = any_app.send(b"some bytes")
    any_app.info(transfer_id)
    assert any_app.download(transfer_id).body == b"some bytes"
    wait_until(lambda: any_app.ask_admin("/analytics/pulse?window_minutes=60").json()["active_requests"] == 5, "all is recorded")
    day = any_app.day()
    # What was completed is the upload; to send the payload is a call.
    assert day["types"] == {"transfer_created": 1, "file_upload": 1, "transfer_viewed": 1, "file_download": 1, "api_call": 1}
    assert day["paths"] == {"/transfers": 1, "/transfers/{id}/payload": 2, "/transfers/{id}/complete": 1, "/transfers/{id}": 1}
    pulse = any_app.ask_admin("/analytics/pulse?window_minutes=60").json()
    assert pulse["active_transfers"] == 1
    told = any_app.ask_admin(f"/transfers/{transfer_id}/summary").json()
    assert (told["total_views"], told["total_downloads"], told["total_uploads"], told["total_events"]) == (1, 1, 1, 4)
    assert told["unique_downloaders"] == 1 and told["created_at"] <= told["first_download_at"] == told["last_download_at"]
    assert [event["event_type"] for event in told["events"]].count("downloaded") == 1
    assert any_app.ask_admin("/transfers/active").json()["transfers"][0]["transfer_id"] == transfer_id
    wait_until(lambda: any_app.info(transfer_id)["download_count"] == 1, "the download is counted")


def test_an_empty_payload_is_a_payload(any_app):
    transfer_id = any_app.send(b"", max_downloads=1)
    answer = any_app.download(transfer_id)
    assert (answer.status, answer.body) == (200, b"")
    wait_until(lambda: any_app.info(transfer_id)["status"] == "exhausted", "the download is counted")


def test_a_second_upload_replaces_the_first_wholly_and_none_comes_after_completion(any_app):
    made = any_app.create()
    first, second = noise(2 * MEBI, seed=2), noise(MEBI + 1, seed=3)
    assert any_app.call("PUT", made["upload_url"], first).status == 200
    assert any_app.call("PUT", made["upload_url"], second).status == 200
    # A third one that breaks off changes nothing.
    with socket.create_connection(("127.0.0.1", any_app.public), timeout=DEADLINE_SECONDS) as broken:
        broken.sendall(f"PUT {made['upload_url']} HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n".encode() + noise(MEBI))
        broken.shutdown(socket.SHUT_WR)
        assert b" 400 " in broken.recv(100)
    assert any_app.call("POST", made["complete_url"], {"sha256": hashlib.sha256(second).hexdigest().upper()}).status == 200
    late = any_app.call("PUT", made["upload_url"], first)
    assert (late.status, late.json()["error"]["code"]) == (409, "conflict")
    assert any_app.download(made["transfer_id"]).body == second


def test_a_transfer_outlives_its_server(start_app, tmp_path):
    for url in (f"disk:{tmp_path}/data", f"sqlite:{tmp_path}/data.db"):
        before = start_app(url)
        transfer_id = before.send(b"kept", max_downloads=2)
        assert before.download(transfer_id).body == b"kept"
        assert before.stop() == 0
        after = start_app(url)
        assert after.info(transfer_id)["download_count"] == 1
        assert after.download(transfer_id).body == b"kept"


# ---- what is refused

@pytest.mark.parametrize(("members", "field"), [
    ({"max_downloads": -1}, "max_downloads"), ({"max_downloads": "3"}, "max_downloads"), ({"expires_at": 1}, "expires_at"),
    ({"expires_at": 1.5}, "expires_at"), ({"file_name": "a\r\nb"}, "file_name"), ({"file_name": "x" * 256}, "file_name"),
    ({"file_name": 7}, "file_name"), ({"content_type": "text/html\r\nX: y"}, "content_type"), ({"content_type": "none"}, "content_type"),
    ({"auto_delete": "yes"}, "auto_delete")])
def test_a_wrong_wish_is_refused_and_named(app, members, field):
    answer = app.call("POST", "/transfers", members)
    assert (answer.status, answer.json()["error"]["field"]) == (400, field)
    assert not any((app_folder(app) / "transfers").glob("*"))


def app_folder(app: App) -> Path:
    return Path(app.process_.args[app.process_.args.index("--storage") + 1].removeprefix("disk:"))


def payload_files(app: App) -> list:
    return sorted(path for path in (app_folder(app) / "transfers").rglob("payload/*") if path.is_file())


def test_unknown_and_impossible_ids_are_404_on_every_route_and_reach_nothing(app):
    transfer_id = app.send(b"mine")
    for name in (UNKNOWN, "x", transfer_id.upper() + "x", "..", "%2e%2e", "..%2f..%2fcache", f"..%2F{transfer_id}", f"{transfer_id}%00",
                 f"{transfer_id}%2fmeta.json", "meta.json", "0" * 500):
        for method, path in [("GET", ""), ("GET", "/payload"), ("PUT", "/payload"), ("POST", "/complete"), ("DELETE", "")]:
            answer = app.call(method, f"/transfers/{name}{path}", None if method == "GET" else b"", X_Delete_Key="x")
            assert answer.status in (400, 404, 405), (method, name, answer)
            assert b"mine" not in answer.body
    assert app.call("GET", f"/transfers/{transfer_id}/meta.json").status == 404
    assert app.call("PUT", "/transfers/%2e%2e/payload", b"x").status == 404
    assert [path.read_bytes() for path in payload_files(app)] == [b"mine"]


def test_wrong_ranges_are_416_and_those_that_mean_nothing_are_the_whole(app):
    transfer_id = app.send(b"0123456789")
    for wrong in ("bytes=10-", "bytes=10-20", "bytes=-0"):
        answer = app.download(transfer_id, Range=wrong)
        assert (answer.status, answer.headers["content-range"]) == (416, "bytes */10"), wrong
    for odd in ("bytes=5-4", "lines=1-2", "bytes=0-1,3-4", "bytes=x-"):
        assert (app.download(transfer_id, Range=odd).status, app.download(transfer_id, Range=odd).body) == (200, b"0123456789"), odd
    tag = app.download(transfer_id).headers["etag"]
    assert app.download(transfer_id, Range="bytes=3-4", If_Range=tag).body == b"34"
    assert app.download(transfer_id, Range="bytes=3-4", If_Range='"other"').body == b"0123456789"
    assert app.download(transfer_id, If_None_Match=tag).status == 304
    head = app.call("HEAD", f"/transfers/{transfer_id}/payload")
    assert (head.status, head.headers["content-length"], head.body) == (200, "10", b"")


def test_a_payload_that_is_too_large_is_413_and_leaves_nothing(start_app):
    app = start_app(options=["--upload-limit", "1000000"])
    made = app.create()
    assert app.call("PUT", made["upload_url"], noise(1_000_001)).status == 413
    with socket.create_connection(("127.0.0.1", app.public), timeout=DEADLINE_SECONDS) as chunked:
        chunk = b"f4240\r\n" + noise(1_000_000) + b"\r\n"
        chunked.sendall(f"PUT {made['upload_url']} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".encode() + chunk + chunk)
        assert b" 413 " in chunked.recv(100)
    wait_until(lambda: payload_files(app) == [], "what had come is removed")
    assert app.call("POST", made["complete_url"], {}).status == 409
    assert app.call("PUT", made["upload_url"], noise(1_000_000)).status == 200


def test_a_truncated_upload_is_400_and_leaves_nothing(app):
    made = app.create()
    for head in ("Content-Length: 3000000", "Transfer-Encoding: chunked"):
        with socket.create_connection(("127.0.0.1", app.public), timeout=DEADLINE_SECONDS) as broken:
            body = noise(MEBI) if "Length" in head else b"100000\r\n" + noise(MEBI) + b"\r\n"
            broken.sendall(f"PUT {made['upload_url']} HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n".encode() + body)
            broken.shutdown(socket.SHUT_WR)
            assert b" 400 " in broken.recv(100)
    wait_until(lambda: payload_files(app) == [], "what had come is removed")
    assert app.info(made["transfer_id"])["file_size_bytes"] == 0
    assert app.call("POST", made["complete_url"], {}).status == 409


def test_a_wrong_size_or_hash_does_not_complete(app):
    made = app.create()
    app.call("PUT", made["upload_url"], b"payload")
    for wrong, field in [({"size_bytes": 8}, "size_bytes"), ({"sha256": hashlib.sha256(b"other").hexdigest()}, "sha256"),
                         ({"sha256": "x"}, "sha256")]:
        answer = app.call("POST", made["complete_url"], wrong)
        assert (answer.status, answer.json()["error"]["field"]) == (400, field)
    assert app.info(made["transfer_id"])["status"] == "pending"
    assert app.download(made["transfer_id"]).status == 409
    assert app.call("POST", made["complete_url"], {"size_bytes": 7}).status == 200
    assert app.call("POST", made["complete_url"], {"size_bytes": 7}).status == 200  # again: the same
    wait_until(lambda: app.ask_admin("/analytics/pulse?window_minutes=60").json()["active_requests"] == 9, "all is recorded")
    assert app.day()["types"]["file_upload"] == 1


def test_what_has_expired_is_410(app):
    transfer_id = app.send(b"soon gone", expires_at=int(time.time() * 1000) + 1_000)
    wait_until(lambda: app.call("GET", f"/transfers/{transfer_id}").status == 410, "it has expired")
    for answer in (app.download(transfer_id), app.call("PUT", f"/transfers/{transfer_id}/payload", b"x"),
                   app.call("POST", f"/transfers/{transfer_id}/complete", {})):
        assert (answer.status, answer.json()["error"]["code"]) == (410, "gone")


def test_only_its_key_deletes_a_transfer(app):
    made = app.create()
    app.call("PUT", made["upload_url"], b"payload")
    app.call("POST", made["complete_url"], {})
    assert app.call("DELETE", made["info_url"]).status == 403
    assert app.call("DELETE", made["info_url"], X_Delete_Key="wrong").status == 403
    assert app.download(made["transfer_id"]).body == b"payload"
    assert app.call("DELETE", made["info_url"], X_Delete_Key=made["delete_key"]).status == 204
    assert app.call("DELETE", made["info_url"], X_Delete_Key=made["delete_key"]).status == 204
    assert app.download(made["transfer_id"]).status == 410 and payload_files(app) == []
    assert made["delete_key"].encode() not in b"".join(path.read_bytes() for path in app_folder(app).rglob("*") if path.is_file())


# ---- tokens

def test_a_token_opens_creation_is_used_up_at_completion_once_and_never_shown(start_app):
    app = start_app(options=["--creators", "token"])
    assert app.post_admin("/tokens/create", token_name="secret-guests", usage_limit=1).status == 201
    refused = [app.call("POST", "/transfers", {}), app.call("POST", "/transfers", {}, x_access_token="nobody")]
    assert [answer.status for answer in refused] == [401, 403]
    made = [app.call("POST", "/transfers", {}, x_access_token="Secret-Guests").json() for _ in range(2)]
    used = lambda: app.ask_admin("/tokens/secret-guests").json()["usage_count"]  # noqa: E731
    assert used() == 0
    for one in made:
        assert app.call("PUT", one["upload_url"], b"x").status == 200
    for _ in range(2):  # a completion that is sent again counts once
        assert app.call("POST", made[0]["complete_url"], {}).status == 200
    assert used() == 1
    late = app.call("POST", made[1]["complete_url"], {})
    assert late.status == 403 and app.info(made[1]["transfer_id"])["status"] == "pending"
    assert app.call("POST", "/transfers", {}, x_access_token="secret-guests").status == 403
    app.download(made[0]["transfer_id"])
    shown = b"".join(answer for answer in app.answers if b"usage_count" not in answer)
    assert b"secret-guests" not in shown.lower()
    events = app.ask_admin("/tokens/secret-guests/events").json()["events"]
    assert [(event["action"], event["transfer_id"]) for event in events if not event["rejection_reason"]] == \
        [("upload_completed", made[0]["transfer_id"])]


def test_completions_at_the_same_time_use_a_token_up_once_and_are_one_upload(any_app):
    assert any_app.post_admin("/tokens/create", token_name="guests", usage_limit=5).status == 201
    made = any_app.call("POST", "/transfers", {}, x_access_token="guests").json()
    assert any_app.call("PUT", made["upload_url"], b"x").status == 200
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda _: any_app.call("POST", made["complete_url"], {}).status, range(8)))
    assert done == [200] * 8
    assert any_app.ask_admin("/tokens/guests").json()["usage_count"] == 1
    wait_until(lambda: any_app.ask_admin("/analytics/pulse?window_minutes=60").json()["active_requests"] == 10, "all is recorded")
    assert any_app.day()["types"]["file_upload"] == 1


def test_whoever_tries_tokens_waits(start_app):
    app = start_app(options=["--creators", "token"])
    statuses = [app.call("POST", "/transfers", {}, x_access_token=f"guess-{number}").status for number in range(31)]
    assert statuses == [403] * 30 + [429]


# ---- limits

def downloads_at_once(apps: list[App], transfer_id: str, clients: int) -> Counter:
    """Statuses of so many whole downloads that begin together, one for each client; 0 for a body that broke off."""
    barrier = threading.Barrier(clients)

    def one(number: int) -> int:
        barrier.wait(timeout=60)
        answer = apps[number % len(apps)].download(transfer_id)
        return answer.status if answer.status != 200 or hashlib.sha256(answer.body).hexdigest() == answer.headers["etag"].strip('"') else 0

    with ThreadPoolExecutor(clients) as pool:
        return Counter(pool.map(one, range(clients)))


@pytest.mark.parametrize("servers", [1, 2])
@pytest.mark.parametrize("kind", ["disk", "sqlite", "s3"])
def test_a_hundred_downloads_at_once_of_a_transfer_limited_to_ten_are_ten(start_app, tmp_path, request, kind, servers):
    url = f"s3://files/app?endpoint_url={request.getfixturevalue('fake_s3')}&region=us-east-1" if kind == "s3" else \
        f"{kind}:{tmp_path}/data.{kind}"
    apps = [start_app(url) for _ in range(servers)]
    transfer_id = apps[0].send(noise(300_000), max_downloads=10, auto_delete=True)
    statuses = downloads_at_once(apps, transfer_id, clients=100)
    assert statuses[200] == 10 and statuses.keys() <= {200, 410, 503}, statuses
    wait_until(lambda: apps[-1].info(transfer_id)["status"] == "exhausted", "the last download is counted")
    info = apps[0].info(transfer_id)
    assert (info["download_count"], info["remaining"]) == (10, 0)
    assert apps[0].download(transfer_id).status == 410
    assert apps[0].download(transfer_id, Range="bytes=0-1").status == 410
    if kind == "disk":
        wait_until(lambda: payload_files(apps[0]) == [], "the payload goes with the last download")


def test_every_one_of_many_downloads_at_once_is_counted(app):
    transfer_id = app.send(noise(100_000))
    assert downloads_at_once([app], transfer_id, clients=60) == {200: 60}
    wait_until(lambda: app.info(transfer_id)["download_count"] == 60, "all are counted")
    wait_until(lambda: app.day()["types"]["file_download"] == 60, "all are recorded")


def leave_early(app: App, transfer_id: str) -> None:
    """Begins a download, takes a little of it and goes away."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(DEADLINE_SECONDS)
        client.connect(("127.0.0.1", app.public))
        client.sendall(f"GET /transfers/{transfer_id}/payload HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        assert b" 200 " in client.recv(1000)
        assert app.info(transfer_id)["remaining"] == 0  # promised to this client
        assert app.download(transfer_id).status == 503
        assert app.download(transfer_id, Range="bytes=0-9").status == 206  # without the last byte it is no download


def test_leaving_early_gives_the_download_back_and_is_recorded_as_none(any_app):
    transfer_id = any_app.send(noise(16 * MEBI), max_downloads=1)
    for _ in range(2):
        leave_early(any_app, transfer_id)
        wait_until(lambda: any_app.info(transfer_id)["remaining"] == 1, "the download is given back")
    assert any_app.download(transfer_id).status == 200
    wait_until(lambda: any_app.info(transfer_id)["status"] == "exhausted", "the whole one is counted")
    wait_until(lambda: any_app.day()["types"]["file_download"] == 1, "it is recorded")
    assert any_app.day()["types"]["other"] >= 4  # two that were left, and two ranges


# ---- what goes wrong

def test_a_log_that_cannot_be_written_leaves_transfers_successful_and_is_reported(start_app, tmp_path):
    raw = tmp_path / "data" / "cache" / "analytics" / "data" / "raw"
    raw.parent.mkdir(parents=True)
    raw.write_bytes(b"in the way of the log")
    app = start_app()
    transfer_id = app.send(b"all the same", max_downloads=3)
    assert app.download(transfer_id).body == b"all the same"
    wait_until(lambda: app.info(transfer_id)["download_count"] == 1, "the download is counted")
    wait_until(lambda: app.ask_admin("/health").json()["status"] == "degraded", "health tells of the log")


def test_killed_servers_leave_transfers_that_are_whole_or_not_there(start_app):
    rounds = int(os.environ.get("MEMFS_CACHE_TEST_KILLS", "5"))
    chance = random.Random(20260213)
    payload = noise(MEBI + 7)
    completed: list[str] = []
    limited = start_app().send(payload, max_downloads=1_000)
    for _ in range(rounds):
        app = start_app()
        stop = threading.Event()

        def traffic() -> None:
            while not stop.is_set():
                try:
                    made = app.create(max_downloads=5)
                    app.call("PUT", made["upload_url"], payload)
                    if app.call("POST", made["complete_url"], {}).status == 200:
                        completed.append(made["transfer_id"])
                    app.download(limited)
                    app.info(limited)
                except Exception:
                    return  # killed in the middle

        threads = [threading.Thread(target=traffic) for _ in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(chance.uniform(0.05, 0.4))
        app.kill()
        stop.set()
        for thread in threads:
            thread.join(timeout=DEADLINE_SECONDS)
    app = start_app()
    assert completed
    for transfer_id in completed:
        answer = app.download(transfer_id)
        assert (answer.status, answer.body == payload) == (200, True)
    # Whoever was served by a server that died may have got all of it.
    wait_until(lambda: app.info(limited)["remaining"] == 1_000 - app.info(limited)["download_count"], "lost downloads are counted")
    for folder in (app_folder(app) / "transfers").iterdir():
        if not (folder / "meta.json").exists():  # killed between making its folder and putting it there
            assert not [path for path in folder.rglob("*") if path.is_file()]
            continue
        meta = json.loads((folder / "meta.json").read_bytes())
        assert meta["status"] in ("pending", "completed"), meta
        if meta["upload"]:
            assert (folder / "payload" / meta["upload"]).stat().st_size == meta["file_size_bytes"] == len(payload)
    check_summaries_equal_the_log(app)
    app.stop(signal.SIGTERM)


def check_summaries_equal_the_log(app: App) -> None:
    acts = {"transfer_created": "created", "file_upload": "upload_completed", "transfer_viewed": "viewed", "file_download": "downloaded"}
    logged: dict[str, Counter] = {}

    def is_all_there() -> bool:
        logged.clear()
        for segment in (app_folder(app) / "cache/analytics/data/raw").rglob("*.jsonl"):
            for line in segment.read_text(encoding="utf-8").split("\n")[1:-1]: # what a kill cut short has no end of line
                event = json.loads(line)
                if event.get("transfer_id") and event["event_type"] in acts and event.get("status_code", 0) < 400:
                    logged.setdefault(event["transfer_id"], Counter())[acts[event["event_type"]]] += 1
        return all(answer.status == 200 and counts(answer.json()) == logged[transfer_id] for transfer_id in logged
                   for answer in [app.ask_admin(f"/transfers/{transfer_id}/summary")])

    def counts(told: dict) -> Counter:
        number = {"upload_completed": told["total_uploads"], "viewed": told["total_views"], "downloaded": told["total_downloads"]}
        return Counter({**number, "created": told["total_events"] - sum(number.values())})

    wait_until(is_all_there, "summaries equal the log")
    assert len(logged) > 1


# ---- memory

def upload_zeros(app: App, path: str, size: int) -> None:
    """Uploads without holding the payload here either."""
    zeros = bytes(MEBI)
    with socket.create_connection(("127.0.0.1", app.public), timeout=DEADLINE_SECONDS) as client:
        client.sendall(f"PUT {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n".encode())
        for _ in range(size // MEBI):
            client.sendall(zeros)
        assert b" 200 " in client.recv(1000)


def count_bytes(app: App, path: str) -> int:
    with socket.create_connection(("127.0.0.1", app.public), timeout=DEADLINE_SECONDS) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        buffer, total = bytearray(MEBI), 0
        while count := client.recv_into(buffer):
            if total == 0:
                assert b" 200 " in buffer[:100]
                total -= buffer.index(b"\r\n\r\n") + 4
            total += count
        return total


@pytest.mark.parametrize("kind", ["disk", "sqlite", "s3"])
def test_large_payloads_go_through_little_memory(start_app, tmp_path, request, kind):
    """MEMFS_CACHE_TEST_TRANSFER_MIB: how large; 1024 for what is promised, 10240 once in a while."""
    size = int(os.environ.get("MEMFS_CACHE_TEST_TRANSFER_MIB", "256" if kind == "disk" else "48")) * MEBI
    url = f"s3://files/app?endpoint_url={request.getfixturevalue('fake_s3')}&region=us-east-1" if kind == "s3" else \
        f"{kind}:{tmp_path}/data.{kind}"
    app = start_app(url)
    app.download(app.send(noise(5)))
    idle = app.memory_peak()
    made = app.create()
    upload_zeros(app, made["upload_url"], size)
    uploaded = app.memory_peak()
    assert app.call("POST", made["complete_url"], {"size_bytes": size}).status == 200
    assert count_bytes(app, made["download_url"]) == size
    grown = app.memory_peak() - idle
    print(f"{kind}: {size // MEBI} MiB: upload {(uploaded - idle) / MEBI:.1f} MiB, both {grown / MEBI:.1f} MiB more than idle")
    assert grown <= 16 * MEBI
