# SPDX-License-Identifier: Apache-2.0
"""The compiled part of memfs_cache; import memfs_cache instead."""

from builtins import list as _List  # Tokens has a method of that name
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from os import PathLike
from typing import Any, TypeAlias

from typing_extensions import Never

from .types import (
    Active_Transfers,
    Budget,
    Collect_Report,
    Cost_Alert,
    Cost_Entry,
    Cost_Import_Report,
    Cost_Report,
    Data_File,
    Pulse,
    Retrieved,
    Series_Row,
    Stored,
    Stored_Data,
    Token,
    Token_Event,
    Token_Figures,
    Token_Use,
    Transfer_Event,
    Transfer_Summary,
    Transfers_Window,
    Updated,
    Window_Summary,
)

__version__: str

_Time: TypeAlias = int | datetime  # epoch milliseconds, or a datetime with a zone
_Bytes: TypeAlias = bytes | bytearray | memoryview
_Data: TypeAlias = dict[str, Any] | list[Any] | tuple[Any, ...] | str | _Bytes
_Event: TypeAlias = Analytics_Event | dict[str, Any]
_Headers: TypeAlias = Mapping[str, str] | Iterable[tuple[str, str]] | Iterable[tuple[bytes, bytes]]
_Filters: TypeAlias = Mapping[str, str | int | Sequence[str | int]]

class _Class(type): ...  # of all classes here; pybind11 has its own

class Cache_Hash(metaclass=_Class):
    def __init__(self, algorithm: str = "sha256", length: int = 16) -> None: ...
    def from_string(self, text: str) -> str: ...
    def from_bytes(self, data: _Bytes) -> str: ...
    def from_json(self, value: Any, exclude_fields: Sequence[str] | None = None) -> str: ...
    def from_json_field(self, value: Any, field_path: str) -> str: ...

class Cache_Id(metaclass=_Class):
    def __init__(self, *args: Never, **kwargs: Never) -> None: ...  # the library alone makes them
    @staticmethod
    def new() -> str: ...

class Manual_Clock(metaclass=_Class):
    def __init__(self, start: _Time) -> None: ...
    def advance(self, milliseconds: int) -> None: ...
    def set(self, timestamp: _Time) -> None: ...
    def now(self) -> int: ...

class Analytics_Event(metaclass=_Class):
    def __init__(
        self,
        *,
        event_type: str,
        event_id: str | None = None,
        timestamp: _Time | None = None,
        source: str | None = None,
        path: str | None = None,
        method: str | None = None,
        status_code: int | None = None,
        duration_ms: float | None = None,
        ip_hash: str | None = None,
        user_agent_normalised: str | None = None,
        country: str | None = None,
        referrer_domain: str | None = None,
        content_bytes: int | None = None,
        transfer_id: str | None = None,
        token_id: str | None = None,
        bot: bool | None = None,
        extra: dict[str, Any] | None = None,
        ip: str | None = None,
        user_agent: str | None = None,
        referrer: str | None = None,
        url: str | None = None,
        **own_fields: Any,
    ) -> None: ...
    @property
    def event_id(self) -> str | None: ...
    @property
    def event_type(self) -> str | None: ...
    @property
    def timestamp(self) -> int | None: ...
    @property
    def source(self) -> str | None: ...
    @property
    def path(self) -> str | None: ...
    @property
    def method(self) -> str | None: ...
    @property
    def status_code(self) -> int: ...
    @property
    def duration_ms(self) -> float | None: ...
    @property
    def ip_hash(self) -> str | None: ...
    @property
    def user_agent_normalised(self) -> str | None: ...
    @property
    def country(self) -> str | None: ...
    @property
    def referrer_domain(self) -> str | None: ...
    @property
    def content_bytes(self) -> int: ...
    @property
    def transfer_id(self) -> str | None: ...
    @property
    def token_id(self) -> str | None: ...
    @property
    def bot(self) -> bool: ...
    @property
    def extra(self) -> dict[str, Any]: ...

class Storage(metaclass=_Class):
    def __init__(self, *args: Never, **kwargs: Never) -> None: ...  # the library alone makes them
    def read(self, path: str) -> bytes | None: ...
    def write(self, path: str, data: _Bytes) -> None: ...
    def exists(self, path: str) -> bool: ...
    def delete(self, path: str) -> bool: ...
    def files_list(self, prefix: str = "") -> list[str]: ...
    def counters(self) -> dict[str, int]: ...

class Storage_Memory(Storage):
    def __init__(self) -> None: ...

class Storage_Disk(Storage):
    def __init__(self, path: str | PathLike[str]) -> None: ...

class Storage_Sqlite(Storage):
    def __init__(self, path: str | PathLike[str]) -> None: ...
    def backup(self, path: str | PathLike[str]) -> None: ...

class Storage_S3(Storage):
    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        endpoint_url: str | None = None,
        region: str | None = None,
        access_key_id: str | None = None,
        secret_access_key: str | None = None,
        session_token: str | None = None,
    ) -> None: ...

