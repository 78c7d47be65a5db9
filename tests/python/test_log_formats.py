# SPDX-License-Identifier: Apache-2.0
"""The real log, written anew in each format that the import reads, against the same independent recount."""
from __future__ import annotations

import gzip
import json
import re
from datetime import datetime, timezone
from pathlib import Path
from typing import Callable, Iterator, NamedTuple
from urllib.parse import quote

import pytest

from conftest import APACHE_LOG
from harness import Store
from oracle import LINE, Recount, differences, parse

PARTS = ("daily", "yearly")


class Request(NamedTuple):
    """A line of the log as its server knew it, before anybody encoded it."""
    time: int  # seconds since 1970
    address: str
    method: str
    target: str
    status: int
    size: int
    referrer: str
    agent: str

    def at(self) -> datetime:
        return datetime.fromtimestamp(self.time, timezone.utc)

    def path(self) -> str:
        return self.target.partition("?")[0]


def requests() -> Iterator[Request]:
    with APACHE_LOG.open(encoding="utf-8") as lines:
        for line in lines:
            event, found = parse(line), LINE.fullmatch(line)
            if event and found:
                method, target = found[11].split(" ")[:2]
                yield Request(event.time, found[1], method, target, event.status, event.size, found[14], found[15])


def nginx(request: Request) -> str:
    return json.dumps({"time_iso8601": request.at().isoformat(), "remote_addr": request.address,
                       "request": f"{request.method} {request.target} HTTP/1.1", "status": str(request.status),
                       "body_bytes_sent": str(request.size), "request_time": "0.001", "upstream": None,
                       "http_referer": request.referrer, "http_user_agent": request.agent})


def caddy(request: Request) -> str:
    return json.dumps({
        "level": "info", "ts": request.time + 0.25, "logger": "http.log.access", "msg": "handled request",
        "request": {"remote_ip": "10.0.0.1", "client_ip": request.address, "proto": "HTTP/2.0", "method": request.method,
                    "uri": request.target, "headers": {"User-Agent": [request.agent], "Referer": [request.referrer]}},
        "bytes_read": 0, "duration": 0.001, "size": request.size, "status": request.status, "resp_headers": {}})


def iis(request: Request) -> str:
    return " ".join((f"{request.at():%Y-%m-%d %H:%M:%S}", "10.0.0.1", request.method, request.path(),
                     request.target.partition("?")[2] or "-", "443", request.address, request.agent.replace("%", "%25")
                     .replace("+", "%2B").replace(" ", "+"), str(request.status), str(request.size), "15"))


def encoded(text: str) -> str:
    return quote(text, safe="/:;,()[]+=!?&@'*$~")


def cloudfront_standard(request: Request) -> str:
    return "\t".join((f"{request.at():%Y-%m-%d}", f"{request.at():%H:%M:%S}", "FRA56", str(request.size), request.address,
                      request.method, "d1.example", request.path(), str(request.status), encoded(request.referrer),
                      encoded(request.agent), "-", "Hit", "0.001"))


def cloudfront_real_time(request: Request) -> str:
    columns = ["-"] * 27
    columns[0] = f"{request.time}.250"
    columns[1:5] = str(request.status), str(request.size), request.method, request.path()
    columns[10:12] = encoded(request.agent), encoded(request.referrer)
    columns[16] = "0.001"
    return "\t".join(columns)


def alb(request: Request) -> str:
    return (f"https {request.at():%Y-%m-%dT%H:%M:%S}.186641Z app/b/1 {request.address}:2817 10.0.0.1:80 0.000 0.001 0.000 "
            f"{request.status} {request.status} 34 {request.size} \"{request.method} https://www.example.org:443"
            f"{request.target} HTTP/1.1\" \"{request.agent}\" - - arn:aws:example \"Root=1\" \"-\" \"-\" 0")


FORMATS: dict[str, tuple[Callable[[Request], str], str]] = {
    "nginx": (nginx, ""),
    "caddy": (caddy, ""),
    "iis": (iis, "#Software: a server\n#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port c-ip "
                 "cs(User-Agent) sc-status sc-bytes time-taken\n"),
    "cloudfront standard": (cloudfront_standard,
                            "#Version: 1.0\n#Fields: date time x-edge-location sc-bytes c-ip cs-method cs(Host) "
                            "cs-uri-stem sc-status cs(Referer) cs(User-Agent) cs-uri-query x-edge-result-type "
                            "time-taken\n"),
    "cloudfront real-time": (cloudfront_real_time, ""),
    "alb": (alb, ""),
}


@pytest.fixture(scope="module")
def asked() -> list[Request]:
    # Targets that this server wrote absolute or with a fragment have no such form in the columns of others.
    plain = re.compile(r"/[!-~]*")
    return [request for request in requests() if plain.fullmatch(request.target) and "#" not in request.target]


