# SPDX-License-Identifier: Apache-2.0
"""Tokens as their owners, their users and those who try to find some meet them: routes, public check, command."""
from __future__ import annotations

import json
import re
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest

from harness import RAW, Server, wait_until
from test_server import assert_error, raw_request, wait_until_recorded

MARKUP = "<script>alert(1)</script>"
# What no token can be called, and so is refused and never made into something else.
IMPOSSIBLE_NAMES = ["", " ", "a b", "a/b", "a.b", "_a", "-a", MARKUP, "a\x00", "a\nb", "a\x1b[2J", "..", "a%20b", "geheím", "токен",
                    "名前", "a\u202eb", "a" * 129, "a" * 10_000]
POSSIBLE_NAMES = ["a", "0", "a_b", "a-b", "a" * 128]


@pytest.fixture
def server(store, start_server) -> Server:
    return start_server(store)


def create(server: Server, name: str, limit: int, **more) -> dict:
    answer = server.post_admin("/tokens/create", token_name=name, usage_limit=limit, **more)
    assert answer.status == 201, answer.body
    return answer.json()


def token(server: Server, name: str) -> dict:
    return server.ask_admin(f"/tokens/{name}").json()


def use(server: Server, name: str, **more) -> dict:
    answer = server.post_admin(f"/tokens/{name}/use", **more)
    assert answer.status == 200, answer.body
    return answer.json()


def in_parallel(work, inputs) -> list:
    """What came of the work on each input, eight at a time."""
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(work, inputs))


# ---- through the routes

def test_a_token_lives_through_the_routes(server):
    made = create(server, "Community-X", 10, created_by="ann", metadata={"plan": "b"})
    assert (made["token_name"], made["usage_limit"], made["remaining"], made["status"]) == ("community-x", 10, 10, "active")
    for _ in range(3):
        assert use(server, "community-x")["success"] is True
    assert token(server, "COMMUNITY-X")["usage_count"] == 3
    for _ in range(7):
        assert use(server, "community-x")["success"] is True
    refused = use(server, "community-x")
    assert refused == {"success": False, "rejection_reason": "exhausted", "usage_count": 10, "remaining": 0}
    assert server.post_admin("/tokens/community-x/limit", usage_limit=11).json()["status"] == "active"
    assert server.post_admin("/tokens/community-x/revoke").json()["status"] == "revoked"
    assert use(server, "community-x")["rejection_reason"] == "revoked"
    assert server.post_admin("/tokens/community-x/reactivate", usage_limit=12).json()["remaining"] == 2
    events = server.ask_admin("/tokens/community-x/events").json()["events"]
    assert Counter(event["rejection_reason"] for event in events) == {"": 10, "exhausted": 1, "revoked": 1}
    assert [event["timestamp"] for event in events] == sorted((event["timestamp"] for event in events), reverse=True)
    assert len(server.ask_admin("/tokens/community-x/events?limit=2").json()["events"]) == 2
    assert server.ask_admin("/tokens").json()["tokens"] == [token(server, "community-x")]
    assert_error(server.ask_admin("/tokens/none"), 404)
    assert use(server, "none") == {"success": False, "rejection_reason": "not_found", "usage_count": 0, "remaining": None}


def test_a_limit_of_0_is_no_limit_in_every_answer(server, store):
    assert create(server, "free", 0)["remaining"] is None
    assert all(use(server, "free")["remaining"] is None for _ in range(30))
    assert token(server, "free")["usage_count"] == 30
    assert server.ask_public("/tokens/free/check").json() == {"valid": True, "status": "active", "remaining": None}
    assert server.stop() == 0
    assert store.tokens("use", "free")[0]["remaining"] is None
    assert store.tokens("limit", "free", "5")[0]["status"] == "exhausted"
    assert store.tokens("reactivate", "free", "0")[0]["remaining"] is None


def test_a_share_url_can_be_put_into_a_page_as_it_is(store, start_server):
    server = start_server(store, env={"MEMFS_CACHE_SHARE_URL_BASE": "https://files.example/t/"})
    for name in POSSIBLE_NAMES:
        url = "https://files.example/t/" + quote(name, safe="")
        assert create(server, name, 1)["share_url"] == url
        assert token(server, name)["share_url"] == url
    assert start_server(store, options=["--share-url-base", "https://b.example/?t="]) \
        .ask_admin("/tokens/a").json()["share_url"] == "https://b.example/?t=a"
    assert start_server(store).ask_admin("/tokens/a").json()["share_url"] == ""


