# SPDX-License-Identifier: Apache-2.0
"""Figures of the Python package beside its peers, in one run: `make bench-python`.

Rates count the CPU time of all threads of the process, so the landing of what was recorded is inside; each is the median
of the rounds, with the slowest and the fastest beside it.
"""
from __future__ import annotations

import asyncio
import json
import logging
import statistics
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from memory_fs.storage_fs.providers.Storage_FS__Local_Disk import Storage_FS__Local_Disk
from osbot_utils.helpers.cache.Cache__Hash__Generator import Cache__Hash__Generator

from memfs_cache import Analytics_Event, Cache_Hash, Cache_Id, Cache_Service, Storage_Disk, Storage_Memory
from memfs_cache.fastapi import Analytics_Middleware

FIELDS: dict[str, Any] = {
    "event_type": "page_view", "path": "/reports/2026", "method": "GET", "status_code": 200, "duration_ms": 1.5,
    "content_bytes": 5120, "user_agent_normalised": "Firefox on Linux", "country": "PT"}


def rate(call: Callable[[Any], object], argument: Any, times: int) -> float:
    started = time.process_time()
    for _ in range(times):
        call(argument)
    return times / (time.process_time() - started)


def row(name: str, measure: Callable[[], float], rounds: int = 7) -> float:
    figures = sorted(measure() for _ in range(rounds))
    middle = statistics.median(figures)
    print(f"{name:<62} {middle:>12,.0f}  ({figures[0]:,.0f} .. {figures[-1]:,.0f})")
    return middle


def recording(storage: Storage_Memory | Storage_Disk, event: Any, times: int = 100_000) -> float:
    with Cache_Service(storage) as cache:
        cache.analytics.prepare()
        started = time.process_time()
        record = cache.analytics.record
        for _ in range(times):
            record(event)
        cache.flush()
        return times / (time.process_time() - started)


def lines_through_logging(folder: str, times: int = 20_000) -> float:
    """What many services do instead: a line of JSON into a file, through the standard library."""
    logger = logging.Logger("bench")
    handler = logging.FileHandler(Path(folder) / "events.jsonl")
    logger.addHandler(handler)
    figure = rate(lambda fields: logger.info(json.dumps(fields)), FIELDS, times)
    handler.close()
    return figure


def a_file_for_each_event(folder: str, times: int = 300) -> float:
    """The layout of the Python service, on the same kind of storage: a file of content and two beside it."""
    files = Storage_FS__Local_Disk(root_path=folder)

    def store(fields: dict[str, Any]) -> None:
        path = f"cache/analytics/data/raw/{Cache_Id.new()}.json"
        for name in (path, f"{path}.config", f"{path}.metadata"):
            files.file__save(name, json.dumps(fields, indent=2).encode())

    return rate(store, FIELDS, times)


async def requests_through(app: Any, times: int) -> float:
    """CPU microseconds for a request, from the ASGI side: no sockets, so that nothing hides the difference."""
    headers = [(b"host", b"files.example"), (b"accept", b"*/*"), (b"accept-encoding", b"gzip"),
               (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0"),
               (b"referer", b"https://news.example.org/a"), (b"cookie", b"session=0123456789"), (b"connection", b"keep-alive")]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None: ...

    started = time.process_time()
    for number in range(times):
        path = f"/users/{number}"
        await app({"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"",
                   "root_path": "", "headers": headers, "client": ("203.0.113.7", 1), "server": ("127.0.0.1", 80),
                   "scheme": "http", "http_version": "1.1"}, receive, send)
    return (time.process_time() - started) / times * 1e6


async def under_uvicorn(cache: Cache_Service | None, times: int) -> float:
    """CPU microseconds of the server's process for a request over loopback, one connection kept alive."""
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(service(cache), port=0, log_level="error", access_log=False))
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    client = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--client", f"http://127.0.0.1:{port}/users/7", str(times), stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE)
    assert client.stdin is not None and client.stdout is not None
    await client.stdout.readline()  # it has warmed up
    started = time.process_time()
    client.stdin.write(b"go\n")
    await client.stdout.readline()
    spent = time.process_time() - started
    await client.wait()
    server.should_exit = True
    await running
    return spent / times * 1e6


