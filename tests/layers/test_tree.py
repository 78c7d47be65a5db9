# SPDX-License-Identifier: Apache-2.0
"""What must hold for every file of the project: licences, no trace of a build machine, pages that match the code."""
import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CODE = {".hpp", ".cpp", ".py", ".cmake", ".sh", ".ts", ".js", ".css"}
SITES_ARE_DATA = ("tests/", "src/namespaces/")  # referrers and user agents name any site
DATA = ("tests/data/", "tests/vectors/", "tests/fixtures/", "LICENSE")  # other people's bytes, kept as they are
MACHINE_PATH = re.compile(r"(?<![\w.~:/-])/(?:home|root|Users|work|mnt|private)/[\w.-]+")
HOST = re.compile(r"https?://([A-Za-z0-9.-]+\.[A-Za-z]{2,})")
# Names for examples (RFC 2606), and the pages that our documents point to.
KNOWN_HOSTS = re.compile(
    r"(.+\.)?(example(\.com|\.org|\.net)?|apache\.org|keepachangelog\.com|openapis\.org|rfc-editor\.org|semver\.org|w3\.org)"
)


def tracked() -> dict[str, str]:
    """Our own text files under version control, by path."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listing.returncode != 0:
        pytest.skip("not a git checkout")
    names = [name for name in listing.stdout.split("\0") if name and not name.startswith(DATA)]
    return {name: (ROOT / name).read_text(encoding="utf-8", errors="replace")
            for name in names if (ROOT / name).is_file()}


def machine_traces(text: str) -> list[str]:
    return MACHINE_PATH.findall(text)


def foreign_hosts(text: str) -> list[str]:
    return [host for host in HOST.findall(text) if not KNOWN_HOSTS.fullmatch(host)]


def test_no_file_names_a_build_machine_or_a_foreign_host():
    files = tracked()
    assert "README.md" in files
    found = {name: traces for name, text in files.items() if name != "tests/layers/test_tree.py"
             and (traces := machine_traces(text) + ([] if name.startswith(SITES_ARE_DATA) else foreign_hosts(text)))}
    assert not found


@pytest.mark.parametrize("text", ['"/home/ann/src"', "see /root/notes.txt", "at https://ci.internal.corp/1"])
def test_a_trace_is_seen(text):
    assert machine_traces(text) + foreign_hosts(text)


@pytest.mark.parametrize("text", ["GET /users/home/x", "https://example.com/a", "build/work/x", "http://127.0.0.1:8080"])
def test_an_innocent_text_passes(text):
    assert not machine_traces(text) + foreign_hosts(text)


def test_every_source_begins_with_the_licence():
    missing = [name for name, text in tracked().items()
               if Path(name).suffix in CODE and "SPDX-License-Identifier: Apache-2.0" not in text[:200]]
    assert not missing


def test_the_error_page_is_the_table_in_the_code():
    if "MEMFS_CACHE_BINARY_DIR" not in os.environ:
        pytest.skip("needs a build: run by ctest")
    program = Path(os.environ["MEMFS_CACHE_BINARY_DIR"], "tests", "memfs_cache_print_errors")
    printed = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    assert (ROOT / "docs" / "errors.md").read_text(encoding="utf-8") == printed, "run `make docs`"


def test_every_link_between_our_pages_leads_somewhere():
    link = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")
    broken = [f"{name}: {target}" for name, text in tracked().items() if name.endswith(".md")
              for target in link.findall(text) if not (ROOT / name).parent.joinpath(target).exists()]
    assert not broken
