# SPDX-License-Identifier: Apache-2.0
"""A real cluster of several gateways, and members that die: what was acknowledged is there, once, and limits are limits.

`make test-cluster` runs this. Every drill runs against one cluster, each in a bucket of its own.
"""
from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import ceph
from ceph import Ceph_Cluster, wait_until
from harness import Command, Server, Store
from s3_services import answers, check_conformance

BINARIES = Path(os.environ["MEMFS_CACHE_BINARY_DIR"])
SECONDS = int(os.environ.get("MEMFS_CACHE_CLUSTER_SECONDS", "60"))  # of the drills that record


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ceph_Cluster]:
    missing = ceph.missing_programs()
    if missing:
        pytest.skip(f"NOT TESTED on a real cluster: {', '.join(missing)} cannot be had here")
    with pytest.MonkeyPatch.context() as patch, Ceph_Cluster(tmp_path_factory.mktemp("ceph")) as running:
        patch.setenv("AWS_ACCESS_KEY_ID", ceph.ACCESS_KEY)
        patch.setenv("AWS_SECRET_ACCESS_KEY", ceph.SECRET_KEY)
        yield running


@pytest.fixture(scope="module")
def command() -> Command:
    return Command(Path(os.environ["MEMFS_CACHE_COMMAND"]))


@pytest.fixture
def bucket(cluster: Ceph_Cluster, request: pytest.FixtureRequest) -> str:
    name = request.node.name.replace("_", "-").removeprefix("test-")[:60].rstrip("-")
    cluster.make_bucket(name)
    return name


