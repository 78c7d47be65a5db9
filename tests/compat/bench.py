# SPDX-License-Identifier: Apache-2.0
"""Store and retrieve over HTTP: the Python cache service and ours, each in memory, in interleaved rounds.

    make bench-compat

One thread, one connection that is kept, a document of 200 bytes. Shown is the median of the rounds.
"""
from __future__ import annotations

import json
import os
import socket
import statistics
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parent))
from servers import WITH_KEY, ours, theirs  # noqa: E402

ROUNDS = 5
COUNT = int(os.environ.get("MEMFS_CACHE_BENCH_REQUESTS", "200"))
HEADERS = {**WITH_KEY, "Content-Type": "application/json"}


class Client:
    """As little of HTTP as both sides speak: what a client costs hides what a server does."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self.connection = socket.create_connection((address.hostname, address.port), timeout=60)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.headers = "".join(f"{name}: {value}\r\n" for name, value in {**HEADERS, "Host": address.netloc}.items())

    def ask(self, method: str, path: str, body: str = "") -> bytes:
        self.connection.sendall(
            f"{method} {path} HTTP/1.1\r\n{self.headers}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        answer = b""
        while (end := answer.find(b"\r\n\r\n")) < 0:
            answer += self.receive()
        head = answer[:end].lower()
        assert head.startswith(b"http/1.1 200"), answer
        size_bytes = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        while len(answer) < end + 4 + size_bytes:
            answer += self.receive()
        return answer[end + 4:]

    def receive(self) -> bytes:
        piece = self.connection.recv(65536)
        assert piece, "the server hung up"
        return piece

    def round(self, number: int) -> dict[str, list[float]]:
        """Seconds of each request."""
        seconds: dict[str, list[float]] = {"store": [], "retrieve": []}
        ids = []
        for i in range(COUNT):
            body = json.dumps({"round": number, "number": i, "text": "x" * 160})
            begun = time.perf_counter()
            answer = self.ask("POST", "/bench/direct/store/json", body)
            seconds["store"].append(time.perf_counter() - begun)
            ids.append(json.loads(answer)["cache_id"])
        for cache_id in ids:
            begun = time.perf_counter()
            self.ask("GET", f"/bench/retrieve/{cache_id}/json")
            seconds["retrieve"].append(time.perf_counter() - begun)
        return seconds


def main() -> None:
    with ours("memory:") as our_url, theirs(CACHE__SERVICE__STORAGE_MODE="memory") as their_url:
        clients = {"ours": Client(our_url), "theirs": Client(their_url)}
        rounds: dict[tuple[str, str], list[list[float]]] = {}
        for client in clients.values():
            client.round(-1)  # to warm up
        for number in range(ROUNDS):
            for name, client in clients.items():
                for what, seconds in client.round(number).items():
                    rounds.setdefault((what, name), []).append(sorted(seconds))
    print(f"{'':10} {'':8} {'requests/s':>12} {'p50 us':>10} {'p99 us':>10}")
    rates = {}
    for (what, name), measured in rounds.items():
        def median_of(value) -> float:
            return statistics.median(value(one) for one in measured)
        rates[what, name] = median_of(lambda one: len(one) / sum(one))
        p50, p99 = (median_of(lambda one, at=at: one[int(at * (len(one) - 1))] * 1e6) for at in (0.5, 0.99))
        print(f"{what:10} {name:8} {rates[what, name]:12,.0f} {p50:10,.0f} {p99:10,.0f}")
    for what in ("store", "retrieve"):
        print(f"{what}: {rates[what, 'ours'] / rates[what, 'theirs']:,.0f} times theirs")


if __name__ == "__main__":
    main()