class Storage_Python(Storage):
    def __init__(self, files: object) -> None: ...

def open_storage(url: str) -> Storage: ...

class Entry_Store(metaclass=_Class):
    def __init__(self, *args: Never, **kwargs: Never) -> None: ...  # the library alone makes them
    def create(self, namespace: str, source_value: Any) -> str: ...
    def lookup(self, namespace: str, cache_hash: str, source_value: Any = None) -> str | None: ...
    def hash_of_source(self, source_value: Any) -> str: ...
    def store(
        self,
        namespace: str,
        strategy: str,
        data: _Data,
        cache_hash: str | None = None,
        cache_id: str | None = None,
        cache_key: str | None = None,
        file_id: str | None = None,
        json_field_path: str | None = None,
        content_encoding: str | None = None,
    ) -> Stored: ...
    def retrieve(self, namespace: str, cache_id: str) -> Retrieved | None: ...
    def retrieve_by_hash(self, namespace: str, cache_hash: str) -> Retrieved | None: ...
    def update(self, namespace: str, cache_id: str, data: _Data) -> Updated: ...
    def delete(self, namespace: str, cache_id: str) -> bool: ...
    def exists(self, namespace: str, cache_id: str | None = None, cache_hash: str | None = None) -> bool: ...
    def data_store(
        self,
        namespace: str,
        cache_id: str,
        data: _Data,
        data_type: str | None = None,
        data_key: str | None = None,
        data_file_id: str | None = None,
    ) -> Stored_Data: ...
    def data_retrieve(
        self, namespace: str, cache_id: str, data_type: str, data_file_id: str, data_key: str | None = None
    ) -> Any: ...
    def data_update(
        self,
        namespace: str,
        cache_id: str,
        data: _Data,
        data_file_id: str,
        data_type: str | None = None,
        data_key: str | None = None,
    ) -> Stored_Data: ...
    def data_delete(
        self, namespace: str, cache_id: str, data_type: str, data_file_id: str, data_key: str | None = None
    ) -> bool: ...
    def data_delete_all(self, namespace: str, cache_id: str, data_key: str | None = None) -> list[str]: ...
    def data_list(
        self, namespace: str, cache_id: str, data_key: str | None = None, recursive: bool = True
    ) -> list[Data_File]: ...

class Analytics(metaclass=_Class):
    def __init__(self, *args: Never, **kwargs: Never) -> None: ...  # the library alone makes them
    def __call__(self, name: str) -> Analytics: ...
    def record(self, event: _Event) -> str: ...
    def record_many(self, events: Iterable[_Event]) -> list[str]: ...
    def record_request(
        self,
        method: str,
        target: str | bytes,
        status: int,
        content_bytes: int,
        duration_us: int | None,
        remote: str = "",
        headers: _Headers | None = None,
        timestamp: _Time | None = None,
        *,
        content_type: str = "",
        route: str = "",
        event_type: str = "",
        source: str = "",
        country: str = "",
        transfer_id: str = "",
        token_id: str = "",
    ) -> str: ...
    def pulse(self, window_minutes: int = 5) -> Pulse: ...
    def aggregation(
        self, window_type: str, window_key: str, filters: _Filters | None = None
    ) -> Window_Summary: ...
    def series(
        self,
        start: _Time,
        end: _Time,
        step: str,
        time_zone: str = "UTC",
        filters: _Filters | None = None,
        compare: str | None = None,
    ) -> list[Series_Row]: ...
    def latest(self, window_type: str) -> Window_Summary: ...
    def rebuild(self, window_type: str, window_key: str) -> Window_Summary: ...
    def visitor_hash(self, address: str, timestamp: _Time) -> str: ...
    def prepare(self) -> None: ...
    def recording_may_wait(self) -> bool: ...

class Tokens(metaclass=_Class):
    def __init__(self, *args: Never, **kwargs: Never) -> None: ...  # the library alone makes them
    def __call__(self, name: str) -> Tokens: ...
    def create(
        self,
        name: str,
        limit: int,
        created_by: str = "",
        expires_at: _Time = 0,
        metadata: dict[str, Any] | None = None,
        block_size: int = 0,
    ) -> Token: ...
    def lookup(self, name: str) -> Token | None: ...
    def use(
        self,
        name: str,
        ip_hash: str = "",
        action: str = "page_opened",
        transfer_id: str = "",
        action_id: str | None = None,
    ) -> Token_Use: ...
    def check(self, name: str) -> Token_Use: ...
    def revoke(self, name: str) -> Token: ...
    def set_limit(self, name: str, limit: int) -> Token: ...
    def reactivate(self, name: str, limit: int) -> Token: ...
    def events(self, name: str, limit: int = 100) -> _List[Token_Event]: ...
    def aggregation(self, name: str, window_type: str, window_key: str) -> Token_Figures: ...
    def list(self) -> _List[Token]: ...

