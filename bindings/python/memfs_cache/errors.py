# SPDX-License-Identifier: Apache-2.0
"""What the package raises. Each class stands for one code of the library; docs/errors.md lists them all."""
from __future__ import annotations


class Cache_Error(Exception):
    """The base of them all.

    code     the word that C++, HTTP bodies and logs use for it, such as "not_found".
    context  a sentence that names the key, field or option and says what to do; never a secret or a stored value.
    """

    code = "internal"

    def __init__(self, context: str = "") -> None:
        super().__init__(context)
        self.context = context

    def __str__(self) -> str:
        return self.context


class Invalid_Argument(Cache_Error, ValueError):
    """A value given by the caller is not acceptable."""

    code = "invalid_argument"


class Not_Found(Cache_Error, KeyError):
    """Something that the caller claimed to exist does not."""

    code = "not_found"


class Already_Exists(Cache_Error):
    """Something with this name is already there."""

    code = "already_exists"


class Conflict(Cache_Error):
    """Another writer was faster, more often than the library tries again."""

    code = "conflict"


class Indeterminate(Cache_Error):
    """The storage did not say whether a write took effect."""

    code = "indeterminate"


class Too_Large(Cache_Error):
    """A value is larger than its limit."""

    code = "too_large"


class No_Space(Cache_Error):
    """The storage is full."""

    code = "no_space"


class Permission_Denied(Cache_Error, PermissionError):
    """The storage refuses access."""

    code = "permission_denied"


class Throttled(Cache_Error):
    """Too many requests for now."""

    code = "throttled"


class Unavailable(Cache_Error, ConnectionError):
    """The storage or a peer cannot be reached, or is busy."""

    code = "unavailable"


class Timed_Out(Cache_Error, TimeoutError):
    """No answer came in time."""

    code = "timed_out"


class Corrupt_Data(Cache_Error):
    """Stored bytes are not what was written."""

    code = "corrupt_data"


class Unsupported(Cache_Error):
    """This backend or build cannot do that."""

    code = "unsupported"


class Closed(Cache_Error):
    """The object was closed before this call."""

    code = "closed"


class Internal(Cache_Error):
    """A fault of the library itself: please report it with the message."""

    code = "internal"
