# SPDX-License-Identifier: BSD-2-Clause
"""Answers to the calls about guests: start and stop, install, console, migration."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

from twisted.internet.defer import DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from ganeti.errors import Code, Failed, Invalid, Refused
from ganeti.hypervisor.interfaces import (
    AttachedDisk,
    ConsoleKind,
    Equipment,
    IHypervisor,
    NotRunning,
    Running,
)
from ganeti.model.guest import Guest, GuestState
from ganeti.model.running import RunningConfig, as_running
from ganeti.node.scripts import OSScripts
from ganeti.rpc import instances as calls
from ganeti.rpc.node import ValidateHypervisor

_ASK_AGAIN = 5.0
"""A guest that boots may miss a polite request, so it is repeated; in seconds."""
_FIRST_LOOK, _LATER_LOOKS = 0.02, 0.5


class Instances:
    """The guests of this node, one operation at a time on each.

    ``paths`` attaches the disks of a guest, which is harmless if they are, and answers where
    they are; ``node`` is this node's name.
    """

    _log = Logger()

    def __init__(
        self,
        hypervisors: Mapping[str, IHypervisor],
        paths: Callable[[Guest], Awaitable[Sequence[str]]],
        scripts: OSScripts,
        clock: IReactorTime,
        node: str,
    ) -> None:
        self._hypervisors = hypervisors
        self._paths = paths
        self._scripts = scripts
        self._clock = clock
        self._node = node
        self._turns: dict[str, DeferredLock] = {}

    async def start(self, call: calls.StartInstanceCall) -> None:
        async with self._turn(call.guest.name):
            hypervisor = self._hypervisor(call.guest.hypervisor)
            if call.guest.name not in hypervisor.running():
                disks = await self._disks(call.guest)
                try:
                    await hypervisor.start(call.guest, disks, paused=call.paused)
                except Running:
                    # One that is on its way to here keeps its name; one that came up unseen,
                    # because the daemon before was killed while starting it, is what is wanted.
                    if call.guest.name not in hypervisor.running():
                        raise

    async def stop(self, call: calls.StopInstance) -> None:
        async with self._turn(call.instance_name):
            hypervisor = self._hypervisor(call.hypervisor)
            await self._stop(hypervisor, call.instance_name, call.timeout)

    async def reboot(self, call: calls.RebootInstanceCall) -> None:
        async with self._turn(call.guest.name):
            hypervisor = self._hypervisor(call.guest.hypervisor)
            if call.guest.name not in hypervisor.running():
                raise NotRunning(call.guest.name)
            match call.kind:
                case calls.RebootType.SOFT:
                    await hypervisor.reboot(call.guest)
                case calls.RebootType.HARD:
                    disks = await self._disks(call.guest)
                    await self._stop(hypervisor, call.guest.name, call.timeout)
                    await hypervisor.start(call.guest, disks)
                case calls.RebootType.FULL:
                    raise Refused("a node cannot do a full reboot: stop and start the instance")

    async def install(self, call: calls.InstallOS) -> None:
        async with self._turn(call.guest.name):
            self._refuse_running(call.guest, "installed")
            paths = await self._paths(call.guest)
            await self._scripts.create(
                call.guest, paths, reinstall=call.reinstall, debug=call.debug
            )

    async def rename(self, call: calls.RenameOS) -> None:
        async with self._turn(call.guest.name):
            self._refuse_running(call.guest, "renamed")
            paths = await self._paths(call.guest)
            await self._scripts.rename(call.guest, paths, call.old_name)

    async def running(self, call: calls.ListGuests) -> dict[str, GuestState]:
        found: dict[str, GuestState] = {}
        for name in call.hypervisors:
            found.update(self._hypervisor(name).running())
        return found

    async def console(self, call: calls.DescribeConsole) -> calls.ConsoleInfo:
        access = await self._hypervisor(call.guest.hypervisor).console(call.guest)
        remote = access.kind is ConsoleKind.SSH
        return calls.ConsoleInfo(
            instance=call.guest.name,
            kind=access.kind.value,
            message=access.message,
            host=access.host or (self._node if remote else None),
            port=access.port,
            user=access.user or ("root" if remote else None),
            command=access.command,
            display=access.display,
        )

    async def validate(self, call: ValidateHypervisor) -> None:
        equipment = Equipment(call.nics, call.disks, call.scope, call.minimum_version)
        try:
            await self._hypervisor(call.hypervisor).validate(call.hvparams, equipment)
        except Invalid as error:
            if not call.about:
                raise
            if found := [each for each in error.problems if each.path in call.about]:
                raise Invalid(found) from error

    async def running_config(self, call: calls.DescribeRunning) -> RunningConfig:
        return await self._hypervisor(call.guest.hypervisor).running_config(call.guest)

    async def accept(self, call: calls.AcceptInstance) -> str:
        async with self._turn(call.guest.name):
            hypervisor = self._hypervisor(call.guest.hypervisor)
            guest = as_running(call.guest, call.running)
            disks = await self._disks(guest)
            return await hypervisor.accept(guest, disks, call.address, call.running)

    async def migrate(self, call: calls.MigrateInstanceCall) -> None:
        async with self._turn(call.guest.name):
            hypervisor = self._hypervisor(call.guest.hypervisor)
            await hypervisor.migrate(call.guest, call.destination, live=call.live)

    async def sending(self, call: calls.MigrationStatus) -> calls.Migration:
        sending = await self._hypervisor(call.guest.hypervisor).sending(call.guest)
        return calls.Migration(
            status=sending.phase.value,
            transferred=sending.transferred,
            total=sending.total,
            downtime_ms=sending.downtime_ms,
            message=sending.message,
        )

    async def finish_incoming(self, call: calls.FinalizeMigrationDst) -> str:
        async with self._turn(call.guest.name):
            hypervisor = self._hypervisor(call.guest.hypervisor)
            return await hypervisor.finish_incoming(call.guest, arrived=call.arrived)

    async def finish_outgoing(self, call: calls.FinalizeMigrationSrc) -> None:
        async with self._turn(call.guest.name):
            hypervisor = self._hypervisor(call.guest.hypervisor)
            await hypervisor.finish_outgoing(call.guest, left=call.left)

    async def _stop(self, hypervisor: IHypervisor, name: str, timeout: float) -> None:
        """Ask politely until the guest is gone or ``timeout`` seconds are over, then end it."""
        now = self._clock.seconds()
        deadline, ask, pause = now + timeout, now, _FIRST_LOOK
        while name in hypervisor.running() and (now := self._clock.seconds()) < deadline:
            if now >= ask:
                ask = now + _ASK_AGAIN
                try:
                    await hypervisor.stop(name, hard=False)
                except NotRunning:
                    continue
                except Failed as error:
                    self._log.warn(
                        "instance {name} cannot be asked to stop and is stopped hard: {error}",
                        name=name,
                        error=error,
                    )
                    break
                if name not in hypervisor.running():
                    return
            await deferLater(self._clock, min(pause, deadline - now))
            pause = min(2 * pause, _LATER_LOOKS)
        with suppress(NotRunning):
            await hypervisor.stop(name, hard=True)

    def _hypervisor(self, name: str) -> IHypervisor:
        if name not in self._hypervisors:
            has = ", ".join(sorted(self._hypervisors))
            raise Refused(f"this node has no hypervisor {name}; it has {has}", Code.INPUT)
        return self._hypervisors[name]

    def _refuse_running(self, guest: Guest, what: str) -> None:
        if guest.name in self._hypervisor(guest.hypervisor).running():
            raise Refused(f"instance {guest.name} runs and cannot be {what}: stop it first")

    async def _disks(self, guest: Guest) -> list[AttachedDisk]:
        paths = await self._paths(guest)
        return list(map(AttachedDisk, guest.disks, paths))

    @asynccontextmanager
    async def _turn(self, name: str) -> AsyncIterator[None]:
        lock = self._turns.setdefault(name, DeferredLock())
        await lock.acquire()
        try:
            yield
        finally:
            # Whoever is next runs, and may even be done, before this returns.
            lock.release()
            if not lock.locked and self._turns.get(name) is lock:
                del self._turns[name]
