# SPDX-License-Identifier: BSD-2-Clause
"""Whether the process that the leader key names still runs on this host."""

from __future__ import annotations

import os
from collections.abc import Callable

from ganeti.daemon.process.host_clock import read_boot_id
from ganeti.journal.etcd.leadership import Holder


def has_ended(holder: Holder, kill: Callable[[int, int], None] = os.kill) -> bool:
    """Return whether a master daemon that ran on this host has certainly ended."""
    if holder.boot != read_boot_id():
        # No process survives a boot. A key without a boot proves nothing.
        return bool(holder.boot)
    try:
        kill(holder.process, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # it is the number of a process of another user now
    # A number that is in use again only means that the lease is waited for.
    return False
