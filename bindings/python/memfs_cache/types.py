# SPDX-License-Identifier: Apache-2.0
"""What the library answers: plain values with attributes.

Times are epoch milliseconds in UTC, durations milliseconds with a fraction, sizes bytes. `to_dict()` gives what the
HTTP routes answer with, and `from_dict()` takes it.
"""
from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import date as Date
from decimal import Decimal
from typing import Any, TypedDict, TypeVar

Self = TypeVar("Self", bound="Answer")


@dataclass(frozen=True)
class Answer:
    """What all answers can do."""

    @classmethod
    def from_dict(cls: type[Self], fields: dict[str, Any]) -> Self:
        """From the body of an HTTP answer."""
        return cls(**fields)

    def to_dict(self) -> dict[str, Any]:
        """The body of the HTTP answer."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class Recent_Event(Answer):
    """One of the newest requests, as far as it may be shown: of the visitor's hash the first 8 digits."""

    timestamp: int
    event_id: str
    event_type: str
    path: str
    method: str
    status_code: int
    ip_hash: str
    user_agent_normalised: str
    country: str


@dataclass(frozen=True)
class Pulse(Answer):
    """Who is there now: the requests of (computed_at - window_minutes, computed_at]."""

    computed_at: int
    window_minutes: int
    active_requests: int
    active_visitors: int
    active_transfers: int
    future_requests: int  # left out, because they are stamped later than now
    recent_events: list[Recent_Event]  # at most 10, newest first

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Pulse:
        return cls(**{**fields, "recent_events": [Recent_Event(**event) for event in fields["recent_events"]]})


class Dimension(TypedDict):
    """What the rows of a mapping are of. Their counts and `other` are `total`."""

    total: int
    other: int
    distinct: int  # how many different names there are
    distinct_error: float  # relative standard error; 0: exact
    error: int  # a count may be too small by so much; 0: exact


@dataclass(frozen=True)
class Window_Summary(Answer):
    """What happened in [window_start, window_end). Mappings are name to count, largest first, then by name."""

    window_start: int
    window_end: int
    window_type: str
    window_key: str
    recorded: bool  # False: no event is known
    final: bool  # nothing will be added, but for late events
    computed_at: int
    revision: int
    total_requests: int
    unique_visitors: int
    unique_visitors_error: float  # relative standard error; 0: exact
    unique_visitors_period: str  # day, week or month: within it a visitor is counted once
    page_views: int
    api_calls: int
    file_uploads: int
    file_downloads: int
    token_uses: int
    bot_requests: int
    error_count: int  # status 400 and above
    avg_duration_ms: float  # over the requests that have a duration, as the percentiles
    p50_duration_ms: float
    p95_duration_ms: float
    p99_duration_ms: float
    p50_duration_error: float  # greatest relative error, as the next two; 0: exact
    p95_duration_error: float
    p99_duration_error: float
    total_bytes: int
    top_paths: dict[str, int]  # the 20 largest, as the next three
    top_countries: dict[str, int]
    top_referrers: dict[str, int]
    top_user_agents: dict[str, int]
    status_codes: dict[str, int]
    methods: dict[str, int]
    event_types: dict[str, int]
    dimensions: dict[str, Dimension]  # of paths, countries, referrers, user_agents, status_codes, methods, event_types
    exact: dict[str, bool]  # of unique_visitors, durations and each dimension
    late_events: int


@dataclass(frozen=True)
class Series_Row(Window_Summary):
    """What happened in one window of a series."""

    previous: Window_Summary | None  # as long before; None if not asked for, or nothing is known

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Series_Row:
        previous = fields["previous"]
        return cls(**{**fields, "previous": None if previous is None else Window_Summary(**previous)})


@dataclass(frozen=True)
class Token(Answer):
    """An invitation token. Of the times 0 stands for never."""

    cache_id: str
    cache_hash: str
    token_name: str
    usage_limit: int  # 0: any number of uses
    usage_count: int  # what processes have leased counts as used
    usage_count_min: int  # the part of usage_count that is not leased
    remaining: int | None  # None: not limited
    status: str  # active, exhausted, revoked or expired
    created_at: int
    created_by: str
    expires_at: int
    revoked_at: int
    last_used_at: int
    metadata: dict[str, Any]
    share_url: str  # "" without the option share_url_base


