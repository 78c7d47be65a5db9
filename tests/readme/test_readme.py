# SPDX-License-Identifier: Apache-2.0
"""Follows README.md from top to bottom, as a newcomer would, in an empty folder against the installed package.

A block with a file name after its language (```cpp main.cpp) is saved under that name, an `sh` block is run, and a block
without a name is what the run before it printed. There is no other kind: every block is used.
"""
import os
import re
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
FENCE = re.compile(r"^```(\w*)[ ]*(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    language: str
    file_name: str
    text: str


def blocks(page: str) -> list[Block]:
    return [Block(*found) for found in FENCE.findall(page)]


def environment(prefix: Path) -> dict[str, str]:
    """The installed command and the Python of .venv before any other, the package where CMake looks, and nothing of a
    make that runs us."""
    outer = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    return {**outer, "PATH": f"{prefix / 'bin'}:{VENV / 'bin'}:{os.environ['PATH']}", "CMAKE_PREFIX_PATH": str(prefix)}


def follow(page: str, folder: Path, env: dict[str, str]) -> None:
    printed = None
    for block in blocks(page):
        if block.file_name:
            (folder / block.file_name).write_text(block.text, encoding="utf-8")
        elif block.language == "sh":
            run = subprocess.run(["bash", "-euo", "pipefail", "-c", block.text], cwd=folder, env=env,
                                 stdout=subprocess.PIPE, text=True, timeout=300)
            assert run.returncode == 0, f"failed with {run.returncode}:\n{block.text}{run.stdout}"
            printed = run.stdout
        else:
            assert printed is not None, f"nothing has run that could have printed:\n{block.text}"
            assert printed.endswith(block.text), f"README says:\n{block.text}\nbut it prints:\n{printed}"


def test_every_block_of_the_readme_does_what_it_says(tmp_path):
    assert "MEMFS_CACHE_PREFIX" in os.environ, "needs the installed package: `ctest --preset release -R readme`"
    assert VENV.is_dir(), "needs .venv with the Python package: `make python`"
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    assert page.count("```") == 2 * len(blocks(page))  # none escaped the cutting
    assert {block.language for block in blocks(page)} >= {"cpp", "cmake", "python", "sh", "text"}
    follow(page, tmp_path, environment(Path(os.environ["MEMFS_CACHE_PREFIX"])))


@pytest.mark.parametrize("page", ["```sh\nfalse\n```\n", "```sh\necho a\n```\n\n```text\nb\n```\n", "```text\na\n```\n"])
def test_a_block_that_lies_is_seen(page, tmp_path):
    with pytest.raises(AssertionError):
        follow(page, tmp_path, dict(os.environ))


def test_a_true_page_passes(tmp_path):
    follow("```text a.txt\nhello\n```\n\n```sh\ncat a.txt\n```\n\n```text\nhello\n```\n", tmp_path, dict(os.environ))
