# SPDX-License-Identifier: Apache-2.0
"""`memfs-cache serve` as its users and its attackers see it: what was sent is what the answers say."""
from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
from collections import Counter
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from conftest import PROJECT
from harness import DEADLINE_SECONDS, RAW, Server, wait_until
from oracle import keys_of_half_hour
from test_import import MALFORMED_KEYS

REQUESTS = 1_000
CLIENTS = [f"127.0.{number}.{number + 1}" for number in range(7)]


class Sent:
    """What was sent and what came back, kept by the client."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.total = self.bytes = 0
        self.statuses: Counter[str] = Counter()
        self.methods: Counter[str] = Counter()
        self.clients: set[str] = set()
        self.begin = datetime.now(timezone.utc)

    def note(self, method: str, status: int, size: int, client: str) -> None:
        self.total += 1
        self.bytes += size
        self.statuses[str(status)] += 1
        self.methods[method] += 1
        self.clients.add(client)

    def summaries(self, level: str, server: Server | None = None) -> list[dict]:
        """The windows of a level that hold the requests: one, or two when an edge passed meanwhile."""
        now = datetime.now(timezone.utc)
        keys = []
        moment = self.begin
        while moment < now + timedelta(minutes=30):
            key = keys_of_half_hour(int(min(moment, now).timestamp()) // 1800)[level]
            if key not in keys:
                keys.append(key)
            moment += timedelta(minutes=30)
        return [asked.json() for asked in ((server or self.server).ask_admin(f"/analytics/{level}/{key}") for key in keys)]

    def assert_agrees(self, server: Server | None = None) -> None:
        """The half-hour, the hour and the day say what was sent."""
        wait_until_recorded(server or self.server, self.total)
        for level in ("30min", "hourly", "daily"):
            windows = self.summaries(level, server)
            assert [window["window_type"] for window in windows] == [level] * len(windows)
            assert sum(window["total_requests"] for window in windows) == self.total
            assert sum(window["total_bytes"] for window in windows) == self.bytes
            assert sum((Counter(window["status_codes"]) for window in windows), Counter()) == self.statuses
            assert sum((Counter(window["methods"]) for window in windows), Counter()) == self.methods
            assert sum(window["error_count"] for window in windows) == \
                sum(count for status, count in self.statuses.items() if int(status) >= 400)
            assert max(window["unique_visitors"] for window in windows) <= len(self.clients) <= \
                sum(window["unique_visitors"] for window in windows)
            for window in windows:
                assert sum(window["event_types"].values()) == window["total_requests"]
                assert list(window["status_codes"].values()) == sorted(window["status_codes"].values(), reverse=True)
                if window["recorded"]:
                    assert 0 < window["p50_duration_ms"] <= window["p95_duration_ms"] <= window["p99_duration_ms"]


def wait_until_recorded(server, requests: int) -> None:
    """A request is recorded after its last byte was sent, so a client may have its answer a moment earlier."""
    wait_until(lambda: server.ask_admin("/analytics/pulse?window_minutes=60").json()["active_requests"] == requests,
               f"{requests} requests are recorded")


def raw_request(port: int, request: bytes) -> tuple[int, bytes]:
    """Sends bytes as they are; (status, body) of the answer, after which the server may hang up."""
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_SECONDS) as connection:
        answer = b""
        try:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError, OSError):
            pass  # the server may answer and hang up before it has read everything
        try:
            while part := connection.recv(65536):
                answer += part
        except ConnectionResetError:
            pass
    head, _, body = answer.partition(b"\r\n\r\n")
    found = re.match(rb"HTTP/1\.[01] (\d{3})", head)
    return (int(found[1]) if found else 0), body


# Every one of these gets an answer on a connection that stays usable.
ORDINARY = [
    ("GET", "/", 200), ("GET", "/index.html", 200), ("GET", "/docs/page.html?utm=1#top", 200), ("GET", "/app.js", 200),
    ("GET", "/data.bin", 200), ("HEAD", "/docs/page.html", 200), ("HEAD", "/none.html", 404), ("GET", "/none.html", 404),
    ("GET", "/none/" + "x" * 500, 404), ("POST", "/index.html", 405), ("DELETE", "/app.js", 405), ("PUT", "/app.js", 405),
]
# What an attacker tries first. Nothing is served from beside the folder; which refusal it gets matters less.
HOSTILE = ["/../outside.txt", "/../../etc/passwd", "/docs/../../outside.txt", "/%2e%2e/outside.txt", "/%2e%2e%2foutside.txt",
           "/docs/%2e%2e/%2e%2e/outside.txt", "/..%5coutside.txt", "/index.html%00.js", "/%00", "/%", "/%zz", "/%ff%fe",
           "//outside.txt", "/docs//page.html", "/./index.html", "/" + "a" * 8192, "/" + "../" * 500 + "etc/passwd",
           "/.env", "/docs", "/docs/", "/admin", "/health", "/analytics/pulse", "/openapi.json"]


def send_ordinary(sent: Sent, requests: int) -> None:
    """Mixed requests over connections that stay open, from several clients."""
    server = sent.server
    connections = [(client, server.connect(server.public, source=client)) for client in CLIENTS]
    for number in range(requests):
        client, connection = connections[number % len(connections)]
        method, target, status = ORDINARY[number % len(ORDINARY)]
        answer = server.ask(connection, method, target, {"User-Agent": "Black box"}, b"body" if method in ("POST", "PUT") else None)
        assert answer.status == status, (method, target)
        assert (len(answer.body) == 0) == (method == "HEAD")
        sent.note(method, answer.status, len(answer.body), client)
    for _, connection in connections:
        connection.close()


def send_hostile(sent: Sent) -> None:
    server = sent.server
    for target in HOSTILE:
        connection = server.connect(server.public)
        answer = server.ask(connection, "GET", target)
        connection.close()
        assert answer.status in (200, 301, 302, 308, 400, 403, 404, 414, 431), target
        assert b"must not be served" not in answer.body and b"root:" not in answer.body, target
        sent.note("GET", answer.status, len(answer.body), "127.0.0.1")


# ---- what was sent is what the answers say

def test_a_thousand_mixed_requests_agree_with_pulse_half_hour_hour_and_day(store, start_server):
    server = start_server(store)
    sent = Sent(server)
    send_hostile(sent)
    send_ordinary(sent, REQUESTS - sent.total)
    assert sent.total == REQUESTS
    wait_until_recorded(server, REQUESTS)
    pulse = server.ask_admin("/analytics/pulse?window_minutes=60").json()
    assert pulse["active_requests"] == REQUESTS
    assert pulse["active_visitors"] == len(sent.clients)
    assert pulse["window_minutes"] == 60 and pulse["computed_at"] >= sent.begin.timestamp() * 1000 // 1
    recent = pulse["recent_events"]
    assert len(recent) == 10
    assert [event["timestamp"] for event in recent] == sorted((event["timestamp"] for event in recent), reverse=True)
    assert all(len(event.get("ip_hash", "")) <= 8 for event in recent)
    sent.assert_agrees()
    steady = [window["top_paths"].get("/docs/page.html", 0) for window in sent.summaries("daily")]
    assert sum(steady) == sum(ORDINARY[number % len(ORDINARY)][1].split("?")[0] == "/docs/page.html"
                              for number in range(REQUESTS - len(HOSTILE)))


def test_open_windows_are_not_final_and_latest_points_to_them(store, start_server):
    server = start_server(store)
    sent = Sent(server)
    send_ordinary(sent, 30)
    wait_until_recorded(server, 30)
    for level in ("30min", "hourly", "daily"):
        window = sent.summaries(level)[-1]
        assert window["final"] is False and window["unique_visitors_error"] == 0
        latest = server.ask_admin(f"/analytics/latest/{level}")
        assert latest.status == 200 and latest.json()["window_key"] >= window["window_key"]
    assert not any("aggregations" in name for name in store.files()), "an open window is never saved"


def test_nothing_that_was_flushed_is_lost_by_kill_9(store, start_server):
    server = start_server(store)
    sent = Sent(server)
    send_ordinary(sent, 300)
    # On disk at the latest after one flush interval; seen from outside as lines in the raw files.
    wait_until(lambda: sum(text.count(b'"crc32c"') for text in store.files(RAW).values()) >= sent.total,
               "everything is flushed")
    server.kill()
    restarted = start_server(store)
    sent.assert_agrees(restarted)
    assert restarted.ask_admin("/analytics/pulse?window_minutes=60").json()["active_requests"] == sent.total


def test_sigterm_at_once_after_the_last_request_loses_nothing(store, start_server):
    server = start_server(store)
    sent = Sent(server)
    send_ordinary(sent, 200)
    assert server.stop(signal.SIGTERM) == 0
    sent.assert_agrees(start_server(store))
    assert store.pulse("--window-minutes", "60")["active_requests"] == sent.total


def test_many_requests_share_a_file(store, start_server):
    server = start_server(store)
    sent = Sent(server)
    send_ordinary(sent, 300)
    assert server.stop() == 0
    assert len(store.files(RAW)) <= 2, "one for a half-hour, and one more if it ended meanwhile"


def test_sigint_ends_it_as_well(store, start_server):
    server = start_server(store)
    sent = Sent(server)
    send_ordinary(sent, 20)
    assert server.stop(signal.SIGINT) == 0
    assert store.pulse("--window-minutes", "60")["active_requests"] == sent.total


def test_a_client_that_stays_connected_does_not_hold_up_the_end(store, start_server):
    server = start_server(store, options=["--stop-timeout-ms", "500"])
    with socket.create_connection(("127.0.0.1", server.public)) as silent, \
            socket.create_connection(("127.0.0.1", server.public)) as half:
        half.sendall(b"GET /index.html HTTP/1.1\r\nHost: x\r\n")
        assert server.ask_public("/index.html").status == 200
        assert server.stop(signal.SIGTERM) == 0
        assert silent.recv(1) == b""


def test_the_zone_of_the_host_changes_nothing(store, start_server):
    server = start_server(store, env={"TZ": "Asia/Kolkata"})
    sent = Sent(server)
    send_ordinary(sent, 60)
    sent.assert_agrees()
    assert server.stop() == 0
    days = [window["window_key"] for window in sent.summaries("daily", start_server(store))]
    assert sum(day["total_requests"] for day in store.query("daily", days, env={"TZ": "Asia/Kolkata"})) == sent.total


def test_the_command_answers_while_the_server_records(store, start_server):
    server = start_server(store)
    sent = Sent(server)
    send_ordinary(sent, 50)
    wait_until(lambda: store.pulse("--window-minutes", "60")["active_requests"] >= sent.total, "another process sees them")
    day = sent.summaries("daily")[-1]["window_key"]
    assert store.query("daily", [day])[0]["total_requests"] == sent.summaries("daily")[-1]["total_requests"]


# ---- limits

@pytest.mark.parametrize("name, request_bytes, statuses", [
    ("a long header", b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"y" * 70_000 + b"\r\n\r\n", (431,)),
    ("many headers", b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-Many: y\r\n" * 7_000 + b"\r\n", (431,)),
    ("a large body", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\nbody", (413,)),
    ("no request", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", (400,)),
    ("control characters in the target", b"GET /a\x01\x02\x7fb HTTP/1.1\r\nHost: x\r\n\r\n", (400, 404)),
    ("a raw NUL in the target", b"GET /a\x00b HTTP/1.1\r\nHost: x\r\n\r\n", (400, 404)),
    ("a header without colon", b"GET / HTTP/1.1\r\nHost x\r\n\r\n", (400,)),
    ("a negative body", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n", (400, 411, 413)),
    ("two lengths", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nbody!", (400,)),
    ("a body of chunks beside a length",
     b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", (400, 405)),
])
def test_what_is_too_large_or_damaged_is_refused_and_the_next_client_is_served(store, start_server, name, request_bytes, statuses):
    server = start_server(store)
    for port in (server.public, server.admin):
        status, body = raw_request(port, request_bytes)
        assert status in statuses or (port == server.admin and status == 401), name
        assert b"yyyy" not in body and b"Host" not in body
    assert server.ask_public("/index.html").status == 200
    assert server.ask_admin("/health").status == 200


def test_refused_requests_are_recorded_with_their_status(store, start_server):
    server = start_server(store)
    sent = Sent(server)
    for request in (b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"y" * 70_000 + b"\r\n\r\n",
                    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n"):
        raw_request(server.public, request)
    wait_until_recorded(server, 2)
    statuses = sum((Counter(window["status_codes"]) for window in sent.summaries("daily")), Counter())
    assert statuses == Counter({"431": 1, "413": 1})


# ---- how is recorded

def test_per_request_has_recorded_when_the_answer_ends(store, start_server):
    server = start_server(store, options=["--recording", "per_request"])
    sent = Sent(server)
    send_ordinary(sent, 24)
    server.kill()
    sent.assert_agrees(start_server(store))  # kill -9 at once after the last answer loses nothing


def test_durable_recording_agrees_with_what_was_sent(store, start_server):
    server = start_server(store, env={"MEMFS_CACHE_RECORDING": "durable"})
    sent = Sent(server)
    send_ordinary(sent, 60)
    sent.assert_agrees()


def test_recording_can_be_off_while_what_is_stored_is_answered(store, start_server):
    server = start_server(store)
    sent = Sent(server)
    send_ordinary(sent, 20)
    sent.assert_agrees()
    assert server.stop() == 0
    before = store.files(RAW)
    quiet = start_server(store, options=["--recording", "off"])
    send_ordinary(Sent(quiet), 20)
    assert quiet.ask_admin("/analytics/pulse?window_minutes=60").json()["active_requests"] == sent.total
    assert quiet.stop() == 0
    assert store.files(RAW) == before


def test_excluded_paths_are_served_and_not_recorded(store, start_server):
    server = start_server(store, options=["--exclude-paths", "/app.js, /docs/*"])
    for path in ("/app.js?v=1", "/docs/page.html", "/index.html"):
        assert server.ask_public(path).status == 200
    wait_until_recorded(server, 1)
    assert server.stop() == 0
    assert [event["path"] for event in store.pulse("--window-minutes", "60")["recent_events"]] == ["/index.html"]


@pytest.mark.parametrize("keep, countries", [("true", {"PT": 1}), ("false", {})])
def test_countries_come_from_a_named_header_and_may_be_left_out(store, start_server, keep, countries):
    server = start_server(store, options=["--country-header", "X-Country", "--keep-country", keep])
    sent = Sent(server)
    assert server.ask_public("/index.html", headers={"X-Country": "PT"}).status == 200
    wait_until_recorded(server, 1)
    assert sum((Counter(window["top_countries"]) for window in sent.summaries("daily")), Counter()) == Counter(countries)


def test_sizes_have_units_and_settings_come_from_the_environment(store, start_server):
    server = start_server(store, options=["--header-limit", "2KiB"], env={"MEMFS_CACHE_IDLE_TIMEOUT_MS": "50"})
    status, body = raw_request(server.public, b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"y" * 3_000 + b"\r\n\r\n")
    assert status == 431 and b"2048 bytes" in body
    with socket.create_connection(("127.0.0.1", server.public), timeout=DEADLINE_SECONDS) as idle:
        assert idle.recv(1) == b"", "closed without a word"


# ---- one process for the public, one for the admin

@pytest.mark.parametrize("first", ["public", "admin"])
def test_a_public_and_an_admin_process_share_a_store_and_come_and_go_in_any_order(store, start_server, first):
    servers = {name: start_server(store, listeners=[name]) for name in (first, "admin" if first == "public" else "public")}
    site, admin = servers["public"], servers["admin"]
    site.admin, site.key = admin.admin, admin.key  # questions about the one go to the other
    sent = Sent(site)
    send_ordinary(sent, 100)
    sent.assert_agrees(admin)
    assert site.ask_public("/health").status == site.ask_public("/analytics/pulse").status == 404
    wait_until_recorded(admin, sent.total + 2)
    assert admin.ask_admin("/index.html").status == admin.ask_admin("/app.js").status == 404
    assert admin.ask_admin("/health").json().keys() == {"status", "namespaces", "servers"}

    assert servers[first].stop() == 0
    assert (site if first == "admin" else admin).process_.poll() is None
    servers[first] = start_server(store, listeners=[first])
    site, admin = servers["public"], servers["admin"]
    assert site.ask_public("/index.html").status == 200
    wait_until_recorded(admin, sent.total + 3)
    assert admin.stop() == site.stop() == 0
    assert store.pulse("--window-minutes", "60")["active_requests"] == sent.total + 3


# ---- health

def test_health_counts_what_the_servers_refused(store, start_server):
    server = start_server(store)
    assert server.ask_public("/index.html").status == 200
    assert raw_request(server.public, b"nonsense\r\n\r\n")[0] == 400
    assert raw_request(server.public, b"GET /" + b"y" * 9_000 + b" HTTP/1.1\r\n\r\n")[0] == 414
    health = server.ask_admin("/health").json()
    public = health["servers"]["public"]
    assert health["status"] == "ok" and public["connections"]["accepted"] == 3
    assert public["requests"]["answered"] == 1 and public["requests"]["unrecorded"] == 0
    assert {reason: count for reason, count in public["requests"]["refused"].items() if count} == \
        {"malformed": 1, "target_too_long": 1}
    assert health["servers"]["admin"]["connections"]["open"] >= 1
    assert server.ask_admin("/health", key="").json() == {"status": "ok"}


# ---- admin routes

ADMIN_ROUTES = ["/ready", "/analytics/pulse", "/analytics/daily/2015-05-18", "/analytics/latest/daily"]


def assert_error(answer, *statuses: int) -> None:
    """A refusal is JSON with a code and a sentence, and names neither the key nor a file of the program."""
    assert answer.status in statuses, answer.body
    error = answer.json()["error"]
    assert re.fullmatch(r"[a-z_]+", error["code"]) and len(error["message"]) > 10
    assert str(PROJECT) not in error["message"] and ".cpp" not in error["message"]


@pytest.fixture
def server(store, start_server) -> Server:
    return start_server(store)


@pytest.mark.parametrize("route", ADMIN_ROUTES)
def test_admin_routes_need_the_key(server, route):
    for wrong in ("", "wrong", server.key[:-1], server.key + "x", server.key.swapcase() + "0"):
        assert_error(server.ask_admin(route, key=wrong), 401)
    assert server.ask_admin(route).status in (200, 404)
    connection = server.connect(server.admin)
    assert server.ask(connection, "GET", route, {"Authorization": f"Bearer {server.key}"}).status in (200, 404)
    connection.close()


def test_the_key_is_made_at_first_start_for_its_owner_only(server):
    assert stat.S_IMODE(os.stat(server.key_file).st_mode) == 0o600
    assert len(server.key) >= 32
    assert server.stop() == 0
    assert server.key.encode() not in b"".join(server.command.said)


def test_health_is_open_and_the_public_side_has_no_admin_routes(server):
    assert server.ask_admin("/health", key="").status == 200
    for route in [*ADMIN_ROUTES, "/openapi.json", "/metrics", "/tokens", "/storage/files", "/namespaces"]:
        connection = server.connect(server.public)
        answer = server.ask(connection, "GET", route, {"X-API-Key": server.key})
        connection.close()
        assert answer.status == 404, route


@pytest.mark.parametrize("route", ["/", "/analytics", "/analytics/", "/analytics/daily", "/analytics/daily/", "/analytics/daily/2015-05-18/x",
                                   "/no-such-route", "/analytics//2015", "/ANALYTICS/PULSE", "/../health", "/%2e%2e/health"])
def test_unknown_routes_are_404(server, route):
    answer = server.ask_admin(route)
    if route == "/" and answer.status == 200:
        return  # the dashboard
    assert_error(answer, 404, 400)


def test_a_wrong_method_is_405_and_names_the_right_ones(server):
    answer = server.ask_admin("/analytics/pulse", method="DELETE")
    assert_error(answer, 405)
    assert "GET" in answer.headers["allow"]


@pytest.mark.parametrize("level", sorted(MALFORMED_KEYS))
def test_malformed_future_and_wrong_level_keys_are_400(server, level):
    future = {"30min": "2999-01-01T00:00", "hourly": "2999-01-01T00", "daily": "2999-01-01", "weekly": "2999-W01",
              "monthly": "2999-01", "yearly": "2999"}[level]
    for key in [*MALFORMED_KEYS[level], future, "%00", "a" * 3_000, "2024-01-25T10:00%2B05:30"]:
        target = f"/analytics/{level}/{key.replace(' ', '%20').replace('/', '%2F')}"
        assert_error(server.ask_admin(target), 400)


@pytest.mark.parametrize("level", ["minutely", "Daily", "30MIN", "%20daily"])
def test_unknown_window_types_are_refused(server, level):
    assert_error(server.ask_admin(f"/analytics/{level}/2024-01-25"), 400, 404)


@pytest.mark.parametrize("minutes", ["0", "-1", "1441", "abc", "", "1.5", "99999999999999999999", "5%00", "+5", "0x5", "5;drop"])
def test_a_pulse_of_impossible_length_is_400(server, minutes):
    assert_error(server.ask_admin(f"/analytics/pulse?window_minutes={minutes}"), 400)


@pytest.mark.parametrize("minutes", [1, 5, 1440])
def test_a_pulse_of_any_allowed_length_answers(server, minutes):
    pulse = server.ask_admin(f"/analytics/pulse?window_minutes={minutes}").json()
    assert (pulse["window_minutes"], pulse["active_requests"], pulse["recent_events"]) == (minutes, 0, [])
    assert server.ask_admin("/analytics/pulse").json()["window_minutes"] == 5


def test_pulse_is_computed_each_time(server):
    for expected in (0, 1, 2):
        wait_until_recorded(server, expected)
        server.ask_public("/index.html")


def test_a_window_without_events_says_so(server):
    summary = server.ask_admin("/analytics/daily/2015-05-18").json()
    assert summary["recorded"] is False and summary["total_requests"] == 0 and summary["final"] is True


def test_a_started_server_is_small(server):
    status = Path(f"/proc/{server.pid}/status").read_text()
    resident, virtual = (int(re.search(rf"{name}:\s+(\d+) kB", status)[1]) for name in ("VmRSS", "VmSize"))
    assert virtual > 1 << 30 or resident < 24 * 1024, "idle memory, but for sanitizers; docs/benchmarks.md has the figure"


# ---- OpenAPI

def assert_valid_openapi(document: dict) -> None:
    """What OpenAPI 3.1 requires of the objects that this document has."""
    assert re.fullmatch(r"3\.1\.\d+", document["openapi"])
    assert isinstance(document["info"]["title"], str) and isinstance(document["info"]["version"], str)
    assert document["paths"]
    operation_ids = []
    for path, item in document["paths"].items():
        assert path.startswith("/")
        for method, operation in item.items():
            assert method in ("get", "put", "post", "delete", "options", "head", "patch", "trace"), method
            assert operation["responses"], path
            assert "requestBody" not in operation or operation["requestBody"]["content"], path
            for status, response in operation["responses"].items():
                assert re.fullmatch(r"[1-5](\d\d|XX)|default", status)
                assert "$ref" in response or isinstance(response["description"], str)
            declared = []
            for parameter in operation.get("parameters", []):
                assert parameter["in"] in ("query", "header", "path", "cookie") and parameter["name"]
                assert ("schema" in parameter) != ("content" in parameter)
                if parameter["in"] == "path":
                    assert parameter["required"] is True
                    declared.append(parameter["name"])
            assert sorted(declared) == sorted(re.findall(r"\{([^}]+)\}", path))
            if "operationId" in operation:
                operation_ids.append(operation["operationId"])
    assert len(operation_ids) == len(set(operation_ids))
    for scheme in document.get("components", {}).get("securitySchemes", {}).values():
        assert scheme["type"] in ("apiKey", "http", "mutualTLS", "oauth2", "openIdConnect")
        assert scheme["type"] != "apiKey" or (scheme["name"] and scheme["in"] in ("query", "header", "cookie"))
        assert scheme["type"] != "http" or scheme["scheme"]
    for reference in re.findall(r'"\$ref": ?"#/([^"]+)"', json.dumps(document)):
        target = document
        for part in reference.split("/"):
            target = target[part]


def test_the_openapi_document_is_valid_and_lists_every_route(server):
    answer = server.ask_admin("/openapi.json")
    assert answer.status == 200 and answer.headers["content-type"].startswith("application/json")
    document = answer.json()
    assert_valid_openapi(document)
    wanted = {"/health", "/ready", "/openapi.json", "/analytics/pulse", "/analytics/{window_type}/{window_key}",
              "/analytics/latest/{window_type}"}
    assert wanted <= set(document["paths"])


# ---- starting

def test_a_listener_can_be_off(command, store, tmp_path):
    process = command.start("serve", "--storage", store.url, "--public", "off", "--admin", "127.0.0.1:0",
                            "--key-file", tmp_path / "key")
    try:
        greeting = process.stdout.readline()
        while b"http://" not in greeting:
            line = process.stdout.readline()
            assert line, process.stderr.read()
            greeting += line
        assert b"admin" in greeting and b"public  http" not in greeting
    finally:
        process.terminate()
        process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 0


def test_a_port_in_use_is_named(command, store, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        finished = command.run("serve", "--storage", store.url, "--public", f"127.0.0.1:{port}", "--admin", "off",
                               "--key-file", tmp_path / "key")
    assert finished.exit_code == 1 and str(port) in finished.err.decode()


@pytest.mark.parametrize("words", [["--public", "nonsense"], ["--public", "127.0.0.1"], ["--public", "127.0.0.1:99999"],
                                   ["--public", "off", "--admin", "off"], ["--no-such-option"],
                                   ["--recording", "sometimes"], ["--exclude-paths", "no-path"], ["--header-limit", "1XB"],
                                   ["--max-connections", "0"], ["--idle-timeout-ms", "0"], ["--keep-country", "maybe"]])
def test_impossible_settings_are_wrong_usage(command, store, tmp_path, words):
    finished = command.run("serve", "--storage", store.url, "--key-file", tmp_path / "key", *words)
    assert finished.exit_code == 2 and finished.err.strip()


def test_a_key_file_that_others_may_read_stops_the_start(command, store, tmp_path):
    key = tmp_path / "key"
    key.write_text("0" * 64 + "\n")
    key.chmod(0o644)
    finished = command.run("serve", "--storage", store.url, "--public", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--key-file", key)
    assert finished.exit_code in (1, 2) and b"key" in finished.err
    assert b"0" * 64 not in finished.out + finished.err


def test_a_key_in_the_environment_is_used_and_never_shown(store, start_server, tmp_path):
    key = "an-operators-own-key-0123456789"
    (tmp_path / "admin.key").write_text(key)
    (tmp_path / "admin.key").chmod(0o600)
    server = start_server(store, env={"MEMFS_CACHE_ADMIN_KEY": key})
    assert server.ask_admin("/analytics/pulse", key=key).status == 200
    assert_error(server.ask_admin("/analytics/pulse", key="wrong"), 401)
    assert server.stop() == 0
    assert key.encode() not in b"".join(server.command.said)
