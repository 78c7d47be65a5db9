#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A month of a busy site through the command and through the log tools of Debian, side by side: `make bench-logs`.

    python3 bench_logs.py COMMAND [--lines N] [--rounds N] [--folder DIR]

Every tool reads the same file. What is right is counted here while the file is made: lines, different addresses of the
month, requests of each path. Times are CPU and wall seconds of the whole process, medians of the rounds; memory is the
most that the process ever had.
"""
from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

MONTH = "2026-09"
DAYS = 30
ADDRESSES = 100_000
PATHS = 20_000
AGENTS = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_2) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.2 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_2 like Mac OS X) AppleWebKit/605.1.15 Version/17.2 Mobile/15E148 Safari/604.1",
]
REFERRERS = ["-", "-", "-", "https://news.example/item?id=7", "https://search.example/find?q=words"]
TOP = 20


class Truth(NamedTuple):
    requests: int
    addresses: int
    top: dict[str, int]


class Answer(NamedTuple):
    """What a tool says of the month; None: it does not say."""
    requests: int | None = None
    visitors: int | None = None
    top: dict[str, int] | None = None


class Run(NamedTuple):
    wall_s: float
    cpu_s: float
    memory_mb: float


def make_log(file: Path, lines: int) -> Truth:
    random_ = random.Random(7)
    begin = int(datetime.strptime(MONTH, "%Y-%m").replace(tzinfo=timezone.utc).timestamp())
    weights = list(itertools.accumulate(1 / rank for rank in range(1, PATHS + 1)))
    paths = random_.choices([f"/page/{number}.html" for number in range(PATHS)], cum_weights=weights, k=lines)
    seen: set[int] = set()
    with file.open("w") as out:
        for number, path in enumerate(paths):
            moment = time.gmtime(begin + number * DAYS * 86_400 // lines)
            address = random_.randrange(ADDRESSES)
            seen.add(address)
            out.write(f"198.{18 + address // 65_536}.{address // 256 % 256}.{address % 256} - - "
                      f"[{time.strftime('%d/%b/%Y:%H:%M:%S', moment)} +0000] \"GET {path} HTTP/1.1\" "
                      f"{random_.choice((200, 200, 200, 304))} {random_.randrange(200, 90_000)} "
                      f"\"{random_.choice(REFERRERS)}\" \"{AGENTS[address % len(AGENTS)]}\"\n")
    return Truth(lines, len(seen), dict(Counter(paths).most_common(TOP)))


def run(command: list[str | Path], output: Path) -> Run:
    """Runs a program to its end, its standard output into a file."""
    with output.open("wb") as out:
        started = time.monotonic()
        process = subprocess.Popen([str(word) for word in command], stdout=out, stderr=subprocess.PIPE)
        assert process.stderr
        complaint = process.stderr.read().decode(errors="replace")
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command[0]} ended with {process.returncode}: {complaint}")
    return Run(time.monotonic() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


class Tool(NamedTuple):
    name: str
    run: Callable[[Path], Run]
    answer: Callable[[Path], Answer]


def ours(command: str, log: Path) -> list[Tool]:
    def store(folder: Path) -> list[str]:
        return ["--storage", f"disk:{folder / 'store'}"]

    def import_log(folder: Path) -> Run:
        shutil.rmtree(folder / "store", ignore_errors=True)
        return run([command, "import", *store(folder), "--salt-period", "month", log], folder / "import.txt")

    def query(folder: Path) -> Run:
        return run([command, "query", *store(folder), "analytics", "monthly", MONTH, "--json"], folder / "month.json")

    def answer(folder: Path) -> Answer:
        month = json.loads((folder / "month.json").read_text())
        return Answer(month["total_requests"], month["unique_visitors"], month["top_paths"])

    return [Tool("memfs-cache import, raw events kept", import_log, lambda folder: Answer()),
            Tool("memfs-cache query of the month, first time", query, answer),
            Tool("memfs-cache query of the month, again", query, answer)]


def logswan(log: Path) -> Tool:
    def answer(folder: Path) -> Answer:
        said = json.loads((folder / "logswan.json").read_text())
        return Answer(said["hits"]["total"], said["visits"]["total"])

    return Tool("logswan: totals, no pages, nothing kept",
                lambda folder: run(["logswan", log], folder / "logswan.json"), answer)


def goaccess(log: Path) -> Tool:
    def answer(folder: Path) -> Answer:
        said = json.loads((folder / "goaccess.json").read_text())
        return Answer(said["general"]["total_requests"], said["general"]["unique_visitors"],
                      {row["data"]: row["hits"]["count"] for row in said["requests"]["data"][:TOP]})

    return Tool("GoAccess: report, nothing kept",
                lambda folder: run(["goaccess", log, "--no-global-config", "--log-format=COMBINED", "--no-progress",
                                    "-o", folder / "goaccess.json"], folder / "goaccess.txt"), answer)


def awffull(log: Path) -> Tool:
    def run_it(folder: Path) -> Run:
        shutil.rmtree(folder / "awffull", ignore_errors=True)
        (folder / "awffull").mkdir()
        return run(["awffull", "-F", "combined", "-n", "site.example", "-o", folder / "awffull", log],
                   folder / "awffull.txt")

    def answer(folder: Path) -> Answer:
        page = (folder / "awffull" / f"usage_{MONTH.replace('-', '')}.html").read_text(errors="replace")
        text = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))

        def number(title: str) -> int | None:
            found = re.search(title + r" +(\d+)", text)
            return int(found[1]) if found else None

        by_hits = text.partition("Total URLs # Hits")[2].partition("By Volume")[0]
        top = {path: int(hits) for hits, path in
               re.findall(r"\b\d+ (\d+) [\d.]+% [\d.]+&nbsp;.?B [\d.]+% (/\S+)", by_hits)}
        return Answer(number("Total Hits"), number("Total Unique Sites"), top)

    return Tool("AWFFull: report, nothing kept", run_it, answer)


def verdict(said: Answer, truth: Truth) -> str:
    def compare(value: int | None, right: int) -> str:
        if value is None:
            return "not said"
        return "right" if value == right else f"{value:,} ({value / right:.2f} of the truth)"

    if said == Answer():
        return "- | - | -"
    found = sum(1 for path, times in (said.top or {}).items() if truth.top.get(path) == times)
    return " | ".join([compare(said.requests, truth.requests), compare(said.visitors, truth.addresses),
                       "not said" if said.top is None else f"{found} of {TOP}"])


def main() -> None:
    parser = argparse.ArgumentParser(description="The command beside the log tools of Debian.")
    parser.add_argument("command", help="the memfs-cache that is measured")
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", help="where the log and the store lie meanwhile; a temporary one by default")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=wanted.folder) as name:
        folder = Path(name)
        log = folder / "access.log"
        truth = make_log(log, wanted.lines)
        tools = ours(wanted.command, log)
        for program, peer in (("logswan", logswan), ("goaccess", goaccess), ("awffull", awffull)):
            if shutil.which(program):
                tools.append(peer(log))
            else:
                print(f"not measured: {program} is not installed", file=sys.stderr)
        runs: list[list[Run]] = [[] for _ in tools]
        for _ in range(wanted.rounds):  # in turn, so that a slower minute of the machine meets all of them
            for tool, so_far in zip(tools, runs):
                so_far.append(tool.run(folder))
        print(f"{wanted.lines:,} lines, {log.stat().st_size / 1e6:.0f} MB, {truth.addresses:,} addresses in the month\n")
        print(f"| tool | wall s | lines/s | CPU s | memory MB | requests | visitors | top {TOP} pages with right counts |")
        print("|---|---|---|---|---|---|---|---|")
        for tool, measured in zip(tools, runs):
            wall = statistics.median(one.wall_s for one in measured)
            print(f"| {tool.name} | {wall:.2f} | {wanted.lines / wall:,.0f} | "
                  f"{statistics.median(one.cpu_s for one in measured):.2f} | {max(one.memory_mb for one in measured):.0f} | "
                  f"{verdict(tool.answer(folder), truth)} |")


if __name__ == "__main__":
    main()
