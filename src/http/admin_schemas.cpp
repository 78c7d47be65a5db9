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
                "total_bytes": {"type": "integer"},
                "top_paths": {"$ref": "#/components/schemas/Counts"},
                "top_countries": {"$ref": "#/components/schemas/Counts"},
                "top_referrers": {"$ref": "#/components/schemas/Counts"},
                "top_user_agents": {"$ref": "#/components/schemas/Counts"},
                "status_codes": {"$ref": "#/components/schemas/Counts"},
                "methods": {"$ref": "#/components/schemas/Counts"},
                "event_types": {"$ref": "#/components/schemas/Counts"},
                "late_events": {"type": "integer"}}})"},
        {"Counts", R"({
            "type": "object", "description": "name to count, largest first, then by name",
            "additionalProperties": {"type": "integer"}})"},
    };
}

} // namespace memfs_cache
