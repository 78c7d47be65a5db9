# SPDX-License-Identifier: Apache-2.0
"""The instruments themselves: the oracle, the generator and the data must be right before they judge anything."""
from collections import Counter
from itertools import accumulate

import pytest

from conftest import APACHE_DAMAGED_LINE, APACHE_LOG, APACHE_SUMS
from generate_log import generate, spellings
from oracle import LEVELS, Event, Recount, canonical_address, differences, parse, path_of, ranked, window_bounds


def test_the_apache_log_has_its_known_sums(apache_recount):
    lines = APACHE_LOG.read_text(encoding="utf-8").splitlines()
    assert [number for number, line in enumerate(lines, start=1) if parse(line) is None] == [APACHE_DAMAGED_LINE]
    year = apache_recount.window("yearly", "2015")
    assert {name: year[name] for name in APACHE_SUMS} == APACHE_SUMS


def test_the_oracle_reads_every_generated_line_as_it_was_meant(small_log):
    wrong = [(line.text, line.event, parse(line.text)) for line in small_log.lines if parse(line.text) != line.event]
    assert not wrong, wrong[:5]


def test_the_generator_is_deterministic_and_awkward():
    def made():
        return list(generate(seed=7, lines=4_000, first="2024-02-26", days=5))

    lines = made()
    assert lines == made()
    assert lines != list(generate(seed=8, lines=4_000, first="2024-02-26", days=5))
    good = [line for line in lines if line.event]
    assert 0.015 < 1 - len(good) / len(lines) < 0.045
    times = [line.event.time for line in good]
    assert 600 < max(latest - time for latest, time in zip(accumulate(times, max), times)) <= 900
    assert len({time // 1800 for time in times}) == 5 * 48
    text = "\n".join(line.text for line in good)
    for needed in ("+0530]", "-0800]", '\\"', '" 200 -', "::ffff:", "2001:DB8", "2001:0db8", "?id=", "#S3cr3t", "http://shop."):
        assert needed in text, needed
    assert any(" HTTP/" not in line.text for line in good)
    spelt_per_visitor = Counter(visitor for visitor, _ in {(line.event.visitor, line.address) for line in good})
    assert max(spelt_per_visitor.values()) >= 3


def test_a_path_can_be_in_the_top_of_a_day_and_of_none_of_its_half_hours():
    recount = Recount(line.event for line in generate(seed=7, lines=12_000, first="2024-02-26", days=5) if line.event)
    shown = {level: [key for key in recount.keys(level) if "/steady" in dict(recount.window(level, key)["top_paths"])]
             for level in ("30min", "daily")}
    hidden = [day for day in shown["daily"] if not any(key.startswith(day) for key in shown["30min"])]
    assert hidden, "the generator makes no such day any more"


@pytest.mark.parametrize("line", [
    '1.2.3.4 - - [30/Feb/2024:10:00:00 +0000] "GET / HTTP/1.1" 200 1 "-" "-"',
    '1.2.3.4 - - [10/Feb/2024:10:00:00 +0000] "GET / HTTP/1.1" 200 1 "-" "-',
    'nobody [10/Feb/2024:10:00:00 +0000] "GET / HTTP/1.1" 200 1 "-" "-"',
    '1.2.3.4 - - [10/Feb/2024:10:00:00] "GET / HTTP/1.1" 200 1 "-" "-"',
    '1.2.3.4 - - [10/Feb/2024:10:00:00 +0000] "GET / HTTP/1.1" - 1 "-" "-"',
    "",
])
def test_damaged_lines_are_not_read(line):
    assert parse(line) is None


def test_a_line_is_read_by_hand():
    line = r'::ffff:C612:1 - - [01/Mar/2024:00:10:00 +0530] "GET HTTP://h.example:1/a%20b?q#f" 404 - "-" "say \"hi\""'
    assert parse(line) == Event(1709232000, "198.18.0.1", "GET", "/a%20b", 404, 0)


def test_every_spelling_is_one_address():
    for address in ("198.18.0.1", "2001:db8::1", "2001:db8:0:ab::"):
        assert {canonical_address(spelt) for spelt in spellings(address)} == {address}
        assert len(set(spellings(address))) >= 4


def test_a_host_name_is_nobody():
    assert canonical_address("crawler.example") == ""
    recount = Recount([Event(1709200000, visitor, "GET", "/", 200, 1) for visitor in ("", "198.18.0.1", "")])
    assert recount.window("daily", "2024-02-29")["unique_visitors"] == 1


def test_paths_end_where_secrets_begin():
    assert [path_of(target) for target in ("/a?b#c", "/a#b?c", "https://u:p@h/x/y?z", "/a//b", "/http://h/x")] == \
        ["/a", "/a", "/x/y", "/a//b", "/http://h/x"]


def test_windows_at_the_edges_of_the_calendar():
    hour = 3_600_000
    assert window_bounds("weekly", "2025-W01")[0] == window_bounds("daily", "2024-12-30")[0]
    assert window_bounds("weekly", "2026-W53")[0] == window_bounds("daily", "2026-12-28")[0]
    for level, key, hours in (("monthly", "2024-02", 29 * 24), ("monthly", "2023-02", 28 * 24), ("yearly", "2024", 366 * 24),
                              ("monthly", "2024-12", 31 * 24), ("weekly", "2024-W09", 7 * 24), ("hourly", "2024-02-29T23", 1)):
        start, end = window_bounds(level, key)
        assert end - start == hours * hour, key


def test_names_of_equal_count_are_ordered_by_their_bytes():
    assert ranked(Counter({"b": 1, "é": 1, "a": 1, "Z": 1, "c": 2})) == [("c", 2), ("Z", 1), ("a", 1), ("b", 1), ("é", 1)]


def test_differences_notices_every_figure():
    recount = Recount([Event(1709200000, "198.18.0.1", "GET", "/a", 200, 5), Event(1709200001, "198.18.0.2", "PUT", "/b", 500, 0)])
    for level in LEVELS:
        key = recount.keys(level)[0]
        right = {name: dict(value) if isinstance(value, list) else value
                 for name, value in recount.window(level, key).items()}
        right |= {"event_types": {"api_call": 2}, "exact": {"unique_visitors": True}, "unique_visitors_error": 0, "dimensions": {
            "paths": {"total": 2, "other": 0, "distinct": 2, "distinct_error": 0, "error": 0}}}
        assert differences(recount, right) == []
        for name in right.keys() - {"window_type", "window_key", "event_types", "exact", "dimensions"}:
            wrong = {"recorded": False}.get(name, {} if isinstance(right[name], dict) else -1)
            assert len(differences(recount, right | {name: wrong})) == 1, name
        assert differences(recount, right | {"top_paths": {"/b": 1, "/a": 1}}), "the order counts"
        assert differences(recount, right | {"event_types": {"api_call": 1}})
        assert differences(recount, right | {"exact": {"unique_visitors": False}})
        for name, count in right["dimensions"]["paths"].items():
            assert differences(recount, right | {"dimensions": {"paths": right["dimensions"]["paths"] | {name: count + 1}}})
    crowd = Recount(Event(1709200000 + i, f"198.18.{i // 250}.{i % 250}", "GET", "/", 200, 0) for i in range(3_000))
    said = {name: dict(value) if isinstance(value, list) else value for name, value in crowd.window("yearly", "2024").items()}
    said |= {"event_types": {"page_view": 3_000}, "exact": {"unique_visitors": False}, "unique_visitors_error": 0.0081,
             "dimensions": {"paths": {"total": 3_000, "other": 0, "distinct": 1, "distinct_error": 0, "error": 0}}}
    assert differences(crowd, said | {"unique_visitors": 3_050}) == []
    assert differences(crowd, said | {"unique_visitors": 3_200}), "off by more than is stated"
    assert differences(crowd, said | {"unique_visitors_error": 0}), "an estimate that says it is exact"
