# SPDX-License-Identifier: Apache-2.0
"""`memfs-cache import` and `memfs-cache query` against an independent recount of the same lines."""
from __future__ import annotations

import gzip
import os
import shutil
import signal
import stat
import tempfile
import time
from pathlib import Path

import pytest

from conftest import APACHE_DAMAGED_LINE, APACHE_LOG, APACHE_SUMS
from generate_log import clf_time, generate
from harness import DEADLINE_SECONDS, RAW, SALTS, WINDOWS, Store, write_lines
from oracle import LEVELS, Recount, differences

# Windows of 2023-11-05 and of the last days of 2023: no log here has a line in them.
EMPTY = {"30min": ["2023-11-05T23:30", "2023-12-31T23:30"], "hourly": ["2023-11-05T23"], "daily": ["2023-12-31"],
         "weekly": ["2023-W44", "2023-W52"], "monthly": ["2023-11"], "yearly": ["2023"]}


def disagreements(store: Store, recount: Recount, levels=LEVELS, namespace: str = "analytics") -> list[str]:
    """Every window of the levels that holds an event, compared with the recount."""
    found = []
    for level in levels:
        keys = recount.keys(level)
        summaries = store.query(level, keys, namespace)
        assert [summary["window_key"] for summary in summaries] == keys
        for summary in summaries:
            found += differences(recount, summary)
            if not summary["final"] or summary["late_events"]:
                found.append(f"{level} {summary['window_key']}: a past window is final, an import is never late")
    return found


def assert_agrees(store: Store, recount: Recount, **options) -> None:
    found = disagreements(store, recount, **options)
    assert not found, f"{len(found)} differences, such as\n" + "\n".join(found[:10])


def good_lines(lines) -> int:
    return sum(line.event is not None for line in lines)


# ---- every window of every level

def test_every_window_of_the_apache_log_equals_the_recount(store, apache_recount):
    report = store.import_(APACHE_LOG)
    assert (report["accepted"], report["rejected"], report["already_imported"], report["files"]) == (9_999, 1, 0, 1)
    [rejected] = report["rejected_lines"]
    assert (Path(rejected["file"]).name, rejected["line"]) == (APACHE_LOG.name, APACHE_DAMAGED_LINE)
    assert rejected["reason"] and "198.18." not in rejected["reason"] and "Googlebot" not in rejected["reason"]
    assert_agrees(store, apache_recount)
    [year] = store.query("yearly", ["2015"])
    assert {name: year[name] for name in APACHE_SUMS} == APACHE_SUMS


@pytest.fixture(scope="module")
def big_store(command, big_log, tmp_path_factory) -> Store:
    store = Store(command, tmp_path_factory.mktemp("big") / "store")
    report = store.import_(big_log.path)
    damaged = big_log.damaged_numbers
    assert (report["accepted"], report["rejected"]) == (big_log.good, len(damaged))
    assert [line["line"] for line in report["rejected_lines"]] == damaged[:1_000]
    assert report["rejected_lines_truncated"] is True
    return store


@pytest.mark.parametrize("level", LEVELS)
def test_every_window_of_the_generated_log_equals_the_recount(big_store, big_log, level):
    assert_agrees(big_store, big_log.recount, levels=[level])


def test_the_days_and_weeks_of_a_year_edge_equal_the_recount(store, small_log):
    store.import_(small_log.path)
    assert_agrees(store, small_log.recount)


@pytest.mark.parametrize("level", LEVELS)
def test_a_window_without_events_says_that_nothing_was_recorded(big_store, big_log, level):
    assert not set(EMPTY[level]) & set(big_log.recount.keys(level))
    before = big_store.files(WINDOWS)
    for summary in big_store.query(level, EMPTY[level]):
        assert differences(big_log.recount, summary) == []
        assert summary["recorded"] is False and summary["final"] is True and summary["total_requests"] == 0
    assert big_store.files(WINDOWS) == before, "a window without events has no file"


def test_the_zone_of_the_host_changes_nothing(new_store, small_log):
    here, kolkata = new_store("here"), new_store("kolkata")
    zone = {"TZ": "Asia/Kolkata"}
    here.import_(small_log.path)
    kolkata.import_(small_log.path, env=zone)
    for level in LEVELS:
        keys = small_log.recount.keys(level)
        at_home = [{**summary, "computed_at": 0} for summary in here.query(level, keys)]
        assert at_home == [{**summary, "computed_at": 0} for summary in kolkata.query(level, keys, env=zone)]


