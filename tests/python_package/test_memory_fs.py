# SPDX-License-Identifier: Apache-2.0
"""Memory-FS and this package on one storage: ours under its code, and its under ours."""
from __future__ import annotations

import threading

import pytest
from conftest import Conditional_Files, Files
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from memory_fs.storage_fs.providers.Storage_FS__Local_Disk import Storage_FS__Local_Disk
from memory_fs.storage_fs.providers.Storage_FS__Memory import Storage_FS__Memory

from memfs_cache import (
    Cache_Service,
    Invalid_Argument,
    Storage_Disk,
    Storage_Memory,
    Storage_Python,
    Storage_Sqlite,
    Timed_Out,
    Unsupported,
)
from memfs_cache.memory_fs import Storage_FS__Memfs_Cache

paths = st.sampled_from(["a", "b/a", "b/c.json", "b/d/e.json", "x y/é.txt", "f/g/h/i.bin"])
contents = st.sampled_from([b"", b"{}", b'{"a": 1}', b"[1]", b"text", b'"\\u00e9"'])


class Both_Behave_Alike(RuleBasedStateMachine):
    """Memory-FS's own storage in memory, and ours under its interface, through the same calls."""

    def __init__(self) -> None:
        super().__init__()
        self.theirs = Storage_FS__Memory()
        storage = Storage_Memory()
        storage.write("beside", b"of somebody else")
        self.ours = Storage_FS__Memfs_Cache(storage=storage, prefix="mine/")

    def alike(self, method: str, *arguments, **options) -> None:
        outcomes = []
        for files in (self.theirs, self.ours):
            try:
                outcomes.append(getattr(files, method)(*arguments, **options))
            except ValueError as error:  # a file that is no JSON
                outcomes.append(type(error).__name__)
        assert outcomes[0] == outcomes[1], method

    @rule(path=paths, data=contents)
    def save(self, path, data):
        self.alike("file__save", path, data)

    @rule(path=paths)
    def delete(self, path):
        self.alike("file__delete", path)

    @rule(path=paths)
    def read(self, path):
        for method in ("file__bytes", "file__str", "file__exists"):
            self.alike(method, path)

    @rule(folder=st.sampled_from(["b", "b/d", "f", "nothing"]), full=st.booleans())
    def folders(self, folder, full):
        self.alike("folder__folders", folder, return_full_path=full)
        self.alike("folder__files", folder, return_full_path=full)

    @rule()
    def clear(self):
        self.alike("clear")

    @invariant()
    def the_same_files(self):
        assert sorted(self.theirs.files__paths()) == self.ours.files__paths()
        assert sorted(self.theirs.folder__files__all("b")) == self.ours.folder__files__all("b")


Both_Behave_Alike.TestCase.settings = settings(max_examples=30)
Test_ours_behaves_as_theirs = Both_Behave_Alike.TestCase


def test_json_is_read_as_theirs_does_and_also_from_any_document(tmp_path):
    for storage in (Storage_Memory(), Storage_Disk(tmp_path), Storage_Sqlite(tmp_path / "files.db")):
        files = Storage_FS__Memfs_Cache(storage=storage)
        files.file__save("a.json", b'{"a": [1, null]}')
        files.file__save("list.json", b"[1]")
        files.file__save("empty.json", b"")
        assert files.file__json("a.json") == {"a": [1, None]} and files.file__json("list.json") == [1]
        assert files.file__json("empty.json") is None and files.file__json("none.json") is None


def test_a_path_that_leaves_the_root_is_refused():
    with pytest.raises(Invalid_Argument):
        Storage_FS__Memfs_Cache(storage=Storage_Memory()).file__save("../a", b"x")


@pytest.mark.parametrize("root_prefix", ["cache", ""])
@pytest.mark.parametrize("theirs", ["memory", "disk"])
def test_entries_on_their_storage_are_found_from_there_and_from_here(tmp_path, root_prefix, theirs):
    files = Storage_FS__Memory() if theirs == "memory" else Storage_FS__Local_Disk(root_path=str(tmp_path))
    cache = Cache_Service(Storage_Python(files), root_prefix)
    stored = cache.entries.store("app", "temporal_latest", {"v": 1})
    first = "/".join(filter(None, [root_prefix, stored.paths["by_id"][0]]))
    assert files.file__json(first)["cache_id"] == stored.cache_id
    again = Cache_Service(Storage_Python(files), root_prefix)
    found = again.entries.retrieve_by_hash("app", stored.cache_hash)
    assert found is not None and found.data == {"v": 1}
    assert cache.create_cache_entry("tokens", "a") == again.create_cache_entry("tokens", "a")


def test_our_disk_and_their_disk_are_the_same_files(tmp_path):
    ours, theirs = Storage_Disk(tmp_path), Storage_FS__Local_Disk(root_path=str(tmp_path))
    ours.write("a/b.json", b"{}")
    theirs.file__save("c/d.json", b"[]")
    assert theirs.file__bytes("a/b.json") == b"{}" and ours.read("c/d.json") == b"[]"


def test_events_and_tokens_need_writes_with_conditions():
    cache = Cache_Service(Storage_Python(Files()))
    with pytest.raises(Unsupported, match="conditional"):
        cache.tokens.create("a", 1)
    with pytest.raises(Unsupported, match="conditional"):
        cache.analytics.record({"event_type": "page_view"})


def test_an_object_with_conditions_keeps_events_and_tokens():
    files = Conditional_Files()
    with Cache_Service(Storage_Python(files), flush_interval_ms=1) as cache:
        cache.tokens.create("a", 3)
        threads = [threading.Thread(target=cache.tokens.use, args=("a",), daemon=True) for _ in range(8)]
        for thread in threads:
            thread.start()
        for number in range(200):
            cache.analytics.record_request("GET", "/", 200, number, 1, "203.0.113.7")
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
        assert cache.tokens.check("a").usage_count == 3
        assert cache.analytics.pulse().active_requests == 200
    with Cache_Service(Storage_Python(files)) as cache:
        assert cache.analytics.pulse().active_requests == 200


def test_an_object_without_the_methods_is_refused():
    with pytest.raises(TypeError, match="file__bytes"):
        Storage_Python({})


def test_what_the_object_raises_is_the_error_that_it_says():
    files = Files()
    storage = Storage_Python(files)
    files.breaks = Timed_Out("slow")
    with pytest.raises(Timed_Out, match="slow"):
        storage.read("a")
    files.breaks = RuntimeError("odd")
    with pytest.raises(ConnectionError, match="RuntimeError: odd"):
        storage.write("a", b"")
