# SPDX-License-Identifier: Apache-2.0
"""The two hosts of the dashboard, as processes: the command, and admin_app below a prefix of a FastAPI application."""
from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from harness import Command, Server, Store, clean_environment

KEY = "sesame-0123456789"
SHARE_URL_BASE = "https://files.example/t/"


class Site:
    """A running host. `base` is the address of the page and of the routes."""

    def __init__(self, base: str, public: str, pid: int) -> None:
        self.base, self.public, self.pid = base, public, pid

    def ask(self, target: str, body: dict[str, Any] | None = None, **parameters: Any) -> Any:
        """What the API answers; with a body to a POST."""
        query = urllib.parse.urlencode(parameters, doseq=True)
        request = urllib.request.Request(
            f"{self.base}{target}" + (f"?{query}" if query else ""),
            data=None if body is None else json.dumps(body).encode(),
            headers={"X-API-Key": KEY, "Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def fetch(self, target: str, **parameters: Any) -> bytes:
        """The bytes that the API answers."""
        request = urllib.request.Request(f"{self.base}{target}?{urllib.parse.urlencode(parameters)}", headers={"X-API-Key": KEY})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()

    def post_text(self, target: str, text: str, media_type: str) -> None:
        request = urllib.request.Request(f"{self.base}{target}", data=text.encode(),
                                         headers={"X-API-Key": KEY, "Content-Type": media_type})
        urllib.request.urlopen(request, timeout=60).close()

    def visit(self, path: str) -> None:
        """One recorded request of a visitor, whatever is answered."""
        try:
            urllib.request.urlopen(self.public + path, timeout=60).close()
        except urllib.error.HTTPError as error:
            error.close()


class Bundled:
    """The server of the command."""

    def __init__(self, command: Command, store: Path) -> None:
        folder = store.with_name(store.name + "-static")
        folder.mkdir(exist_ok=True)
        key_file = store.with_name(store.name + "-key")
        key_file.touch(mode=0o600)
        key_file.write_text(KEY)
        self.server_ = Server(command, Store(command, store), folder, key_file, options=["--share-url-base", SHARE_URL_BASE])
        self.site = Site(f"http://127.0.0.1:{self.server_.admin}/", f"http://127.0.0.1:{self.server_.public}",
                         self.server_.pid)

    def stop(self) -> None:
        self.server_.stop()


class Mounted:
    """prefixed_app.py under uvicorn."""

    def __init__(self, command: Command, store: Path) -> None:
        self.start_(f"disk:{store}", tokens=0)

    @classmethod
    def crowded(cls, tokens: int) -> Mounted:
        """With an empty store in memory, and then so many tokens in it."""
        made = cls.__new__(cls)
        made.start_("memory:", tokens)
        return made

    def start_(self, storage_url: str, tokens: int) -> None:
        program = Path(__file__).with_name("prefixed_app.py")
        self.process_ = subprocess.Popen([sys.executable, program, storage_url, KEY, SHARE_URL_BASE, str(tokens)],
                                         env=clean_environment(), stdout=subprocess.PIPE, text=True)
        assert self.process_.stdout is not None
        port = self.process_.stdout.readline().strip()
        assert port, "the application ended before it listened"
        self.site = Site(f"http://127.0.0.1:{port}/behind/admin/", f"http://127.0.0.1:{port}", self.process_.pid)

    def stop(self) -> None:
        self.process_.terminate()
        try:
            self.process_.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            self.process_.kill()
            self.process_.communicate()
            raise AssertionError("the application did not stop") from None
