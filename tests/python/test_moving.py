# SPDX-License-Identifier: Apache-2.0
"""Moving a store to another storage, looking at all of it, and racing on a storage, as operators meet them."""
from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from generate_log import generate
from harness import SALTS, WINDOWS, Store, write_lines


def run(command, *words: str | Path) -> tuple[int, dict]:
    finished = command.run(*words, "--json")
    assert finished.out, finished.err.decode(errors="replace")
    return finished.exit_code, json.loads(finished.out)


@pytest.fixture
def kept(store, tmp_path) -> Store:
    """A store with final windows, a token and salts."""
    store.import_(write_lines(tmp_path / "access.log", generate(7, 500, "2015-05-18", 2)))
    store.query("yearly", ["2015"])
    store.tokens("create", "community-x", "--limit", "3")
    store.tokens("use", "community-x")
    return store


def test_a_store_moves_to_another_folder_and_back_unchanged(command, kept, tmp_path):
    moved = Store(command, tmp_path / "moved")
    code, report = run(command, "export", "--storage", kept.url, "--to", moved.url)
    assert (code, report["verified"], report["present"]) == (0, True, 0)
    assert report["copied"] == report["objects"] == len(kept.files("cache"))
    assert moved.files("cache") == kept.files("cache")
    assert {stat.S_IMODE((moved.folder / path).stat().st_mode) for path in moved.files(SALTS)} == {0o600}

    # It is the same store: the same answers, the same limit, and windows that come out of the events again.
    assert moved.query("yearly", ["2015"]) == kept.query("yearly", ["2015"])
    assert moved.tokens("use", "community-x")[0]["remaining"] == 1
    windows = moved.files(WINDOWS)
    for path in windows:
        (moved.folder / path).unlink()
    moved.query("yearly", ["2015"])
    assert moved.files(WINDOWS) == windows


def test_a_second_export_copies_nothing_and_one_into_another_store_destroys_nothing(command, kept, tmp_path):
    target = tmp_path / "target"
    assert run(command, "export", "--storage", kept.url, "--to", f"disk:{target}")[0] == 0
    code, again = run(command, "export", "--storage", kept.url, "--to", f"disk:{target}")
    assert (code, again["copied"], again["present"]) == (0, 0, again["objects"])

    ledger = target / "cache/analytics/data/state/ledger.json"
    ledger.write_text("mine")
    (target / "stranger").write_text("too")
    finished = command.run("export", "--storage", kept.url, "--to", f"disk:{target}")
    assert finished.exit_code == 1
    assert b"cache/analytics/data/state/ledger.json: the target holds other bytes under this name\n" in finished.out
    assert b"stranger: is in the target only\n" in finished.out
    assert finished.out.endswith(b"NOT the same on both sides\n")
    assert ledger.read_text() == "mine"


def test_a_sound_store_is_found_sound_and_a_turned_byte_is_found_where_it_is(command, kept):
    code, report = run(command, "verify", "--storage", kept.url)
    assert (code, report["sound"], report["problems"]) == (0, True, [])
    assert report["windows"] == len(kept.files(WINDOWS))
    assert report["tokens"] == 1

    day = next(path for path in kept.files(WINDOWS) if "/daily/" in path)
    file = kept.folder / day
    good = file.read_bytes()
    file.write_bytes(good.replace(b'"total_requests":', b'"total_requests":9', 1))
    finished = command.run("verify", "--storage", kept.url)
    assert finished.exit_code == 1
    assert f"{day}: is not what its events make\n".encode() in finished.out
    assert finished.out.endswith(b"NOT sound\n")
    code, repaired = run(command, "verify", "--storage", kept.url, "--repair")
    assert (code, repaired["repaired_count"]) == (0, 1)
    assert file.read_bytes() == good


def test_a_storage_that_keeps_its_promises_is_said_to(command, tmp_path):
    for url in ("memory:", f"disk:{tmp_path / 'probed'}"):
        code, report = run(command, "probe", "--storage", url, "--clients", "4", "--rounds", "5")
        assert (code, report["all_kept"], len(report["checks"])) == (0, True, 6)


@pytest.mark.parametrize("words", [
    ["export", "--storage", "memory:"], ["export", "--to", "memory:"], ["export", "--storage", "memory:", "--to", "nowhere"],
    ["verify"], ["verify", "--storage", "nowhere:"], ["probe", "--storage", "memory:", "--clients", "1"],
    ["probe", "--storage", "memory:", "--rounds", "0"], ["probe"]])
def test_wrong_words_are_wrong_usage(command, words):
    finished = command.run(*words)
    assert finished.exit_code == 2
    assert finished.err and not finished.out
