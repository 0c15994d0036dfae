# SPDX-License-Identifier: BSD-2-Clause
"""How much of requests a node daemon keeps in memory: by call, and of all connections together.

A bound per connection alone lets as many connections as there may be each keep the largest body.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from types import MappingProxyType

MIB = 1024 * 1024

MAX_BODY = 256 * MIB
"""Bytes: a checkpoint of a very large cluster, in base64, fits."""

DEFAULT_BODY = MIB
"""Bytes: a call about one instance, with all its parameters and disks, takes a few thousand."""

MAX_TOTAL = 512 * MIB
"""Bytes of requests that are arriving, waiting or being answered, over all connections."""

UNCOUNTED = 64 * 1024
"""A connection that keeps no more bytes than this is bounded by the number of connections."""

_LISTS = 16 * MIB

BODIES: Mapping[str, int] = MappingProxyType(
    {
        "journal_append": MAX_BODY,
        "journal_checkpoint": MAX_BODY,
        "journal_reset": MAX_BODY,
        "copy_file": 4 * _LISTS,
        "upload_file_single": _LISTS,
        # With as many items as there are instances or disks.
        "blockdev_getmirrorstatus": _LISTS,
        "node_verify": _LISTS,
        "write_ssconf_files": _LISTS,
    }
)
"""Bytes, by call, where not the default."""


def body_limit(call: str) -> int:
    """Return how many bytes the body of a call of this name may have."""
    return BODIES.get(call, DEFAULT_BODY)


class BodyBudget:
    """Counts the bytes that connections keep of requests, and says when there are too many."""

    def __init__(self, total: int = MAX_TOTAL) -> None:
        self._total = total
        self._kept: dict[Hashable, int] = {}
        self._sum = 0

    @property
    def kept(self) -> int:
        """How many bytes are counted now."""
        return self._sum

    def keep(self, connection: Hashable, size: int) -> bool:
        """Count that a connection keeps ``size`` bytes from now on, and return True.

        Return False, and count what it had before, if that is too much with all others: it should
        be closed, as one that came later than those whose requests are under way.
        """
        size = size if size > UNCOUNTED else 0
        before = self._kept.get(connection, 0)
        if size > before and self._sum - before + size > self._total:
            return False
        self._sum += size - before
        if size:
            self._kept[connection] = size
        else:
            self._kept.pop(connection, None)
        return True

    def release(self, connection: Hashable) -> None:
        """Count nothing for a connection any more."""
        self._sum -= self._kept.pop(connection, 0)
