# SPDX-License-Identifier: Apache-2.0
"""For web services: a middleware that records requests, and applications that answer admin questions and for the Python
cache service.

    from memfs_cache.fastapi import Analytics_Middleware, admin_app, cache_app

    app.add_middleware(Analytics_Middleware, cache=cache)
    app.mount("/admin", admin_app(cache, admin_key=os.environ["MEMFS_CACHE_ADMIN_KEY"]))
    app.mount("/cache", cache_app(cache, key_name="x-api-key", key_value=os.environ["CACHE_KEY"]))

All are pure ASGI: they work under FastAPI, Starlette and any other host. `pip install memfs_cache[fastapi]`.
"""
from __future__ import annotations

import logging
import os
from functools import partial
from time import perf_counter_ns
from typing import Any, Awaitable, Callable, MutableMapping
from urllib.parse import quote

import anyio
import anyio.to_thread

from . import _core
from .cache_service import Cache_Service

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_log = logging.getLogger("memfs_cache")


class Analytics_Middleware:
    """Records every HTTP request that the application serves: what was really sent, and how long it took.

    Streaming, background tasks, websockets and lifespan messages pass as they are. A request is never failed by its
    recording, and waits for it only with recording="per_request": then the event is stored before the response ends,
    for hosts that freeze the process afterwards. An application that raises is recorded as 500.

    cache      its options say what is recorded: trusted_proxies, exclude_paths, visitor_key, recording.
    namespace  of the analytics.

    Where FastAPI knows the route, its template (/users/{id}) is recorded instead of the path. At the start of the
    application what the first request would wait for is prepared, and at its end everything is flushed.
    """

    def __init__(self, app: App, cache: Cache_Service, namespace: str = Cache_Service.NS_ANALYTICS) -> None:
        self.app = app
        self._cache = cache
        self._analytics = cache.analytics(namespace)
        self._before_end = cache.recording == "per_request"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._serve(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = perf_counter_ns()
        mount = scope.get("root_path", "")
        status, size, content_type = 500, 0, ""  # 500 is what a client sees when the application raises
        recorded = False

        async def record() -> None:
            nonlocal recorded
            if recorded:
                return
            recorded = True
            duration_us = (perf_counter_ns() - started) // 1000
            client = scope.get("client")
            work = partial(
                self._analytics.record_request,
                scope["method"],
                scope.get("raw_path") or scope["path"],
                status,
                0 if scope["method"] == "HEAD" else size,
                duration_us,
                client[0] if client else "",
                scope["headers"],
                content_type=content_type,
                route=_route_of(scope, mount),
            )
            try:
                if self._analytics.recording_may_wait():
                    with anyio.CancelScope(shield=True):
                        await anyio.to_thread.run_sync(work)
                else:
                    work()
            except Exception:
                _log.exception("a request was not recorded")

        async def watch(message: Message) -> None:
            nonlocal status, size, content_type
            kind, is_last = message["type"], False
            if kind == "http.response.start":
                status = message["status"]
                content_type = _content_type(message)
            elif kind == "http.response.body":
                size += len(message.get("body", b""))
                is_last = not message.get("more_body", False)
            elif kind == "http.response.pathsend":
                size += os.path.getsize(message["path"])
                is_last = True
            if is_last and self._before_end:
                await record()
            await send(message)
            if is_last:
                await record()

        try:
            await self.app(scope, receive, watch)
        finally:
            await record()  # nothing is left to do after a response that ended

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def watch(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                await _try(self._analytics.prepare)
            elif message["type"].startswith("lifespan.shutdown."):
                await _try(self._cache.flush)
            await send(message)

        await self.app(scope, receive, watch)


def admin_app(cache: Cache_Service, admin_key: str, body_limit: int = 1 << 20) -> App:
    """The admin routes of a service, with the same answers as the bundled server's, below any prefix.

    admin_key   every route but /health needs it, as X-API-Key or Authorization: Bearer. Raises Invalid_Argument for an
                empty one: there is no way to leave the routes open.
    body_limit  bytes of a request's body; more gives 413.
    """
    return _Api_App(_core.Admin_Api(cache, admin_key, body_limit), body_limit)


def cache_app(
    cache: Cache_Service,
    key_name: str | None = None,
    key_value: str | None = None,
    strict_compat: bool = True,
    body_limit: int = 16 << 20,
) -> App:
    """The HTTP API of the Python cache service on the entries of a service, for its clients; docs/migration.md says what
    differs. Paths in its answers are those of an application that is not mounted.

    key_name       of the header or cookie that requests carry; with neither name nor value anybody may ask, with one of them
                   nobody.
    key_value      of it.
    strict_compat  answers also as that service has them where they mislead: sizes that are zero, counts of everything.
    body_limit     bytes of a request's body; more gives 413.
    """
    return _Api_App(_core.Cache_Api(cache, key_name, key_value, strict_compat, body_limit), body_limit)


class _Api_App:
    def __init__(self, api: _core.Admin_Api | _core.Cache_Api, body_limit: int) -> None:
        self._api = api
        self._body_limit = body_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._answer(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000})
        else:
            raise NotImplementedError("the application has no lifespan of its own")

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _read_body(receive, self._body_limit)
        if body is None:
            return  # the client has gone
        client = scope.get("client")
        ask = partial(
            self._api, scope["method"], _target_below_mount(scope), scope["headers"], body, client[0] if client else ""
        )
        status, headers, content = await anyio.to_thread.run_sync(ask)
        lines = [(name.lower(), value) for name, value in headers]
        lines.append((b"content-length", b"%d" % len(content)))
        await send({"type": "http.response.start", "status": status, "headers": lines})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else content})


def _route_of(scope: Scope, mount: str) -> str:
    """The template of the route, below the mounts that led to it; "" where nobody knows it."""
    template = getattr(scope.get("route"), "path", "")
    return scope.get("root_path", "")[len(mount) :] + template if template else ""


def _content_type(message: Message) -> str:
    for name, value in message.get("headers", ()):
        if name.lower() == b"content-type":
            return str(value, "latin-1")
    return ""


async def _try(work: Callable[[], None]) -> None:
    """Does what must not keep an application from starting or ending."""
    try:
        await anyio.to_thread.run_sync(work)
    except Exception:
        _log.exception("the storage of memfs_cache has a problem; events may wait for it")


def _target_below_mount(scope: Scope) -> bytes:
    """The request target that the application would see if it were alone."""
    path, mount = scope["path"], scope.get("root_path", "").rstrip("/")
    raw = scope.get("raw_path") or quote(path).encode()
    if mount and path.startswith(mount):
        raw = b"/" + b"/".join(raw.split(b"/")[mount.count("/") + 1 :])
    query = scope.get("query_string", b"")
    return raw + b"?" + query if query else raw


async def _read_body(receive: Receive, limit: int) -> bytes | None:
    """The body, or a little more than the limit of one that is too large; None if the client went away."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if len(body) > limit or not message.get("more_body", False):
            return bytes(body)
