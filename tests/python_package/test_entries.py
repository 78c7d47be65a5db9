# SPDX-License-Identifier: Apache-2.0
"""Entries through the bindings: the files of the reference byte for byte, and what the bindings add of their own."""
from __future__ import annotations

import base64
import gzip
import itertools
import json
from datetime import datetime

import pytest
from conftest import NOON, ROOT

from memfs_cache import Cache_Service, Corrupt_Data, Manual_Clock, Not_Found, Storage_Memory

SCENARIOS = json.loads((ROOT / "tests" / "vectors" / "store_trees.json").read_text(encoding="utf-8"))["scenarios"]


def payload(step: dict):
    given = step["args"]["payload"]
    if "json" in given:
        return json.loads(given["json"])
    return given["string"] if "string" in given else base64.b64decode(given["base64"])


def content(expected) -> bytes:
    return base64.b64decode(expected["base64"]) if isinstance(expected, dict) else expected.encode()


def store_steps():
    """Every first step that stores, of each scenario: its files are those of an empty store."""
    for scenario in SCENARIOS:
        step = scenario["steps"][0]
        if step["op"].startswith("store") and "result" in step and "error" not in step:
            yield pytest.param(step, id=scenario.get("name", step["op"]))


@pytest.mark.parametrize("step", list(store_steps()))
def test_a_store_writes_the_files_of_the_reference(step):
    args, expected = dict(step["args"]), step["result"]
    storage = Storage_Memory()
    clock = Manual_Clock(datetime.fromisoformat(step["at"].replace("Z", "+00:00")))
    cache = Cache_Service(storage, "", clock, id_generator=lambda: expected["cache_id"])
    data = payload(step)
    options = {name: args[name] for name in
               ("cache_hash", "cache_id", "cache_key", "file_id", "json_field_path", "content_encoding") if args.get(name)}
    stored = cache.entries.store(args.get("namespace", "default"), args["strategy"], data, **options)
    assert (stored.cache_id, stored.cache_hash) == (expected["cache_id"], expected["cache_hash"])
    assert {path: storage.read(path) for path in storage.files_list()} == {
        path: content(text) for path, text in step["writes"].items()}


STRATEGIES = ["direct", "temporal", "temporal_latest", "temporal_versioned", "key_based"]
VALUES = [{"b": 1, "a": [None, True, 1.0, 10**30, "é\ud800"]}, [1, {"x": {}}], "text é", "{}", b"\x00\xff", bytearray(b"x")]


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_comes_back_as_it_went_in(clock, strategy, value):
    cache = Cache_Service(clock=clock)
    stored = cache.entries.store("app", strategy, value, cache_key="reports/2026")
    by_id = cache.entries.retrieve("app", stored.cache_id)
    by_hash = cache.entries.retrieve_by_hash("app", stored.cache_hash)
    assert by_id is not None and by_id == by_hash
    assert by_id.data == value and type(by_id.data) is (bytes if isinstance(value, bytearray) else type(value))
    assert (by_id.metadata.strategy, by_id.metadata.stored_at) == (strategy, NOON)
    assert cache.entries.exists("app", stored.cache_id) and cache.entries.exists("app", cache_hash=stored.cache_hash)
    assert cache.entries.delete("app", stored.cache_id) and not cache.entries.delete("app", stored.cache_id)
    assert cache.entries.retrieve("app", stored.cache_id) is None


def test_options_of_a_store(cache):
    entries = cache.entries
    packed = entries.store("app", "direct", gzip.compress(b"same"), content_encoding="gzip")
    assert packed.cache_hash == cache.hash_generator.from_bytes(b"same")
    field = entries.store("app", "direct", {"user": {"id": 7}}, json_field_path="user.id", file_id="seven")
    assert field.cache_hash == cache.hash_generator.from_string("7")
    assert any(path.endswith("/seven.json") for path in field.paths["data"])
    chosen = entries.store("app", "direct", "x", cache_hash="a" * 16, cache_id="81af14c1-0000-4000-8000-000000000011")
    assert (chosen.cache_hash, chosen.cache_id) == ("a" * 16, "81af14c1-0000-4000-8000-000000000011")


