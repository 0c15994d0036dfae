# SPDX-License-Identifier: BSD-2-Clause
"""The systemd scope of a guest: a unit for its QEMU, which is not part of the node daemon's."""

from __future__ import annotations

import re
from collections.abc import Sequence

SLICE = "ganeti-guests.slice"
SHUTDOWN = "ganeti-guests.service"
"""The unit that asks guests to shut down before their scopes end, when the host does."""

_DISKS = ("local-fs.target", "remote-fs.target", "lvm2-monitor.service", "drbd.service")


def scope_command(name: str, stamp: int) -> Sequence[str]:
    """Return the command that runs another one in a scope for the guest ``name``.

    ``stamp`` is a number that differs from that of the last start: the unit of a guest may exist
    for a moment longer than its QEMU. The order is that of systemd.unit(5): a scope stops after
    units that it is ordered before, and before units that it is ordered after.
    """
    # Other characters would have to be escaped, and a hyphen is common in names.
    label = re.sub(r"[^A-Za-z0-9.-]", "_", name)
    return (
        # systemd-run executes the command of a scope itself, so that its exit code is that of QEMU.
        # With --collect, the unit is removed also after a failure.
        *("systemd-run", "--scope", "--quiet", "--collect", f"--slice={SLICE}"),
        f"--unit=ganeti-guest-{label}-{stamp}",
        f"--description=Ganeti instance {name}",
        f"--property=Before={SHUTDOWN}",
        *(f"--property=After={unit}" for unit in (*_DISKS, "network.target")),
        "--",
    )
