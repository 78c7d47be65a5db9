# SPDX-License-Identifier: Apache-2.0
"""purge, rebuild and hold as an operator, or a scheduler, runs them."""
from __future__ import annotations

import json

import pytest

from generate_log import generate
from harness import RAW, SALTS, WINDOWS, Store, write_lines

RECEIVED = "cache/analytics/data/state/received.json"


@pytest.fixture
def old(store, tmp_path) -> Store:
    """A store with events of May 2015 that came two days ago."""
    store.import_(write_lines(tmp_path / "access.log", generate(7, 500, "2015-05-18", 3)))
    path = store.folder / RECEIVED
    received = json.loads(path.read_text(encoding="utf-8"))
    for receipt in received["received"]:
        receipt["at"] -= 2 * 86_400_000
    path.write_text(json.dumps(received), encoding="utf-8")
    return store


def upkeep(store: Store, *words: str) -> dict:
    finished = store.command.run(*words, "--storage", store.url, "--json")
    assert finished.exit_code == 0, finished.err
    return json.loads(finished.out)


def test_a_dry_run_lists_what_the_purge_deletes_and_every_answer_stays(command, old):
    answers = old.query("yearly", ["2015"]), old.query("30min", ["2015-05-18T10:00"])
    before = old.files("cache")
    dry = upkeep(old, "purge", "--dry-run")["analytics"]
    assert old.files("cache") == before
    real = upkeep(old, "purge", "--by", "a scheduler")["analytics"]
    assert real == dry
    assert real["events"] == answers[0][0]["total_requests"]
    assert set(real["objects"]) == set(before) - set(old.files("cache")) == {path for path in before if "/raw/" in path}
    assert old.files(RAW) == {}
    assert {bytes(text) for text in old.files(SALTS).values()} == {b'{"tombstone":true}'}
    assert sorted(real["salts"]) == sorted(old.files(SALTS))
    assert (old.query("yearly", ["2015"]), old.query("30min", ["2015-05-18T10:00"])) == answers
    [record] = old.files("cache/analytics/data/purges").values()
    assert json.loads(record)["by"] == "a scheduler"
    assert json.loads(record)["events"] == real["events"]
    assert upkeep(old, "purge")["analytics"]["objects"] == []
    assert command.run("verify", "--storage", old.url).exit_code == 0


def test_what_came_a_moment_ago_stays_however_old_it_is(store, tmp_path):
    store.import_(write_lines(tmp_path / "access.log", generate(7, 200, "2015-05-18", 1)))
    report = upkeep(store, "purge")["analytics"]
    assert report["objects"] == []
    assert {kept["why"] for kept in report["kept"]} == {"brought in less than a day ago"}


def test_a_hold_keeps_its_range_until_it_is_released(command, old):
    words = ("--storage", old.url)
    assert command.run("hold", "set", "case-7", "--reason", "asked for", "--from", "2015-05-19", "--to", "2015-05-20",
                       *words).exit_code == 0
    listed = json.loads(command.run("hold", "list", *words).out)["holds"]
    assert [(hold["name"], hold["reason"]) for hold in listed] == [("case-7", "asked for")]
    report = upkeep(old, "purge")["analytics"]
    assert {kept["why"] for kept in report["kept"]} == {"held by 'case-7': asked for"}
    assert {path.split("/raw/")[1][:10] for path in old.files(RAW)} == {"2015/05/19"}
    assert command.run("hold", "release", "case-7", *words).exit_code == 0
    assert command.run("hold", "release", "case-7", *words).exit_code == 1
    assert upkeep(old, "purge")["analytics"]["kept"] == []
    assert old.files(RAW) == {}


def test_rebuild_makes_a_range_again_and_names_what_was_purged(command, old):
    old.query("yearly", ["2015"])
    old.query("weekly", ["2015-W21"])
    windows = old.files(WINDOWS)
    spoiled = old.folder / next(path for path in windows if "/daily/2015/05/19" in path)
    spoiled.write_text(spoiled.read_text(encoding="utf-8").replace('"total_requests":', '"total_requests":1'), encoding="utf-8")
    report = upkeep(old, "rebuild", "analytics", "--from", "2015-05-19", "--to", "2015-05-20")
    assert "daily/2015/05/19.json" in report["rebuilt"]
    assert report["refused"] == []
    assert old.files(WINDOWS) == windows
    assert upkeep(old, "rebuild", "--due") == {"rebuilt": 0, "more": False}

    upkeep(old, "purge")
    report = upkeep(old, "rebuild", "analytics")
    assert {kept["what"].split("/")[0] for kept in report["refused"]} == {"30min"}
    assert old.files(WINDOWS) == windows


@pytest.mark.parametrize("words", [("purge", "--raw-days", "-1"), ("purge", "--windows-days", "many"),
                                   ("rebuild", "analytics", "--from", "yesterday"), ("hold",),
                                   ("hold", "set", "Case", "--reason", "x"), ("hold", "set", "case")])
def test_wrong_words_change_nothing(command, store, words):
    finished = command.run(*words, "--storage", store.url)
    assert finished.exit_code == 2
    assert finished.err
