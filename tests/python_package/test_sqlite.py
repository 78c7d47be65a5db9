# SPDX-License-Identifier: Apache-2.0
"""Memory-FS's own provider for SQLite and ours, with one file between them."""
from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from conftest import wait_until
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from memory_fs.storage_fs.providers.Storage_FS__Sqlite import Storage_FS__Sqlite
from test_peer_service import STRATEGIES, Peer

from memfs_cache import Already_Exists, Cache_Service, Invalid_Argument, Storage_Sqlite, open_storage

paths = st.sampled_from(["a", "b/a", "b/c.json", "b/d/e.json", "f/g/h/i.bin"])
contents = st.sampled_from([b"", b"{}", b'{"a": 1}', b"\x00\xff", "\u00e9".encode(), b"x" * 70_000])


def provider(file: Path) -> Storage_FS__Sqlite:
    return Storage_FS__Sqlite(db_path=str(file), in_memory=False).setup()


class One_File(RuleBasedStateMachine):
    """Each writes over and deletes what the other has written, both with the file open all the time."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.file = self.folder / "files.db"
        self.theirs, self.ours = provider(self.file), Storage_Sqlite(self.file)
        self.expected: dict[str, bytes] = {}

    def teardown(self) -> None:
        del self.theirs, self.ours
        shutil.rmtree(self.folder)

    @rule(path=paths, data=contents)
    def we_save(self, path, data):
        self.ours.write(path, data)
        self.expected[path] = data

    @rule(path=paths, data=contents)
    def they_save(self, path, data):
        assert self.theirs.file__save(path, data)
        self.expected[path] = data

    @rule(path=paths)
    def we_delete(self, path):
        assert self.ours.delete(path) == (self.expected.pop(path, None) is not None)

    @rule(path=paths)
    def they_delete(self, path):
        assert self.theirs.file__delete(path) == (self.expected.pop(path, None) is not None)

    @rule()
    def they_clear(self):
        assert self.theirs.clear()
        self.expected.clear()

    @rule()
    def they_tidy_up(self):
        assert self.theirs.optimize()

    @rule()
    def we_open_it_again(self):
        self.ours = Storage_Sqlite(self.file)

    @rule()
    def they_open_it_again(self):
        self.theirs = provider(self.file)

    @invariant()
    def both_see_the_same(self):
        assert self.ours.files_list() == sorted(map(str, self.theirs.files__paths())) == sorted(self.expected)
        for path in ("a", "b/a", "b/c.json", "b/d/e.json", "f/g/h/i.bin"):
            assert self.ours.read(path) == self.theirs.file__bytes(path) == self.expected.get(path)
            assert self.ours.exists(path) == self.theirs.file__exists(path)


One_File.TestCase.settings = settings(max_examples=8)
Test_both_have_the_file_open = One_File.TestCase


def test_a_file_of_theirs_is_opened_and_one_of_ours_as_well(tmp_path):
    made_by_them = provider(tmp_path / "theirs.db")
    assert made_by_them.file__save("a/b.json", b"{}")
    del made_by_them
    ours = Storage_Sqlite(tmp_path / "theirs.db")
    ours.write("c", b"\x00ours")
    assert ours.files_list() == ["a/b.json", "c"] and ours.read("a/b.json") == b"{}"
    del ours
    assert provider(tmp_path / "theirs.db").file__bytes("c") == b"\x00ours"

    Storage_Sqlite(tmp_path / "ours.db").write("a", b"1")
    theirs = provider(tmp_path / "ours.db")
    assert theirs.file__save("a", b"2") and theirs.file__save("b", b"3")
    assert [Storage_Sqlite(tmp_path / "ours.db").read(path) for path in "ab"] == [b"2", b"3"]


PEER = """
import sys
from memory_fs.storage_fs.providers.Storage_FS__Sqlite import Storage_FS__Sqlite

files = Storage_FS__Sqlite(db_path=sys.argv[1], in_memory=False).setup()
for number in range(150):
    assert files.file__save(f"theirs/{number % 30}", b"%d" % number), number
    assert files.file__save("shared", b"theirs %d" % number), number
    if number % 3 == 0:
        assert files.file__delete(f"theirs/{number % 30}"), number
