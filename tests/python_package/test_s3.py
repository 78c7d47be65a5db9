# SPDX-License-Identifier: Apache-2.0
"""Buckets from Python, on the S3 server of the C++ tests."""
from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest
from conftest import ROOT

from memfs_cache import (
    Cache_Service,
    Invalid_Argument,
    Not_Found,
    Permission_Denied,
    Storage_S3,
    Unavailable,
    open_storage,
)

KEYS = {"access_key_id": "FAKEKEYID", "secret_access_key": "fake/secret+key"}


@pytest.fixture
def endpoint() -> Iterator[str]:
    """Ends when its standard input does."""
    program = ROOT / "build" / "release" / "tests" / "memfs_cache_fake_s3"
    with subprocess.Popen([program, "--bucket", "files"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None and server.stdout is not None
        yield server.stdout.readline().strip()
        server.stdin.close()
        assert server.wait(timeout=60) == 0


def test_a_bucket_is_files_with_words_of_everyday(endpoint):
    storage = Storage_S3("files", "below/here", endpoint, "us-east-1", **KEYS)
    assert repr(storage) == "Storage_S3('files')"
    storage.write("a/b c.txt", b"one")
    storage.write("a/b c.txt", b"two")
    assert (storage.read("a/b c.txt"), storage.read("none"), storage.files_list()) == (b"two", None, ["a/b c.txt"])
    assert Storage_S3("files", endpoint_url=endpoint, **KEYS).files_list() == ["below/here/a/b c.txt"]
    assert storage.delete("a/b c.txt") and not storage.delete("a/b c.txt")


def test_a_service_on_a_bucket_records_limits_and_is_found_again(endpoint, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEYS["access_key_id"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEYS["secret_access_key"])
    url = f"s3://files/site?endpoint_url={endpoint}&region=us-east-1"
    with Cache_Service(open_storage(url)) as cache:
        for _ in range(100):
            cache.analytics.record_request("GET", "/", 200, 1, 1)
        cache.tokens.create("t", 2)
        assert cache.tokens.use("t").success
        assert cache.analytics.pulse().active_requests == 100
    with Cache_Service(open_storage(url)) as again:
        assert again.analytics.pulse().active_requests == 100
        assert again.tokens.use("t").remaining == 0
        assert again.tokens.use("t").rejection_reason == "exhausted"
        # A hundred requests are one object, and what a log needs once is a dozen.
        assert len([path for path in again.storage_fs.files_list() if "/data/raw/" in path]) <= 4


@pytest.mark.parametrize(("wrong", "raised", "names"), [
    ({"bucket": "nowhere"}, Not_Found, "bucket"),
    ({"access_key_id": "SOMEBODY"}, Permission_Denied, "access_key_id"),
    ({"secret_access_key": "hush"}, Permission_Denied, "secret_access_key"),
    ({"secret_access_key": None}, Invalid_Argument, "secret_access_key"),
    ({"endpoint_url": "http://127.0.0.1:1"}, Unavailable, "endpoint_url"),
    ({"endpoint_url": "ftp://127.0.0.1"}, Invalid_Argument, "endpoint_url")])
def test_each_wrong_setting_is_named_and_no_secret_is_said(endpoint, wrong, raised, names):
    with pytest.raises(raised) as caught:
        Storage_S3(**{"bucket": "files", "endpoint_url": endpoint, **KEYS, **wrong})
    assert names in str(caught.value)
    assert "hush" not in str(caught.value) and KEYS["secret_access_key"] not in str(caught.value)