def test_a_token_expires_at_its_millisecond(server):
    assert_error(server.post_admin("/tokens/create", token_name="wrong", usage_limit=1, expires_at=-1), 400)
    create(server, "gone", 5, expires_at=1_000)
    create(server, "far", 5, expires_at=9_999_999_999_000)
    assert use(server, "gone")["rejection_reason"] == token(server, "gone")["status"] == "expired"
    assert use(server, "far")["success"] is True
    assert server.ask_public("/tokens/gone/check").json()["status"] == "expired"


@pytest.mark.parametrize("name", IMPOSSIBLE_NAMES, ids=lambda name: ascii(name)[:20])
def test_an_impossible_name_is_refused_and_never_made_into_another(server, name):
    answer = server.post_admin("/tokens/create", token_name=name, usage_limit=1)
    assert_error(answer, 400)
    assert answer.json()["error"]["field"] == "token_name"
    assert not name.strip() or name not in answer.json()["error"]["message"]
    assert server.ask_admin("/tokens").json() == {"tokens": [], "total": 0, "by_status": dict.fromkeys(("active", "exhausted", "revoked", "expired"), 0)}
    if name and "\x00" not in name:
        assert_error(server.ask_admin("/tokens/" + quote(name, safe="")), 404, 414)


def test_possible_names_are_kept_in_small_letters_and_otherwise_as_they_are(server):
    for name in POSSIBLE_NAMES:
        assert create(server, f" {name.upper()}\n", 1)["token_name"] == name
        assert_error(server.post_admin("/tokens/create", token_name=name, usage_limit=1), 409)
    assert [made["token_name"] for made in server.ask_admin("/tokens").json()["tokens"]] == sorted(POSSIBLE_NAMES)


def test_markup_comes_back_as_text_that_no_browser_runs(server):
    create(server, "a", 5, created_by=MARKUP, metadata={MARKUP: MARKUP})
    assert use(server, "a", action=MARKUP, transfer_id=MARKUP)["success"] is True
    for route in ("/tokens", "/tokens/a", "/tokens/a/events"):
        answer = server.ask_admin(route)
        assert MARKUP in json.dumps(answer.json())
        assert answer.headers["content-type"] == "application/json" and answer.headers["x-content-type-options"] == "nosniff"


# ---- several at once

def test_two_servers_on_one_store_grant_exactly_the_limit(store, start_server):
    servers = [start_server(store), start_server(store)]
    create(servers[0], "shared", 60)
    answers = in_parallel(lambda number: use(servers[number % 2], "shared"), range(160))
    granted = [answer for answer in answers if answer["success"]]
    assert len(granted) == 60
    assert Counter(answer["rejection_reason"] for answer in answers) == {"": 60, "exhausted": 100}
    assert sorted(answer["remaining"] for answer in granted)[0] == 0
    assert [server.stop() for server in servers] == [0, 0]
    assert store.tokens("show", "shared")[0]["usage_count"] == 60
    events = store.tokens("events", "shared", "--limit", "1000")
    assert Counter(event["accepted"] for event in events) == {True: 60, False: 100}


def test_of_many_who_make_one_token_at_two_servers_exactly_one_does(store, start_server):
    servers = [start_server(store), start_server(store)]
    for race in range(5):
        answers = in_parallel(lambda number: servers[number % 2].post_admin(
            "/tokens/create", token_name=f"race-{race}", usage_limit=number + 1), range(16))
        assert Counter(answer.status for answer in answers) == {201: 1, 409: 15}
        winner, = (answer.json() for answer in answers if answer.status == 201)
        assert token(servers[0], f"race-{race}") == token(servers[1], f"race-{race}") == winner


def test_the_same_action_counts_once_at_two_servers(store, start_server):
    servers = [start_server(store), start_server(store)]
    create(servers[0], "once", 10)
    answers = in_parallel(lambda number: use(servers[number % 2], "once", action_id="order-7"), range(24))
    assert all(answer["success"] for answer in answers)
    assert token(servers[0], "once")["usage_count"] == 1


# ---- the public check

def everything_but_the_date(server: Server, target: str, source: str) -> tuple:
    answer = server.ask_public(target, source=source)
    return answer.status, {name: value for name, value in answer.headers.items() if name != "date"}, answer.body


