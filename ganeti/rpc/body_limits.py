# SPDX-License-Identifier: BSD-2-Clause
"""Memory limits for request bodies in a node daemon, per call and over all connections.

A limit per connection alone would let every connection keep a body of the maximum size.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from types import MappingProxyType

MIB = 1024 * 1024

MAX_BODY = 256 * MIB
"""Bytes; enough for a base64 checkpoint of a very large cluster."""

DEFAULT_BODY = MIB
"""Bytes; a call about one instance, with all its parameters and disks, takes a few thousand."""

MAX_TOTAL = 512 * MIB
"""Bytes of requests that are being received, queued or answered, over all connections."""

MIN_COUNTED = 64 * 1024
"""Bytes per connection that do not count, as the number of connections is limited, too."""

_LISTS = 16 * MIB

BODIES: Mapping[str, int] = MappingProxyType(
    {
        "journal_append": MAX_BODY,
        "journal_checkpoint": MAX_BODY,
        "journal_reset": MAX_BODY,
        "copy_file": 4 * _LISTS,
        "upload_file_single": _LISTS,
        # These have an item for each instance or disk.
        "blockdev_getmirrorstatus": _LISTS,
        "node_verify": _LISTS,
        "ssconf_list_update": _LISTS,
        "write_ssconf_files": _LISTS,
    }
)
"""Maximum body sizes in bytes, for calls that differ from the default."""


def body_limit(call: str) -> int:
    """Return the maximum body size of the call ``call`` in bytes."""
    return BODIES.get(call, DEFAULT_BODY)


class BodyBudget:
    """A budget for the bytes of request bodies that connections keep in memory."""

    def __init__(self, total: int = MAX_TOTAL) -> None:
        self._total = total
        self._sizes: dict[Hashable, int] = {}
        self._sum = 0

    @property
    def kept(self) -> int:
        """The number of bytes reserved now."""
        return self._sum

    def reserve(self, connection: Hashable, size: int) -> bool:
        """Set the bytes of ``connection`` to ``size``; return whether this is in the budget.

        If not, its earlier reservation stays, and the caller should close the connection: older
        requests have precedence.
        """
        size = size if size > MIN_COUNTED else 0
        before = self._sizes.get(connection, 0)
        if size > before and self._sum - before + size > self._total:
            return False
        self._sum += size - before
        if size:
            self._sizes[connection] = size
        else:
            self._sizes.pop(connection, None)
        return True

    def release(self, connection: Hashable) -> None:
        """Release the bytes of a connection."""
        self._sum -= self._sizes.pop(connection, 0)
