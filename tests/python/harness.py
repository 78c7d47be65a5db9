# SPDX-License-Identifier: Apache-2.0
"""Runs the real command and the real server, and remembers everything that they said."""
from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Iterable, NamedTuple, Sequence

from generate_log import Line

# Folders of the namespace "analytics" in a store.
RAW = "cache/analytics/data/raw"
SALTS = "cache/analytics/data/salts"
WINDOWS = "cache/analytics/data/aggregations"

DEADLINE_SECONDS = 300  # only to end a hang; no test measures time


class Finished(NamedTuple):
    exit_code: int
    out: bytes
    err: bytes


def clean_environment(**extra: str) -> dict[str, str]:
    """This process' environment without settings that would leak into the program under test."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MEMFS_CACHE_") and name != "TZ"}
    return {**kept, **extra}


class Command:
    """The memfs-cache program. `said` holds every byte of stdout and stderr of every run, for the privacy scan."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.said: list[bytes] = []

    def start(self, *arguments: str | Path, env: dict[str, str] | None = None, **options) -> subprocess.Popen:
        return subprocess.Popen([self.path, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env=clean_environment(**(env or {})), **options)

    def run(self, *arguments: str | Path, input: bytes | None = None, env: dict[str, str] | None = None,
            **options) -> Finished:
        stdin = subprocess.DEVNULL if input is None else subprocess.PIPE
        with self.start(*arguments, env=env, stdin=stdin, **options) as process:
            try:
                out, err = process.communicate(input, timeout=DEADLINE_SECONDS)
            except BaseException:
                process.kill()
                raise
        self.said += [out, err]
        return Finished(process.returncode, out, err)


class Store:
    """A disk store of its own and the questions a user asks it."""

    def __init__(self, command: Command, folder: Path) -> None:
        self.command = command
        self.folder = folder
        self.url = f"disk:{folder}"

    def import_arguments(self, *files: str | Path, options: Sequence[str] = ()) -> list[str | Path]:
        return ["import", "--storage", self.url, "--json", *options, *files]

    def import_(self, *files: str | Path, options: Sequence[str] = (), input: bytes | None = None,
                env: dict[str, str] | None = None) -> dict:
        """Imports and returns the report; any failure fails the test."""
        finished = self.command.run(*self.import_arguments(*files, options=options), input=input, env=env)
        assert finished.exit_code == 0, finished.err.decode(errors="replace")
        return json.loads(finished.out)

    def query(self, level: str, keys: Sequence[str], namespace: str = "analytics", env: dict[str, str] | None = None) -> list[dict]:
        """One window summary for each key, in the order of the keys."""
        finished = self.command.run("query", "--storage", self.url, namespace, level, *keys, "--json", env=env)
        assert finished.exit_code == 0, finished.err.decode(errors="replace")
        return [json.loads(line) for line in finished.out.splitlines()]

    def pulse(self, *options: str) -> dict:
        finished = self.command.run("pulse", "--storage", self.url, "--json", *options)
        assert finished.exit_code == 0, finished.err.decode(errors="replace")
        return json.loads(finished.out)

    def tokens(self, *words: str, exit_code: int = 0, env: dict[str, str] | None = None) -> list[dict]:
        """What `memfs-cache tokens` prints, one object a line."""
        finished = self.command.run("tokens", *words, "--storage", self.url, "--json", env=env)
        assert finished.exit_code == exit_code, finished.err.decode(errors="replace")
        return [json.loads(line) for line in finished.out.splitlines()]

    def files(self, below: str = "") -> dict[str, bytes]:
        """Every stored file below a folder of the store: path -> bytes. Scratch files of a running write are left out."""
        root = self.folder / below
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def write_lines(path: Path, lines: Iterable[Line], end: str = "\n") -> Path:
    """Makes an access log of generated lines."""
    path.write_bytes("".join(line.text + end for line in lines).encode())
    return path


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes

    def json(self) -> dict:
        return json.loads(self.body)


class Server:
    """`memfs-cache serve` on loopback, ports chosen by the kernel. `listeners` leaves one of the two out."""

    words: Sequence[str] = ("serve",)  # before the options

    def __init__(self, command: Command, store: Store, static: Path, key_file: Path, env: dict[str, str] | None = None,
                 options: Sequence[str] = (), listeners: Sequence[str] = ("public", "admin")) -> None:
        self.command = command
        self.answers: list[bytes] = []  # every head and body that came back, for the privacy scan
        self.key_file = key_file
        addresses = [word for name in ("public", "admin")
                     for word in (f"--{name}", "127.0.0.1:0" if name in listeners else "off")]
        self.process_ = command.start(*self.words, "--storage", store.url, *addresses, "--static", static,
                                      "--key-file", key_file, *options, env=env)
        self.pid = self.process_.pid
        self.public = self.admin = 0
        self.greeting_ = b""
        try:
            while not all(getattr(self, name) for name in listeners):
                line = self.process_.stdout.readline()
                if not line:
                    raise AssertionError("the server ended: " + self.process_.stderr.read().decode(errors="replace"))
                self.greeting_ += line
                found = re.search(rb"(public|admin)\s+http://127\.0\.0\.1:(\d+)", line)
                if found:
                    setattr(self, found[1].decode(), int(found[2]))
            self.key = key_file.read_text().strip() if self.admin else ""
        except BaseException:
            self.kill()
            raise

    def stop(self, with_signal: int = signal.SIGTERM) -> int:
        """Ends the server and returns its exit code."""
        if self.process_.returncode is None:
            self.process_.send_signal(with_signal)
            try:
                out, err = self.process_.communicate(timeout=DEADLINE_SECONDS)
            except subprocess.TimeoutExpired:
                self.process_.kill()
                self.process_.communicate()
                raise AssertionError("the server did not stop") from None
            self.command.said += [self.greeting_ + out, err]
        return self.process_.returncode

    def kill(self) -> int:
        return self.stop(signal.SIGKILL)

    def connect(self, port: int, source: str = "127.0.0.1") -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_SECONDS, source_address=(source, 0))

    def ask(self, connection: http.client.HTTPConnection, method: str, target: str, headers: dict[str, str] | None = None,
            body: bytes | None = None) -> Answer:
        """One request on an open connection, sent exactly as spelt."""
        connection.putrequest(method, target, skip_accept_encoding=True)
        for name, value in {**(headers or {}), **({} if body is None else {"Content-Length": str(len(body))})}.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        response = connection.getresponse()
        answer = Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
        self.answers += [str(response.headers).encode(), answer.body]
        return answer

    def ask_admin(self, target: str, method: str = "GET", key: str | None = None, **options) -> Answer:
        """One request to the admin listener, with the right key unless another is given ("" = none)."""
        wanted = self.key if key is None else key
        connection = self.connect(self.admin)
        try:
            return self.ask(connection, method, target, {"X-API-Key": wanted} if wanted else {}, **options)
        finally:
            connection.close()

    def post_admin(self, target: str, **members) -> Answer:
        """One POST to the admin listener with a JSON body of these members."""
        return self.ask_admin(target, method="POST", body=json.dumps(members).encode())

    def ask_public(self, target: str, method: str = "GET", headers: dict[str, str] | None = None,
                   source: str = "127.0.0.1") -> Answer:
        connection = self.connect(self.public, source)
        try:
            return self.ask(connection, method, target, headers)
        finally:
            connection.close()


def wait_until(condition, what: str) -> None:
    """Waits for something that must come; the deadline only ends a hang."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.01)
