# SPDX-License-Identifier: Apache-2.0
"""The service: everything of memfs_cache on one storage."""
from __future__ import annotations

import json
import weakref
from datetime import datetime
from multiprocessing import util
from types import TracebackType
from typing import Any, Callable, Iterable, overload

from . import _core
from .errors import Corrupt_Data, Invalid_Argument
from .types import Pulse, Token, Token_Use, Window_Summary

Time = int | datetime  # epoch milliseconds, or a datetime with a zone
Data = dict[str, Any] | list[Any] | str | bytes

_EXIT_SECONDS = 10.0  # that an ending interpreter waits for a storage


class Cache_Service(_core.Service):
    """Entries, analytics, tokens, transfers and costs on one storage; a context manager that closes at its end.

        with Cache_Service(storage_fs=Storage_Disk("./data")) as cache:
            cache.tokens.create("community-x", limit=10)

    storage_fs     a Storage; None for one in memory.
    root_prefix    everything lies below it; "" for the root itself.
    clock          a Manual_Clock in tests; None for the machine's.
    id_generator   gives the ids of entries; None for random ones.

    Options:
    recording            buffered (what a crash loses was recorded in the last flush_interval_ms), durable (nothing is
                         lost), per_request (nothing but by loss of power, and no thread works between requests) or off.
    flush_interval_ms    1 or more; 100, and 1000 in a bucket.
    buffer_bytes         waiting for the storage, beyond it the newest are refused; 64 MiB.
    grace_ms             after its end a window waits so long for late events; 600000. Fixed by the first writer.
    salt_period          day, week or month: how long a visitor keeps a hash; day. Fixed by the first writer.
    visitor_key          count visitors by ip, ip_ua or none.
    trusted_proxies      addresses and networks whose X-Forwarded-For is believed; nobody's.
    exclude_paths        paths that are not recorded, such as "/health" and "/static/*".
    keep_country         False: no country is stored, whoever gives one.
    summary_cache_bytes  of windows that are kept decoded; 64 MiB.
    share_url_base       what a token's name is put behind to make its share_url.
    accept_credits       True: costs may be below zero, as credits and refunds are.
    costs_endpoint_url   of the Cost Explorer that costs.collect() asks; Amazon's.
    costs_region         of that endpoint; us-east-1.

    A service that is not closed is when nothing refers to it, or the interpreter ends. After fork() a child goes on with
    its copy as a writer of its own, and leaves to its parent what the parent had buffered.
    """

    NS_ANALYTICS = "analytics"
    NS_TOKENS = "tokens"
    NS_COSTS = "costs"
    NS_TRANSFERS = "transfers"

    def __init__(
        self,
        storage_fs: _core.Storage | None = None,
        root_prefix: str = "cache",
        clock: _core.Manual_Clock | None = None,
        id_generator: Callable[[], str] | None = None,
        *,
        recording: str = "buffered",
        flush_interval_ms: int | None = None,
        buffer_bytes: int | None = None,
        grace_ms: int | None = None,
        salt_period: str | None = None,
        visitor_key: str = "ip",
        trusted_proxies: str | Iterable[str] | None = None,
        exclude_paths: str | Iterable[str] | None = None,
        keep_country: bool = True,
        summary_cache_bytes: int | None = None,
        share_url_base: str = "",
        accept_credits: bool = False,
        costs_endpoint_url: str = "",
        costs_region: str = "us-east-1",
    ) -> None:
        storage = _core.Storage_Memory() if storage_fs is None else storage_fs
        # First, since a traceback shows also what was never made.
        self._shown = f"Cache_Service(storage_fs={storage!r}, root_prefix={root_prefix!r})"
        super().__init__(
            storage,
            root_prefix,
            clock,
            id_generator,
            recording=recording,
            flush_interval_ms=flush_interval_ms,
            buffer_bytes=buffer_bytes,
            grace_ms=grace_ms,
            salt_period=salt_period,
            visitor_key=visitor_key,
            trusted_proxies=_words(trusted_proxies),
            exclude_paths=_words(exclude_paths),
            keep_country=keep_country,
            summary_cache_bytes=summary_cache_bytes,
            share_url_base=share_url_base,
            accept_credits=accept_credits,
            costs_endpoint_url=costs_endpoint_url,
            costs_region=costs_region,
        )
        self.recording = recording
        self._end = weakref.finalize(self, self._closer(_EXIT_SECONDS))
        util.register_after_fork(self, Cache_Service._close_with_child)

    def _close_with_child(self) -> None:
        """A child of multiprocessing ends without the usual end of an interpreter."""
        util.Finalize(self, self._closer(_EXIT_SECONDS), exitpriority=0)

    def __enter__(self) -> Cache_Service:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return self._shown

    @overload
    def add_namespace(self, name: str, handler: type[_core.Analytics]) -> _core.Analytics: ...
    @overload
    def add_namespace(self, name: str, handler: type[_core.Tokens]) -> _core.Tokens: ...
    @overload
    def add_namespace(self, name: str, handler: type[_core.Costs]) -> _core.Costs: ...
    def add_namespace(
        self, name: str, handler: type[_core.Analytics] | type[_core.Tokens] | type[_core.Costs]
    ) -> _core.Analytics | _core.Tokens | _core.Costs:
        """Opens a namespace with a handler, Analytics, Tokens or Costs, or gives the one that is open.

        Raises Invalid_Argument for what is no namespace name, and for a namespace that another kind of handler serves.
        """
        if handler is _core.Analytics:
            return self.analytics(name)
        if handler is _core.Tokens:
            return self.tokens(name)
        if handler is _core.Costs:
            return self.costs(name)
        raise TypeError("handler: give Analytics, Tokens or Costs")

    # Names of the original plan

    def resolve_cache_hash(self, value: Any) -> str:
        """The hash that a value is found by."""
        return self.entries.hash_of_source(value)

    def create_cache_entry(self, namespace: str, source_value: Any) -> str:
        """An id for a value; the same value again gives the same id."""
        return self.entries.create(namespace, source_value)

    def lookup_by_hash(self, namespace: str, cache_hash: str, source_value: Any = None) -> str | None:
        """The id of a hash; with source_value, of that value among those of the hash."""
        return self.entries.lookup(namespace, cache_hash, source_value)

    def write_temporal(self, namespace: str, cache_id: str | None, data: Data, filename: str) -> list[str]:
        """Writes a file below the hour of now and as the latest; gives both paths.

        Into a file whose name ends in .json goes JSON text, into any other the bytes, or the UTF-8 of a str.
        """
        return self._write_dated(namespace, cache_id, _file_bytes(data, filename), filename)

    def read_latest(self, namespace: str, cache_id: str | None, filename: str) -> Any:
        """The document of a .json file, the bytes of any other; None if nothing was written."""
        found = self._read_latest(namespace, cache_id, filename)
        if found is None or not filename.endswith(".json"):
            return found
        try:
            return json.loads(found)
        except ValueError:
            raise Corrupt_Data(f"{filename}: is no JSON; write bytes into files of another name") from None

    def record_analytics_event(self, event: _core.Analytics_Event | dict[str, Any]) -> str:
        """See Analytics.record."""
        return self.analytics.record(event)

    def compute_pulse(self, window_minutes: int = 5) -> Pulse:
        """See Analytics.pulse."""
        return self.analytics.pulse(window_minutes)

    def compute_aggregation(self, namespace: str, window_type: str, window_key: str) -> Window_Summary:
        """See Analytics.aggregation."""
        return self.analytics(namespace).aggregation(window_type, window_key)

    def create_token(
        self,
        name: str,
        limit: int,
        created_by: str = "",
        expires_at: Time = 0,
        metadata: dict[str, Any] | None = None,
        block_size: int = 0,
    ) -> Token:
        """See Tokens.create."""
        return self.tokens.create(name, limit, created_by, expires_at, metadata, block_size)

    def lookup_token(self, name: str) -> Token | None:
        """See Tokens.lookup."""
        return self.tokens.lookup(name)

    def use_token(
        self,
        name: str,
        ip_hash: str = "",
        action: str = "page_opened",
        transfer_id: str = "",
        action_id: str | None = None,
    ) -> Token_Use:
        """See Tokens.use."""
        return self.tokens.use(name, ip_hash, action, transfer_id, action_id)

    def revoke_token(self, name: str) -> Token:
        """See Tokens.revoke."""
        return self.tokens.revoke(name)

    def list_tokens(self) -> list[Token]:
        """See Tokens.list."""
        return self.tokens.list()


def _words(words: str | Iterable[str] | None) -> str:
    return "" if words is None else words if isinstance(words, str) else ",".join(words)


def _file_bytes(data: Data, filename: str) -> bytes:
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)
    if filename.endswith(".json"):
        return json.dumps(data).encode()
    if isinstance(data, str):
        return data.encode()
    raise Invalid_Argument("data: give bytes or a str, or a filename that ends in .json")
