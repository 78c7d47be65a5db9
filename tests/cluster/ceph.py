# SPDX-License-Identifier: Apache-2.0
"""A Ceph cluster on loopback: one monitor, one manager, OSDs that keep their data in sparse files, S3 gateways.

Everything of it lies in one folder and is stopped with it. Nothing of a Ceph that the machine may have is touched.
"""
from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from s3_services import answers, make_bucket

PROGRAMS = ["ceph-mon", "ceph-mgr", "ceph-osd", "ceph", "monmaptool", "radosgw", "radosgw-admin"]
ACCESS_KEY, SECRET_KEY = "cluster-access", "cluster-secret"

CONFIG = """\
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{v2},v1:127.0.0.1:{v1}]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc
run dir = {folder}
admin socket = {folder}/$cluster-$name.$pid.asok
pid file = {folder}/$name.pid
log file = {folder}/$name.log
keyring = {folder}/keyring
mon data = {folder}/mon
mgr data = {folder}/mgr
osd data = {folder}/osd-$id
mon allow pool delete = true
mon allow pool size one = true
mon max pg per osd = 2000
mon warn on insecure global id reclaim allowed = false
osd pool default size = 3
osd pool default min size = 2
osd pool default pg num = 8
osd pool default pgp num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
osd crush update on start = true
osd objectstore = bluestore
bluestore block size = 4294967296
bluestore block create = true
osd memory target = 939524096
bluestore cache autotune = false
bluestore cache size = 67108864
mgr initial modules =
# A dead OSD is noticed in seconds, so that drills are short.
osd heartbeat interval = 1
osd heartbeat grace = 4
mon osd min down reporters = 1
mon osd down out interval = 600
rgw enable usage log = false
rgw thread pool size = 64
rgw dns name =
"""


def missing_programs() -> list[str]:
    return [name for name in PROGRAMS if shutil.which(name) is None]


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens at; all are held until all are found, so that they differ."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


def wait_until(is_so: Callable[[], bool], what: str, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.1)


class Ceph_Cluster:
    """Starts when it is made and stops with `stop()`; a context manager."""

    def __init__(self, folder: Path, osds: int = 3, gateways: int = 2) -> None:
        self.folder = folder
        self.osds = osds
        v2, v1, *self.gateway_ports = free_ports(2 + gateways)
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        folder.mkdir(parents=True, exist_ok=True)
        fsid = str(uuid.uuid4())
        self.config = folder / "ceph.conf"
        self.config.write_text(CONFIG.format(fsid=fsid, v2=v2, v1=v1, folder=folder), encoding="utf-8")
        (folder / "keyring").touch()
        try:
            self._boot(fsid, f"[v2:127.0.0.1:{v2},v1:127.0.0.1:{v1}]")
        except BaseException:
            self.stop()
            raise

    def _boot(self, fsid: str, addresses: str) -> None:
        monmap = str(self.folder / "monmap")
        self.run("monmaptool", "--create", "--clobber", "--fsid", fsid, "--addv", "a", addresses, monmap)
        (self.folder / "mgr").mkdir()
        self.run("ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap)
        self.start("mon.a", "ceph-mon", "-i", "a")
        self.start("mgr.a", "ceph-mgr", "-i", "a")
        for number in range(self.osds):
            identity = str(uuid.uuid4())
            (self.folder / f"osd-{number}").mkdir()
            assert self.ceph("osd", "new", identity).strip() == str(number)
            self.run("ceph-osd", "-i", str(number), "--mkfs", "--osd-uuid", identity)
            self.start_osd(number)
        wait_until(lambda: self.osds_up() == self.osds, "the OSDs come up")
        for number in range(len(self.gateway_ports)):
            self.start_gateway(number)
        self.run("radosgw-admin", "user", "create", "--uid=tests", "--display-name=tests",
                 f"--access-key={ACCESS_KEY}", f"--secret-key={SECRET_KEY}")

    # Members

    def start(self, name: str, *command: str) -> None:
        """Starts a daemon in the foreground as a child; what it says goes to its log."""
        with open(self.folder / f"{name}.out", "ab") as out:
            self.running[name] = subprocess.Popen([*command, "-c", str(self.config), "--foreground"], stdout=out,
                                                  stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)

    def start_osd(self, number: int) -> None:
        self.start(f"osd.{number}", "ceph-osd", "-i", str(number))

    def start_gateway(self, number: int) -> None:
        port = self.gateway_ports[number]
        self.start(f"rgw.{number}", "radosgw", "-n", f"client.rgw.{number}", "--ms_mon_client_mode=crc",
                   "--auth_client_required=none", f"--rgw_frontends=beast endpoint=127.0.0.1:{port} tcp_nodelay=1")
        wait_until(lambda: answers(port), f"gateway {number} answers")

    def kill(self, name: str) -> None:
        """As a loss of power would, for this member alone: "osd.1", "rgw.0"."""
        member = self.running.pop(name)
        member.send_signal(signal.SIGKILL)
        member.wait(timeout=60)

    def stop(self) -> None:
        for name in reversed(list(self.running)):
            self.kill(name)

    # What is asked of it

    def url(self, gateway: int, bucket: str) -> str:
        """A storage, as the command takes it."""
        return f"s3://{bucket}?endpoint_url=http://127.0.0.1:{self.gateway_ports[gateway]}&region=us-east-1"

    def make_bucket(self, name: str) -> None:
        make_bucket(f"http://127.0.0.1:{self.gateway_ports[0]}", name, ACCESS_KEY, SECRET_KEY)

    def osds_up(self) -> int:
        return int(json.loads(self.ceph("osd", "stat", "-f", "json"))["num_up_osds"])

    def ceph(self, *words: str) -> str:
        return self.run("ceph", *words)

    def run(self, program: str, *arguments: str) -> str:
        done = subprocess.run([program, "-c", str(self.config), *arguments], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=120, cwd=self.folder,
                              env={**os.environ, "CEPH_CONF": str(self.config)})
        if done.returncode != 0:
            raise RuntimeError(f"{program} {' '.join(arguments)}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def __enter__(self) -> Ceph_Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
