# SPDX-License-Identifier: Apache-2.0
"""The first program of README.md is examples/embed/main.cpp, to the letter."""
from pathlib import Path

from test_readme import blocks

ROOT = Path(__file__).resolve().parents[2]


def test_the_readme_shows_the_example_as_it_is_built():
    licence, example = (ROOT / "examples/embed/main.cpp").read_text(encoding="utf-8").split("\n", 1)
    assert licence.startswith("// SPDX")
    assert [block.text for block in blocks((ROOT / "README.md").read_text(encoding="utf-8"))
            if block.file_name == "main.cpp"] == [example]