@dataclass(frozen=True)
class Token_Use(Answer):
    """What came of using a token."""

    success: bool
    rejection_reason: str  # "", exhausted, expired, revoked or not_found
    usage_count: int
    remaining: int | None  # None: not limited, or not known


@dataclass(frozen=True)
class Token_Event(Answer):
    """A use of a token, the refusal of one, or uses that were charged because who leased them is gone."""

    timestamp: int
    token_name: str
    action: str
    accepted: bool
    rejection_reason: str
    ip_hash: str  # its first 8 digits
    transfer_id: str
    lease: str  # of a token with blocks: that it was granted from
    charged: int  # uses of a lease that nobody heard of; 0: no charge


@dataclass(frozen=True)
class Token_Figures(Answer):
    """How often a token was used in a window, and refused for which reason."""

    accepted: int
    exhausted: int
    expired: int
    revoked: int
    charged: int  # uses of leases whose holders are gone, and that no event speaks of


@dataclass(frozen=True)
class Transfer_Event(Answer):
    """Something that happened to a transfer."""

    timestamp: int
    event_id: str
    event_type: str  # created, upload_completed, viewed or downloaded
    country: str
    ip_hash: str  # its first 8 digits
    content_bytes: int


@dataclass(frozen=True)
class Transfer_Summary(Answer):
    """What happened to one transfer. Of the times 0 stands for never, or not known."""

    transfer_id: str
    cache_id: str  # of its entry; "" while none can be made
    total_events: int
    total_views: int
    total_downloads: int
    total_uploads: int  # completed ones
    total_bytes: int
    created_at: int
    first_activity_at: int
    last_activity_at: int
    first_download_at: int
    last_download_at: int
    unique_downloaders: int
    unique_downloaders_error: float  # relative standard error; 0: exact
    unique_downloaders_period: str  # day, week or month: within it a downloader is counted once
    active_hours: dict[str, int]  # events by hour of the day, UTC, "0" to "23"
    active_countries: dict[str, int]  # downloads, largest first, then by name
    events: list[Transfer_Event]  # at most 20, newest first
    error: int  # how many events may be missing; 0: exact
    computed_at: int
    revision: int

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Transfer_Summary:
        return cls(**{**fields, "events": [Transfer_Event(**event) for event in fields["events"]]})


@dataclass(frozen=True)
class Active_Transfer(Answer):
    """What a transfer does now."""

    transfer_id: str
    events: int
    views: int
    downloads: int
    uploads: int
    created: int
    bytes: int
    last_activity_at: int


@dataclass(frozen=True)
class Active_Transfers(Answer):
    """Which transfers are active: in (computed_at - window_minutes, computed_at]."""

    computed_at: int
    window_minutes: int
    total_events: int
    active_transfers: int  # how many different ones
    transfers: list[Active_Transfer]  # at most 100, the most active first
    other: dict[str, int]  # what those did that are not among them

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Active_Transfers:
        return cls(**{**fields, "transfers": [Active_Transfer(**row) for row in fields["transfers"]]})


@dataclass(frozen=True)
class Transfer_Figures(Answer):
    """What happened to a transfer in a window."""

    transfer_id: str
    events: int
    views: int
    downloads: int
    uploads: int
    created: int
    bytes: int
    first_activity_at: int
    last_activity_at: int
    unique_downloaders: int
    unique_downloaders_error: float  # relative standard error; 0: exact


@dataclass(frozen=True)
class Transfers_Window(Answer):
    """What happened to all transfers in [window_start, window_end)."""

    window_start: int
    window_end: int
    window_type: str
    window_key: str
    recorded: bool  # False: no event of any kind is known
    final: bool  # nothing will be added, but for late events
    computed_at: int
    revision: int
    total_events: int
    total_views: int
    total_downloads: int
    total_uploads: int
    total_created: int
    total_bytes: int
    active_transfers: int  # how many different ones
    active_transfers_error: float  # relative standard error; 0: exact
    transfers: list[Transfer_Figures]  # at most 100, the most active first
    other: dict[str, int]  # what happened to those that are not among them
    error: int  # how many events of a transfer may be missing; 0: exact
    late_events: int  # of the whole log

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Transfers_Window:
        return cls(**{**fields, "transfers": [Transfer_Figures(**row) for row in fields["transfers"]]})


