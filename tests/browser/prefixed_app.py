# SPDX-License-Identifier: Apache-2.0
"""prefixed_app.py STORAGE_URL KEY SHARE_URL_BASE TOKENS: a FastAPI application with the admin routes below /behind/admin, and
so many tokens, row-000000 and on. Prints its port of loopback."""
import socket
import sys

import fastapi
import uvicorn

from memfs_cache import Cache_Service, open_storage
from memfs_cache.fastapi import Analytics_Middleware, admin_app

storage_url, key, share_url_base, tokens = sys.argv[1:]
with Cache_Service(open_storage(storage_url), share_url_base=share_url_base,
                   exclude_paths=["/behind/admin/*"]) as cache:
    for number in range(int(tokens)):
        cache.tokens.create(f"row-{number:06}", 5)
    app = fastapi.FastAPI()
    app.add_middleware(Analytics_Middleware, cache=cache)
    app.mount("/behind/admin", admin_app(cache, admin_key=key))
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=5)).run(sockets=[listener])