class Worker:
    """A process of worker.cpp; `said` holds the last number behind each word that it printed."""

    def __init__(self, *words: str) -> None:
        self.said: dict[str, int] = {}
        self.ended_well = False
        self.complaints = ""
        self.process = subprocess.Popen([BINARIES / "tests" / "memfs_cache_cluster_worker", *words],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.listener = threading.Thread(target=self._listen)
        self.listener.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            word, _, number = line.strip().partition(" ")
            self.ended_well |= word == "done"
            if number:
                self.said[word] = int(number)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.join()

    def join(self, seconds: float = 400) -> None:
        """Waits for its end; again does nothing."""
        assert self.process.stdout is not None and self.process.stderr is not None
        if self.process.stdout.closed:
            return
        self.process.wait(timeout=seconds)
        self.listener.join()
        self.process.stdout.close()
        with self.process.stderr as complaints:
            self.complaints = complaints.read()


def ask(command: Command, *words: str) -> dict | list:
    finished = command.run(*words, "--json")
    assert finished.exit_code == 0, finished.err.decode(errors="replace") + finished.out.decode(errors="replace")
    return json.loads(finished.out)


def test_the_conformance_suite_passes_through_two_gateways(cluster, bucket):
    check_conformance(cluster.url(0, bucket), cluster.url(1, bucket))


def test_clients_at_two_gateways_find_every_promise_kept(cluster, bucket, command):
    """An 8-way create race gives one winner, and concurrent conditional increments lose none."""
    report = ask(command, "probe", "--storage", cluster.url(0, bucket), "--storage", cluster.url(1, bucket),
                 "--clients", "8", "--rounds", "10")
    assert [check["seen"] for check in report["checks"] if not check["kept"]] == []


def test_a_limit_holds_while_a_process_and_a_gateway_die(cluster, bucket, command):
    limit = 10_000
    ask(command, "tokens", "create", "shared", "--limit", str(limit), "--storage", cluster.url(0, bucket))
    workers = [Worker("use", cluster.url(number % 2, bucket), "shared", "16") for number in range(4)]
    try:
        wait_until(lambda: sum(worker.said.get("granted", 0) for worker in workers) > limit // 10, "uses are granted")
        workers[0].kill()
        cluster.kill("rgw.1")
        time.sleep(3)
        cluster.start_gateway(1)
    finally:
        for worker in workers:
            worker.join()
    told = sum(worker.said.get("granted", 0) for worker in workers)
    assert [worker.ended_well for worker in workers] == [False, True, True, True], [w.complaints for w in workers]
    token = ask(command, "tokens", "show", "shared", "--storage", cluster.url(0, bucket))
    assert token["usage_count"] == limit
    assert limit // 2 < told <= limit


def test_blocks_are_used_up_exactly_whoever_dies(cluster, bucket, command):
    """Four processes lease blocks through two gateways; one is killed, and its lease is charged."""
    url = cluster.url(0, bucket)
    limit = 4_000_000
    ask(command, "tokens", "create", "hot", "--limit", str(limit), "--block-size", "50000", "--storage", url)
    workers = [Worker("use", cluster.url(number % 2, bucket), "hot", "2") for number in range(4)]
    begun = time.monotonic()
    try:
        wait_until(lambda: sum(worker.said.get("granted", 0) for worker in workers) > limit // 4, "uses are granted")
        workers[0].kill()
    finally:
        for worker in workers:
            worker.join()
    took = time.monotonic() - begun
    told = sum(worker.said.get("granted", 0) for worker in workers)
    print(f"{told} uses in {took:.1f} s: {told / took:.0f} a second")
    ask(command, "tokens", "settle", "hot", "--storage", url)
    token = ask(command, "tokens", "show", "hot", "--storage", url)
    assert token["usage_count"] == token["usage_count_min"] == limit
    assert told <= limit and limit - told <= 500_000  # what the one that died had leased, or used and not yet told


def test_every_acknowledged_event_is_counted_once_while_a_writer_and_an_osd_die(cluster, bucket, command):
    rate = 1_000
    workers = [Worker("record", cluster.url(number % 2, bucket), f"/writer/{number}", str(rate), str(SECONDS))
               for number in range(4)]
    try:
        wait_until(lambda: all("landed" in worker.said for worker in workers), "all writers have landed something")
        time.sleep(SECONDS / 4)
        workers[3].kill()
        cluster.kill("osd.2")
        time.sleep(SECONDS / 4)
        cluster.start_osd(2)
    finally:
        for worker in workers:
            worker.join()
    assert [worker.ended_well for worker in workers] == [True, True, True, False], [w.complaints for w in workers]
    wait_until(lambda: cluster.osds_up() == 3, "the OSD is back")
    landed = [worker.said["landed"] for worker in workers]
    assert landed[:3] == [rate * SECONDS] * 3

    year = time.gmtime().tm_year
    window = ask(command, "query", "analytics", "yearly", str(year), "--storage", cluster.url(1, bucket))
    paths = window["top_paths"]
    assert [paths[f"/writer/{number}"] for number in range(3)] == landed[:3]
    # Of the one that died as much as it had been told of, and at most what it had sent on its way.
    assert landed[3] <= paths["/writer/3"] <= landed[3] + 2 * rate
    assert window["total_requests"] == sum(paths.values())

    puts = sum(worker.said["puts"] for worker in workers[:3])
    per_million = puts * 1_000_000 / sum(landed[:3])
    print(f"{puts} PUTs for {sum(landed[:3])} events: {per_million:.0f} a million")
    assert per_million <= 1_200


def test_a_public_and_an_admin_process_on_two_gateways_serve_one_store(cluster, bucket, command, tmp_path):
    """Each is restarted in turn; what the one records the other shows."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "index.html").write_text("hello")

    class Deployment(Store):
        def __init__(self, gateway: int) -> None:
            super().__init__(command, tmp_path)
            self.url = cluster.url(gateway, bucket)

    def start(gateway: int, listener: str) -> Server:
        return Server(command, Deployment(gateway), site, tmp_path / "key", options=["--flush-interval-ms", "200"],
                      listeners=[listener])

    def requests_seen(admin: Server) -> int:
        return admin.ask_admin("/analytics/pulse?window_minutes=60").json()["active_requests"]

    sent = 0
    public, admin = start(0, "public"), start(1, "admin")
    try:
        for restarted in ("none", "public", "admin"):
            if restarted == "public":
                assert public.stop() == 0
                public = start(0, "public")
            if restarted == "admin":
                assert admin.stop() == 0
                admin = start(1, "admin")
            for _ in range(25):
                assert public.ask_public("/").status == 200
                sent += 1
            wait_until(lambda: requests_seen(admin) >= sent, "the admin process shows what the public one recorded")
            assert requests_seen(admin) == sent
    finally:
        public.stop()
        admin.stop()


def test_a_store_moves_from_disk_to_the_cluster_and_is_sound_there(cluster, bucket, command, tmp_path):
    local = Store(command, tmp_path / "store")
    local.tokens("create", "kept", "--limit", "5")
    local.tokens("use", "kept")
    url = cluster.url(0, bucket)
    report = ask(command, "export", "--storage", local.url, "--to", url)
    assert report["verified"] and report["copied"] == len(local.files("cache"))
    assert ask(command, "verify", "--storage", url)["sound"]
    assert ask(command, "tokens", "use", "kept", "--storage", url)["remaining"] == 3
    back = tmp_path / "back"
    assert ask(command, "export", "--storage", url, "--to", f"disk:{back}")["verified"]


@pytest.fixture
def s3rver(tmp_path: Path) -> Iterator[str]:
    """A server that takes conditions and ignores them."""
    program = Path(__file__).resolve().parents[2] / "build/cluster/node_modules/.bin/s3rver"
    if not program.exists():
        pytest.skip("NOT TESTED on s3rver: npm could not install it")
    port, = ceph.free_ports(1)
    process = subprocess.Popen([program, "--directory", tmp_path / "objects", "--address", "127.0.0.1", "--port", str(port),
                                "--silent", "--configure-bucket", "trial"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: answers(port), "s3rver answers")
        yield f"s3://trial?endpoint_url=http://127.0.0.1:{port}&region=us-east-1"
    finally:
        process.terminate()
        process.wait(timeout=60)


def test_a_server_that_ignores_conditions_is_refused_for_limits_and_for_events(s3rver, command):
    env = {"AWS_ACCESS_KEY_ID": "S3RVER", "AWS_SECRET_ACCESS_KEY": "S3RVER"}
    refused = command.run("tokens", "create", "a", "--limit", "1", "--storage", s3rver, env=env)
    assert refused.exit_code != 0 and b"condition" in refused.err, refused.err
    probed = command.run("probe", "--storage", s3rver, "--json", "--clients", "4", "--rounds", "5", env=env)
    assert probed.exit_code == 1
    assert [check["promise"] for check in json.loads(probed.out)["checks"] if not check["kept"]][0] == "conditions on writes are obeyed"
