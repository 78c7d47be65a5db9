# SPDX-License-Identifier: Apache-2.0
"""Uses every public name as its types say; run by a test, and checked by mypy --strict."""
from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import memfs_cache
from memfs_cache import (
    Active_Transfer,
    Active_Transfers,
    Already_Exists,
    Analytics,
    Analytics_Event,
    Budget,
    Cache_Error,
    Cache_Hash,
    Cache_Id,
    Cache_Service,
    Closed,
    Collect_Report,
    Conflict,
    Corrupt_Data,
    Cost_Alert,
    Cost_Entry,
    Cost_Import_Report,
    Cost_Report,
    Costs,
    Data_File,
    Entry_Metadata,
    Entry_Store,
    Indeterminate,
    Internal,
    Invalid_Argument,
    Manual_Clock,
    No_Space,
    Not_Found,
    Permission_Denied,
    Pulse,
    Recent_Event,
    Retrieved,
    Series_Row,
    Storage,
    Storage_Disk,
    Storage_Memory,
    Storage_Python,
    Storage_S3,
    Storage_Sqlite,
    Stored,
    Stored_Data,
    Throttled,
    Timed_Out,
    Token,
    Token_Event,
    Token_Figures,
    Token_Use,
    Tokens,
    Too_Large,
    Transfer_Event,
    Transfer_Figures,
    Transfer_Summary,
    Transfers,
    Transfers_Window,
    Unavailable,
    Unsupported,
    Updated,
    Window_Summary,
    open_storage,
)
from memfs_cache.fastapi import Analytics_Middleware, admin_app, cache_app

NOON = datetime(2026, 2, 13, 12, tzinfo=timezone.utc)
MINUTE = timedelta(minutes=1)


def storages(folder: str) -> list[Storage]:
    storage: Storage = Storage_Disk(folder)
    storage.write("a", b"1")
    found: bytes | None = storage.read("a")
    there: bool = storage.exists("a") and storage.delete("a")
    paths: list[str] = storage.files_list("")
    counts: dict[str, int] = storage.counters()
    assert (found, there, paths, counts["writes"]) == (b"1", True, [], 1)

    class Files:
        files: dict[str, bytes] = {}

        def file__bytes(self, path: str) -> bytes | None:
            return self.files.get(path)

        def file__save(self, path: str, data: bytes) -> bool:
            self.files[path] = data
            return True

        def file__delete(self, path: str) -> bool:
            return self.files.pop(path, None) is not None

        def files__paths(self) -> list[str]:
            return list(self.files)

    bucket: Callable[[], Storage] = lambda: Storage_S3("files", "below", endpoint_url="http://127.0.0.1", region="eu-west-1")
    assert callable(bucket)  # there is no server to open it
    database = Storage_Sqlite(f"{folder}/files.db")
    database.backup(f"{folder}/copy.db")
    return [storage, Storage_Memory(), Storage_Python(Files()), database, open_storage("memory:")]


def hashes(cache: Cache_Service) -> None:
    generator: Cache_Hash = cache.hash_generator
    texts: list[str] = [
        Cache_Hash("md5", 32).from_string("a"),
        generator.from_bytes(b"a"),
        generator.from_json({"a": 1, "b": 2}, exclude_fields=["b"]),
        generator.from_json_field({"a": {"b": 1}}, "a.b"),
        Cache_Id.new(),
        cache.resolve_cache_hash("a"),
        cache.create_cache_entry("ns", "a"),
    ]
    assert cache.lookup_by_hash("ns", texts[5], "a") == texts[6]


