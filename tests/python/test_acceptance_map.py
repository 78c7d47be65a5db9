# SPDX-License-Identifier: Apache-2.0
"""The table of tests/acceptance.md names tests that exist."""
import re

from conftest import PROJECT

WANTED = {*range(1, 63), *range(64, 68), 69, 70}


def rows() -> dict[int, str]:
    """Number of a statement -> what shows it."""
    table = (PROJECT / "tests" / "acceptance.md").read_text(encoding="utf-8")
    return {int(number): shown for number, shown in re.findall(r"^\| (\d+) \| [^|]+ \| ([^|]+) \|", table, re.MULTILINE)}


def test_every_statement_has_a_row_with_a_test():
    assert WANTED <= set(rows())
    empty = [number for number, shown in rows().items() if not re.search(r'::test_|"[^"]+"', shown)]
    assert not empty, f"no test shows {empty}"


def test_every_named_python_test_exists():
    files = {path.name: path for folder in ("python", "python_package", "browser")
             for path in (PROJECT / "tests" / folder).glob("test_*.py")}
    for number, shown in rows().items():
        for file, test in re.findall(r"(\w+\.py)::(\w+)", shown):
            text = files[file].read_text(encoding="utf-8")
            assert f"def {test}(" in text, f"{number}: {file}::{test}"


def test_every_named_test_case_exists():
    for number, shown in rows().items():
        for folder, names in re.findall(r'(tests/cpp/\w+)((?:,? "[^"]+")+)', shown):
            text = "".join(path.read_text(encoding="utf-8") for path in sorted((PROJECT / folder).glob("*.?pp")))
            for name in re.findall(r'"([^"]+)"', names):
                assert f'"{name}"' in text, f"{number}: {folder} {name}"