def test_unknown_and_impossible_names_are_one_answer(server):
    unknown = everything_but_the_date(server, "/tokens/unknown/check", "127.9.0.1")
    assert unknown[0] == 200 and json.loads(unknown[2]) == {"valid": False, "status": "not_found", "remaining": None}
    names = [name for name in IMPOSSIBLE_NAMES if name and "\x00" not in name and len(name) < 1_000]
    for number, name in enumerate([*names, "Unknown", "other"]):
        assert everything_but_the_date(server, f"/tokens/{quote(name, safe='')}/check", f"127.9.1.{number + 1}") == unknown, name


def test_a_check_uses_nothing(server):
    create(server, "two", 2)
    for number in range(40):
        assert server.ask_public("/tokens/two/check", source=f"127.8.0.{number + 1}").json() == \
            {"valid": True, "status": "active", "remaining": 2}
    assert token(server, "two")["usage_count"] == 0
    assert server.ask_admin("/tokens/two/events").json() == {"events": []}
    use(server, "two"), use(server, "two")
    assert server.ask_public("/tokens/TWO/check").json() == {"valid": False, "status": "exhausted", "remaining": 0}
    assert server.ask_public("/tokens/two/check", method="POST").status == 405


def checks_until_refused(server: Server, **options) -> tuple[int, int]:
    """How many checks were answered before the first 429, and its Retry-After."""
    for count in range(1_000):
        answer = server.ask_public(f"/tokens/name-{count}/check", **options)
        if answer.status == 429:
            return count, int(answer.headers["retry-after"])
        assert answer.status == 200
    raise AssertionError("never refused")


def test_each_client_may_check_so_often_a_minute(store, start_server):
    server = start_server(store)
    started = time.monotonic()
    count, wait = checks_until_refused(server)
    assert 30 <= count <= 30 + (time.monotonic() - started) / 2 + 1
    assert 1 <= wait <= 2
    assert_error(server.ask_public("/tokens/a/check"), 429, 200)  # an interval may just have passed
    assert server.ask_public("/tokens/a/check", source="127.0.0.2").status == 200
    assert server.ask_public("/index.html").status == 200
    # A client that nobody vouches for cannot say that it is another one.
    assert server.ask_public("/tokens/a/check", headers={"X-Forwarded-For": "192.0.2.1"}).status in (429, 200)


def test_clients_behind_a_trusted_proxy_are_told_apart(store, start_server):
    server = start_server(store, options=["--trusted-proxies", "127.0.0.0/8"], env={"MEMFS_CACHE_TOKEN_CHECK_PER_MINUTE": "2"})
    for client in ("192.0.2.1", "192.0.2.2", "2001:db8::1"):
        count, wait = checks_until_refused(server, headers={"X-Forwarded-For": client})
        assert count == 2 and 1 <= wait <= 30
    assert server.ask_public("/tokens/a/check", headers={"X-Forwarded-For": "2001:db8::2"}).status == 429, "the same network"
    assert server.ask_public("/tokens/a/check", headers={"X-Forwarded-For": "192.0.2.9, 192.0.2.1"}).status == 429


def test_no_name_of_a_token_is_recorded_whatever_is_wrong_with_the_request(server, store):
    create(server, "very-secret-name", 5)
    check = "/tokens/very-secret-name/check"
    for method in ("GET", "HEAD", "POST"):
        server.ask_public(check + "?very-secret-name", method=method)
    for line, status in [(b"X: " + b"y" * 20_000, 431), (b"no header", 400), (b"X: y", 400)]:
        target = check + ("?x=%zz" if line == b"X: y" else "")
        assert raw_request(server.public, f"GET {target} HTTP/1.1\r\nHost: x\r\n".encode() + line + b"\r\n\r\n")[0] == status
    assert server.ask_public(check + "?" + "x" * 9_000).status == 414
    wait_until_recorded(server, 7)
    assert {event["path"] for event in server.ask_admin("/analytics/pulse").json()["recent_events"]} == {"/tokens/{name}/check"}
    assert server.stop() == 0
    assert not [path for path, text in store.files(RAW).items() if b"secret-name" in text]


# ---- the key

def test_whoever_tries_out_keys_has_to_wait_and_nobody_else(server):
    def asked(key: str, source: str):
        connection = server.connect(server.admin, source)
        answer = server.ask(connection, "GET", "/namespaces", {"X-API-Key": key} if key else {})
        connection.close()
        return answer

    statuses = Counter(asked(f"S3cr3t-{number}", "127.7.0.1").status for number in range(130))
    assert statuses[401] >= 100 and statuses[429] >= 1 and sum(statuses.values()) == 130
    refused = asked("S3cr3t", "127.7.0.1")
    assert_error(refused, 429, 401)
    if refused.status == 429:
        assert 1 <= int(refused.headers["retry-after"]) <= 6
    assert asked(server.key, "127.7.0.2").status == 200
    assert asked("", "127.7.0.2").status == 401
    assert server.stop() == 0
    said = b"".join(server.command.said[-2:])
    assert said.count(b"wrong admin key") >= 100
    assert b"S3cr3t" not in said and b"127.7." not in said


