# SPDX-License-Identifier: Apache-2.0
"""The cache API on its listener: what `serve --cache` takes from the command line and the environment."""
from __future__ import annotations

import http.client
import json
import re
import signal
from contextlib import contextmanager

import pytest

KEYS = {"FAST_API__AUTH__API_KEY__NAME": "x-api-key", "FAST_API__AUTH__API_KEY__VALUE": "secret"}


@contextmanager
def serving(command, store, *options, env=None):
    """Asks the server: (method, path, body, headers) -> (status, body)."""
    process = command.start("serve", "--storage", f"disk:{store}", "--root-prefix", "", "--public", "off", "--admin", "off",
                            "--cache", "127.0.0.1:0", *options, env=env or {})
    found = re.search(rb"cache\s+http://([\d.]+):(\d+)", process.stdout.readline())

    def ask(method, path, body=None, headers=None):
        connection = http.client.HTTPConnection(found[1].decode(), int(found[2]), timeout=60)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    try:
        yield ask
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def test_an_entry_is_stored_in_a_folder_and_read_after_a_restart(command, tmp_path):
    with_key = {"x-api-key": "secret", "Content-Type": "application/json"}
    with serving(command, tmp_path, env=KEYS) as ask:
        assert ask("GET", "/info/health")[0] == 401
        status, body = ask("POST", "/ns/direct/store/json", b'{"a": 1}', with_key)
        assert status == 200
        place = json.loads(ask("GET", "/server/storage/info", None, with_key)[1])
        assert place["storage_mode"] == "local_disk" and place["local_disk_path"] == str(tmp_path)
    stored = json.loads(body)
    assert (tmp_path / stored["paths"]["by_id"][0]).is_file()
    with serving(command, tmp_path, "--cache-key-name", "k", "--cache-key-value", "v", "--strict-compat", "false") as ask:
        assert ask("GET", f"/ns/retrieve/{stored['cache_id']}/json", None, {"k": "v"}) == (200, b'{"a":1}')
        assert ask("DELETE", "/ns/delete/00000000-0000-4000-8000-00000000dead", None, {"k": "v"})[0] == 404


def test_without_a_key_every_request_is_refused(command, tmp_path):
    with serving(command, tmp_path) as ask:
        status, body = ask("GET", "/info/health", None, {"x-api-key": ""})
    assert status == 401 and b"key name" in body


def test_a_value_larger_than_the_limit_is_refused(command, tmp_path):
    with serving(command, tmp_path, "--cache-body-limit", "1KiB", env=KEYS) as ask:
        assert ask("POST", "/ns/direct/store/binary", b"x" * 1025, {"x-api-key": "secret"})[0] == 413


@pytest.mark.parametrize("address", ["nowhere", "127.0.0.1:99999"])
def test_an_address_that_is_none_is_wrong_usage(command, tmp_path, address):
    assert command.run("serve", "--storage", f"disk:{tmp_path}", "--cache", address).exit_code == 2
