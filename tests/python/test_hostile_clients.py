# SPDX-License-Identifier: Apache-2.0
"""Clients that are slow, endless, many, or mad: others are served all the while, memory stays, and all is counted.

Each test attacks a real server over real sockets while a well-behaved client goes on; every wait ends after a minute.
"""
from __future__ import annotations

import asyncio
import resource
import signal
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from harness import Server, wait_until

MINUTE = 60
# Of the server's memory, during any attack here: twice --bodies-limit, as a string that grows has room to spare.
GROWTH_LIMIT_KIB = 2 * 64 * 1024
CONNECTIONS = 10_000
GET = b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n"


class Memory:
    """Resident memory of a server: at rest, and the most that was seen."""

    def __init__(self, server: Server) -> None:
        self.status = Path(f"/proc/{server.pid}/status")
        self.rest = self.most = self.now()

    def field(self, name: str) -> int:
        return next(int(line.split()[1]) for line in self.status.read_text().splitlines() if line.startswith(name))

    def now(self) -> int:
        return self.field("VmRSS:")

    def look(self) -> None:
        self.most = max(self.most, self.now())

    def assert_bounded(self) -> None:
        if self.field("VmSize:") > 1 << 30:
            print("memory is not looked at: the server was built with a sanitizer")
            return
        self.look()
        print(f"memory: {self.rest} KiB at rest, {self.most} KiB at most, {self.now()} KiB after the attack")
        assert self.most - self.rest <= GROWTH_LIMIT_KIB, f"grew from {self.rest} to {self.most} KiB"


opened: list[asyncio.StreamWriter] = []  # by the running test; whoever forgets to close leaves it to drop_all()


async def connect(port: int, source: str = "127.0.0.1") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0)), MINUTE)
    opened.append(writer)
    return reader, writer


async def drop_all() -> None:
    for writer in opened:
        writer.transport.abort()
    opened.clear()
    await asyncio.sleep(0.01)  # transports close in the next rounds of the loop


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), MINUTE)
    length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length:"))
    return int(head.split()[1]), await asyncio.wait_for(reader.readexactly(length), MINUTE)


async def read_all(reader: asyncio.StreamReader) -> bytes:
    """What comes until the server hangs up, in whichever way."""
    try:
        return await asyncio.wait_for(reader.read(), MINUTE)
    except ConnectionError:
        return b""


async def send_all(writer: asyncio.StreamWriter, data: bytes) -> None:
    try:
        writer.write(data)
        await asyncio.wait_for(writer.drain(), MINUTE)
    except ConnectionError:
        pass  # the server has said its last word already


@asynccontextmanager
async def good_client(server: Server, memory: Memory, sources: tuple[str, ...]):
    """Asks for a page again and again: from each source on a new connection each time, or on one that is "kept"."""
    expected = b"<!doctype html><title>Home</title><p>Welcome.</p>"
    answers = {source: 0 for source in sources}
    over = asyncio.Event()

    async def ask_on_one_connection() -> None:
        reader, writer = await connect(server.public, "127.0.0.3")
        while not over.is_set():
            writer.write(GET % b"/index.html")
            assert await read_answer(reader) == (200, expected)
            answers["kept"] += 1
            await asyncio.sleep(0.002)
        writer.close()

    async def ask_anew(source: str) -> None:
        while not over.is_set():
            reader, writer = await connect(server.public, source)
            writer.write(GET % b"/index.html")
            assert await read_answer(reader) == (200, expected)
            answers[source] += 1
            writer.close()
            memory.look()
            await asyncio.sleep(0.002)

    tasks = [asyncio.create_task(ask_on_one_connection() if source == "kept" else ask_anew(source)) for source in sources]
    yield
    over.set()
    await asyncio.wait_for(asyncio.gather(*tasks), MINUTE)
    assert all(count > 0 for count in answers.values()), answers
    memory.assert_bounded()


def attack(server: Server, attackers, sources: tuple[str, ...] = ("kept", "127.0.0.1", "127.0.0.2")) -> None:
    """Runs the attackers, all at once and from 127.0.0.1, while the good client asks."""
    memory = Memory(server)

    async def run() -> None:
        try:
            async with good_client(server, memory, sources):
                await asyncio.wait_for(asyncio.gather(*attackers), 2 * MINUTE)
                memory.look()
        finally:
            await drop_all()

    asyncio.run(run())