def entries(cache: Cache_Service) -> None:
    store: Entry_Store = cache.entries
    stored: Stored = store.store("ns", "key_based", {"a": 1}, cache_key="k", file_id="f")
    found: Retrieved | None = store.retrieve("ns", stored.cache_id)
    assert found is not None and found == store.retrieve_by_hash("ns", stored.cache_hash)
    metadata: Entry_Metadata = found.metadata
    updated: Updated = store.update("ns", metadata.cache_id, ["other"])
    child: Stored_Data = store.data_store("ns", updated.cache_id, "text", data_key="k", data_file_id="f")
    store.data_update("ns", child.cache_id, "more", "f", data_key="k")
    data: Any = store.data_retrieve("ns", child.cache_id, "string", "f", "k")
    files: list[Data_File] = store.data_list("ns", child.cache_id)
    assert data == "more" and len(files) == 1
    assert store.data_delete("ns", child.cache_id, "string", "f", "k")
    assert store.data_delete_all("ns", child.cache_id) == []
    assert store.exists("ns", cache_id=stored.cache_id) and store.delete("ns", stored.cache_id)
    entry: str = store.create("ns", {"x": 1})
    assert store.lookup("ns", store.hash_of_source({"x": 1}), {"x": 1}) == entry
    assert cache.write_temporal("ns", None, {"a": 1}, "a.json") and cache.read_latest("ns", None, "a.json") == {"a": 1}


def analytics(cache: Cache_Service) -> None:
    handler: Analytics = cache.add_namespace("site-x", Analytics)
    handler.prepare()
    event = Analytics_Event(event_type="page_view", path="/", timestamp=NOON, plan="free")
    ids: list[str] = [handler.record(event), *handler.record_many([event, {"event_type": "page_view"}])]
    ids.append(handler.record_request("GET", "/", 200, 10, 100, headers={"user-agent": "x"}, timestamp=NOON, route="/"))
    assert len(set(ids)) == 4 and not handler.recording_may_wait()
    pulse: Pulse = handler.pulse(window_minutes=5)
    recent: Recent_Event = pulse.recent_events[0]
    window: Window_Summary = handler.aggregation("daily", "2026-02-13")
    assert handler.latest("daily").total_requests == handler.rebuild("daily", "2026-02-13").total_requests == 4
    assert recent.path in window.top_paths and window.to_dict()["total_requests"] == 4
    assert handler.aggregation("daily", "2026-02-13", {"path": ["/", "!/a/*"], "status": 200}).total_requests == 1
    rows: list[Series_Row] = handler.series(NOON, NOON + MINUTE, "daily", "Europe/Lisbon", filters={"path": "/*"}, compare="previous")
    previous: Window_Summary | None = rows[0].previous
    assert previous is None and rows[0].total_requests == 3 and rows[0].to_dict()["previous"] is None
    visitor: str = handler.visitor_hash("203.0.113.7", NOON)
    fields: list[object] = [
        event.event_id, event.event_type, event.timestamp, event.source, event.path, event.method, event.status_code,
        event.duration_ms, event.ip_hash, event.user_agent_normalised, event.country, event.referrer_domain,
        event.content_bytes, event.transfer_id, event.token_id, event.bot, event.extra,
    ]
    assert len(visitor) == 16 and len(fields) == 17
    assert cache.record_analytics_event({"event_type": "page_view"})
    assert cache.compute_pulse().active_requests == 1
    assert cache.compute_aggregation("analytics", "daily", "2026-02-13").total_requests == 1


def tokens(cache: Cache_Service) -> None:
    handler: Tokens = cache.tokens
    token: Token = handler.create("a", 2, created_by="ann", expires_at=datetime(2030, 1, 1, tzinfo=timezone.utc))
    use: Token_Use = handler.use(token.token_name, action_id="once")
    assert use.success and handler.check("a").success and handler.lookup("b") is None
    events: list[Token_Event] = handler.events("a")
    figures: Token_Figures = handler.aggregation("a", "daily", "2026-02-13")
    assert len(events) == figures.accepted == 1
    assert handler.set_limit("a", 1).status == "exhausted" and handler.reactivate("a", 5).status == "active"
    assert handler.revoke("a").status == "revoked" and len(handler.list()) == 1
    assert handler("beta").lookup("a") is None and cache.add_namespace("beta", Tokens).list() == []
    cache.create_token("b", 1)
    assert cache.use_token("b").success and cache.lookup_token("b") and cache.revoke_token("b") and cache.list_tokens()