def test_a_second_query_needs_no_raw_and_writes_nothing(store, small_log):
    store.import_(small_log.path)
    days = small_log.recount.keys("daily")
    first, files = store.query("daily", days), store.files()
    (store.folder / RAW).rename(store.folder / "away")
    assert store.query("daily", days) == first
    (store.folder / "away").rename(store.folder / RAW)
    assert store.files() == files


def test_deleted_windows_come_back_with_the_same_bytes(store, small_log):
    store.import_(small_log.path)
    for level in reversed(LEVELS):
        store.query(level, small_log.recount.keys(level))
    files = store.files(WINDOWS)
    assert len(files) >= sum(len(small_log.recount.keys(level)) for level in LEVELS)
    shutil.rmtree(store.folder / WINDOWS)
    for level in LEVELS:
        store.query(level, small_log.recount.keys(level))
    assert store.files(WINDOWS) == files


def log_line(time: int, path: str = "/", agent: str = "-", address: str = "198.18.0.1") -> str:
    return f'{address} - - [{clf_time(time, "+0000")}] "GET {path} HTTP/1.1" 200 10 "-" "{agent}"\n'


def test_one_event_is_one_file_of_its_own_hour(store):
    store.import_("-", input=log_line(1_709_251_199).encode())  # the last second of the leap day
    [name] = store.files(RAW)
    assert name.startswith(f"{RAW}/2024/02/29/23/")


def test_many_events_share_a_file(store, small_log):
    store.import_(small_log.path)
    assert len(store.files(RAW)) <= len(small_log.recount.keys("30min"))


def test_a_year_with_three_active_days_makes_windows_for_these_alone(store):
    days = [1_704_067_200, 1_709_164_800, 1_735_603_200]  # 2024-01-01, 2024-02-29, 2024-12-31
    store.import_("-", input="".join(log_line(day + 3_600 * hour) for day in days for hour in (0, 12)).encode())
    [year] = store.query("yearly", ["2024"])
    assert (year["total_requests"], year["unique_visitors"]) == (6, 3)
    # A year, three months, three days, six hours and six half-hours; weeks are nobody's children.
    assert len(store.files(WINDOWS)) <= 1 + 3 + 3 + 6 + 6


