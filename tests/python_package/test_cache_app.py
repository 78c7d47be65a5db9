# SPDX-License-Identifier: Apache-2.0
"""The Python cache service's routes as an ASGI application, mounted and alone."""
from __future__ import annotations

import fastapi
from fastapi.testclient import TestClient

from memfs_cache import Cache_Service
from memfs_cache.fastapi import cache_app


def test_entries_are_stored_and_found_below_any_prefix_and_by_the_service_itself():
    cache = Cache_Service()
    app = fastapi.FastAPI()
    app.mount("/behind/cache", cache_app(cache))
    client = TestClient(app)
    stored = client.post("/behind/cache/ns/direct/store/json", json={"a": 1})
    assert stored.status_code == 200
    cache_id = stored.json()["cache_id"]
    assert client.get(f"/behind/cache/ns/retrieve/{cache_id}/json").json() == {"a": 1}
    found = cache.entries.retrieve("ns", cache_id)
    assert found is not None and found.data == {"a": 1}


def test_a_key_is_asked_for_if_there_is_one_and_half_a_key_admits_nobody():
    def status(headers: dict[str, str], **key: str) -> int:
        return TestClient(cache_app(Cache_Service(), **key)).get("/info/health", headers=headers).status_code

    assert status({}) == 200
    assert status({}, key_name="x-api-key", key_value="secret") == 401
    assert status({"x-api-key": "secret"}, key_name="x-api-key", key_value="secret") == 200
    assert status({"x-api-key": "secret"}, key_name="x-api-key") == 401


def test_answers_that_mislead_can_be_switched_off_and_large_bodies_are_refused():
    client = TestClient(cache_app(Cache_Service(), strict_compat=False, body_limit=10))
    assert client.delete("/ns/delete/00000000-0000-4000-8000-00000000dead").status_code == 404
    assert client.post("/ns/direct/store/binary", content=b"x" * 11).status_code == 413
