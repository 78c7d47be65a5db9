# SPDX-License-Identifier: Apache-2.0
"""Threads, fork, and the end of an interpreter: nothing hangs, nothing is lost, nothing is counted twice."""
from __future__ import annotations

import http.client
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import Conditional_Files, free_port, wait_until

from memfs_cache import Analytics_Event, Cache_Service, Storage_Disk, Storage_Memory, Storage_Python

DEADLINE_SECONDS = 60  # only to end a hang


def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """A program of its own, which must come to its end by itself."""
    return subprocess.run([sys.executable, "-W", "error", "-c", textwrap.dedent(code), *map(str, arguments)],
                          capture_output=True, text=True, timeout=DEADLINE_SECONDS)


def recorded(folder: Path) -> int:
    with Cache_Service(Storage_Disk(folder)) as cache:
        return cache.analytics.latest("yearly").total_requests


@pytest.mark.parametrize("kind", ["memory", "disk", "python"])
def test_eight_threads_record_while_four_ask(tmp_path, kind):
    storage = {"memory": Storage_Memory, "disk": lambda: Storage_Disk(tmp_path),
               "python": lambda: Storage_Python(Conditional_Files())}[kind]()
    each = 50 if kind == "python" else 500
    cache = Cache_Service(storage, flush_interval_ms=1)
    problems: list[BaseException] = []
    done = threading.Event()

    def record(number: int) -> None:
        event = Analytics_Event(event_type="page_view", path=f"/{number}", ip=f"203.0.113.{number}")
        for _ in range(each // 2):
            cache.analytics.record(event)
            cache.analytics.record_request("GET", f"/{number}", 200, 1, 1, "203.0.113.7")

    def ask(number: int) -> None:
        while not done.is_set():
            cache.analytics.pulse()
            cache.analytics.latest("30min")
            cache.flush()
            cache.health()

    def guarded(work, number: int) -> None:
        try:
            work(number)
        except BaseException as problem:  # noqa: BLE001 - shown below
            problems.append(problem)

    cache.analytics.record_request("GET", "/", 200, 1, 1, "203.0.113.7")
    askers = [threading.Thread(target=guarded, args=(ask, number), daemon=True) for number in range(4)]
    recorders = [threading.Thread(target=guarded, args=(record, number), daemon=True) for number in range(8)]
    for thread in askers + recorders:
        thread.start()
    for thread in recorders:
        thread.join(DEADLINE_SECONDS)
        assert not thread.is_alive(), "a recording thread hangs"
    done.set()
    for thread in askers:
        thread.join(DEADLINE_SECONDS)
        assert not thread.is_alive(), "an asking thread hangs"
    assert not problems
    assert cache.analytics.pulse().active_requests == 8 * each + 1
    cache.close()


def test_the_interpreter_is_free_while_a_storage_is_waited_for(tmp_path):
    """Each call waits in the system for a lock of the store; were the interpreter's lock held, nothing else would run."""
    code = """
        import fcntl, os, pathlib, sys, threading, time
        from memfs_cache import Cache_Service, Storage_Disk
        storage = Storage_Disk(sys.argv[1])
        storage.write("a", b"1")
        cache = Cache_Service(storage)
        cache.setup_namespaces()
        locks = [open(pathlib.Path(sys.argv[1], ".memfs_cache", "locks", f"{n:02x}"), "a") for n in range(64)]
        for lock in locks:
            fcntl.flock(lock, fcntl.LOCK_EX)
        calls = [lambda: storage.write("a", b"2"),
                 lambda: cache.tokens.create("community-x", 1),
                 lambda: cache.entries.store("app", "direct", {"v": 1}),
                 lambda: cache.create_cache_entry("app", "value"),
                 lambda: cache.write_temporal("app", None, b"x", "file"),
                 lambda: cache.analytics.record_request("GET", "/", 200, 0, 1, "203.0.113.7"),  # makes the day's salt
                 lambda: cache.analytics("other").record({"event_type": "page_view", "ip": "203.0.113.7"})]
        threads = [threading.Thread(target=call, daemon=True) for call in calls]
        for thread in threads:
            thread.start()
        def waiting():
            held = pathlib.Path("/proc/locks").read_text().splitlines()
            return sum(f" {os.getpid()} " in line for line in held if "->" in line)
        while waiting() < len(calls):
            time.sleep(0.001)
        for lock in locks:
            lock.close()
        for thread in threads:
            thread.join()
        print(storage.read("a"), cache.analytics.pulse().active_requests, len(cache.tokens.list()))
    """
    finished = run(code, tmp_path)
    assert (finished.stdout, finished.stderr) == ("b'2' 1 1\n", "")


def test_the_end_of_an_interpreter_flushes(tmp_path):
    code = """
        import sys
        from memfs_cache import Cache_Service, Storage_Disk
        cache = Cache_Service(Storage_Disk(sys.argv[1]), flush_interval_ms=3_600_000)
        for _ in range(100):
            cache.analytics.record({"event_type": "page_view"})
        keep = cache.analytics.record  # a reference that outlives the module
    """
    finished = run(code, tmp_path)
    assert (finished.returncode, finished.stderr) == (0, "")
    assert recorded(tmp_path) == 100


def test_a_service_that_nothing_refers_to_is_closed(tmp_path):
    cache = Cache_Service(Storage_Disk(tmp_path), flush_interval_ms=3_600_000)
    analytics = cache.analytics
    del cache
    analytics.record({"event_type": "page_view"})  # a handler keeps its service
    assert not list(tmp_path.glob("cache/analytics/data/raw/**/*.jsonl"))
    del analytics
    assert len(list(tmp_path.glob("cache/analytics/data/raw/**/*.jsonl"))) == 1


def test_an_interpreter_ends_though_its_storage_does_not_answer():
    code = """
        import memfs_cache.cache_service, threading
        from memfs_cache import Cache_Service, Storage_Python
        memfs_cache.cache_service._EXIT_SECONDS = 0.2
        class Files:
            def file__bytes_and_version(self, path): return None
            def file__bytes(self, path): return None
            def files__paths(self): return []
            def file__delete(self, path): return False
            def file__save(self, path, data): return self.file__save_if(path, data, None)
            def file__save_if(self, path, data, version): threading.Event().wait()
        cache = Cache_Service(Storage_Python(Files()), visitor_key="none", flush_interval_ms=3_600_000)
        cache.analytics.record({"event_type": "page_view"})
        print("recorded", flush=True)
    """
    finished = run(code)
    assert finished.stdout == "recorded\n"
    assert "Timed_Out" in finished.stderr and "lost" in finished.stderr


def test_a_fork_counts_nothing_twice_and_loses_nothing(tmp_path):
    code = """
        import os, sys
        from memfs_cache import Cache_Service, Storage_Disk
        cache = Cache_Service(Storage_Disk(sys.argv[1]), flush_interval_ms=3_600_000)
        record = cache.analytics.record
        cache.tokens.create("shared", 30)
        for _ in range(100):
            record({"event_type": "page_view", "ip": "203.0.113.7"})  # still in the buffer at the fork
        children = []
        for number in range(4):
            child = os.fork()
            if child == 0:
                for _ in range(50):
                    record({"event_type": "page_view", "ip": "203.0.113.7"})
                for _ in range(10):
                    cache.tokens.use("shared")
                sys.exit(0)
            children.append(child)
        record({"event_type": "page_view"})
        assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
        assert cache.analytics.pulse().active_requests == 301
        assert cache.tokens.check("shared").usage_count == 30
    """
    finished = run(code, tmp_path)
    assert (finished.returncode, finished.stderr) == (0, "")
    assert recorded(tmp_path) == 301


@pytest.mark.parametrize("storage", ["Storage_Memory()", "Storage_Disk(sys.argv[1])"])
def test_a_fork_in_the_middle_of_other_threads_calls_leaves_a_child_that_works(tmp_path, storage):
    code = """
        import os, signal, sys, threading, warnings
        from memfs_cache import Cache_Service, Storage_Disk, Storage_Memory
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads, which is what this is about
        storage = STORAGE
        cache = Cache_Service(storage, flush_interval_ms=1)
        cache.tokens.create("a", 0)

        def everything():
            cache.analytics.record_request("GET", "/", 200, 1, 1, "203.0.113.7")
            cache.flush()
            cache.analytics.pulse()
            cache.tokens.use("a")
            storage.write("x", b"1")
            cache.health()

        def busy():
            while True:
                everything()

        for _ in range(6):
            threading.Thread(target=busy, daemon=True).start()
        for _ in range(20):
            child = os.fork()
            if child == 0:
                signal.alarm(20)  # ends a child that hangs
                everything()
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0, "a child hangs"
        print("done", flush=True)
        os._exit(0)
    """.replace("STORAGE", storage)
    finished = run(code, tmp_path)
    assert (finished.stdout, finished.stderr) == ("done\n", "")


def child_of_multiprocessing(cache: Cache_Service) -> None:
    cache.analytics.record({"event_type": "page_view"})


def test_a_child_of_multiprocessing_flushes_at_its_end(tmp_path):
    cache = Cache_Service(Storage_Disk(tmp_path), flush_interval_ms=3_600_000)
    cache.analytics.record({"event_type": "page_view"})
    child = multiprocessing.get_context("fork").Process(target=child_of_multiprocessing, args=(cache,))
    child.start()
    child.join(DEADLINE_SECONDS)
    assert child.exitcode == 0
    assert cache.analytics.pulse().active_requests == 2


APPLICATION = """
import os, time
from memfs_cache import Cache_Service, Storage_Disk

cache = Cache_Service(Storage_Disk(os.environ["STORE"]), flush_interval_ms=int(os.environ["INTERVAL"]))
for _ in range(10):
    cache.analytics.record({"event_type": "page_view", "path": "/before"})  # buffered before the fork

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/hit":
        cache.analytics.record({"event_type": "page_view", "path": "/hit"})
        time.sleep(0.005)  # long enough for the next request to go to another worker
    body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


class Gunicorn:
    """A preloading master with four workers."""

    def __init__(self, folder: Path, interval_ms: int) -> None:
        (folder / "application.py").write_text(APPLICATION, encoding="utf-8")
        self.store = folder / "store"
        self.port = free_port()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "--preload", "--workers", "4", "--bind", f"127.0.0.1:{self.port}",
             "--no-control-socket", "application:app"],
            cwd=folder, env={**os.environ, "STORE": str(self.store), "INTERVAL": str(interval_ms)},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        wait_until(lambda: self.get("/") > 0)

    def get(self, path: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_SECONDS)
        try:
            connection.request("GET", path)
            return int(connection.getresponse().read())
        except ConnectionRefusedError:
            return 0
        finally:
            connection.close()

    def hit(self, times: int) -> list[int]:
        """The workers that served, in no order."""
        with ThreadPoolExecutor(8) as clients:
            return list(clients.map(self.get, ["/hit"] * times))

    def stop(self) -> str:
        self.process.send_signal(signal.SIGTERM)
        said, _ = self.process.communicate(timeout=DEADLINE_SECONDS)
        return said


def test_gunicorn_with_preload_counts_each_event_once(tmp_path):
    server = Gunicorn(tmp_path, interval_ms=3_600_000)
    try:
        workers = set(server.hit(100))
    finally:
        said = server.stop()
    assert server.process.returncode == 0, said
    assert len(workers) > 1, "one worker alone shows nothing"
    assert recorded(server.store) == 110


def test_killing_a_worker_loses_its_buffer_alone(tmp_path):
    server = Gunicorn(tmp_path, interval_ms=3_600_000)
    try:
        hits = server.hit(40)
        victim = hits[-1]
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: not Path(f"/proc/{victim}").exists())
        hits += server.hit(40)
    finally:
        said = server.stop()
    assert server.process.returncode == 0, said
    assert recorded(server.store) == 10 + len([worker for worker in hits if worker != victim])