def test_every_admin_route_needs_the_key_and_is_unknown_to_the_public(server):
    paths = server.ask_admin("/openapi.json").json()["paths"]
    assert {"/tokens/create", "/tokens/{name}/use", "/namespaces", "/storage/files", "/storage/file"} <= set(paths)
    for path, operations in paths.items():
        target = re.sub(r"\{\w+\}", "x", path)
        for method in operations:
            wanted = 200 if path == "/health" else 401
            assert server.ask_admin(target, method=method.upper(), key="").status == wanted, path
            assert server.ask_admin(target, method=method.upper(), key="wrong").status == wanted, path
            public = server.ask_public(target, method=method.upper(), headers={"X-API-Key": server.key})
            assert public.status in (404, 405) and (method == "post" or public.status == 404), path


@pytest.mark.parametrize("key", ["", "two words", "umläut"])
def test_a_key_that_is_none_stops_the_start(command, store, tmp_path, key):
    words = ["serve", "--storage", store.url, "--public", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--key-file", tmp_path / "key"]
    finished = command.run(*words, env={"MEMFS_CACHE_ADMIN_KEY": key})
    assert finished.exit_code in (1, 2) and b"key" in finished.err
    (tmp_path / "key").write_text(key + "\n")
    (tmp_path / "key").chmod(0o600)
    finished = command.run(*words)
    assert finished.exit_code in (1, 2) and b"key" in finished.err


# ---- what is stored

def pages(server: Server, query: str = "") -> list[dict]:
    files, after = [], ""
    while True:
        page = server.ask_admin(f"/storage/files?{query}&start_after={quote(after)}").json()
        files += page["files"]
        after = page["next"]
        if not after:
            return files


def test_the_storage_browser_shows_what_is_stored_and_never_a_secret(store, start_server):
    server = start_server(store)
    server.ask_public("/index.html")
    create(server, "one", 5)
    use(server, "one")
    assert server.stop() == 0
    (store.folder / "memfs-cache.key").write_text("S3cr3tkey")
    (store.folder / "transfers" / "t1").mkdir(parents=True)
    (store.folder / "transfers" / "t1" / "payload").write_text("S3cr3tpayload")
    server = start_server(store)
    assert {"analytics", "tokens"} <= set(server.ask_admin("/namespaces").json()["namespaces"])
    shown = {file["path"]: file["size_bytes"] for file in pages(server, "limit=3")}
    stored = {path: len(text) for path, text in store.files("cache").items()}
    hidden = set(stored) - set(shown)
    assert hidden and all("/data/salts/" in path for path in hidden)
    assert any(path.endswith("/token.json") for path in shown)
    for path in shown:
        answer = server.ask_admin("/storage/file?path=" + quote(path))
        assert answer.status == 200 and answer.body == (store.folder / path).read_bytes()
        assert answer.headers["x-content-type-options"] == "nosniff"
    for path in [*hidden, "memfs-cache.key", "transfers/t1/payload", "cache/none.json", "cache/tokens/data"]:
        answer = server.ask_admin("/storage/file?path=" + quote(path))
        assert_error(answer, 404)
        assert pages(server, "prefix=" + quote(path + "x")) == []
    for path in ["../outside.txt", "cache/../memfs-cache.key", "/etc/passwd", "cache//x", ""]:
        assert_error(server.ask_admin("/storage/file?path=" + quote(path)), 400)
        if path:
            assert_error(server.ask_admin("/storage/files?prefix=" + quote(path)), 400)
    assert b"S3cr3t" not in b"".join(server.answers)


# ---- the command

def test_a_token_lives_through_the_command(store):
    made, = store.tokens("create", "Community-X", "--limit", "2", "--created-by", "ann", "--metadata", '{"a": [1]}',
                         env={"MEMFS_CACHE_SHARE_URL_BASE": "https://files.example/t/"})
    assert made["share_url"] == "https://files.example/t/community-x" and made["metadata"] == {"a": [1]}
    assert store.tokens("use", "community-x", "--action-id", "a")[0]["remaining"] == 1
    assert store.tokens("use", "community-x", "--action-id", "a")[0]["remaining"] == 1
    assert store.tokens("use", "community-x", "--action", "opened", "--ip-hash", "0123456789abcdef")[0]["remaining"] == 0
    refused, = store.tokens("use", "community-x", exit_code=1)
    assert refused == {"success": False, "rejection_reason": "exhausted", "usage_count": 2, "remaining": 0}
    assert store.tokens("use", "none", exit_code=1)[0]["rejection_reason"] == "not_found"
    assert store.tokens("limit", "community-x", "3")[0]["remaining"] == 1
    assert store.tokens("revoke", "COMMUNITY-X")[0]["status"] == "revoked"
    assert store.tokens("reactivate", "community-x", "3")[0]["status"] == "active"
    store.tokens("create", "another", "0")
    assert [made["token_name"] for made in store.tokens("list")] == ["another", "community-x"]
    assert store.tokens("list")[1] == store.tokens("show", "community-x")[0]
    events = store.tokens("events", "community-x")
    assert [event["rejection_reason"] for event in events] == ["exhausted", "", ""]
    assert events[1]["action"] == "opened" and events[1]["ip_hash"] == "01234567"
    assert store.tokens("events", "community-x", "--limit", "1") == events[:1]


def test_the_command_says_in_words_what_a_terminal_may_show(store, command):
    def said(*words: str, exit_code: int = 0) -> str:
        finished = command.run("tokens", "--storage", store.url, *words)
        assert finished.exit_code == exit_code and (exit_code == 0) == (not finished.err) or finished.out
        return finished.out.decode()

    shown = said("create", "a", "2", "--created-by", "\x1b[2J\u202eann")
    assert "status     active" in shown and "uses       0 of 2" in shown and "\x1b" not in shown and "\u202e" not in shown
    assert said("use", "a", "--action", "\x1b[2J") == "granted, 1 left\n"
    assert said("use", "a") == "granted, 0 left\n"
    assert said("use", "a", exit_code=1) == "refused: exhausted\n"
    assert "exhausted  2 of 2" in said("list")
    assert said("limit", "a", "0").splitlines()[2] == "uses       2, not limited"
    assert said("use", "a") == "granted, not limited\n"
    assert len(said("events", "a").splitlines()) == 4 and "\x1b" not in said("events", "a")


def test_what_a_killed_server_had_leased_is_charged(store, start_server):
    server = start_server(store)
    create(server, "hot", 100, block_size=10)
    assert use(server, "hot")["remaining"] == 99
    server.kill()
    settled, = store.tokens("settle", "hot")
    assert settled["usage_count"] == settled["usage_count_min"] >= 1
    events = store.tokens("events", "hot")
    assert sum(event["charged"] + event["accepted"] for event in events) == settled["usage_count"]
    assert store.tokens("settle", "hot", "--older-than", "0") == [settled]


@pytest.mark.parametrize("words, exit_code", [
    ([], 2), (["unknown"], 2), (["create"], 2), (["create", "a"], 2), (["create", "a", "-1"], 2), (["create", "a", "x"], 2),
    (["create", "a", "--limit=-1"], 2), (["create", "a", "99999999999999999999"], 2), (["limit", "a", "-1"], 2), (["reactivate", "a", "-1"], 2),
    (["create", "a b", "1"], 2), (["create", "a" * 129, "1"], 2), (["create", MARKUP, "1"], 2), (["create", "a", "1", "--metadata", "[]"], 2),
    (["create", "a", "1", "--expires-at", "-5"], 2), (["use"], 2), (["events", "a", "--limit", "0"], 2),
    (["show", "none"], 1), (["revoke", "none"], 1), (["limit", "none", "1"], 1), (["reactivate", "none", "1"], 1), (["events", "none"], 1), (["settle", "none"], 1),
    (["settle", "a", "--older-than", "-1"], 2), (["create", "a", "1", "--block-size", "-1"], 2),
])
def test_wrong_words_and_missing_tokens_are_told_apart(store, words, exit_code):
    assert store.tokens(*words, exit_code=exit_code) == []
    assert store.command.said[-1].strip()


def test_a_token_is_made_once_by_command_and_server_alike(server, store):
    create(server, "both", 2)
    store.tokens("create", "both", "5", exit_code=1)
    assert store.tokens("use", "both")[0]["remaining"] == 1
    assert use(server, "both")["remaining"] == 0
    assert store.tokens("use", "both", exit_code=1)[0]["rejection_reason"] == "exhausted"
    wait_until(lambda: len(server.ask_admin("/tokens/both/events").json()["events"]) == 3, "events of both are found")
