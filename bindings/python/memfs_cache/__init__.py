# SPDX-License-Identifier: Apache-2.0
"""Entries, request analytics and exact tokens on a storage of your choice.

    from memfs_cache import Cache_Service, Storage_Disk

    with Cache_Service(storage_fs=Storage_Disk("./data")) as cache:
        cache.analytics.record({"event_type": "page_view", "path": "/"})
        print(cache.analytics.pulse().active_requests)
"""
from __future__ import annotations

from ._core import (
    Analytics,
    Analytics_Event,
    Cache_Hash,
    Cache_Id,
    Entry_Store,
    Manual_Clock,
    Storage,
    Storage_Disk,
    Storage_Memory,
    Storage_Python,
    Storage_Sqlite,
    Tokens,
    __version__,
    open_storage,
)
from .cache_service import Cache_Service
from .errors import (
    Already_Exists,
    Cache_Error,
    Closed,
    Conflict,
    Corrupt_Data,
    Indeterminate,
    Internal,
    Invalid_Argument,
    No_Space,
    Not_Found,
    Permission_Denied,
    Throttled,
    Timed_Out,
    Too_Large,
    Unavailable,
    Unsupported,
)
from .types import (
    Data_File,
    Entry_Metadata,
    Pulse,
    Recent_Event,
    Retrieved,
    Stored,
    Stored_Data,
    Token,
    Token_Event,
    Token_Figures,
    Token_Use,
    Updated,
    Window_Summary,
)

__all__ = [
    "Already_Exists",
    "Analytics",
    "Analytics_Event",
    "Cache_Error",
    "Cache_Hash",
    "Cache_Id",
    "Cache_Service",
    "Closed",
    "Conflict",
    "Corrupt_Data",
    "Data_File",
    "Entry_Metadata",
    "Entry_Store",
    "Indeterminate",
    "Internal",
    "Invalid_Argument",
    "Manual_Clock",
    "No_Space",
    "Not_Found",
    "Permission_Denied",
    "Pulse",
    "Recent_Event",
    "Retrieved",
    "Storage",
    "Storage_Disk",
    "Storage_Memory",
    "Storage_Python",
    "Storage_Sqlite",
    "Stored",
    "Stored_Data",
    "Throttled",
    "Timed_Out",
    "Token",
    "Token_Event",
    "Token_Figures",
    "Token_Use",
    "Tokens",
    "Too_Large",
    "Unavailable",
    "Unsupported",
    "Updated",
    "Window_Summary",
    "__version__",
    "open_storage",
]