def transfers(cache: Cache_Service) -> None:
    handler: Transfers = cache.transfers
    ids: list[str] = [handler.record("a1", act, NOON - MINUTE) for act in ("created", "upload_completed", "viewed")]
    ids.append(handler.record("a1", "downloaded", ip="203.0.113.7", country="GB", content_bytes=9, token_id="t", path="/a1",
                              method="GET", user_agent="x", ip_hash=""))
    summary: Transfer_Summary = handler.summary("a1")
    event: Transfer_Event = summary.events[0]
    assert len(set(ids)) == 4 and summary.total_views == 1 and summary.active_countries == {"GB": 1}
    assert handler.events("a1", limit=1) == [event] and event.to_dict()["event_type"] == "downloaded"
    active: Active_Transfers = handler.active(window_minutes=5)
    row: Active_Transfer = active.transfers[0]
    window: Transfers_Window = handler.aggregation("daily", "2026-02-13")
    figures: Transfer_Figures = window.transfers[0]
    assert row.downloads == figures.unique_downloaders == window.total_uploads == 1
    assert handler("site-x").active().transfers == []


def costs(cache: Cache_Service) -> None:
    handler: Costs = cache.costs
    assert handler.record(Cost_Entry("2026-02-12", "S3", "1.5")) and handler.record(Cost_Entry(NOON.date(), "S3", 2, region="x"))
    entries: list[Cost_Entry] = handler.entries("2026-02-12")
    budget: Budget = handler.set_budget("all", Decimal("3.50"), thresholds=[100], service="S3")
    alerts: list[Cost_Alert] = handler.alerts(limit=10)
    assert [entry.amount_usd for entry in entries] == ["1.5"] and alerts[0].budget == budget.name
    document: dict[str, Any] = {"ResultsByTime": []}
    report: Cost_Import_Report = handler.import_file(document, metric="AmortizedCost")
    assert report.days == 0 and handler.budgets() == [budget] and handler.remove_budget("all")
    window: Cost_Report = handler.aggregation("daily", "2026-02-12")
    assert window.total_cost_usd == 1.5 and handler.current().total_cost_nanos == 3_500_000_000
    try:  # to ask AWS takes keys, and costs
        collected: Collect_Report = handler.collect(backfill_days=401, reread_days=0, metric="UnblendedCost")
        assert collected.asked_from is None and collected.asked_until is None and collected.days == 0
    except Invalid_Argument:
        pass
    assert handler("lab").entries(NOON.date()) == [] and cache.add_namespace("lab", Costs).budgets() == []


def errors() -> list[type[Cache_Error]]:
    every: list[type[Cache_Error]] = [
        Already_Exists, Closed, Conflict, Corrupt_Data, Indeterminate, Internal, Invalid_Argument, No_Space, Not_Found,
        Permission_Denied, Throttled, Timed_Out, Too_Large, Unavailable, Unsupported,
    ]
    try:
        raise Not_Found("why")
    except Cache_Error as error:
        assert (error.code, error.context) == ("not_found", "why")
    return every


def main(folder: str) -> None:
    clock = Manual_Clock(NOON)
    clock.set(clock.now())
    clock.advance(0)
    for storage in storages(folder)[:2]:
        with Cache_Service(storage_fs=storage, clock=clock, id_generator=Cache_Id.new, recording="buffered",
                           flush_interval_ms=50, trusted_proxies=["10.0.0.0/8"], exclude_paths="/health", accept_credits=False,
                           costs_endpoint_url="", costs_region="us-east-1") as cache:
            cache.setup_namespaces()
            for use in (hashes, entries, analytics, tokens, transfers, costs):
                use(cache)
            cache.flush()
            cache.hold("analytics", "court", "asked", start=NOON, end=None)
            assert cache.holds("analytics") and cache.release_hold("analytics", "court")
            assert cache.purge(namespace=None, dry_run=True, raw_days=1, windows_days=0, by="ann")
            assert cache.rebuild("analytics", NOON, clock.now(), dry_run=True) and cache.refresh_due(limit=1)
            assert cache.health()["status"] == "ok" and "analytics" in cache.namespaces()
            assert cache.storage_fs is storage and cache.recording == "buffered"
            assert Analytics_Middleware(admin_app(cache, admin_key="key"), cache=cache)
            assert callable(cache_app(cache, key_name="x-api-key", key_value="key", strict_compat=False, body_limit=1000))
    assert len(errors()) == 15
    print(memfs_cache.__version__)


if __name__ == "__main__":
    main(sys.argv[1])