@pytest.mark.parametrize("family, agent", [
    ("Chrome", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36"),
    ("Firefox", "Mozilla/5.0 (X11; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0"),
    ("Safari", "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_2) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.2 Safari/605.1.15"),
    ("Edge", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36 Edg/120.0"),
    ("Opera", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36 OPR/106.0"),
    ("Chrome", "Mozilla/5.0 (iPhone; CPU iPhone OS 17_2 like Mac OS X) AppleWebKit/605.1.15 CriOS/120.0 Mobile/15E148 Safari/604.1"),
    ("Firefox", "Mozilla/5.0 (iPhone; CPU iPhone OS 17_2 like Mac OS X) AppleWebKit/605.1.15 FxiOS/121.0 Mobile/15E148 Safari/605.1"),
    ("bot", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"),
])
def test_a_browser_is_known_by_its_family(store, family, agent):
    store.import_("-", input=log_line(1_709_200_000, agent=agent).encode())
    [day] = store.query("daily", ["2024-02-29"])
    [(name, count)] = day["top_user_agents"].items()
    assert count == 1 and family.lower() in name.lower() and agent not in name
    assert day["bot_requests"] == (family == "bot")


# ---- the pulse

def test_the_pulse_covers_exactly_its_minutes(store):
    """10,000 events of all ages; none is within a minute of an edge that is asked for, so the run may take its time."""
    now = int(time.time())
    ages = [0.2, 3.5, 7.5, 12.5, 28.5, 45.5, 58.5, 90.5, 300.5, 1_000.5, 1_438.5, 1_500.5]  # minutes
    moments = [(ages[number % len(ages)], number) for number in range(10_000)]
    lines = [log_line(now - int(age * 60), address=f"198.18.{number % len(ages)}.{number // len(ages) % 5}") for age, number in moments]
    lines += [log_line(now + 3_600)] * 7  # a clock that is ahead is not "now"
    store.import_("-", input="".join(lines).encode())
    for minutes in (2, 5, 10, 15, 30, 60, 120, 1_440):
        inside = [number for age, number in moments if age < minutes]
        pulse = store.pulse("--window-minutes", str(minutes))
        assert pulse["active_requests"] == len(inside), minutes
        assert pulse["active_visitors"] == 5 * len({number % len(ages) for number in inside})
        assert len(pulse["recent_events"]) == 10
    assert store.pulse()["window_minutes"] == 5


# ---- nothing counts twice, nothing is left out

def test_importing_again_adds_nothing(store, small_log):
    store.import_(small_log.path)
    raw = store.files(RAW)
    again = store.import_(small_log.path)
    assert (again["accepted"], again["already_imported"]) == (0, small_log.good)
    assert store.files(RAW) == raw
    assert_agrees(store, small_log.recount)


def test_the_same_lines_under_another_name_add_nothing(store, small_log, tmp_path):
    text = small_log.path.read_bytes()
    half = text.index(b"\n", len(text) // 2) + 1
    disguises = {
        "renamed.log": text,
        "whole.log.gz": gzip.compress(text),
        "two-members.log.gz": gzip.compress(text[:half]) + gzip.compress(text[half:]),
        "misnamed.txt": gzip.compress(text),
    }
    store.import_(small_log.path)
    raw = store.files(RAW)
    for name, content in disguises.items():
        (tmp_path / name).write_bytes(content)
        report = store.import_(tmp_path / name)
        assert (report["accepted"], report["already_imported"]) == (0, small_log.good), name
    assert store.import_("-", input=text)["accepted"] == 0
    assert store.files(RAW) == raw
    assert_agrees(store, small_log.recount, levels=["daily", "yearly"])


@pytest.mark.parametrize("kind", ["plain", "gzip", "two gzip members", "gzip without its name", "standard input",
                                  "gzip on standard input"])
def test_every_kind_of_input_gives_the_same_windows(store, small_log, tmp_path, kind):
    text = small_log.path.read_bytes()
    half = text.index(b"\n", len(text) // 2) + 1
    content = {"gzip": gzip.compress(text), "gzip without its name": gzip.compress(text),
               "gzip on standard input": gzip.compress(text),
               "two gzip members": gzip.compress(text[:half]) + gzip.compress(text[half:])}.get(kind, text)
    if "standard input" in kind:
        report = store.import_("-", input=content)
    else:
        path = tmp_path / ("access.log.gz" if kind in ("gzip", "two gzip members") else "access.log")
        path.write_bytes(content)
        report = store.import_(path)
    assert (report["accepted"], report["rejected"]) == (small_log.good, len(small_log.damaged_numbers))
    assert_agrees(store, small_log.recount, levels=["30min", "yearly"])


def test_a_grown_log_adds_exactly_its_new_lines(store, small_log, tmp_path):
    grown = tmp_path / "access.log"
    for size in (len(small_log.lines) - 200, len(small_log.lines) - 100, len(small_log.lines)):
        new = small_log.lines[:size] if size == len(small_log.lines) - 200 else small_log.lines[size - 100:size]
        report = store.import_(write_lines(grown, small_log.lines[:size]))
        assert report["accepted"] == good_lines(new)
        assert_agrees(store, Recount(line.event for line in small_log.lines[:size] if line.event), levels=["hourly", "yearly"])


def test_a_log_that_grew_within_its_last_line_loses_nothing(store, small_log, tmp_path):
    whole = small_log.path.read_bytes()
    last_line = whole.rindex(b"\n", 0, len(whole) - 1) + 1
    assert small_log.lines[-1].event, "choose another seed: the last line must be a good one"
    path = tmp_path / "access.log"
    path.write_bytes(whole[:last_line + 20])
    store.import_(path)
    path.write_bytes(whole)
    store.import_(path)
    assert_agrees(store, small_log.recount, levels=["30min", "yearly"])


def test_several_files_at_once_and_one_of_them_twice(store, small_log, tmp_path):
    third = len(small_log.lines) // 3
    parts = [write_lines(tmp_path / f"part-{number}.log", small_log.lines[number * third:(number + 1) * third if number < 2 else None])
             for number in range(3)]
    report = store.import_(*parts, parts[1])
    assert (report["accepted"], report["files"]) == (small_log.good, 4)
    assert report["already_imported"] == good_lines(small_log.lines[third:2 * third])
    rejected = {(Path(line["file"]).name, line["line"]) for line in report["rejected_lines"]}
    assert {(f"part-{min(number // third, 2)}.log", number - min(number // third, 2) * third + 1)
            for number, line in enumerate(small_log.lines) if line.event is None} == rejected
    assert_agrees(store, small_log.recount)


def test_equal_lines_of_one_log_all_count(store, small_log, tmp_path):
    line = next(line for line in small_log.lines if line.event)
    assert store.import_(write_lines(tmp_path / "equal.log", [line] * 50))["accepted"] == 50
    assert_agrees(store, Recount([line.event] * 50))


def test_lines_can_be_counted_again_on_request(store, small_log):
    store.import_(small_log.path)
    assert store.import_(small_log.path, options=["--count-again"])["accepted"] == small_log.good
    assert_agrees(store, Recount(2 * [line.event for line in small_log.lines if line.event]), levels=["daily", "yearly"])


def test_a_finished_window_takes_in_what_is_imported_later(store, small_log, tmp_path):
    half = len(small_log.lines) // 2
    for name, lines in (("first", small_log.lines[:half]), ("second", small_log.lines[half:])):
        store.import_(write_lines(tmp_path / name, lines))
        so_far = lines if name == "first" else small_log.lines
        assert_agrees(store, Recount(line.event for line in so_far if line.event))


def test_namespaces_do_not_mix(store, small_log, tmp_path):
    few = small_log.lines[:300]
    store.import_(small_log.path)
    store.import_(write_lines(tmp_path / "few.log", few), options=["--namespace", "site-x"])
    assert_agrees(store, small_log.recount, levels=["daily"])
    assert_agrees(store, Recount(line.event for line in few if line.event), levels=["daily"], namespace="site-x")


def test_a_common_log_is_read(store, small_log, tmp_path):
    def common(text: str) -> str:
        return text[:text.index('"', text.index('" ') + 1) - 1]

    lines = [line for line in small_log.lines if line.event]
    path = tmp_path / "common.log"
    path.write_text("".join(common(line.text) + "\n" for line in lines))
    report = store.import_(path, options=["--format", "common"])
    assert (report["accepted"], report["rejected"]) == (len(lines), 0)
    assert_agrees(store, Recount(line.event for line in lines), levels=["30min", "yearly"])


# ---- at the same time, and killed

def test_two_imports_at_the_same_time_count_every_line_once(store, small_log, tmp_path):
    generated = list(generate(seed=5, lines=3_000, first="2024-12-27", days=4))
    other = write_lines(tmp_path / "other.log", generated)
    running = [store.command.start(*store.import_arguments(path)) for path in (small_log.path, small_log.path, other)]
    for process in running:
        out, err = process.communicate(timeout=DEADLINE_SECONDS)
        assert process.returncode == 0, err.decode()
    both = [line.event for line in [*small_log.lines, *generated] if line.event]
    assert_agrees(store, Recount(both))


def test_an_import_that_was_killed_and_run_again_equals_a_clean_one(new_store, big_log, tmp_path, chance):
    lines = big_log.lines[:60_000]
    log = write_lines(tmp_path / "access.log", lines)
    recount = Recount(line.event for line in lines if line.event)
    clean = new_store("clean")
    begin = time.monotonic()
    clean.import_(log)
    seconds = time.monotonic() - begin
    expected = {level: clean.query(level, recount.keys(level)) for level in LEVELS}
    assert_agrees(clean, recount, levels=["30min"])
    salts, windows = clean.files(SALTS), clean.files(WINDOWS)

    interrupted = 0
    for attempt in range(100):
        store = new_store(f"killed-{attempt}")
        for name, salt in salts.items():  # the same salts make the same visitors, so whole files can be compared
            (store.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (store.folder / name).write_bytes(salt)
            (store.folder / name).chmod(0o600)
        process = store.command.start(*store.import_arguments(log))
        time.sleep(seconds * chance.random())
        process.kill()
        process.communicate()
        if process.returncode != -signal.SIGKILL:
            continue
        interrupted += 1
        report = store.import_(log)
        assert report["accepted"] + report["already_imported"] == good_lines(lines)
        assert {level: store.query(level, recount.keys(level)) for level in LEVELS} == expected
        assert store.files(WINDOWS) == windows
        shutil.rmtree(store.folder)
        if interrupted == 10:
            return
    pytest.fail(f"only {interrupted} of 100 imports were killed before they ended")


# ---- things that go wrong: a clear sentence, the documented exit code, nothing lost

def assert_refused(finished, exit_code: int, *names: str) -> None:
    message = finished.err.decode()
    assert finished.exit_code == exit_code, message
    assert finished.out == b"", "results only on stdout"
    assert message.strip() and "terminate called" not in message
    for name in names:
        assert name in message


@pytest.mark.parametrize("url", ["", "nonsense", "disk:", "ftp://host/folder", "disk", "redis:6379"])
def test_a_wrong_storage_url_is_wrong_usage(command, url):
    for words in (["import", "--storage", url, APACHE_LOG], ["query", "--storage", url, "analytics", "daily", "2015-05-18"],
                  ["pulse", "--storage", url]):
        assert_refused(command.run(*words), 2)


@pytest.mark.parametrize("words", [[], ["no-such-command"], ["import"], ["import", "--no-such-option"], ["query"],
                                   ["pulse", "--window-minutes", "abc"], ["pulse", "--window-minutes", "0"],
                                   ["pulse", "--window-minutes", "-1"], ["pulse", "--window-minutes", "1441"]])
def test_wrong_words_are_wrong_usage(command, tmp_path, words):
    if words[:1] == ["pulse"]:
        words = ["pulse", "--storage", f"disk:{tmp_path}", *words[1:]]
    finished = command.run(*words)
    assert finished.exit_code == 2 and (finished.err or finished.out).strip()


MALFORMED_KEYS = {
    "30min": ["2024-01-25T10:15", "2024-01-25T10", "2024-01-25T24:00", "2024-01-25T10:00Z", "2024-01-25T10:00+05:30", "2024-01-25 10:00"],
    "hourly": ["2024-01-25T24", "2024-01-25", "2024-01-25T1", "2024-01-25T10:00", "2024-01-25T-1"],
    "daily": ["2023-02-29", "2024-1-25", "2024-02", "2024-02-30", "2024-00-10", "2024-01-25T00", "../2024-01-25", " 2024-01-25", "20240125"],
    "weekly": ["2024-W00", "2024-W53", "2024-W1", "2024-01", "2024W01", "2024-w01"],
    "monthly": ["2024-13", "2024-00", "2024", "2024-1", "2024-01-01", "24-01"],
    "yearly": ["24", "2024-01", "02024", "abcd", "-2024", "9999999999999999999999"],
}


@pytest.mark.parametrize("level", LEVELS)
def test_malformed_and_wrong_level_keys_are_wrong_usage(command, tmp_path, level):
    for key in MALFORMED_KEYS[level]:
        finished = command.run("query", "--storage", f"disk:{tmp_path}", "analytics", level, "--json", "--", key)
        assert_refused(finished, 2)


@pytest.mark.parametrize("level, key", [("30min", "2999-01-01T00:00"), ("hourly", "2999-01-01T00"), ("daily", "2999-01-01"),
                                        ("weekly", "2999-W01"), ("monthly", "2999-01"), ("yearly", "2999")])
def test_future_keys_are_wrong_usage(command, tmp_path, level, key):
    assert_refused(command.run("query", "--storage", f"disk:{tmp_path}", "analytics", level, key), 2, key)


@pytest.mark.parametrize("level", ["minutely", "Daily", "", "30 min"])
def test_an_unknown_window_type_is_wrong_usage(command, tmp_path, level):
    assert_refused(command.run("query", "--storage", f"disk:{tmp_path}", "analytics", level, "2024-01-25"), 2)


@pytest.mark.parametrize("namespace", ["..", "a/b", "", "a b\n"])
def test_a_namespace_cannot_leave_the_root(store, small_log, namespace):
    finished = store.command.run(*store.import_arguments(small_log.path, options=["--namespace", namespace]))
    assert_refused(finished, 2)
    assert not store.folder.exists() or store.files() == {}


def test_a_storage_folder_below_a_file_is_a_failure(command, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    url = f"disk:{tmp_path / 'file' / 'store'}"
    assert_refused(command.run("import", "--storage", url, APACHE_LOG), 1, "file")
    assert_refused(command.run("query", "--storage", url, "analytics", "daily", "2015-05-18"), 1)
    assert (tmp_path / "file").read_text() == "not a folder"


@pytest.fixture
def unprivileged(command):
    """Settings that start the command as somebody for whom permission bits count (root passes them all)."""
    if os.geteuid() != 0:
        return {}
    nobody = {"user": 65534, "group": 65534, "extra_groups": []}
    try:
        command.run("--version", **nobody)
    except PermissionError:
        pytest.skip(f"root ignores permission bits, and nobody else may run {command.path}")
    return nobody


def test_an_unreadable_folder_and_an_unreadable_file_are_failures(command, unprivileged):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        locked, log, store = folder / "locked", folder / "secret.log", folder / "store"
        locked.mkdir(mode=0)
        shutil.copy(APACHE_LOG, log)
        log.chmod(0)
        store.mkdir()
        store.chmod(0o777)
        readable = shutil.copy(APACHE_LOG, folder / "readable.log")
        assert_refused(command.run("import", "--storage", f"disk:{locked}", readable, **unprivileged), 1)
        assert_refused(command.run("query", "--storage", f"disk:{locked}", "analytics", "daily", "2015-05-18", **unprivileged), 1)
        finished = command.run("import", "--storage", f"disk:{store}", "--json", log, **unprivileged)
        assert finished.exit_code == 1 and b"secret.log" in finished.err
        assert stat.S_IMODE(locked.stat().st_mode) == 0


@pytest.mark.parametrize("bad", ["missing.log", "folder"])
def test_an_input_that_cannot_be_read_is_named_and_loses_nothing(store, small_log, tmp_path, bad):
    (tmp_path / "folder").mkdir()
    finished = store.command.run(*store.import_arguments(small_log.path, tmp_path / bad))
    assert finished.exit_code in (1, 2) and bad in finished.err.decode()
    store.import_(small_log.path)
    assert_agrees(store, small_log.recount, levels=["30min", "yearly"])


def test_a_cut_gzip_file_is_named_and_the_whole_one_counts_once(store, small_log, tmp_path):
    packed = gzip.compress(small_log.path.read_bytes())
    path = tmp_path / "access.log.gz"
    path.write_bytes(packed[:len(packed) * 2 // 3])
    finished = store.command.run(*store.import_arguments(path))
    assert finished.exit_code == 1 and path.name in finished.err.decode()
    path.write_bytes(packed)
    store.import_(path)
    assert_agrees(store, small_log.recount, levels=["30min", "yearly"])


def test_garbage_is_rejected_line_by_line_and_never_shown(store, tmp_path, chance):
    garbage = b"\n".join(bytes(chance.choice(b"\x00\x01\x7f\x80\xc3\xff qwzjx\"[]\\%") for _ in range(40)) for _ in range(1_500))
    path = tmp_path / "garbage.bin"
    path.write_bytes(garbage + b"\n" + b"x" * (1 << 20) + b"\nMARK3R\n")
    report = store.import_(path)
    assert (report["accepted"], report["rejected"]) == (0, 1_502)
    assert len(report["rejected_lines"]) == 1_000 and report["rejected_lines_truncated"] is True
    assert not any(b"MARK3R" in said or b"qwzjx" in said or b"xxxxxxxx" in said for said in store.command.said[-2:])
    assert store.files(RAW) == {}


def test_an_empty_file_is_nothing(store, tmp_path):
    (tmp_path / "empty.log").write_bytes(b"")
    (tmp_path / "empty.log.gz").write_bytes(gzip.compress(b""))
    report = store.import_(tmp_path / "empty.log", tmp_path / "empty.log.gz")
    assert (report["accepted"], report["rejected"], report["files"]) == (0, 0, 2)
    assert report["rejected_lines"] == [] and not report.get("rejected_lines_truncated")


@pytest.mark.parametrize("end, last_end", [("\n", ""), ("\r\n", "\r\n"), ("\r\n", "")])
def test_line_ends_do_not_matter(store, small_log, tmp_path, end, last_end):
    path = tmp_path / "ends.log"
    path.write_bytes((end.join(line.text for line in small_log.lines) + last_end).encode())
    report = store.import_(path)
    assert (report["accepted"], report["rejected"]) == (small_log.good, len(small_log.damaged_numbers))
    assert_agrees(store, small_log.recount, levels=["30min", "yearly"])


def test_a_human_gets_a_report_without_any_line(store, tmp_path):
    shutil.copy(APACHE_LOG, tmp_path / "access.log")
    finished = store.command.run("import", "--storage", store.url, tmp_path / "access.log")
    assert finished.exit_code == 0
    said = (finished.out + finished.err).decode()
    assert "9999" in said.replace(",", "") and "8899" in said.replace(",", "")
    assert "198.18." not in said and "Mozilla" not in said
    shown = store.command.run("query", "--storage", store.url, "analytics", "daily", "2015-05-18")
    assert shown.exit_code == 0 and b"2893" in shown.out.replace(b",", b"")