class Transfers(metaclass=_Class):
    def __init__(self, *args: Never, **kwargs: Never) -> None: ...  # the library alone makes them
    def __call__(self, name: str) -> Transfers: ...
    def record(
        self,
        transfer_id: str,
        event_type: str,
        timestamp: _Time | None = None,
        ip_hash: str = "",
        country: str = "",
        content_bytes: int = 0,
        token_id: str = "",
        path: str = "",
        method: str = "",
        ip: str = "",
        user_agent: str = "",
    ) -> str: ...
    def summary(self, transfer_id: str) -> Transfer_Summary: ...
    def active(self, window_minutes: int = 60) -> Active_Transfers: ...
    def events(self, transfer_id: str, limit: int = 100) -> list[Transfer_Event]: ...
    def aggregation(self, window_type: str, window_key: str) -> Transfers_Window: ...

class Costs(metaclass=_Class):
    def __init__(self, *args: Never, **kwargs: Never) -> None: ...  # the library alone makes them
    def __call__(self, name: str) -> Costs: ...
    def record(self, entry: Cost_Entry) -> bool: ...
    def import_file(
        self,
        path_or_dict: str | PathLike[str] | dict[str, Any] | list[dict[str, Any]],
        metric: str = "UnblendedCost",
    ) -> Cost_Import_Report: ...
    def collect(
        self, backfill_days: int = 365, reread_days: int = 0, metric: str = "UnblendedCost"
    ) -> Collect_Report: ...
    def aggregation(self, window_type: str, window_key: str) -> Cost_Report: ...
    def current(self) -> Cost_Report: ...
    def entries(self, date: str | date) -> list[Cost_Entry]: ...
    def set_budget(
        self,
        name: str,
        amount_usd: Decimal | int | str | float,
        period: str = "monthly",
        thresholds: Sequence[int] = (50, 80, 100),
        service: str | None = None,
    ) -> Budget: ...
    def budgets(self) -> list[Budget]: ...
    def remove_budget(self, name: str) -> bool: ...
    def alerts(self, limit: int = 100) -> list[Cost_Alert]: ...

class Service(metaclass=_Class):
    def __init__(
        self,
        storage_fs: Storage,
        root_prefix: str,
        clock: Manual_Clock | None,
        id_generator: Callable[[], str] | None,
        *,
        recording: str = "buffered",
        flush_interval_ms: int | None = None,
        buffer_bytes: int | None = None,
        grace_ms: int | None = None,
        salt_period: str | None = None,
        visitor_key: str = "ip",
        trusted_proxies: str = "",
        exclude_paths: str = "",
        keep_country: bool = True,
        summary_cache_bytes: int | None = None,
        share_url_base: str = "",
        accept_credits: bool = False,
        costs_endpoint_url: str = "",
        costs_region: str = "us-east-1",
    ) -> None: ...
    @property
    def storage_fs(self) -> Storage: ...
    @property
    def hash_generator(self) -> Cache_Hash: ...
    @property
    def entries(self) -> Entry_Store: ...
    @property
    def analytics(self) -> Analytics: ...
    @property
    def tokens(self) -> Tokens: ...
    @property
    def transfers(self) -> Transfers: ...
    @property
    def costs(self) -> Costs: ...
    def setup_namespaces(self) -> None: ...
    def namespaces(self) -> list[str]: ...
    def flush(self) -> None: ...
    def close(self) -> None: ...
    def health(self) -> dict[str, Any]: ...
    def purge(
        self,
        namespace: str | None = None,
        dry_run: bool = False,
        raw_days: int | None = None,
        windows_days: int | None = None,
        by: str = "",
    ) -> dict[str, dict[str, Any]]: ...
    def rebuild(self, namespace: str, start: _Time, end: _Time, dry_run: bool = False) -> dict[str, Any]: ...
    def refresh_due(self, limit: int = 1000) -> dict[str, Any]: ...
    def hold(
        self, namespace: str, name: str, reason: str, start: _Time | None = None, end: _Time | None = None
    ) -> None: ...
    def release_hold(self, namespace: str, name: str) -> bool: ...
    def holds(self, namespace: str) -> list[dict[str, Any]]: ...
    def _closer(self, seconds: float) -> Callable[[], None]: ...
    def _write_dated(self, namespace: str, cache_id: str | None, data: _Bytes, filename: str) -> list[str]: ...
    def _read_latest(self, namespace: str, cache_id: str | None, filename: str) -> bytes | None: ...

class Admin_Api(metaclass=_Class):
    def __init__(self, service: Service, admin_key: str, body_limit: int) -> None: ...
    def __call__(
        self, method: str, target: bytes, headers: Sequence[tuple[bytes, bytes]], body: bytes, remote: str
    ) -> tuple[int, list[tuple[bytes, bytes]], bytes]: ...

class Cache_Api(metaclass=_Class):
    def __init__(
        self, service: Service, key_name: str | None, key_value: str | None, strict_compat: bool, body_limit: int
    ) -> None: ...
    def __call__(
        self, method: str, target: bytes, headers: Sequence[tuple[bytes, bytes]], body: bytes, remote: str
    ) -> tuple[int, list[tuple[bytes, bytes]], bytes]: ...
