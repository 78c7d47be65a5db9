# SPDX-License-Identifier: Apache-2.0
"""The conformance suite of every storage, on storages in Python."""
from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from conftest import ROOT


def test_storages_in_python_pass_the_conformance_suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(ROOT / "build" / "release" / "tests"), *sys.path])
    import memfs_cache_storage_conformance as suite
    report = tmp_path / "report"
    status = suite.run(str(report))
    said = report.read_text(errors="replace")
    assert status == 0, said
    # Each case for an object with conditions, those without an append also for one that has none, and one case beside.
    text = (ROOT / "tests" / "cpp" / "storage" / "conformance.hpp").read_text()
    cases = text.count("TEST_CASE_TEMPLATE(")
    appending = len(re.findall(r"MEMFS_CACHE_SUITE_APPENDING_BACKENDS\)", text))
    ran = re.search(r"test cases:\s*(\d+) \|\s*(\d+) passed \|\s*0 failed \|\s*0 skipped", said)
    assert ran and int(ran[1]) == int(ran[2]) == 2 * cases - appending + 1, said
    print(ran[0])  # which the sum of CI counts
