# SPDX-License-Identifier: Apache-2.0
"""What .ci/install-packages asks of apt, with every tool of the system replaced by one that only takes notes."""
import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / ".ci" / "install-packages"
PACKAGES = ["libssl-dev", "zlib1g-dev", "libzstd-dev", "libsqlite3-dev", "libpugixml-dev", "libcctz-dev", "libzip-dev",
            "libcli11-dev", "doctest-dev"]


class Machine:
    """A system with these packages installed and these Boost versions on offer."""

    def __init__(self, folder: Path, installed: list[str], boost_offered: list[str]) -> None:
        self.log = folder / "log"
        self.bin = folder / "bin"
        self.bin.mkdir()
        listed = "\n".join(installed)
        names = "\n".join(f"libboost-json{version}-dev\nlibboost-json{version}.0" for version in boost_offered)
        self.tool("dpkg-query", f"""
            installed='{listed}'
            case "$*" in
            *'*'*) grep '^libboost-json' <<<"$installed" ;;
            *) grep -qx -- "${{@: -1}}" <<<"$installed" && printf installed ;;
            esac""")
        self.tool("apt-cache", f"echo '{names}'")
        self.tool("apt-get", f'echo "$*" >> "{self.log}"')
        self.tool("sudo", 'exec "$@"')

    def tool(self, name: str, body: str) -> None:
        path = self.bin / name
        path.write_text(f"#!/usr/bin/env bash\n{body}\n", encoding="utf-8")
        path.chmod(0o755)

    def install(self, *extra: str) -> list[str]:
        """The calls of apt-get, in order."""
        env = {**os.environ, "PATH": f"{self.bin}:{os.environ['PATH']}"}
        subprocess.run([SCRIPT, *extra], check=True, env=env)
        return self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else []


def test_a_complete_machine_is_left_alone(tmp_path):
    machine = Machine(tmp_path, [*PACKAGES, "libboost1.81-dev", "libboost-json1.81-dev"], ["1.81"])
    assert machine.install() == []


def test_only_what_is_missing_is_installed_after_one_update(tmp_path):
    machine = Machine(tmp_path, [*PACKAGES[1:], "libboost1.81-dev", "libboost-json1.81-dev"], ["1.81"])
    update, install = machine.install("clang-14")
    assert update.split()[0] == "update"
    assert [word for word in install.split() if not word.startswith("-")] == ["install", "libssl-dev", "clang-14"]


@pytest.mark.parametrize(("offered", "chosen"), [(["1.81"], "1.81"), (["1.74", "1.83"], "1.83"), (["1.83", "1.9"], "1.83")])
def test_the_newest_boost_on_offer_is_chosen(tmp_path, offered, chosen):
    _, install = Machine(tmp_path, PACKAGES, offered).install()
    assert install.split()[-2:] == [f"libboost{chosen}-dev", f"libboost-json{chosen}-dev"]


def test_half_a_boost_or_an_old_one_is_not_enough(tmp_path):
    old = Machine(tmp_path, [*PACKAGES, "libboost1.74-dev", "libboost-json1.74-dev", "libboost-json1.81-dev"], ["1.81"])
    _, install = old.install()
    assert install.split()[-2:] == ["libboost1.81-dev", "libboost-json1.81-dev"]
