# SPDX-License-Identifier: BSD-2-Clause
"""Whether the process that the leader key names still runs on this host."""

from __future__ import annotations

import os

from ganeti.daemon.process.host_clock import read_boot_id
from ganeti.journal.etcd.leadership import Holder


def has_ended(holder: Holder) -> bool:
    """Return whether a master daemon that ran on this host has certainly ended."""
    if holder.boot != read_boot_id():
        # No process survives a boot. A key without a boot proves nothing.
        return bool(holder.boot)
    try:
        os.kill(holder.process, 0)
    except ProcessLookupError:
        return True
    # A number that is in use again only means that the lease is waited for.
    return False