def disagreements(store: Store, recount: Recount, without: tuple[str, ...] = ()) -> list[str]:
    found = []
    for level in PARTS:
        for summary in store.query(level, recount.keys(level)):
            found += [text for text in differences(recount, summary) if not any(name in text for name in without)]
    return found


def recount_of(asked: list[Request]) -> Recount:
    lines = (f'{request.address} - - [{request.at():%d/%b/%Y:%H:%M:%S} +0000] "{request.method} {request.target} '
             f'HTTP/1.1" {request.status} {request.size}' for request in asked)
    return Recount(event for event in map(parse, lines) if event)


@pytest.mark.parametrize("name", FORMATS)
def test_the_real_log_counts_the_same_in_each_format_whatever_its_file_is_called(store, asked, name, tmp_path):
    write, head = FORMATS[name]
    log = tmp_path / "site.csv"
    log.write_text(head + "".join(write(request) + "\n" for request in asked), encoding="utf-8")
    report = store.import_(log)
    assert (report["accepted"], report["rejected"]) == (len(asked), 0), report["rejected_lines"][:5]
    without = ("unique_visitors",) if name == "cloudfront real-time" else ()  # it holds no addresses
    found = disagreements(store, recount_of(asked), without)
    assert len(asked) > 9_900 and not found, f"{len(found)} differences, such as\n" + "\n".join(found[:10])
    again = store.import_(log)
    assert (again["accepted"], again["already_imported"]) == (0, len(asked))


def test_agents_and_referrers_are_the_same_in_each_format_that_has_them(command, asked, tmp_path):
    combined = "".join(f'{one.address} - - [{one.at():%d/%b/%Y:%H:%M:%S} +0000] "{one.method} {one.target} HTTP/1.1" '
                       f'{one.status} {one.size} "{one.referrer}" "{one.agent}"\n' for one in asked)
    logs = {"combined": combined}
    for name in ("nginx", "caddy", "cloudfront standard"):
        write, head = FORMATS[name]
        logs[name] = head + "".join(write(request) + "\n" for request in asked)
    answers = {}
    for name, text in logs.items():
        store = Store(command, tmp_path / name)
        (log := tmp_path / "site.log").write_text(text, encoding="utf-8")
        store.import_(log)
        [year] = store.query("yearly", ["2015"])
        answers[name] = {part: year[part] for part in ("top_referrers", "top_user_agents", "unique_visitors")}
    assert len(answers["combined"]["top_user_agents"]) > 5 and len(answers["combined"]["top_referrers"]) > 5
    for name, answer in answers.items():
        assert answer == answers["combined"], name


def test_a_log_that_grows_is_read_on_with_the_columns_it_named_at_its_beginning(store, asked, tmp_path):
    write, head = FORMATS["iis"]
    log = tmp_path / "u_ex150517.log"
    for part in (1, 2, 3):
        log.write_text(head + "".join(write(request) + "\n" for request in asked[: 1_000 * part]), encoding="utf-8")
        report = store.import_(log)
        assert (report["accepted"], report["rejected"], report["already_imported"]) == (1_000, 0, 1_000 * (part - 1))
    assert not disagreements(store, recount_of(asked[:3_000]))


def test_a_folder_is_imported_with_all_files_below_it_packed_or_not(store, asked, tmp_path):
    write, _ = FORMATS["cloudfront real-time"]
    for hour in range(3):
        folder = tmp_path / f"cloudfront-realtime/year=2015/hour={hour}"
        folder.mkdir(parents=True)
        text = "".join(write(request) + "\n" for request in asked[hour * 500:(hour + 1) * 500]).encode()
        (folder / "part.gz").write_bytes(gzip.compress(text) if hour % 2 else text)  # a name says nothing
    report = store.import_(tmp_path / "cloudfront-realtime")
    assert (report["files"], report["accepted"], report["rejected"]) == (3, 1_500, 0)


def test_columns_in_another_order_are_refused_until_they_are_named(store, asked, tmp_path):
    log = tmp_path / "stream"
    log.write_text("".join(f"{one.status}\t{one.time}.5\t{one.method}\t{one.path()}\n" for one in asked[:100]))
    report = store.import_(log, options=["--format", "cloudfront"])
    assert (report["accepted"], report["rejected"]) == (0, 100)
    assert "name them in their order" in report["rejected_lines"][0]["reason"] or "time" in report["rejected_lines"][0]["reason"]
    report = store.import_(log, options=["--format", "cloudfront", "--columns", "sc-status timestamp cs-method cs-uri-stem"])
    assert (report["accepted"], report["rejected"]) == (100, 0)


def test_columns_that_name_no_time_are_refused_before_anything_is_read(store, command, tmp_path):
    (log := tmp_path / "log").write_text("200\n")
    finished = command.run(*store.import_arguments(log, options=["--columns", "sc-status cs-method cs-uri-stem"]))
    assert finished.exit_code != 0 and b"timestamp" in finished.err
    assert not Path(store.folder).exists() or not store.files()
