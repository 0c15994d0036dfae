# SPDX-License-Identifier: BSD-2-Clause
"""The disks of an instance as the source of a copy: those of a stopped one, or a snapshot."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ganeti.errors import Failed, Refused
from ganeti.model.guest import Guest
from ganeti.model.instance_snapshots import Snapshot, get_snapshot_volume
from ganeti.model.node import Node
from ganeti.operations.backup.running_transfers import RunningTransfers
from ganeti.operations.guest_conversion import make_guest
from ganeti.operations.instance.context import InstanceContext
from ganeti.operations.instance.disks.block_devices import attach_disks, detach_finally
from ganeti.operations.instance.moves.firmware_state import describe_loss, has_state, name_state
from ganeti.operations.operation import Tools
from ganeti.rpc.instances import ReadFirmwareVariables, StoreFirmwareVariables
from ganeti.rpc.transfers import DiskData
from ganeti.schema.records import replace


@dataclass(frozen=True)
class CloneSource:
    """An instance to copy; without a ``snapshot``, it does not run."""

    subject: InstanceContext
    snapshot: Snapshot | None
    runs: bool


async def copy_instance(source: CloneSource, node: Node, guest: Guest, tools: Tools) -> None:
    """Copy disks and firmware variables to ``guest``, whose disks are attached on ``node``.

    :raises Failed: a disk could not be copied.
    """
    async with _still(source, tools) as original:
        async with RunningTransfers(tools) as transfers:
            for index, disk in enumerate(guest.disks):
                await transfers.between(
                    source.subject.primary,
                    node,
                    disk.iv_name,
                    DiskData(guest=original, index=index, raw=True),
                    DiskData(guest=guest, index=index, raw=True),
                )
            await transfers.wait_for_all()
        await _copy_firmware_state(source.subject.primary, original, node, guest, tools)


@asynccontextmanager
async def _still(source: CloneSource, tools: Tools) -> AsyncIterator[Guest]:
    """Yield the guest to copy with disks that do not change, attached until the block ends."""
    subject, state = source.subject, tools.config.state()
    guest = make_guest(state, subject.instance, subject.disks)
    if source.snapshot is not None:
        guest = _as_of(source.snapshot, guest)
    # Snapshots are attached together with the volume that they are of.
    attaches = not source.runs and not subject.instance.disks_active
    try:
        if attaches:
            await attach_disks(state, subject.instance, subject.disks, tools)
        yield guest
    finally:
        if attaches:
            await detach_finally(state, subject.instance, subject.disks, tools)


def _as_of(snapshot: Snapshot, guest: Guest) -> Guest:
    """Return the guest with the volumes of a snapshot as its disks."""
    sizes = {each.uuid: each.size for each in snapshot.disks}
    disks = tuple(
        replace(
            disk,
            logical_id=get_snapshot_volume(disk, snapshot.stored_name),
            size=sizes[disk.uuid],
        )
        for disk in guest.disks
        if disk.uuid in sizes
    )
    return replace(guest, disks=disks)


async def _copy_firmware_state(
    source: Node, original: Guest, node: Node, guest: Guest, tools: Tools
) -> None:
    """Copy the UEFI variables and the TPM, with whose keys the disks may be encrypted."""
    if not has_state(original):
        return
    try:
        content = await tools.nodes.ask(source, ReadFirmwareVariables(guest=original))
        await tools.nodes.ask(node, StoreFirmwareVariables(guest=guest, content=content))
    except (Failed, Refused) as error:
        tools.progress.log_message(
            f"cannot copy the {name_state(original)}: {error}; instance {guest.name} will start"
            f" {describe_loss(original)}"
        )