@dataclass(frozen=True)
class Cost_Entry(Answer):
    """What one service cost on one UTC day; to be recorded, and as it was kept (then amounts are decimal text)."""

    date: str | Date  # 2026-02-13
    service: str
    amount_usd: Decimal | int | str | float  # a float counts as the number that it is printed as
    currency: str = "USD"  # no other is taken
    usage_quantity: Decimal | int | str | float | None = None
    usage_unit: str = ""
    region: str = ""
    usage_type: str = ""
    account: str = ""


@dataclass(frozen=True)
class Cost_Import_Report(Answer):
    """What came of an import of costs."""

    days: int  # that it told of
    days_revised: int  # of them, those that are not as they were
    entries: int
    total_usd: str  # decimal text
    alerts_raised: int


@dataclass(frozen=True)
class Collect_Report(Cost_Import_Report):
    """What came of asking AWS for costs."""

    asked_from: str | None  # the first day, 2026-02-13; None: there was nothing to ask for
    asked_until: str | None  # the day behind the last


@dataclass(frozen=True)
class Cost_Report(Answer):
    """What [window_start, window_end) cost, and each thing that happened in it. None: it is not known."""

    window_start: int
    window_end: int
    window_type: str
    window_key: str
    recorded: bool  # False: no costs are known
    final: bool  # over, and no day of it is an estimate that may change
    estimated: bool
    computed_at: int
    revision: int  # how often its days were written
    currency: str
    total_cost_usd: float
    total_cost_nanos: int  # the same, exact, in billionths
    cost_by_service: dict[str, float]  # largest first, then by name
    cost_by_service_nanos: dict[str, int]
    cost_by_day: dict[str, float]
    top_cost_drivers: dict[str, float]  # percent of what was charged, together 100; the 20 largest
    month_to_date_usd: float | None  # of a month, as the next
    projected_month_usd: float | None
    previous_total_usd: float | None  # of the window before
    delta_usd: float | None
    delta_percent: float | None
    total_requests: int | None
    cost_per_request: float | None  # 0 if there was none, as the next two
    total_transfers: int | None
    cost_per_transfer: float | None
    unique_visitors: int | None
    cost_per_active_user: float | None


@dataclass(frozen=True)
class Budget(Answer):
    """What a day or a month may cost before an alert is raised."""

    name: str
    amount_usd: str  # decimal text
    period: str  # daily or monthly
    thresholds: list[int]  # percent
    service: str  # "": the costs of all


@dataclass(frozen=True)
class Cost_Alert(Answer):
    """Costs of a period that have reached a threshold of a budget."""

    budget: str
    period: str
    window_key: str
    threshold_percent: int
    service: str
    budget_usd: str  # decimal text, as the next
    spent_usd: str  # when it was noticed
    raised_at: int


@dataclass(frozen=True)
class Stored(Answer):
    """What a store made."""

    cache_id: str
    cache_hash: str
    namespace: str
    paths: dict[str, list[str]]  # "data", "by_hash" and "by_id", below the root prefix
    size: int  # of the content file


@dataclass(frozen=True)
class Updated(Answer):
    """What an update wrote."""

    cache_id: str
    cache_hash: str  # as it was stored; an update does not change what the entry is found by
    namespace: str
    paths: list[str]  # the content files
    size: int
    updated_at: int


@dataclass(frozen=True)
class Entry_Metadata(Answer):
    """What describes an entry."""

    cache_id: str
    cache_hash: str
    cache_key: str
    file_id: str
    namespace: str
    strategy: str
    stored_at: int
    file_type: str  # json or binary
    content_encoding: str | None
    content_hash: str  # first ten hex digits of the MD5 of the content file
    content_size: int
    json_field_path: str | None


@dataclass(frozen=True)
class Retrieved(Answer):
    """An entry: a dict or list, a str, or bytes, and what describes it."""

    data: Any
    metadata: Entry_Metadata

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Retrieved:
        return cls(fields["data"], Entry_Metadata(**fields["metadata"]))


@dataclass(frozen=True)
class Stored_Data(Answer):
    """Child data that was stored."""

    cache_id: str
    namespace: str
    data_key: str
    data_file_id: str
    paths: list[str]  # a copy for each copy of the entry
    size: int


@dataclass(frozen=True)
class Data_File(Answer):
    """A file of child data."""

    data_file_id: str
    data_key: str
    data_type: str  # json, string or binary
    path: str
    size: int