def public_counters(server: Server) -> dict:
    return server.ask_admin("/health").json()["servers"]["public"]


def recorded_statuses(server: Server) -> dict[str, int]:
    return server.ask_admin("/analytics/latest/yearly").json()["status_codes"]


def wait_until_recorded(server: Server, status: str, count: int) -> None:
    wait_until(lambda: recorded_statuses(server).get(status) == count, f"{count} requests are recorded as {status}")


def test_ten_thousand_connections_that_say_nothing(store, start_server):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = CONNECTIONS if hard == resource.RLIM_INFINITY else min(CONNECTIONS, hard - 500)
    if count < CONNECTIONS:
        print(f"ONLY {count} CONNECTIONS instead of {CONNECTIONS}: the hard limit of open files is {hard}")
    server = start_server(store)
    at_once = asyncio.Semaphore(200)
    held = 0

    async def hold() -> None:
        nonlocal held
        async with at_once:
            await connect(server.public)
            held += 1

    try:
        attack(server, [hold() for _ in range(count)])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert held == count
    counters = public_counters(server)
    assert counters["connections"]["accepted"] > count
    assert counters["connections"]["crowded_out"] >= count - 1024 - 10
    assert counters["connections"]["failed_accepts"] == 0
    wait_until(lambda: public_counters(server)["connections"]["open"] < 1024, "connections are given back")


def test_more_connections_than_descriptors(store, start_server):
    server = start_server(store)
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (80, 80))  # behind its back: accept fails now and then

    async def hold() -> None:
        await connect(server.public)

    # With so few places the attackers' own address may lose a connection before its request has come.
    attack(server, [hold() for _ in range(300)], sources=("kept", "127.0.0.2"))
    connections = public_counters(server)["connections"]
    assert connections["failed_accepts"] > 0 and connections["crowded_out"] > 0


def test_headers_that_come_one_byte_after_the_other(store, start_server):
    server = start_server(store, options=["--request-timeout-ms", "500"])

    async def drip() -> None:
        reader, writer = await connect(server.public)
        for byte in b"GET /slow HTTP/1.1\r\nX-Slow: " + b"y" * 100:
            await send_all(writer, bytes([byte]))
            await asyncio.sleep(0.02)
            if reader._buffer or reader.at_eof():
                break
        assert (await read_all(reader)).startswith(b"HTTP/1.1 408 ")
        writer.close()

    attack(server, [drip() for _ in range(200)])
    assert public_counters(server)["requests"]["refused"]["timed_out"] == 200
    wait_until_recorded(server, "408", 200)


