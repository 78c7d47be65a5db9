#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Adds up the cases of all test programs in ctest's JUnit reports: `N passed, N failed` as the last line.

A program that reports its own cases (doctest, pytest) counts with them, any other as one case. What was skipped is
said before, with its reason.
"""
import re
import sys
import xml.etree.ElementTree as ElementTree

DOCTEST = re.compile(r"test cases:\s*\d+ \|\s*(\d+) passed \|\s*(\d+) failed")
SKIPPED = re.compile(r"^SKIPPED \[(\d+)\].*$", re.MULTILINE)
PYTEST = re.compile(r"^(?=.* in [\d.]+s)(?:.*?(\d+) failed)?(?:.*?(\d+) passed)?", re.MULTILINE)


def cases(test: ElementTree.Element) -> tuple[int, int]:
    output = test.findtext("system-out") or ""
    failed_as_a_whole = test.get("status") == "fail"
    passed = failed = 0
    for found in DOCTEST.finditer(output):
        passed, failed = passed + int(found[1]), failed + int(found[2])
    for found in PYTEST.finditer(output):
        passed, failed = passed + int(found[2] or 0), failed + int(found[1] or 0)
    if failed_as_a_whole and failed == 0:  # a crash, or a program without cases of its own
        return passed, 1
    return (passed, failed) if passed or failed else (1, 0)


def main(reports: list[str]) -> int:
    tests = [test for report in reports for test in ElementTree.parse(report).iter("testcase")]
    skipped = 0
    for test in tests:
        if test.get("status") == "notrun" or test.find("skipped") is not None:
            skipped += 1
            print(f"NOT RUN: {test.get('name')}")
        for said in SKIPPED.finditer(test.findtext("system-out") or ""):
            skipped += int(said[1])
            print(f"{test.get('name')}: {said[0]}")
    print(f"{skipped} skipped")
    results = [cases(test) for test in tests]
    passed, failed = sum(p for p, _ in results), sum(f for _, f in results)
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
