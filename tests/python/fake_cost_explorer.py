# SPDX-License-Identifier: Apache-2.0
"""AWS Cost Explorer on loopback: answers GetCostAndUsage by day and service, checks each signature, breaks down on order."""
from __future__ import annotations

import hashlib
import hmac
import json
import threading
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Callable

KEY_ID, SECRET, SESSION = "FAKEKEYID", "fake/secret+key", "FAKE+SESSION/TOKEN"
ENVIRONMENT = {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_SESSION_TOKEN": SESSION}


def sha256(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


def signature(headers: dict[str, str], names: str, body: bytes, scope: str, secret: str) -> str:
    """What Signature Version 4 makes of a POST to /."""
    canonical = "\n".join(["POST", "/", "", *(f"{name}:{' '.join(headers[name].split())}" for name in names.split(";")), "",
                           names, sha256(body)])
    to_sign = "\n".join(["AWS4-HMAC-SHA256", headers["x-amz-date"], scope, sha256(canonical.encode())])
    key = b"AWS4" + secret.encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, to_sign.encode(), "sha256").hex()


class Fake_Cost_Explorer:
    """`costs` says what a day cost, service -> decimal text; `script` answers in place of the service, or gives None."""

    def __init__(self, results_a_page: int = 40) -> None:
        self.costs: Callable[[date], dict[str, str]] = lambda day: {"Amazon Simple Storage Service": "1.5"}
        self.estimated: Callable[[date], bool] = lambda day: False
        self.script: Callable[[int], tuple[int, dict] | None] = lambda number: None
        self.results_a_page = results_a_page
        self.asked: list[dict] = []  # what was asked for, each page and each try
        self.server_ = ThreadingHTTPServer(("127.0.0.1", 0), self.handler_())
        self.thread_ = threading.Thread(target=self.server_.serve_forever)
        self.thread_.start()
        self.url = f"http://127.0.0.1:{self.server_.server_address[1]}"

    def stop(self) -> None:
        self.server_.shutdown()
        self.thread_.join()
        self.server_.server_close()

    def periods(self) -> list[tuple[str, str]]:
        """The periods asked for, first pages only."""
        return [(one["TimePeriod"]["Start"], one["TimePeriod"]["End"]) for one in self.asked if "NextPageToken" not in one]

    def handler_(self) -> type[BaseHTTPRequestHandler]:
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, answer = service.answer_({name.lower(): value for name, value in self.headers.items()}, self.path, body)
                text = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/x-amz-json-1.1")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_) -> None:
                pass

        return Handler

    def answer_(self, headers: dict[str, str], path: str, body: bytes) -> tuple[int, dict]:
        refused = self.refusal_(headers, path, body)
        if refused:
            return 400, {"__type": refused, "message": "no"}
        self.asked.append(json.loads(body))
        scripted = self.script(len(self.asked))
        return scripted or (200, self.page_(self.asked[-1]))

    def refusal_(self, headers: dict[str, str], path: str, body: bytes) -> str:
        if path != "/" or headers.get("x-amz-target") != "AWSInsightsIndexService.GetCostAndUsage":
            return "UnknownOperationException"
        if headers.get("content-type") != "application/x-amz-json-1.1":
            return "SerializationException"
        algorithm, _, rest = headers.get("authorization", "").partition(" ")
        parts = dict(part.strip().split("=", 1) for part in rest.split(",") if "=" in part)
        key_id, _, scope = parts.get("Credential", "").partition("/")
        names = parts.get("SignedHeaders", "")
        if algorithm != "AWS4-HMAC-SHA256" or key_id != KEY_ID or headers.get("x-amz-security-token") != SESSION:
            return "UnrecognizedClientException"
        good_scope = f"{headers['x-amz-date'][:8]}/us-east-1/ce/aws4_request"
        needed = {"host", "x-amz-date", "x-amz-target", "x-amz-security-token", "content-type"}
        if scope != good_scope or not needed <= set(names.split(";")):
            return "InvalidSignatureException"
        if not hmac.compare_digest(parts.get("Signature", ""), signature(headers, names, body, scope, SECRET)):
            return "InvalidSignatureException"
        return ""

    def page_(self, asked: dict) -> dict:
        assert asked["Granularity"] == "DAILY" and asked["GroupBy"] == [{"Type": "DIMENSION", "Key": "SERVICE"}]
        start, end = (date.fromisoformat(asked["TimePeriod"][name]) for name in ("Start", "End"))
        first = start + timedelta(days=int(asked.get("NextPageToken", "0")))
        last = min(first + timedelta(days=self.results_a_page), end)
        metric = asked["Metrics"][0]
        results = []
        for offset in range((last - first).days):
            day = first + timedelta(days=offset)
            groups = [{"Keys": [name], "Metrics": {metric: {"Amount": amount, "Unit": "USD"},
                                                   "UsageQuantity": {"Amount": "2", "Unit": "N/A"}}}
                      for name, amount in self.costs(day).items()]
            results.append({"TimePeriod": {"Start": day.isoformat(), "End": (day + timedelta(days=1)).isoformat()},
                            "Total": {}, "Groups": groups, "Estimated": self.estimated(day)})
        page = {"GroupDefinitions": asked["GroupBy"], "ResultsByTime": results}
        return page if last == end else {**page, "NextPageToken": str((last - start).days)}