def test_bodies_without_an_end(store, start_server):
    server = start_server(store)
    piece = b"10000\r\n" + b"z" * 65536 + b"\r\n"

    async def pour() -> None:
        reader, writer = await connect(server.public)
        await send_all(writer, b"POST /pour HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(24):
            await send_all(writer, piece)
        assert (await read_all(reader))[:12] in (b"HTTP/1.1 413", b"")  # nothing: it was reset while it still poured
        writer.close()

    async def extend() -> None:
        reader, writer = await connect(server.public)
        await send_all(writer, b"POST /extend HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;")
        for _ in range(16):
            await send_all(writer, b"e" * 65536)
        assert (await read_all(reader))[:12] in (b"HTTP/1.1 431", b"")
        writer.close()

    async def wait_with_almost_all() -> None:
        reader, writer = await connect(server.public)
        await send_all(writer, b"POST /almost HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + b"z" * 999_999)
        await asyncio.sleep(0.5)
        writer.close()

    # So few that their bodies have room even if one thread gets them all: none has to give way to another.
    attack(server, [pour() for _ in range(24)] + [extend() for _ in range(60)])
    refused = public_counters(server)["requests"]["refused"]
    assert refused["body_too_large"] == 24 and refused["headers_too_large"] == 60
    wait_until_recorded(server, "413", 24)
    wait_until_recorded(server, "431", 60)
    attack(server, [wait_with_almost_all() for _ in range(60)])


def test_headers_without_an_end(store, start_server):
    server = start_server(store)

    async def swell(line: bytes) -> None:
        reader, writer = await connect(server.public)
        await send_all(writer, b"GET /swell HTTP/1.1\r\n")
        for _ in range(16):
            await send_all(writer, line * (65536 // len(line)))
        assert (await read_all(reader))[:12] in (b"HTTP/1.1 431", b"")
        writer.close()

    attack(server, [swell(line) for line in (b"X-Many: values\r\n", b"y") for _ in range(50)])
    assert public_counters(server)["requests"]["refused"]["headers_too_large"] + \
        public_counters(server)["requests"]["refused"]["malformed"] == 100
    wait_until_recorded(server, "431", public_counters(server)["requests"]["refused"]["headers_too_large"])


def test_garbage(store, start_server, chance):
    server = start_server(store)
    shapes = [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabcde",
              b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n"]

    def spoil(request: bytes) -> bytes:
        damaged = bytearray(request)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(damaged))
            damaged[at:at + chance.randint(0, 2)] = chance.randbytes(chance.randint(0, 3))
            damaged = damaged or bytearray(b"\r")
        return bytes(damaged)

    garbage = [chance.randbytes(chance.randint(1, 3_000)) if number % 3 == 0 else spoil(chance.choice(shapes))
               for number in range(400)]

    async def babble(data: bytes) -> None:
        reader, writer = await connect(server.public)
        await send_all(writer, data)
        if writer.can_write_eof():
            try:
                writer.write_eof()
            except OSError:
                pass
        answers = await read_all(reader)
        assert answers[:9] in (b"HTTP/1.1 ", b""), data
        writer.close()

    attack(server, [babble(data) for data in garbage])
    assert public_counters(server)["requests"]["refused"]["malformed"] > 100


def test_errors_among_requests_sent_ahead(store, start_server):
    server = start_server(store)

    async def sandwich() -> None:
        reader, writer = await connect(server.public)
        await send_all(writer, GET % b"/app.js" * 3 + GET % b"/none" + b"GET / HTTP/1.1\r\nHost : x\r\n\r\n" + GET % b"/app.js")
        statuses = [(await read_answer(reader))[0] for _ in range(5)]
        assert statuses == [200, 200, 200, 404, 400]
        assert await read_all(reader) == b"", "what follows an error is not looked at"
        writer.close()

    attack(server, [sandwich() for _ in range(200)])
    assert public_counters(server)["requests"]["refused"]["malformed"] == 200
    wait_until_recorded(server, "400", 200)


def test_clients_that_never_read(store, start_server):
    server = start_server(store, options=["--idle-timeout-ms", "400"])

    async def ask_and_turn_away() -> None:
        reader, writer = await connect(server.public)
        writer.transport.pause_reading()
        await send_all(writer, GET % b"/data.bin" * 150)  # 15 MB, more than any buffer on the way
        while public_counters_of_stalled() < 40:
            await asyncio.sleep(0.05)
        writer.transport.abort()

    def public_counters_of_stalled() -> int:
        return public_counters(server)["connections"]["stalled"]

    attack(server, [ask_and_turn_away() for _ in range(40)], sources=("127.0.0.1", "127.0.0.2"))
    assert public_counters(server)["connections"]["stalled"] >= 40


@pytest.mark.parametrize("with_signal", ["SIGTERM", "SIGINT"])
def test_the_end_comes_in_the_middle_of_an_attack(store, start_server, with_signal):
    server = start_server(store, options=["--stop-timeout-ms", "500"])

    async def run() -> None:
        held = [await connect(server.public) for _ in range(200)]
        for number, (_, writer) in enumerate(held):
            writer.write((b"", b"GET /", GET % b"/data.bin", b"\x16\x03")[number % 4])
        code = await asyncio.wait_for(asyncio.to_thread(server.stop, getattr(signal, with_signal)), MINUTE)
        assert code == 0
        for number, (reader, writer) in enumerate(held):
            answer = await read_all(reader)
            if number % 4 == 2:
                assert answer.startswith(b"HTTP/1.1 200 ") and len(answer) > 256 * 400, "what was asked is answered whole"
            writer.close()
        await drop_all()

    asyncio.run(run())
