# SPDX-License-Identifier: BSD-2-Clause
"""Consistent copies of an instance's disks for an export.

A running instance is stopped first, unless it should keep running and its storage supports
snapshots. After snapshots it is started again at once, otherwise after the copy.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ganeti.errors import Failed, GanetiError, Refused, Unreachable
from ganeti.model.disk import Disk
from ganeti.model.guest import Guest
from ganeti.operations.allocation.node_check import require_able
from ganeti.operations.guest_conversion import make_guest
from ganeti.operations.instance.context import InstanceContext
from ganeti.operations.instance.disks.block_devices import attach_disks, detach_finally
from ganeti.operations.instance.lifecycle.stop import stop_guest
from ganeti.operations.operation import Tools
from ganeti.rpc.disks import RemoveDisk, SnapshotDisk
from ganeti.rpc.instances import StartInstanceCall
from ganeti.schema.records import replace


@dataclass(frozen=True)
class SnapshotOptions:
    """The state of the instance, and whether and how to stop it; ``timeout`` in seconds.

    ``goes`` states that it is not started again unless the export fails.
    """

    running: bool
    shutdown: bool
    timeout: int
    long_sleep: bool
    goes: bool


@asynccontextmanager
async def standing(
    subject: InstanceContext, manner: SnapshotOptions, tools: Tools
) -> AsyncIterator[Guest]:
    """Yield the guest with disks that do not change until the block ends.

    :raises Refused: the guest should keep running, but its storage has no snapshots.
    """
    stands, well = _DiskHold(subject, manner, tools), False
    try:
        yield await stands.stop_and_snapshot()
        well = True
    finally:
        await stands.let_go(well=well)


class _DiskHold:
    """The changes made to an instance for the export, which are reverted at its end."""

    def __init__(self, subject: InstanceContext, manner: SnapshotOptions, tools: Tools) -> None:
        self._subject, self._manner, self._tools = subject, manner, tools
        self._guest = make_guest(tools.config.state(), subject.instance, subject.disks)
        self._snapshots: list[Disk] = []
        self._stopped = self._attached = False

    async def stop_and_snapshot(self) -> Guest:
        """Stop a running instance if requested, and create snapshots if possible."""
        manner, subject, tools = self._manner, self._subject, self._tools
        if not manner.running:
            # Before the call, as a failure may leave some of the disks attached.
            self._attached = True
            await attach_disks(tools.config.state(), subject.instance, subject.disks, tools)
            return self._guest
        if manner.shutdown:
            # An instance that could not start again is not stopped.
            if not manner.goes:
                await require_able(subject.primary, self._guest, tools)
            tools.progress.log_message(f"stopping instance {subject.instance.name}")
            # Before the call: without an answer, the instance may be stopped.
            self._stopped = True
            await tools.progress.interruptible(stop_guest(subject, manner.timeout, tools))
        if not await self._create_snapshots():
            return self._guest
        if self._stopped and not manner.long_sleep and not manner.goes:
            await self._start()
        return replace(self._guest, disks=tuple(self._snapshots))

    async def _create_snapshots(self) -> bool:
        """Create a snapshot of every disk, or of none; return whether there are snapshots."""
        for disk in self._guest.disks:
            name = f"snapshot-{self._tools.ids.uuid()}"
            try:
                ask = SnapshotDisk(disk=disk, name=name)
                made = await self._tools.nodes.ask(self._subject.primary, ask)
            except Unreachable:
                # This does not show that the storage has no snapshots.
                raise
            except (Refused, Failed) as e:
                await self._remove_snapshots()
                if not self._stopped:
                    raise Refused(
                        f"instance {self._guest.name} is running and cannot be exported without a"
                        f" shutdown; omit --noshutdown ({e})"
                    ) from None
                return False
            self._snapshots.append(made)
        return True

    async def let_go(self, *, well: bool) -> None:
        """Revert the changes, and start the instance again if it was running.

        :raises Failed: the instance cannot be started again.
        """
        await self._remove_snapshots()
        subject, tools = self._subject, self._tools
        if self._attached:
            await detach_finally(tools.config.state(), subject.instance, subject.disks, tools)
        if self._stopped and not (self._manner.goes and well):
            await self._start()

    async def _start(self) -> None:
        name = self._subject.instance.name
        self._tools.progress.log_message(f"starting instance {name} again")
        try:
            await self._tools.nodes.ask(self._subject.primary, StartInstanceCall(guest=self._guest))
        except GanetiError as e:
            raise Failed(f"instance {name} was stopped and cannot be started again: {e}") from e
        self._stopped = False

    async def _remove_snapshots(self) -> None:
        while self._snapshots:
            snapshot = self._snapshots.pop()
            try:
                await self._tools.nodes.ask(self._subject.primary, RemoveDisk(disk=snapshot))
            except GanetiError as e:
                volume = "/".join(map(str, snapshot.logical_id))
                self._tools.progress.log_message(f"cannot remove the snapshot {volume}: {e}")
