# SPDX-License-Identifier: BSD-2-Clause
"""Internal snapshots of the qcow2 images of a running guest, by QEMU's monitor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ganeti.errors import Refused
from ganeti.hypervisor.kvm.devices import disk_id
from ganeti.hypervisor.kvm.monitor import CommandFailed, Monitor
from ganeti.model.disk import Disk
from ganeti.model.guest import Guest
from ganeti.model.running import RunningConfig


def require_same_disks(guest: Guest, running: RunningConfig) -> None:
    """Check that a guest runs with the disks that are configured.

    :raises Refused: a snapshot would not have all of them.
    """
    if {each.uuid for each in running.disks} != {each.uuid for each in guest.disks}:
        raise Refused(
            f"instance {guest.name} is running with other disks than it is configured with; restart"
            f" it first: gnt-instance reboot {guest.name}"
        )


async def create(qemu: Monitor, disks: Sequence[Disk], name: str) -> None:
    """Create a snapshot of each disk at the same instant; of all of them, or of none.

    :raises CommandFailed: with the reason.
    """
    actions: list[dict[str, Any]] = [
        {
            "type": "blockdev-snapshot-internal-sync",
            "data": {"device": disk_id(disk), "name": name},
        }
        for disk in disks
    ]
    await qemu.execute("transaction", actions=actions)


async def remove(qemu: Monitor, disks: Iterable[Disk], name: str) -> None:
    """Remove the snapshot from each disk that has it."""
    for disk in disks:
        try:
            await qemu.execute(
                "blockdev-snapshot-delete-internal-sync", device=disk_id(disk), name=name
            )
        except CommandFailed as error:
            # An earlier attempt has removed it, or the creation was interrupted.
            if "does not exist" not in str(error):
                raise
