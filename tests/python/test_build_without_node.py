# SPDX-License-Identifier: Apache-2.0
"""A library that is built where Node.js is missing works, and says what it lacks."""
from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


def test_a_build_that_finds_no_node_says_so_and_has_a_page_without_files(tmp_path):
    compiler = shutil.which(os.environ.get("CXX", "c++"))
    hidden = {str(Path(found).parent) for name in ("node", "npm") if (found := shutil.which(name))} | {"/usr/bin", "/bin"}
    configured = subprocess.run(
        ["cmake", "-S", PROJECT, "-B", tmp_path, "-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={shutil.which('ninja')}",
         f"-DCMAKE_CXX_COMPILER={compiler}", f"-DCMAKE_IGNORE_PATH={';'.join(sorted(hidden))}",
         *(f"-DMEMFS_CACHE_BUILD_{part}=OFF" for part in ("TESTS", "EXAMPLES", "BENCH", "CLI", "SERVER"))],
        capture_output=True, text=True, timeout=60)
    assert configured.returncode == 0, configured.stderr
    assert "Built without the dashboard, for want of node or npm" in configured.stdout
    source = tmp_path / "admin_page" / "page_files.cpp"
    program = tmp_path / "prints.cpp"
    program.write_text(f'#include "{source}"\nint main() {{ return memfs_cache::built_page_files().empty() ? 0 : 1; }}\n')
    subprocess.run([compiler, "-std=c++20", f"-I{PROJECT / 'include'}", program, "-o", tmp_path / "prints"], check=True, timeout=60)
    assert subprocess.run([tmp_path / "prints"], timeout=60).returncode == 0, "files of the page were built"
