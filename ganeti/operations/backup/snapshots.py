# SPDX-License-Identifier: BSD-2-Clause
"""An instance's disks, held so that they can be copied as they are at one moment.

A running instance is stopped for that, unless its disks have snapshots and it is to run on. With
snapshots it starts again at once, else when the copies are made.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ganeti.errors import Failed, GanetiError, Refused, Unreachable
from ganeti.model.disk import Disk
from ganeti.model.guest import Guest
from ganeti.operations.allocation.node_check import require_able
from ganeti.operations.guests import guest_of
from ganeti.operations.instance.context import InstanceContext
from ganeti.operations.instance.disks.block_devices import attach_disks, detach_disks
from ganeti.operations.instance.lifecycle.stop import stop_guest
from ganeti.operations.operation import Tools
from ganeti.rpc.disks import RemoveDisk, SnapshotDisk
from ganeti.rpc.instances import StartInstanceCall
from ganeti.schema.records import replace


@dataclass(frozen=True)
class SnapshotOptions:
    """How an instance is held: whether it runs, is stopped for it, and how long it stands then.

    ``goes`` says that it will not run again unless something fails.
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
    """The guest, with disks that do not change until the block is left.

    :raises Refused: it is to run on, and its disks have no snapshots.
    """
    stands, well = _Standing(subject, manner, tools), False
    try:
        yield await stands.hold()
        well = True
    finally:
        await stands.let_go(well=well)


class _Standing:
    """What was done to an instance, and is to be undone."""

    def __init__(self, subject: InstanceContext, manner: SnapshotOptions, tools: Tools) -> None:
        self._subject, self._manner, self._tools = subject, manner, tools
        self._guest = guest_of(tools.config.state(), subject.instance, subject.disks)
        self._snapshots: list[Disk] = []
        self._stopped = self._attached = False

    async def hold(self) -> Guest:
        """Stop what runs, and make the snapshots that there can be."""
        manner, subject, tools = self._manner, self._subject, self._tools
        if not manner.running:
            self._attached = True
            await attach_disks(tools.config.state(), subject.instance, subject.disks, tools)
            return self._guest
        if manner.shutdown:
            if not manner.goes:
                await require_able(subject.primary, self._guest, tools)
            tools.progress.say(f"stopping {subject.instance.name}")
            self._stopped = True
            await tools.progress.interruptible(stop_guest(subject, manner.timeout, tools))
        if not await self._snapshot():
            return self._guest
        if self._stopped and not manner.long_sleep and not manner.goes:
            await self._start()
        return replace(self._guest, disks=tuple(self._snapshots))

    async def _snapshot(self) -> bool:
        """Whether there is a snapshot of every disk now; else there is none."""
        for disk in self._guest.disks:
            name = f"snapshot-{self._tools.ids.uuid()}"
            try:
                ask = SnapshotDisk(disk=disk, name=name)
                made = await self._tools.nodes.ask(self._subject.primary, ask)
            except Unreachable:
                raise
            except (Refused, Failed) as e:
                await self._remove_snapshots()
                if not self._stopped:
                    raise Refused(
                        f"instance {self._guest.name} runs, and cannot be exported meanwhile unless"
                        f" it is stopped (leave out --noshutdown): {e}"
                    ) from None
                return False
            self._snapshots.append(made)
        return True

    async def let_go(self, *, well: bool) -> None:
        """Leave the instance as it was, as far as it is not to go.

        :raises Failed: it was running, and does not start again.
        """
        await self._remove_snapshots()
        subject, tools = self._subject, self._tools
        if self._attached:
            try:
                await detach_disks(tools.config.state(), subject.instance, subject.disks, tools)
            except Failed as e:
                tools.progress.say(f"disks of {subject.instance.name} stay attached: {e}")
        if self._stopped and not (self._manner.goes and well):
            await self._start()

    async def _start(self) -> None:
        name = self._subject.instance.name
        self._tools.progress.say(f"starting {name} again")
        try:
            await self._tools.nodes.ask(self._subject.primary, StartInstanceCall(guest=self._guest))
        except GanetiError as e:
            raise Failed(f"instance {name} was stopped, and does not start again: {e}") from e
        self._stopped = False

    async def _remove_snapshots(self) -> None:
        while self._snapshots:
            snapshot = self._snapshots.pop()
            try:
                await self._tools.nodes.ask(self._subject.primary, RemoveDisk(disk=snapshot))
            except GanetiError as e:
                volume = "/".join(map(str, snapshot.logical_id))
                self._tools.progress.say(f"the snapshot {volume} is left behind: {e}")
