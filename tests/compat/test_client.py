# SPDX-License-Identifier: Apache-2.0
"""The Python cache service's own client, as it is published, in remote mode against our server."""
from __future__ import annotations

import gzip
import warnings

import pytest
import requests
from servers import KEY, KEY_NAME, WITH_KEY

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # theirs
    from mgraph_ai_service_cache_client.client.cache_client.Cache__Service__Client import Cache__Service__Client
    from mgraph_ai_service_cache_client.client.cache_service.register_cache_service import register_cache_service__remote
    from mgraph_ai_service_cache_client.schemas.cache.enums.Enum__Cache__Store__Strategy import Enum__Cache__Store__Strategy

DOCUMENT = {"name": "café", "n": [1, 2.5, None, True], "deep": {"a": {}}}
BYTES = bytes(range(256))
NS = "compat"


@pytest.fixture
def client(url) -> Cache__Service__Client:
    register_cache_service__remote(base_url=url, api_key_name=KEY_NAME, api_key_value=KEY)
    return Cache__Service__Client()


@pytest.fixture(params=list(Enum__Cache__Store__Strategy), ids=lambda strategy: strategy.value)
def strategy(request) -> Enum__Cache__Store__Strategy:
    return request.param


def test_the_client_finds_the_service_well(client):
    assert client.health()
    assert client.info().health() == {"status": "ok"}


@pytest.mark.parametrize("key", ["", "docs/2026"])
def test_a_document_is_stored_retrieved_updated_and_deleted(client, strategy, key):
    store = client.store()
    stored = (store.store__json__cache_key(namespace=NS, strategy=strategy, cache_key=key, body=DOCUMENT, file_id="")
              if key else store.store__json(strategy=strategy, namespace=NS, body=DOCUMENT))
    cache_id = stored.cache_id
    assert client.retrieve().retrieve__cache_id__json(cache_id=cache_id, namespace=NS) == DOCUMENT
    assert client.retrieve().retrieve__hash__cache_hash__json(cache_hash=stored.cache_hash, namespace=NS) == DOCUMENT
    found = client.retrieve().retrieve__cache_id(cache_id=cache_id, namespace=NS)
    assert found.metadata.strategy == strategy and str(found.metadata.cache_hash) == str(stored.cache_hash)
    assert client.update().update__json(cache_id=cache_id, namespace=NS, body={"new": 1})
    assert client.retrieve().retrieve__cache_id__json(cache_id=cache_id, namespace=NS) == {"new": 1}
    assert client.delete().delete__cache_id(cache_id=cache_id, namespace=NS)["status"] == "success"
    assert client.retrieve().retrieve__cache_id(cache_id=cache_id, namespace=NS) is None


def test_a_text_is_stored_retrieved_updated_and_deleted(client, strategy):
    stored = client.store().store__string(strategy=strategy, namespace=NS, body="text €")
    cache_id = stored.cache_id
    assert client.retrieve().retrieve__cache_id__string(cache_id=cache_id, namespace=NS) == "text €"
    assert client.update().update__string(cache_id=cache_id, namespace=NS, body="second")
    assert client.retrieve().retrieve__cache_id__string(cache_id=cache_id, namespace=NS) == "second"
    assert client.delete().delete__cache_id(cache_id=cache_id, namespace=NS)["status"] == "success"


def test_bytes_are_stored_retrieved_updated_and_deleted(client, url, strategy):
    stored = client.store().store__binary(strategy=strategy, namespace=NS, body=BYTES)
    cache_id = stored.cache_id
    address = f"{url}/{NS}/retrieve/{cache_id}/binary"  # of which the client makes JSON
    assert requests.get(address, headers=WITH_KEY, timeout=60).content == BYTES
    assert client.update().update__binary(cache_id=cache_id, namespace=NS, body=b"\x00\xff")
    assert requests.get(address, headers=WITH_KEY, timeout=60).content == b"\x00\xff"
    assert client.delete().delete__cache_id(cache_id=cache_id, namespace=NS)["status"] == "success"


def test_child_data_of_every_kind_comes_back(client, strategy):
    cache_id = client.store().store__json(strategy=strategy, namespace=NS, body=DOCUMENT).cache_id
    store, data = client.data_store(), client.data()
    assert store.data__store_json__with__id_and_key(cache_id=cache_id, namespace=NS, data_key="a/b", data_file_id="f", body=DOCUMENT)
    assert store.data__store_string__with__id(cache_id=cache_id, namespace=NS, data_file_id="f", body="text")
    assert data.retrieve().data__json__with__id_and_key(cache_id=cache_id, namespace=NS, data_key="a/b", data_file_id="f") == DOCUMENT
    assert data.retrieve().data__string__with__id(cache_id=cache_id, namespace=NS, data_file_id="f") == "text"


def test_names_and_ids_of_a_namespace_are_listed(client):
    stored = client.store().store__json(strategy=Enum__Cache__Store__Strategy.DIRECT, namespace="listed", body=DOCUMENT)
    assert "listed" in client.namespaces().list()
    assert str(stored.cache_id) in map(str, client.namespace().cache_ids(namespace="listed"))
    assert str(stored.cache_hash) in map(str, client.namespace().cache_hashes(namespace="listed"))


def test_packed_bytes_come_back_unpacked(url):
    packed = {**WITH_KEY, "Content-Type": "application/octet-stream", "Content-Encoding": "gzip"}
    stored = requests.post(f"{url}/{NS}/direct/store/binary", data=gzip.compress(BYTES), headers=packed, timeout=60).json()
    found = requests.get(f"{url}/{NS}/retrieve/{stored['cache_id']}/binary", headers=WITH_KEY, timeout=60)
    assert found.content == BYTES
