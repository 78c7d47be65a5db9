# SPDX-License-Identifier: Apache-2.0
"""The types: every public name is used by a program that mypy accepts, and the stubs are those of the module."""
from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import every_name
import pytest
from conftest import ROOT

import memfs_cache

HERE = Path(__file__).parent


def run(*arguments: str, cwd: Path = HERE) -> str:
    finished = subprocess.run([sys.executable, "-m", *arguments], cwd=cwd, capture_output=True, text=True, timeout=300)
    return "" if finished.returncode == 0 else finished.stdout + finished.stderr


def test_a_program_that_uses_every_public_name_runs(tmp_path, capsys):
    every_name.main(str(tmp_path))
    assert capsys.readouterr().out.strip() == memfs_cache.__version__


def test_that_program_uses_every_public_name():
    text = (HERE / "every_name.py").read_text(encoding="utf-8")
    assert [name for name in memfs_cache.__all__ if not re.search(rf"\b{name}\b", text)] == []


def test_mypy_accepts_that_program_and_the_package_and_refuses_what_the_types_forbid(tmp_path):
    wrong = tmp_path / "wrong.py"
    wrong.write_text("import memfs_cache\nmemfs_cache.Cache_Service().analytics.pulse('5')\n", encoding="utf-8")
    mypy = ("mypy", "--strict", "--cache-dir", str(tmp_path / "cache"))
    said = run(*mypy, "every_name.py", str(wrong)).splitlines()
    assert len(said) == 2 and "wrong.py:2: error: Argument 1" in said[0] and "1 error" in said[1]
    assert run(*mypy, "-p", "memfs_cache") == ""


def test_the_stubs_are_those_of_the_module():
    assert run("mypy.stubtest", "memfs_cache._core") == ""


def test_the_version_is_that_of_the_project():
    found = re.search(r"project\(memfs_cache VERSION ([\d.]+)", (ROOT / "CMakeLists.txt").read_text(encoding="utf-8"))
    assert found is not None and found[1] == memfs_cache.__version__


@pytest.mark.parametrize("name", memfs_cache.__all__)
def test_every_public_name_says_what_it_is_for(name):
    thing = getattr(memfs_cache, name)
    if name != "__version__":
        assert thing.__doc__ and " " in thing.__doc__
    if isinstance(thing, type):
        for member, value in vars(thing).items():
            if not member.startswith("_") and callable(value):
                assert value.__doc__, f"{name}.{member}"
