# SPDX-License-Identifier: Apache-2.0
"""The middleware: what it records of each kind of answer, and that it changes none of them."""
from __future__ import annotations

import asyncio
import threading
from typing import Any

import fastapi
import pytest
import starlette.applications
import starlette.background
import starlette.responses
import starlette.routing
from conftest import Conditional_Files
from fastapi.testclient import TestClient

from memfs_cache import Cache_Service, Manual_Clock, Storage_Disk, Storage_Python, Window_Summary
from memfs_cache.fastapi import Analytics_Middleware


@pytest.fixture
def cache() -> Cache_Service:
    return Cache_Service(exclude_paths=["/health"], trusted_proxies="192.0.2.0/24")


@pytest.fixture
def app(cache: Cache_Service) -> fastapi.FastAPI:
    app = fastapi.FastAPI()
    app.add_middleware(Analytics_Middleware, cache=cache)

    @app.get("/users/{name}")
    def user(name: str) -> dict[str, str]:
        return {"name": name}

    @app.get("/page", response_class=fastapi.responses.HTMLResponse)
    def page() -> str:
        return "<p>page</p>"

    @app.get("/health")
    def health() -> None: ...

    @app.get("/stream")
    def stream() -> fastapi.responses.StreamingResponse:
        return fastapi.responses.StreamingResponse((b"x" * 100 for _ in range(7)), media_type="text/html")

    @app.get("/boom")
    def boom() -> None:
        raise RuntimeError("boom")

    @app.get("/half")
    def half() -> fastapi.responses.StreamingResponse:
        def parts() -> Any:
            yield b"x" * 10
            raise RuntimeError("half")
        return fastapi.responses.StreamingResponse(parts(), status_code=202)

    @app.websocket("/socket")
    async def socket(websocket: fastapi.WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(await websocket.receive_text() + "!")
        await websocket.close()

    below = fastapi.FastAPI()

    @below.get("/orders/{order}")
    def order(order: int) -> int:
        return order

    app.mount("/shop", below)
    return app


@pytest.fixture
def client(app: fastapi.FastAPI) -> TestClient:
    return TestClient(app, raise_server_exceptions=False, client=("203.0.113.7", 1234))


def seen(cache: Cache_Service) -> Window_Summary:
    return cache.analytics.latest("yearly")


def test_route_templates_are_recorded_and_paths_where_nobody_knows_the_route(client, cache):
    for target in ("/users/ann?secret=1", "/users/bob", "/shop/orders/7", "/shop/orders/8", "/nowhere/x?secret=1"):
        client.get(target)
    assert seen(cache).top_paths == {"/shop/orders/{order}": 2, "/users/{name}": 2, "/nowhere/x": 1}
    assert seen(cache).status_codes == {"200": 4, "404": 1}


def test_the_prefix_of_a_proxy_is_no_part_of_a_route(app, cache):
    client = TestClient(app, root_path="/behind/proxy")
    client.get("/behind/proxy/users/ann")
    client.get("/behind/proxy/shop/orders/7")
    assert set(seen(cache).top_paths) == {"/shop/orders/{order}", "/users/{name}"}


def test_status_bytes_type_and_client_are_those_that_were_really_sent(client, cache):
    page = client.get("/page", headers={"user-agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/121.0",
                                        "referer": "https://news.example.org/a"})
    client.get("/page", headers={"x-forwarded-for": "198.51.100.4"})  # of no trusted proxy: the same client
    year = seen(cache)
    assert (year.page_views, year.unique_visitors, year.total_bytes) == (2, 1, 2 * len(page.content))
    assert year.top_referrers == {"news.example.org": 1} and "Firefox on Linux" in year.top_user_agents


def test_a_trusted_proxy_is_believed_about_its_client(app, cache):
    client = TestClient(app, client=("192.0.2.1", 1))
    for address in ("198.51.100.4", "198.51.100.5"):
        client.get("/page", headers={"x-forwarded-for": address})
    assert seen(cache).unique_visitors == 2


def test_a_stream_is_one_request_with_all_its_bytes(client, cache):
    assert client.get("/stream").content == b"x" * 700
    assert (seen(cache).total_requests, seen(cache).total_bytes) == (1, 700)


def test_the_answer_to_head_has_no_bytes():
    cache = Cache_Service()

    async def page(request: Any) -> starlette.responses.Response:
        return starlette.responses.PlainTextResponse("text")

    app = starlette.applications.Starlette(routes=[starlette.routing.Route("/", page)])
    app.add_middleware(Analytics_Middleware, cache=cache)
    assert TestClient(app).head("/").headers["content-length"] == "4"
    assert (seen(cache).methods, seen(cache).total_bytes) == ({"HEAD": 1}, 0)


def test_an_application_that_raises_is_a_500_and_one_that_has_begun_keeps_its_status(client, cache):
    assert client.get("/boom").status_code == 500
    client.get("/half")
    year = seen(cache)
    assert year.status_codes == {"202": 1, "500": 1} and year.total_bytes == 10
    assert year.top_paths == {"/boom": 1, "/half": 1}


def test_the_duration_is_that_of_the_request(app, cache):
    @app.get("/slow")
    async def slow() -> None:
        await asyncio.sleep(0.02)

    TestClient(app).get("/slow")
    assert seen(cache).avg_duration_ms >= 20


def test_excluded_paths_websockets_and_lifespan_are_not_recorded(app, cache):
    with TestClient(app) as client:
        assert client.get("/health").status_code == 200
        with client.websocket_connect("/socket") as socket:
            socket.send_text("hi")
            assert socket.receive_text() == "hi!"
    assert cache.analytics.pulse().active_requests == 0


def test_background_tasks_run_after_the_response_and_are_no_part_of_it(cache):
    clock_before: list[int] = []

    async def later() -> None:
        clock_before.append(cache.analytics.pulse().active_requests)
        raise RuntimeError("in the background")

    async def page(request: Any) -> starlette.responses.Response:
        return starlette.responses.PlainTextResponse("x", background=starlette.background.BackgroundTask(later))

    app = starlette.applications.Starlette(routes=[starlette.routing.Route("/", page)])
    app.add_middleware(Analytics_Middleware, cache=cache)
    TestClient(app, raise_server_exceptions=False).get("/")
    assert clock_before == [1]  # recorded before the task began
    assert seen(cache).status_codes == {"200": 1}


def messages_of(app: Any, scope: dict[str, Any], received: list[dict[str, Any]]) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return received.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    return sent


def test_every_message_passes_as_it_is(cache):
    given = [{"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")], "trailers": True},
             {"type": "http.response.body", "body": b"x", "more_body": True},
             {"type": "http.response.debug", "info": {}},
             {"type": "http.response.body"},
             {"type": "http.response.trailers", "headers": []}]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in given:
            await send(message)

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}  # no client, no raw path, no root path
    sent = messages_of(Analytics_Middleware(app, cache), scope, [])
    assert all(one is other for one, other in zip(sent, given, strict=True))
    assert seen(cache).total_bytes == 1


