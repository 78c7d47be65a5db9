# SPDX-License-Identifier: Apache-2.0
"""A small file drop: whoever has an invitation token may upload, everybody may read, and every request is recorded.

    pip install memfs_cache[fastapi] uvicorn
    MEMFS_CACHE_STORAGE=disk:./data MEMFS_CACHE_ADMIN_KEY=... uvicorn app:app

Then, with the admin key as X-API-Key: POST /admin/tokens/create makes a token, and GET /admin/analytics/pulse,
GET /admin/analytics/daily/2026-02-13 and GET /admin/openapi.json say what happens.
"""
import os
from typing import Annotated
from uuid import UUID

from fastapi import Body, FastAPI, Header, HTTPException, Response

from memfs_cache import Cache_Service, open_storage
from memfs_cache.fastapi import Analytics_Middleware, admin_app

storage = open_storage(os.environ.get("MEMFS_CACHE_STORAGE", "memory:"))
cache = Cache_Service(storage_fs=storage, exclude_paths=["/admin/*"])

app = FastAPI(title="File drop")
app.add_middleware(Analytics_Middleware, cache=cache)
app.mount("/admin", admin_app(cache, admin_key=os.environ["MEMFS_CACHE_ADMIN_KEY"]))


@app.put("/files/{name}", status_code=201)
def upload(name: str, x_access_token: Annotated[str, Header()], data: Annotated[bytes, Body()]) -> dict[str, str]:
    use = cache.tokens.use(x_access_token, action="upload")
    if not use.success:
        raise HTTPException(403, use.rejection_reason)
    stored = cache.entries.store("files", "key_based", data, cache_key=name)
    return {"id": stored.cache_id, "hash": stored.cache_hash}


@app.get("/files/{cache_id}")
def download(cache_id: UUID) -> Response:
    found = cache.entries.retrieve("files", str(cache_id))
    if found is None:
        raise HTTPException(404, "there is no such file")
    return Response(found.data, media_type="application/octet-stream")
