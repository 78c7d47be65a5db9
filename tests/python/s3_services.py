# SPDX-License-Identifier: Apache-2.0
"""What tests on S3 services that are not ours share: buckets, and the suite that every storage passes."""
from __future__ import annotations

import hashlib
import hmac
import os
import re
import socket
import subprocess
import urllib.request
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import urlsplit

EMPTY = hashlib.sha256(b"").hexdigest()


def sign(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def make_bucket(endpoint: str, name: str, access_key: str, secret_key: str, region: str = "us-east-1") -> None:
    """Which is none of the library's business; with a signature of its own."""
    now = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{now[:8]}/{region}/s3/aws4_request"
    host = urlsplit(endpoint).netloc
    signed = {"host": host, "x-amz-content-sha256": EMPTY, "x-amz-date": now}
    names = ";".join(signed)
    canonical = "\n".join(["PUT", f"/{name}", "", *(f"{key}:{value}" for key, value in signed.items()), "", names, EMPTY])
    to_sign = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{secret_key}".encode()
    for part in scope.split("/"):
        key = sign(key, part)
    signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    authorization = f"AWS4-HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    request = urllib.request.Request(f"{endpoint}/{name}", method="PUT", data=b"",
                                     headers={**signed, "Authorization": authorization})
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 200


def answers(port: int) -> bool:
    """Does anything speak HTTP there?"""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as peer:
            peer.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return peer.recv(5) == b"HTTP/"
    except OSError:
        return False


def check_conformance(*doors: str) -> None:
    """The conformance suite, with a service in place of the fake one.

    `doors` are URLs of storages in one bucket; the environment holds its keys.
    """
    root = Path(__file__).resolve().parents[2]
    program = Path(os.environ.get("MEMFS_CACHE_BINARY_DIR", root / "build" / "release")) / "tests" / "tests_storage"
    done = subprocess.run([program, "--test-suite=storage/conformance", "--test-case=*S3_Backend*",
                           "--test-case-exclude=*Any_Backend*,*Prefixed_Backend*"],
                          env={**os.environ, "MEMFS_CACHE_TEST_S3": " ".join(doors)}, capture_output=True, text=True,
                          errors="replace", timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    suite = (root / "tests" / "cpp" / "storage" / "conformance.hpp").read_text()
    cases = suite.count("TEST_CASE_TEMPLATE(") - suite.count("MEMFS_CACHE_SUITE_APPENDING_BACKENDS)")
    assert f"test cases: {cases} | {cases} passed" in re.sub(" +", " ", done.stdout), done.stdout
    print(f"{cases} cases of the conformance suite")