def client(url: str, times: int) -> None:
    import http.client

    address = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port)

    def get(count: int) -> None:
        for _ in range(count):
            connection.request("GET", address.path, headers={
                "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0"})
            connection.getresponse().read()
        print("done", flush=True)

    get(100)
    sys.stdin.readline()
    get(times)


def service(cache: Cache_Service | None) -> FastAPI:
    app = FastAPI()
    if cache is not None:
        app.add_middleware(Analytics_Middleware, cache=cache)

    @app.get("/users/{name}")
    async def user(name: str) -> dict[str, str]:
        return {"name": name}

    return app


def middleware_alone(folder: str, times: int = 20_000) -> float:
    """The middleware around an application that does nothing else than answer."""
    async def answer(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": b"page"})

    with Cache_Service(Storage_Disk(folder)) as cache:
        cache.analytics.prepare()
        wrapped = asyncio.run(requests_through(Analytics_Middleware(answer, cache), times))
        return wrapped - asyncio.run(requests_through(answer, times))


def middleware_under_uvicorn(folder: str, times: int = 4_000, rounds: int = 9) -> tuple[float, float]:
    """What it adds, and what the rest costs: of the fastest rounds, since whatever else the machine does only adds."""
    without, recorded = [], []
    for _ in range(rounds):
        without.append(asyncio.run(under_uvicorn(None, times)))
        with Cache_Service(Storage_Disk(tempfile.mkdtemp(dir=folder))) as cache:
            cache.analytics.prepare()
            recorded.append(asyncio.run(under_uvicorn(cache, times)))
    return min(recorded) - min(without), min(without)


def main() -> None:
    print(f"{'a second':<62} {'median':>12}  (slowest .. fastest)")
    prepared = Analytics_Event(**FIELDS)
    with_inputs = Analytics_Event(event_type="page_view", path="/", ip="203.0.113.7",
                                  user_agent="Mozilla/5.0 (X11; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0")
    with tempfile.TemporaryDirectory() as folder:
        def disk() -> Storage_Disk:
            return Storage_Disk(tempfile.mkdtemp(dir=folder))

        row("record a prepared event, memory", lambda: recording(Storage_Memory(), prepared))
        row("record a prepared event, disk, flush included", lambda: recording(disk(), prepared))
        row("record a prepared event with address and user agent, disk", lambda: recording(disk(), with_inputs))
        row("record from a dict, memory", lambda: recording(Storage_Memory(), FIELDS))
        row("record from a dict, disk, flush included", lambda: recording(disk(), FIELDS))
        row("  peer: a line of JSON through logging", lambda: lines_through_logging(folder))
        row("  peer: three files for each event, through Memory-FS", lambda: a_file_for_each_event(folder))
        row("Cache_Hash.from_string", lambda: rate(Cache_Hash().from_string, "community-x", 300_000))
        row("  peer: osbot-utils", lambda: rate(Cache__Hash__Generator().from_string, "community-x", 5_000))
        row("Cache_Hash.from_json", lambda: rate(Cache_Hash().from_json, FIELDS, 100_000))
        row("  peer: osbot-utils", lambda: rate(Cache__Hash__Generator().from_json, FIELDS, 5_000))
        print(f"\n{'CPU microseconds for a request':<62} {'median':>12}  (fastest .. slowest)")
        row("middleware, around an application that does nothing", lambda: middleware_alone(tempfile.mkdtemp(dir=folder)))
        added, rest = middleware_under_uvicorn(folder)
        print(f"{'middleware, under uvicorn with FastAPI':<62} {added:>12,.0f}  on top of {rest:,.0f}")


if __name__ == "__main__":
    if "--client" in sys.argv:
        client(sys.argv[2], int(sys.argv[3]))
    else:
        main()
