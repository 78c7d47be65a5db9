// SPDX-License-Identifier: Apache-2.0
#include <memfs_cache/http/admin_api.hpp>

namespace memfs_cache {

auto admin_schemas() -> std::map<std::string, std::string> {
    return {
        {"Health", R"({
            "type": "object", "required": ["status"], "properties": {
                "status": {"type": "string", "enum": ["ok", "degraded"], "description": "degraded: something was not recorded"},
                "namespaces": {"type": "object", "description": "counters of each namespace"},
                "servers": {"type": "object", "description": "counters of each server: connections, requests, refusals"}}})"},
        {"Pulse", R"({
            "type": "object", "properties": {
                "computed_at": {"type": "integer", "description": "milliseconds since 1970, UTC"},
                "window_minutes": {"type": "integer"},
                "active_requests": {"type": "integer"},
                "active_visitors": {"type": "integer"},
                "active_transfers": {"type": "integer"},
                "future_requests": {"type": "integer", "description": "left out: stamped later than now"},
                "recent_events": {"type": "array", "maxItems": 10, "description": "newest first", "items": {"type": "object"}}}})"},
        {"Window_Summary", R"({
            "type": "object", "properties": {
                "window_start": {"type": "integer", "description": "milliseconds since 1970, UTC; belongs to the window"},
                "window_end": {"type": "integer", "description": "does not belong to the window"},
                "window_type": {"type": "string"},
                "window_key": {"type": "string"},
                "recorded": {"type": "boolean", "description": "false: no event is known"},
                "final": {"type": "boolean", "description": "nothing will be added, but for late events"},
                "computed_at": {"type": "integer", "description": "milliseconds since 1970, UTC"},
                "revision": {"type": "integer"},
                "total_requests": {"type": "integer"},
                "unique_visitors": {"type": "integer"},
                "unique_visitors_error": {"type": "number", "description": "relative standard error; 0: exact"},
                "unique_visitors_period": {"type": "string", "description": "within it a visitor counts once"},
                "page_views": {"type": "integer"},
                "api_calls": {"type": "integer"},
                "file_uploads": {"type": "integer"},
                "file_downloads": {"type": "integer"},
                "token_uses": {"type": "integer"},
                "bot_requests": {"type": "integer"},
                "error_count": {"type": "integer", "description": "status 400 and above"},
                "avg_duration_ms": {"type": "number"},
                "p50_duration_ms": {"type": "number"},
                "p95_duration_ms": {"type": "number"},
                "p99_duration_ms": {"type": "number"},
                "p50_duration_error": {"type": "number", "description": "greatest relative error; 0: exact"},
                "p95_duration_error": {"type": "number", "description": "greatest relative error; 0: exact"},
                "p99_duration_error": {"type": "number", "description": "greatest relative error; 0: exact"},
                "total_bytes": {"type": "integer"},
                "top_paths": {"$ref": "#/components/schemas/Counts"},
                "top_countries": {"$ref": "#/components/schemas/Counts"},
                "top_referrers": {"$ref": "#/components/schemas/Counts"},
                "top_user_agents": {"$ref": "#/components/schemas/Counts"},
                "status_codes": {"$ref": "#/components/schemas/Counts"},
                "methods": {"$ref": "#/components/schemas/Counts"},
                "event_types": {"$ref": "#/components/schemas/Counts"},
                "dimensions": {"type": "object", "description": "of paths, countries, .. : what the rows are of",
                               "additionalProperties": {"$ref": "#/components/schemas/Dimension"}},
                "exact": {"type": "object", "description": "of unique_visitors, durations, paths, countries, ..",
                          "additionalProperties": {"type": "boolean"}},
                "late_events": {"type": "integer"}}})"},
        {"Series", R"({
            "type": "object", "properties": {
                "step": {"type": "string"},
                "time_zone": {"type": "string"},
                "rows": {"type": "array", "description": "in order", "items": {"$ref": "#/components/schemas/Series_Row"}}}})"},
        {"Series_Row", R"({
            "allOf": [{"$ref": "#/components/schemas/Window_Summary"}], "type": "object", "properties": {
                "previous": {"oneOf": [{"$ref": "#/components/schemas/Window_Summary"}, {"type": "null"}],
                    "description": "as long before; null: not asked for, or nothing is known"}}})"},
        {"Dimension", R"({
            "type": "object", "properties": {
                "total": {"type": "integer", "description": "the counts of all names"},
                "other": {"type": "integer", "description": "the counts of those that have no row"},
                "distinct": {"type": "integer", "description": "how many different names there are"},
                "distinct_error": {"type": "number", "description": "relative standard error; 0: exact"},
                "error": {"type": "integer", "description": "a row may count too few by so many; 0: exact"}}})"},
        {"Token", R"({
            "type": "object", "properties": {
                "cache_id": {"type": "string"},
                "cache_hash": {"type": "string"},
                "token_name": {"type": "string"},
                "usage_limit": {"type": "integer", "description": "0: as often as one likes"},
                "usage_count": {"type": "integer", "description": "what processes have leased counts as used"},
                "usage_count_min": {"type": "integer", "description": "the part of it that is not leased"},
                "remaining": {"type": ["integer", "null"], "description": "null: not limited"},
                "status": {"type": "string", "enum": ["active", "exhausted", "revoked", "expired"]},
                "created_at": {"type": "integer", "description": "milliseconds since 1970, UTC, as the times below"},
                "created_by": {"type": "string"},
                "expires_at": {"type": "integer", "description": "0: never"},
                "revoked_at": {"type": "integer", "description": "0: not revoked"},
                "last_used_at": {"type": "integer", "description": "0: not yet"},
                "metadata": {"type": "object"},
                "share_url": {"type": "string", "description": "empty unless the server was given a share_url_base"}}})"},
        {"Tokens", R"({
            "type": "object", "properties": {
                "tokens": {"type": "array", "items": {"$ref": "#/components/schemas/Token"}},
                "total": {"type": "integer", "description": "how many are like what was asked for"},
                "by_status": {"type": "object", "description": "how many of each status, whichever status was asked for",
                    "additionalProperties": {"type": "integer"}}}})"},
        {"Token_Use", R"({
            "type": "object", "properties": {
                "success": {"type": "boolean"},
                "rejection_reason": {"type": "string", "enum": ["", "exhausted", "expired", "revoked", "not_found"]},
                "usage_count": {"type": "integer"},
                "remaining": {"type": ["integer", "null"], "description": "null: not limited, or not known"}}})"},
        {"Token_Events", R"({
            "type": "object", "properties": {
                "events": {"type": "array", "items": {"$ref": "#/components/schemas/Token_Event"}}}})"},
        {"Token_Event", R"({
            "type": "object", "properties": {
                "timestamp": {"type": "integer", "description": "milliseconds since 1970, UTC"},
                "token_name": {"type": "string"},
                "action": {"type": "string"},
                "accepted": {"type": "boolean"},
                "rejection_reason": {"type": "string"},
                "ip_hash": {"type": "string", "description": "the first eight characters"},
                "transfer_id": {"type": "string"},
                "lease": {"type": "string", "description": "of a token with blocks: that it was granted from"},
                "charged": {"type": "integer", "description": "uses of a lease that nobody heard of; 0: no charge"}}})"},
        {"Transfer_Summary", R"({
            "type": "object", "properties": {
                "transfer_id": {"type": "string"},
                "cache_id": {"type": "string", "description": "of its entry; empty while none can be made"},
                "total_events": {"type": "integer"},
                "total_views": {"type": "integer"},
                "total_downloads": {"type": "integer"},
                "total_uploads": {"type": "integer", "description": "completed ones"},
                "total_bytes": {"type": "integer"},
                "created_at": {"type": "integer", "description": "milliseconds since 1970, UTC, as the times below; 0: not known"},
                "first_activity_at": {"type": "integer"},
                "last_activity_at": {"type": "integer"},
                "first_download_at": {"type": "integer", "description": "0: none yet"},
                "last_download_at": {"type": "integer", "description": "0: none yet"},
                "unique_downloaders": {"type": "integer"},
                "unique_downloaders_error": {"type": "number", "description": "relative standard error; 0: exact"},
                "unique_downloaders_period": {"type": "string", "description": "within it a downloader counts once"},
                "active_hours": {"type": "object", "description": "events by hour of the day, UTC, 0 to 23",
                    "additionalProperties": {"type": "integer"}},
                "active_countries": {"$ref": "#/components/schemas/Counts"},
                "events": {"type": "array", "maxItems": 20, "description": "newest first",
                    "items": {"$ref": "#/components/schemas/Transfer_Event"}},
                "error": {"type": "integer", "description": "how many events may be missing; 0: exact"},
                "computed_at": {"type": "integer", "description": "milliseconds since 1970, UTC"},
                "revision": {"type": "integer"}}})"},
        {"Transfer_Event", R"({
            "type": "object", "properties": {
                "timestamp": {"type": "integer", "description": "milliseconds since 1970, UTC"},
                "event_id": {"type": "string"},
                "event_type": {"type": "string", "enum": ["created", "upload_completed", "viewed", "downloaded"]},
                "country": {"type": "string"},
                "ip_hash": {"type": "string", "description": "the first eight characters"},
                "content_bytes": {"type": "integer"}}})"},
        {"Transfer_Events", R"({
            "type": "object", "properties": {
                "events": {"type": "array", "items": {"$ref": "#/components/schemas/Transfer_Event"}}}})"},
        {"Transfer_Sums", R"({
            "type": "object", "properties": {
                "events": {"type": "integer"},
                "views": {"type": "integer"},
                "downloads": {"type": "integer"},
                "uploads": {"type": "integer"},
                "created": {"type": "integer"},
                "bytes": {"type": "integer"}}})"},
        {"Active_Transfer", R"({
            "type": "object", "properties": {
                "transfer_id": {"type": "string"},
                "events": {"type": "integer"},
                "views": {"type": "integer"},
                "downloads": {"type": "integer"},
                "uploads": {"type": "integer"},
                "created": {"type": "integer"},
                "bytes": {"type": "integer"},
                "last_activity_at": {"type": "integer", "description": "milliseconds since 1970, UTC"}}})"},
        {"Active_Transfers", R"({
            "type": "object", "properties": {
                "computed_at": {"type": "integer", "description": "milliseconds since 1970, UTC"},
                "window_minutes": {"type": "integer"},
                "total_events": {"type": "integer"},
                "active_transfers": {"type": "integer", "description": "how many different ones"},
                "transfers": {"type": "array", "maxItems": 100, "description": "most active first",
                    "items": {"$ref": "#/components/schemas/Active_Transfer"}},
                "other": {"$ref": "#/components/schemas/Transfer_Sums"}}})"},
        {"Transfer_Figures", R"({
            "type": "object", "properties": {
                "transfer_id": {"type": "string"},
                "events": {"type": "integer"},
                "views": {"type": "integer"},
                "downloads": {"type": "integer"},
                "uploads": {"type": "integer"},
                "created": {"type": "integer"},
                "bytes": {"type": "integer"},
                "first_activity_at": {"type": "integer", "description": "milliseconds since 1970, UTC"},
                "last_activity_at": {"type": "integer", "description": "milliseconds since 1970, UTC"},
                "unique_downloaders": {"type": "integer"},
                "unique_downloaders_error": {"type": "number", "description": "relative standard error; 0: exact"}}})"},
        {"Transfers_Window", R"({
            "type": "object", "properties": {
                "window_start": {"type": "integer", "description": "milliseconds since 1970, UTC; belongs to the window"},
                "window_end": {"type": "integer", "description": "does not belong to the window"},
                "window_type": {"type": "string"},
                "window_key": {"type": "string"},
                "recorded": {"type": "boolean", "description": "false: no event of any kind is known"},
                "final": {"type": "boolean", "description": "nothing will be added, but for late events"},
                "computed_at": {"type": "integer", "description": "milliseconds since 1970, UTC"},
                "revision": {"type": "integer"},
                "total_events": {"type": "integer"},
                "total_views": {"type": "integer"},
                "total_downloads": {"type": "integer"},
                "total_uploads": {"type": "integer"},
                "total_created": {"type": "integer"},
                "total_bytes": {"type": "integer"},
                "active_transfers": {"type": "integer", "description": "how many different ones"},
                "active_transfers_error": {"type": "number", "description": "relative standard error; 0: exact"},
                "transfers": {"type": "array", "maxItems": 100, "description": "most active first",
                    "items": {"$ref": "#/components/schemas/Transfer_Figures"}},
                "other": {"$ref": "#/components/schemas/Transfer_Sums"},
                "error": {"type": "integer", "description": "events that may be missing of a transfer; 0: exact"},
                "late_events": {"type": "integer", "description": "of the whole log"}}})"},
        {"Cost_Report", R"({
            "type": "object", "properties": {
                "window_start": {"type": "integer", "description": "milliseconds since 1970, UTC; belongs to the window"},
                "window_end": {"type": "integer", "description": "does not belong to the window"},
                "window_type": {"type": "string"},
                "window_key": {"type": "string"},
                "recorded": {"type": "boolean", "description": "false: no costs are known"},
                "final": {"type": "boolean", "description": "over, and no day of it is an estimate that may change"},
                "estimated": {"type": "boolean", "description": "figures of some day may still change"},
                "computed_at": {"type": "integer", "description": "milliseconds since 1970, UTC"},
                "revision": {"type": "integer", "description": "how often its days were written"},
                "currency": {"type": "string"},
                "total_cost_usd": {"type": "number"},
                "total_cost_nanos": {"type": "integer", "description": "the same, exact, in billionths"},
                "cost_by_service": {"type": "object", "description": "USD, largest first, then by name",
                    "additionalProperties": {"type": "number"}},
                "cost_by_service_nanos": {"$ref": "#/components/schemas/Counts"},
                "cost_by_day": {"type": "object", "description": "USD, of each day that is known",
                    "additionalProperties": {"type": "number"}},
                "top_cost_drivers": {"type": "object", "description": "percent of what was charged, together 100",
                    "additionalProperties": {"type": "number"}},
                "month_to_date_usd": {"type": ["number", "null"], "description": "of a month"},
                "projected_month_usd": {"type": ["number", "null"], "description": "of a month, if it goes on like this"},
                "previous_total_usd": {"type": ["number", "null"], "description": "of the window before; null: not known"},
                "delta_usd": {"type": ["number", "null"], "description": "to the window before"},
                "delta_percent": {"type": ["number", "null"], "description": "of the window before; null also if that was free"},
                "total_requests": {"type": ["integer", "null"], "description": "null, as the five below: nothing recorded"},
                "cost_per_request": {"type": ["number", "null"], "description": "0 if there was none, as below"},
                "total_transfers": {"type": ["integer", "null"], "description": "files uploaded"},
                "cost_per_transfer": {"type": ["number", "null"]},
                "unique_visitors": {"type": ["integer", "null"]},
                "cost_per_active_user": {"type": ["number", "null"]}}})"},
        {"Cost_Import_Report", R"({
            "type": "object", "properties": {
                "days": {"type": "integer", "description": "that it told of"},
                "days_revised": {"type": "integer", "description": "of them, those that are not as they were"},
                "entries": {"type": "integer"},
                "total_usd": {"type": "string", "description": "decimal text"},
                "alerts_raised": {"type": "integer"}}})"},
        {"Collect_Report", R"({
            "type": "object", "properties": {
                "days": {"type": "integer", "description": "that were asked for"},
                "days_revised": {"type": "integer", "description": "of them, those that are not as they were"},
                "entries": {"type": "integer"},
                "total_usd": {"type": "string", "description": "decimal text"},
                "alerts_raised": {"type": "integer"},
                "asked_from": {"type": ["string", "null"], "description": "the first day; null: there was nothing to ask for"},
                "asked_until": {"type": ["string", "null"], "description": "the day behind the last"}}})"},
        {"Budget", R"({
            "type": "object", "properties": {
                "name": {"type": "string"},
                "amount_usd": {"type": "string", "description": "decimal text"},
                "period": {"type": "string", "enum": ["daily", "monthly"]},
                "thresholds": {"type": "array", "items": {"type": "integer"}, "description": "percent"},
                "service": {"type": "string", "description": "empty: the costs of all"}}})"},
        {"Budgets", R"({
            "type": "object", "properties": {
                "budgets": {"type": "array", "items": {"$ref": "#/components/schemas/Budget"}}}})"},
        {"Removed", R"({
            "type": "object", "properties": {"removed": {"type": "boolean"}}})"},
        {"Cost_Alerts", R"({
            "type": "object", "properties": {
                "alerts": {"type": "array", "items": {"$ref": "#/components/schemas/Cost_Alert"}}}})"},
        {"Cost_Alert", R"({
            "type": "object", "properties": {
                "budget": {"type": "string"},
                "period": {"type": "string", "enum": ["daily", "monthly"]},
                "window_key": {"type": "string"},
                "threshold_percent": {"type": "integer"},
                "service": {"type": "string", "description": "empty: the costs of all"},
                "budget_usd": {"type": "string", "description": "decimal text"},
                "spent_usd": {"type": "string", "description": "decimal text, when it was noticed"},
                "raised_at": {"type": "integer", "description": "milliseconds since 1970, UTC"}}})"},
        {"Rebuild_Report", R"({
            "type": "object", "properties": {
                "rebuilt": {"type": "array", "items": {"type": "string"}, "description": "files of the windows, smallest first"},
                "refused": {"$ref": "#/components/schemas/Kept"}}})"},
        {"Purge_Reports", R"({
            "type": "object", "additionalProperties": {"type": "object", "properties": {
                "objects": {"type": "integer", "description": "that go"},
                "bytes": {"type": "integer", "description": "of them"},
                "half_hours": {"type": "integer", "description": "of which raw events go"},
                "events": {"type": "integer"},
                "windows": {"type": "integer"},
                "questions": {"type": "integer", "description": "saved answers to filtered questions"},
                "salts": {"type": "integer"},
                "kept": {"$ref": "#/components/schemas/Kept"}}}})"},
        {"Kept", R"({
            "type": "array", "items": {"type": "object", "properties": {
                "what": {"type": "string"},
                "why": {"type": "string"}}}})"},
        {"Namespaces", R"({
            "type": "object", "properties": {
                "namespaces": {"type": "array", "items": {"type": "string"}}}})"},
        {"Stored_Files", R"({
            "type": "object", "properties": {
                "files": {"type": "array", "items": {"$ref": "#/components/schemas/Stored_File"}},
                "next": {"type": "string", "description": "start_after of the next page; empty if this is the last"}}})"},
        {"Stored_File", R"({
            "type": "object", "properties": {
                "path": {"type": "string"},
                "size_bytes": {"type": "integer"}}})"},
        {"Counts", R"({
            "type": "object", "description": "name to count, largest first, then by name",
            "additionalProperties": {"type": "integer"}})"},
    };
}

} // namespace memfs_cache