def test_an_update_keeps_what_the_entry_is_found_by(cache):
    stored = cache.entries.store("app", "direct", {"v": 1})
    updated = cache.entries.update("app", stored.cache_id, {"v": 2})
    assert updated.cache_hash == stored.cache_hash
    found = cache.entries.retrieve_by_hash("app", stored.cache_hash)
    assert found is not None and found.data == {"v": 2}
    with pytest.raises(Not_Found):
        cache.entries.update("app", "81af14c1-0000-4000-8000-000000000011", "x")


def test_child_data_lies_beside_its_entry(cache):
    entries = cache.entries
    entry = entries.store("app", "temporal", {"v": 1}).cache_id
    entries.data_store("app", entry, {"a": 1}, data_key="notes/day 1", data_file_id="one")
    entries.data_store("app", entry, "text", data_file_id="two")
    made = entries.data_store("app", entry, b"\x00", data_type="binary")
    assert entries.data_retrieve("app", entry, "json", "one", "notes/day 1") == {"a": 1}
    assert entries.data_retrieve("app", entry, "string", "two") == "text"
    assert entries.data_retrieve("app", entry, "binary", made.data_file_id) == b"\x00"
    assert entries.data_retrieve("app", entry, "json", "two") is None
    assert entries.data_update("app", entry, "other", "two").size == 5
    assert {(file.data_key, file.data_file_id, file.data_type) for file in entries.data_list("app", entry)} == {
        ("notes/day-1", "one", "json"), ("", "two", "string"), ("", made.data_file_id, "binary")}
    assert {file.data_file_id for file in entries.data_list("app", entry, recursive=False)} == {"two", made.data_file_id}
    assert entries.data_delete("app", entry, "string", "two") and not entries.data_delete("app", entry, "string", "two")
    assert len(entries.data_delete_all("app", entry)) == 2
    with pytest.raises(Not_Found):
        entries.data_list("app", "81af14c1-0000-4000-8000-000000000011")


def test_ids_of_source_values_are_kept_apart_by_the_values():
    numbers = itertools.count(1)
    cache = Cache_Service(id_generator=lambda: f"00000000-0000-4000-8000-{next(numbers):012d}")
    first = cache.create_cache_entry("tokens", {"name": "a"})
    assert first == "00000000-0000-4000-8000-000000000001"
    assert cache.create_cache_entry("tokens", {"name": "a"}) == first
    assert cache.create_cache_entry("tokens", {"name": "b"}) != first
    assert cache.lookup_by_hash("tokens", cache.resolve_cache_hash({"name": "a"}), {"name": "b"}) is None


def test_what_an_id_generator_raises_reaches_the_caller():
    def broken() -> str:
        raise RuntimeError("no more ids")

    with pytest.raises(RuntimeError, match="no more ids"):
        Cache_Service(id_generator=broken).create_cache_entry("tokens", "x")


def test_dated_files_and_the_newest(cache, clock):
    assert cache.write_temporal("app", None, {"v": 1}, "report.json") == [
        "app/data/temporal/2026/02/14/11/report.json", "app/data/latest/report.json"]
    clock.advance(3_600_000)
    cache.write_temporal("app", None, {"v": 2}, "report.json")
    assert cache.read_latest("app", None, "report.json") == {"v": 2}
    clock.advance(-3_600_000)
    cache.write_temporal("app", None, {"v": 0}, "report.json")
    assert cache.read_latest("app", None, "report.json") == {"v": 2}
    cache.write_temporal("app", None, "text", "notes.txt")
    assert cache.read_latest("app", None, "notes.txt") == b"text"
    assert cache.read_latest("app", None, "never.txt") is None
    cache.write_temporal("app", None, b"{", "broken.json")
    with pytest.raises(Corrupt_Data, match="broken.json"):
        cache.read_latest("app", None, "broken.json")
