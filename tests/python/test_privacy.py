# SPDX-License-Identifier: Apache-2.0
"""No address, no query value and no full user agent is in any stored byte, in any output, in any answer."""
from __future__ import annotations

import json
import re
import stat

import pytest

from conftest import APACHE_LOG
from generate_log import AGENTS
from harness import SALTS, Server, write_lines
from scanner import Scanner, assert_nothing_found

LONG_AGENT = "Mozilla/5.0 (X11; Secretive; U; Build/QWZ-77) Netscape/9.9 (like nothing else)"


def everything(store, *servers: Server) -> dict[str, bytes]:
    """Every byte that is stored and was said or answered."""
    places = store.files()
    places |= {f"output {number}": text for number, text in enumerate(store.command.said)}
    places |= {f"answer {number}": text for number, text in enumerate(text for server in servers for text in server.answers)}
    return places


@pytest.fixture(autouse=True)
def own_words(command):
    """Only what this test's programs say is searched."""
    command.said.clear()


# ---- after an import

def test_an_import_stores_and_shows_no_address_no_query_and_no_agent(store, small_log, tmp_path):
    lines = small_log.lines[:2_500]
    store.import_(write_lines(tmp_path / "access.log", lines))
    for level in ("30min", "daily", "yearly"):
        store.query(level, small_log.recount.keys(level)[:48])
    store.command.run("import", "--storage", store.url, tmp_path / "access.log")
    store.command.run("query", "--storage", store.url, "analytics", "daily", "2024-12-27")
    store.pulse()
    spelt = [line.address for line in lines if not line.address.endswith(".example")]
    scanner = Scanner(addresses=spelt, secrets=[secret for line in lines for secret in line.secrets], agents=AGENTS)
    assert len(set(spelt)) > 200
    assert_nothing_found(scanner, everything(store))


def test_the_apache_import_stores_and_shows_none_of_its_addresses(store):
    store.import_(APACHE_LOG)
    store.query("daily", ["2015-05-17", "2015-05-18", "2015-05-19", "2015-05-20"])
    log = APACHE_LOG.read_text()
    agents = set(re.findall(r'"([^"]{21,})"$', log, re.MULTILINE))
    addresses = {line.split(" ", 1)[0] for line in log.splitlines()}
    assert len(addresses) > 1_700 and len(agents) > 400
    assert_nothing_found(Scanner(addresses=addresses, agents=agents), everything(store))


def test_rejected_lines_are_never_shown(store, tmp_path):
    path = tmp_path / "damaged.log"
    path.write_text("".join(f'198.18.9.{number} - - [99/Foo/2024] "GET /?token=S3cr3tdamaged{number} "{LONG_AGENT}\n'
                            for number in range(1, 50)))
    report = store.import_(path)
    store.command.run("import", "--storage", store.url, path)
    assert report["rejected"] == 49
    scanner = Scanner(addresses=[f"198.18.9.{number}" for number in range(1, 50)], secrets=["S3cr3tdamaged"], agents=[LONG_AGENT])
    assert_nothing_found(scanner, everything(store))


def test_salts_hold_salts_only_and_belong_to_their_owner(store, small_log):
    store.import_(small_log.path)
    salts = store.files(SALTS)
    days = {path.rsplit("/", 1)[1].removesuffix(".json") for path in salts}
    assert days == set(small_log.recount.keys("daily"))
    values = set()
    for path, text in salts.items():
        assert len(text) < 200 and re.fullmatch(r'[\w{}":,.+/=\s-]*', text.decode())
        assert stat.S_IMODE((store.folder / path).stat().st_mode) == 0o600
        values.update(value for value in json.loads(text).values() if isinstance(value, str) and len(value) >= 16)
    assert len(values) == len(salts), "each day has a salt of its own"


# ---- after a server run with hostile requests

HOSTILE_TARGETS = [
    "/?token=S3cr3ttarget", "/index.html?q=S3cr3ttarget#S3cr3ttarget", "/docs/page.html?a=1&b=S3cr3ttarget", "/none?S3cr3ttarget",
    "http://S3cr3ttarget@127.0.0.1/index.html?S3cr3ttarget", "/a;b?c=S3cr3ttarget", "/?ip=2001:db8::5ca1:ab1e",
    "/docs/%00?S3cr3ttarget", "/../../outside.txt?S3cr3ttarget", "/analytics/pulse?window_minutes=S3cr3ttarget",
    "/%ff?S3cr3ttarget", "//evil.example/?S3cr3ttarget", "/?" + "S3cr3ttarget" * 50,
]


def test_a_server_run_with_hostile_requests_leaves_and_shows_nothing(store, start_server):
    server = start_server(store)
    clients = [f"127.{71 + number}.{5 * number}.{9 + number}" for number in range(12)]
    liars = ["2001:db8::5ca1:ab1e", "198.18.44.55", "::ffff:198.18.44.56"]
    for number, client in enumerate(clients):
        for target in HOSTILE_TARGETS:
            connection = server.connect(server.public, source=client)
            liar = liars[number % len(liars)]
            server.ask(connection, "GET", target, {
                "User-Agent": LONG_AGENT, "Referer": "https://user:S3cr3treferrer@site.example/p?x=S3cr3treferrer#S3cr3treferrer",
                "X-Forwarded-For": liar, "X-Real-IP": liar, "Forwarded": f'for="[{liar}]"', "Cookie": "id=S3cr3tcookie",
                "Authorization": "Bearer S3cr3tauthorization", "X-API-Key": "S3cr3tauthorization", "X-Access-Token": "S3cr3ttoken"})
            connection.close()
    for target in ("/analytics/daily/unheard-of", "/unheard-of", "/analytics/unheard-of/2024", "/analytics/pulse?window_minutes=S3cr3t"):
        assert b"unheard-of" not in server.ask_admin(target).body, "an error does not repeat what was sent"
        server.ask_admin(target, key="S3cr3tauthorization")
    server.ask_admin("/analytics/pulse")
    server.ask_admin("/health")
    assert server.stop() == 0
    store.pulse()
    key = server.key
    scanner = Scanner(addresses=[*clients, *liars], secrets=["S3cr3t", key], agents=[LONG_AGENT])
    assert_nothing_found(scanner, everything(store, server))
