# SPDX-License-Identifier: Apache-2.0
"""The Python cache service itself on one storage with this package: each reads what the other wrote."""
from __future__ import annotations

import threading
import warnings

import pytest
from memory_fs.storage_fs.providers.Storage_FS__Local_Disk import Storage_FS__Local_Disk
from memory_fs.storage_fs.Storage_FS import Storage_FS

from memfs_cache import Cache_Service, Storage_Disk, Storage_Memory
from memfs_cache.memory_fs import Storage_FS__Memfs_Cache

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # theirs, of the framework that they use
    from mgraph_ai_service_cache.service.cache.Cache__Config import Cache__Config
    from mgraph_ai_service_cache.service.cache.Cache__Service import Cache__Service
    from mgraph_ai_service_cache.service.cache.retrieve.Cache__Service__Retrieve import Cache__Service__Retrieve
    from mgraph_ai_service_cache.service.cache.store.Cache__Service__Store import Cache__Service__Store

STRATEGIES = ["direct", "temporal", "temporal_latest", "temporal_versioned", "key_based"]


class Config(Cache__Config):
    """Their configuration, with a storage that is given."""

    def create_storage_backend(self) -> Storage_FS:
        return self.given


class Peer:
    def __init__(self, files: Storage_FS) -> None:
        config = Config()
        object.__setattr__(config, "given", files)
        service = Cache__Service(cache_config=config)
        self.stores, self.retrieves = Cache__Service__Store(cache_service=service), Cache__Service__Retrieve(cache_service=service)

    def store(self, data: dict, strategy: str) -> tuple[str, str]:
        stored = self.stores.store_json(data=data, namespace="shared", strategy=strategy, cache_key="a/b")
        return str(stored.cache_id), str(stored.cache_hash)

    def retrieve(self, cache_id: str) -> dict:
        return self.retrieves.retrieve_by_id(cache_id=cache_id, namespace="shared").data

    def retrieve_by_hash(self, cache_hash: str) -> dict:
        return self.retrieves.retrieve_by_hash(cache_hash=cache_hash, namespace="shared").data


@pytest.fixture(params=["memory", "disk"])
def kind(request) -> str:
    return request.param


@pytest.fixture(params=["cache", ""], ids=["default root", "no root"])
def both(request, kind, tmp_path) -> tuple[Cache_Service, Peer]:
    root = request.param
    if kind == "memory":
        storage = Storage_Memory()
        files = Storage_FS__Memfs_Cache(storage=storage, prefix=f"{root}/" if root else "")
    else:
        storage = Storage_Disk(tmp_path)
        files = Storage_FS__Local_Disk(root_path=str(tmp_path / root))
    return Cache_Service(storage, root), Peer(files)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_each_reads_what_the_other_stored(both, strategy):
    ours, peer = both
    theirs_id, theirs_hash = peer.store({"from": "them", "n": [1, 2.5, None]}, strategy)
    found = ours.entries.retrieve("shared", theirs_id)
    assert found is not None and found.data == {"from": "them", "n": [1, 2.5, None]}
    assert ours.entries.retrieve_by_hash("shared", theirs_hash) == found
    stored = ours.entries.store("shared", strategy, {"from": "us"}, cache_key="a/b")
    assert peer.retrieve(stored.cache_id) == {"from": "us"}
    assert peer.retrieve_by_hash(stored.cache_hash) == {"from": "us"}
    assert ours.hash_generator.from_json({"from": "us"}) == stored.cache_hash
    # A new version of theirs by us, and the other way round
    again = ours.entries.store("shared", "direct", {"from": "them", "n": [1, 2.5, None]})
    assert again.cache_hash == theirs_hash
    assert peer.store({"from": "us"}, "direct")[1] == stored.cache_hash


def test_both_write_at_once_and_each_entry_is_found_from_both_sides(both):
    ours, peer = both
    made: dict[str, dict] = {}

    def we_write() -> None:
        for number in range(10):
            value = {"from": "us", "number": number}
            made[ours.entries.store("shared", "temporal_latest", value).cache_id] = value

    def they_write() -> None:
        for number in range(10):
            value = {"from": "them", "number": number}
            while True:
                try:
                    made[peer.store(value, "temporal_latest")[0]] = value
                    break
                except FileExistsError:  # they look for a folder, then make it, and ours may have made it in between
                    continue

    threads = [threading.Thread(target=write, daemon=True) for write in (we_write, they_write)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert len(made) == 20
    for cache_id, value in made.items():
        found = ours.entries.retrieve("shared", cache_id)
        assert found is not None and found.data == value == peer.retrieve(cache_id)