"""


def test_two_programs_write_at_once_and_lose_nothing(tmp_path):
    file = tmp_path / "files.db"
    ours = Storage_Sqlite(file)
    ours.write("shared", b"")
    peer = subprocess.Popen([sys.executable, "-c", PEER, str(file)], stderr=subprocess.PIPE)
    failures: list[BaseException] = []

    def write(thread: int) -> None:
        try:
            for number in range(150):
                ours.write(f"ours/{thread}/{number % 30}", b"%d" % number)
                ours.write("shared", b"ours %d" % number)
                if number % 3 == 0:
                    assert ours.delete(f"ours/{thread}/{number % 30}")
        except BaseException as error:  # of a thread, for the test
            failures.append(error)

    threads = [threading.Thread(target=write, args=(number,), daemon=True) for number in range(2)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
        said = peer.communicate(timeout=60)[1].decode()
    finally:
        peer.kill()
    assert (failures, peer.returncode, said) == ([], 0, "")
    kept = {f"{number % 30}": b"%d" % number for number in range(120, 150) if number % 3 != 0}
    theirs = provider(file)
    for folder in ("theirs/", "ours/0/", "ours/1/"):
        assert {path.removeprefix(folder): ours.read(path) for path in ours.files_list(folder)} == kept
        assert all(theirs.file__bytes(folder + name) == data for name, data in kept.items())
    assert len(theirs.files__paths()) == len(ours.files_list()) == 3 * len(kept) + 1
    assert ours.read("shared") in (b"ours 149", b"theirs 149")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_their_service_and_ours_read_each_others_entries_in_one_database(tmp_path, strategy):
    file = tmp_path / "entries.db"
    ours, peer = Cache_Service(Storage_Sqlite(file), ""), Peer(provider(file))
    theirs_id, theirs_hash = peer.store({"from": "them"}, strategy)
    found = ours.entries.retrieve("shared", theirs_id)
    assert found is not None and found.data == {"from": "them"}
    assert ours.entries.retrieve_by_hash("shared", theirs_hash) == found
    stored = ours.entries.store("shared", strategy, {"from": "us"}, cache_key="a/b")
    assert peer.retrieve(stored.cache_id) == peer.retrieve_by_hash(stored.cache_hash) == {"from": "us"}


def test_a_backup_stands_for_itself_and_goes_over_nothing(tmp_path):
    storage = open_storage(f"sqlite:{tmp_path / 'files.db'}")
    assert isinstance(storage, Storage_Sqlite)
    storage.write("a", b"then")
    storage.backup(tmp_path / "copy.db")
    storage.write("a", b"now")
    assert provider(tmp_path / "copy.db").file__bytes("a") == Storage_Sqlite(tmp_path / "copy.db").read("a") == b"then"
    with pytest.raises(Already_Exists, match="copy.db"):
        storage.backup(str(tmp_path / "copy.db"))
    with pytest.raises(Invalid_Argument, match="create the folder"):
        storage.backup(tmp_path / "none" / "copy.db")


def test_a_database_of_something_else_is_refused_and_left_as_it_was(tmp_path):
    other = sqlite3.connect(tmp_path / "people.db")
    other.execute("CREATE TABLE people (name TEXT)")
    with pytest.raises(Invalid_Argument, match="something else"):
        Storage_Sqlite(tmp_path / "people.db")
    assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("people",)]
    other.close()
    with pytest.raises(Invalid_Argument, match="use memory:"):
        Storage_Sqlite(":memory:")


def test_other_threads_run_while_a_write_waits_for_another_program(tmp_path):
    storage = Storage_Sqlite(tmp_path / "files.db")
    other = sqlite3.connect(tmp_path / "files.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    writer = threading.Thread(target=storage.write, args=("a", b"1"), daemon=True)
    writer.start()
    wait_until(lambda: storage.counters()["writes"] == 1)  # inside, where it naps until the lock is free
    assert storage.read("a") is None
    other.execute("COMMIT")
    other.close()
    writer.join(60)
    assert storage.read("a") == b"1"


FORKS = """
import os, signal, sys, threading
from memfs_cache import Storage_Sqlite

signal.alarm(60)
storage = Storage_Sqlite(sys.argv[1])
done = threading.Event()

def write(thread):
    number = 0
    while not done.is_set():
        storage.write(f"threads/{thread}/{number % 5}", b"x")
        number += 1

threads = [threading.Thread(target=write, args=(number,)) for number in range(2)]
for thread in threads:
    thread.start()
for child in range(5):
    if (process := os.fork()) == 0:
        storage.write(f"children/{child}", b"y")
        os._exit(0 if storage.read(f"children/{child}") == b"y" else 1)
    assert os.waitpid(process, 0)[1] == 0
done.set()
for thread in threads:
    thread.join()
print(len(storage.files_list("children/")))
"""


def test_a_fork_while_threads_write_leaves_both_processes_with_the_database(tmp_path):
    finished = subprocess.run([sys.executable, "-c", FORKS, str(tmp_path / "files.db")], capture_output=True, text=True,
                              timeout=90)
    assert (finished.stdout, finished.stderr) == ("5\n", "")
    checked = sqlite3.connect(tmp_path / "files.db")
    assert checked.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    checked.close()
