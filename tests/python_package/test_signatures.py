# SPDX-License-Identifier: Apache-2.0
"""The known answers of tests/vectors/sigv4_botocore.json are botocore's. Run as a program, `python3
tests/python_package/test_signatures.py`, this writes the file anew; tests/cpp/net compares our own signer with it."""
import datetime
import json
import random
from pathlib import Path
from urllib.parse import quote

import botocore
import pytest
from botocore import auth, awsrequest, credentials

TABLE = Path(__file__).resolve().parents[1] / "vectors" / "sigv4_botocore.json"
LETTERS = "abAB09-._~ +:@!$&'()*,;=%/?#é水\U0001f600"


def text(chance: random.Random, longest: int) -> str:
    return "".join(chance.choice(LETTERS) for _ in range(chance.randint(0, longest)))


def request(chance: random.Random) -> dict:
    """One that a client of S3 could send: path and query encoded, the query in any order."""
    path = "/bucket/" + quote(text(chance, 20), safe="/-._~")
    if chance.random() < 0.2:
        path += chance.choice(["//", "/../x", "/./", "%2Fx"])
    query = [quote(text(chance, 6) or "n", safe="-._~") + "=" + quote(text(chance, 6), safe="-._~")
             for _ in range(chance.choice([0, 0, 1, 3]))]
    query += [name for name in ("uploads", "delete", "lifecycle") if chance.random() < 0.2]
    chance.shuffle(query)
    headers = [["x-amz-meta-a", " two  words "], ["x-amz-meta-a-b", "v"], ["X-Amz-Meta", "first"],
               ["If-Match", '"etag"'], ["if-none-match", "*"], ["Content-Type", "application/json; charset=utf-8"],
               ["Content-MD5", "abc=="], ["If-Range", '"etag"'], ["Range", "bytes=0-9"]]
    host = chance.choice(["bucket.example.com", "127.0.0.1:9000", "[::1]:9000", "example.com:8443"])
    return {
        "method": chance.choice(["GET", "PUT", "HEAD", "DELETE", "POST"]),
        "target": path + ("?" + "&".join(query) if query else ""),
        "headers": [header for header in headers if chance.random() < 0.4],
        "body": chance.choice(["", text(chance, 40)]),
        "host": host,
        "region": chance.choice(["us-east-1", "eu-central-1"]),
        "access_key_id": "AKIDEXAMPLE",
        "secret_access_key": chance.choice(["wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "another/secret+key"]),
        "session_token": chance.choice(["", "", "token//with+signs=="]),
        "now_ms": chance.randrange(1_400_000_000, 4_000_000_000) * 1000,
    }


def authorization(case: dict) -> str:
    """What botocore's signer for S3 answers."""
    now = datetime.datetime.fromtimestamp(case["now_ms"] / 1000, datetime.timezone.utc)
    made = awsrequest.AWSRequest(method=case["method"], url=f"http://{case['host']}{case['target']}",
                                 data=case["body"].encode(), headers=dict(case["headers"]))
    keys = credentials.Credentials(case["access_key_id"], case["secret_access_key"], case["session_token"] or None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(auth, "get_current_datetime", lambda *_: now)
        auth.S3SigV4Auth(keys, "s3", case["region"]).add_auth(made)
    return made.headers["Authorization"]


def cases() -> list[dict]:
    chance = random.Random(20130524)
    made = [request(chance) for _ in range(120)]
    return [{**case, "authorization": authorization(case)} for case in made]


def test_the_table_is_what_botocore_answers():
    assert json.loads(TABLE.read_text(encoding="utf-8"))["cases"] == cases()


def test_the_table_holds_what_has_gone_wrong_elsewhere():
    requests = json.loads(TABLE.read_text(encoding="utf-8"))["cases"]
    targets = " ".join(case["target"] for case in requests)
    assert all(part in targets for part in ("%2B", "%3A", "%40", "%21", "%2F", "uploads", "%F0%9F%98%80", "//", "/../"))
    for names in ({"x-amz-meta-a", "x-amz-meta-a-b"}, {"If-Range", "Range"}):  # one begins or ends with the other
        assert any(names <= {name for name, _ in case["headers"]} for case in requests)
    assert any(case["session_token"] for case in requests) and any(not case["body"] for case in requests)


if __name__ == "__main__":
    origin = f"made by running botocore {botocore.__version__} (S3SigV4Auth) in tests/python_package/test_signatures.py"
    lines = ",\n".join(json.dumps(case) for case in cases())
    TABLE.write_text(f'{{"source": {json.dumps(origin)}, "cases": [\n{lines}\n]}}\n', encoding="utf-8")
    print(f"wrote {TABLE}")
