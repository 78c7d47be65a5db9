# SPDX-License-Identifier: Apache-2.0
"""Starts the example on free ports, visits it as a browser would, and asks it what happened."""
import json
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path


def fetch(url: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read()


def start(program: str, folder: Path) -> tuple[subprocess.Popen, dict[str, str]]:
    process = subprocess.Popen([program, "--storage", f"disk:{folder}/data", "--public", "127.0.0.1:0", "--admin", "127.0.0.1:0",
                                "--key-file", f"{folder}/admin.key"], stdout=subprocess.PIPE, text=True)
    greeting = "".join(process.stdout.readline() for _ in range(3))
    return process, dict(re.findall(r"(public|admin)\s+(http://\S+)/", greeting))


def pulse(admin: str, key: str) -> dict:
    return json.loads(fetch(admin + "/analytics/pulse?window_minutes=60", **{"X-API-Key": key})[1])


with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    process, address = start(sys.argv[1], folder)
    visits = ["/", "/style.css", "/about.html", "/no-such-page.html", "/health"]
    statuses = [fetch(address["public"] + path)[0] for path in visits]
    assert statuses == [200, 200, 200, 404, 404], statuses
    assert fetch(address["admin"] + "/health")[0] == 200
    assert fetch(address["admin"] + "/analytics/pulse")[0] == 401

    key = (folder / "admin.key").read_text().strip()
    while pulse(address["admin"], key)["active_requests"] < len(visits):
        time.sleep(0.01)  # a request is recorded after its last byte, which may be read before
    made = fetch(address["admin"] + "/tokens/create", b'{"token_name": "guests", "usage_limit": 9}', **{"X-API-Key": key})
    assert made[0] == 201, made
    check = fetch(address["public"] + "/tokens/guests/check")
    assert check == (200, b'{"valid":true,"status":"active","remaining":9}'), check
    visits.append("/tokens/{name}/check")
    while pulse(address["admin"], key)["active_requests"] < len(visits):
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0

    process, address = start(sys.argv[1], folder)
    kept = pulse(address["admin"], key)
    assert kept["active_requests"] == len(visits), kept
    assert {event["path"] for event in kept["recent_events"]} == set(visits), kept
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 0