def test_the_end_of_the_application_flushes_before_it_is_confirmed(tmp_path):
    cache = Cache_Service(Storage_Disk(tmp_path), flush_interval_ms=3_600_000)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    middleware = Analytics_Middleware(app, cache)
    cache.analytics.record({"event_type": "page_view"})
    sent = messages_of(middleware, {"type": "lifespan"}, [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    assert [message["type"] for message in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert list(tmp_path.glob("cache/analytics/data/salts/*.json")), "the salt of the day was not prepared"
    assert list(tmp_path.glob("cache/analytics/data/raw/**/*.jsonl")), "the event was not flushed"


def test_per_request_stores_the_event_before_the_response_ends(tmp_path):
    cache = Cache_Service(Storage_Disk(tmp_path), recording="per_request")
    stored_before_end: list[bool] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"x"})

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.body":
            stored_before_end.append(bool(list(tmp_path.glob("cache/analytics/data/raw/**/*.jsonl"))))

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    asyncio.run(Analytics_Middleware(app, cache)(scope, None, send))
    assert stored_before_end == [True]
    assert cache.analytics.pulse().active_requests == 1


def test_a_storage_that_blocks_holds_up_no_event_loop():
    blocked, leave = threading.Event(), threading.Event()

    class Slow(Conditional_Files):
        def file__save_if(self, path: str, data: bytes, version: str | None) -> str | None:
            blocked.set()
            if not leave.wait(20):
                held_up.append(path)
            return super().file__save_if(path, data, version)

    held_up: list[str] = []
    cache = Cache_Service(Storage_Python(Slow()))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"x"})

    async def main() -> None:
        ended = asyncio.Event()

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.body":
                ended.set()

        scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "client": ("203.0.113.7", 1)}
        request = asyncio.create_task(Analytics_Middleware(app, cache)(scope, None, send))
        await asyncio.wait_for(ended.wait(), 60)  # the client has its answer, while the storage blocks
        while not blocked.is_set():
            await asyncio.sleep(0.001)  # and the loop goes on
        leave.set()
        await asyncio.wait_for(request, 60)

    asyncio.run(main())
    cache.flush()
    assert cache.analytics.pulse().active_requests == 1
    assert not held_up, "the event loop waited for the storage"


def test_a_recording_that_fails_changes_no_answer(client, cache):
    client.get("/users/ann")
    cache.close()
    assert client.get("/users/ann").json() == {"name": "ann"}
    assert cache.health()["namespaces"]["analytics"]["lost_requests"] == 1


def test_the_namespace_can_be_chosen():
    cache = Cache_Service(clock=Manual_Clock(1_771_066_800_000))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    middleware = Analytics_Middleware(app, cache, namespace="site-x")
    messages_of(middleware, {"type": "http", "method": "GET", "path": "/", "headers": []}, [])
    assert cache.analytics("site-x").pulse().active_requests == 1
    assert cache.analytics.pulse().active_requests == 0
