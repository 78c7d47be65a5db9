# SPDX-License-Identifier: Apache-2.0
"""Makes buckets, which is none of the library's business, with a signature of its own."""
from __future__ import annotations

import hashlib
import hmac
import urllib.request
from datetime import datetime, timezone
from urllib.parse import urlsplit

EMPTY = hashlib.sha256(b"").hexdigest()


def sign(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def make_bucket(endpoint: str, name: str, access_key: str, secret_key: str, region: str = "us-east-1") -> None:
    now = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{now[:8]}/{region}/s3/aws4_request"
    host = urlsplit(endpoint).netloc
    signed = {"host": host, "x-amz-content-sha256": EMPTY, "x-amz-date": now}
    names = ";".join(signed)
    canonical = "\n".join(["PUT", f"/{name}", "", *(f"{key}:{value}" for key, value in signed.items()), "", names, EMPTY])
    to_sign = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{secret_key}".encode()
    for part in scope.split("/"):
        key = sign(key, part)
    signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    authorization = f"AWS4-HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    request = urllib.request.Request(f"{endpoint}/{name}", method="PUT", data=b"",
                                     headers={**signed, "Authorization": authorization})
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 200
