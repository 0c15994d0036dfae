# SPDX-License-Identifier: BSD-2-Clause
"""Handlers of the calls for guests: start, stop, install, console, migration."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

from twisted.internet.defer import DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from ganeti.errors import Code, Failed, Invalid, Problem, Refused
from ganeti.hypervisor.interfaces import (
    AttachedDisk,
    ConsoleKind,
    GuestDevices,
    IHypervisor,
    ILiveCopies,
    MigrationProgress,
    NotRunning,
    Running,
)
from ganeti.model.guest import Guest, GuestState
from ganeti.model.running import RunningConfig, apply_running_config
from ganeti.node.guest_starts import GuestStarts
from ganeti.node.scripts import OSScripts
from ganeti.node.seed_volume import build_seed_volume
from ganeti.rpc import instances as calls
from ganeti.rpc.node import ValidateHypervisor

_STOP_RETRY_INTERVAL = 5.0
"""Seconds between shutdown requests: a guest that is booting may miss one."""
_FIRST_POLL_DELAY, _MAX_POLL_DELAY = 0.02, 0.5


class Instances:
    """The guests of this node; at most one operation at a time runs on each.

    ``paths`` attaches the disks of a guest (again without effect) and returns their paths; ``node``
    is the name of this node.
    """

    _log = Logger()

    def __init__(
        self,
        hypervisors: Mapping[str, IHypervisor],
        paths: Callable[[Guest], Awaitable[Sequence[str]]],
        scripts: OSScripts,
        clock: IReactorTime,
        node: str,
        *,
        incoming_paths: Callable[[Guest], Awaitable[Sequence[str]]] | None = None,
        raw_paths: Callable[[Guest], AbstractAsyncContextManager[Sequence[str]]] | None = None,
        may_run: Callable[[], None] = lambda: None,
        starts: GuestStarts | None = None,
    ) -> None:
        """``may_run`` refuses if no guest may run on this node now.

        ``incoming_paths`` attaches disks that another node still uses; by default as ``paths``.
        ``raw_paths`` attaches disks for the scripts of OS definitions, which get raw data.
        ``starts`` has the starts in progress, which also other parts of the node daemon report.
        """
        self._starts = starts or GuestStarts()
        self._hypervisors = hypervisors
        self._paths = paths
        self._incoming_paths = incoming_paths or paths
        self._raw_paths = raw_paths or self._attach_raw
        self._scripts = scripts
        self._clock = clock
        self._node = node
        self._may_run = may_run
        self._locks: dict[str, DeferredLock] = {}

    async def start(self, call: calls.StartInstanceCall) -> None:
        with self._starts.announce_start(call.guest):
            await self._start(call)

    async def _start(self, call: calls.StartInstanceCall) -> None:
        async with self.lock_instance(call.guest.name):
            hypervisor = self._find_hypervisor(call.guest.hypervisor)
            if call.guest.name not in hypervisor.running():
                self._may_run()
                disks = await self._attach_disks(call.guest)
                seed = await self._build_seed(call.guest, disks)
                # Again, as late as possible: disks may have been slow.
                self._may_run()
                try:
                    await hypervisor.start(call.guest, disks, paused=call.paused, seed=seed)
                except Running:
                    # The name of an incoming guest is reserved; a guest that runs by now was
                    # started by an earlier daemon that was killed meanwhile, which is the requested
                    # state.
                    if call.guest.name not in hypervisor.running():
                        raise

    async def stop(self, call: calls.StopInstance) -> None:
        async with self.lock_instance(call.instance_name):
            hypervisor = self._find_hypervisor(call.hypervisor)
            await self._stop_within(hypervisor, call.instance_name, call.timeout)

    async def reboot(self, call: calls.RebootInstanceCall) -> None:
        async with self.lock_instance(call.guest.name):
            hypervisor = self._find_hypervisor(call.guest.hypervisor)
            if call.guest.name not in hypervisor.running():
                raise NotRunning(call.guest.name)
            with self._starts.announce_start(call.guest):
                await self._reboot(call, hypervisor)

    async def _reboot(self, call: calls.RebootInstanceCall, hypervisor: IHypervisor) -> None:
        match call.kind:
            case calls.RebootMethod.SOFT:
                await hypervisor.reboot(call.guest)
            case calls.RebootMethod.HARD:
                # Before the guest is stopped: if its disks cannot be attached, it goes on
                # running.
                disks = await self._attach_disks(call.guest)
                seed = await self._build_seed(call.guest, disks)
                await self._stop_within(hypervisor, call.guest.name, call.timeout)
                self._may_run()
                await hypervisor.start(call.guest, disks, seed=seed)
            case calls.RebootMethod.FULL:
                raise Refused("a node cannot do a full reboot; stop and start the instance instead")

    async def install(self, call: calls.InstallOS) -> None:
        async with self.lock_instance(call.guest.name):
            self._check_stopped(call.guest, "installed")
            async with self._raw_paths(call.guest) as paths:
                await self._scripts.create(
                    call.guest, paths, reinstall=call.reinstall, debug=call.debug
                )

    async def rename(self, call: calls.RenameOS) -> None:
        async with self.lock_instance(call.guest.name):
            self._check_stopped(call.guest, "renamed")
            async with self._raw_paths(call.guest) as paths:
                await self._scripts.rename(call.guest, paths, call.old_name)

    async def running(self, call: calls.ListGuests) -> dict[str, GuestState]:
        found: dict[str, GuestState] = {}
        for name in call.hypervisors:
            found |= {**self._starts.list_starting(name), **self._find_hypervisor(name).running()}
        if call.only is None:
            return found
        return {name: found[name] for name in call.only if name in found}

    async def console(self, call: calls.DescribeConsole) -> calls.ConsoleInfo:
        access = await self._find_hypervisor(call.guest.hypervisor).console(call.guest)
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

    async def change_media(self, call: calls.ChangeMedia) -> None:
        async with self.lock_instance(call.guest.name):
            await self._find_hypervisor(call.guest.hypervisor).change_media(
                call.guest, force=call.force
            )

    async def find_hotplug_problem(self, call: calls.DescribeHotplug) -> str:
        return await self._find_hypervisor(call.guest.hypervisor).find_hotplug_problem(call.guest)

    async def hotplug(self, call: calls.HotplugDevice) -> None:
        guest = call.guest
        async with self.lock_instance(guest.name):
            hypervisor = self._find_hypervisor(guest.hypervisor)
            if call.action is calls.HotplugAction.REMOVE:
                await hypervisor.unplug(guest, call.device)
            elif card := next((each for each in guest.nics if each.uuid == call.device), None):
                await hypervisor.plug(guest, card)
            else:
                disks = await self._attach_disks(guest)
                found = [each for each in disks if each.disk.uuid == call.device]
                if not found:
                    raise Refused(f"instance {guest.name} has no device {call.device}", Code.INPUT)
                await hypervisor.plug(guest, found[0])

    async def balloon(self, call: calls.BalloonMemory) -> None:
        async with self.lock_instance(call.guest.name):
            hypervisor = self._find_hypervisor(call.guest.hypervisor)
            await hypervisor.set_memory(call.guest, call.memory)

    async def screenshot(self, call: calls.CaptureScreen) -> str:
        async with self.lock_instance(call.guest.name):
            picture = await self._find_hypervisor(call.guest.hypervisor).screenshot(call.guest)
        return base64.b64encode(picture).decode("ascii")

    async def validate(self, call: ValidateHypervisor) -> None:
        equipment = GuestDevices(call.nics, call.disks, call.scope, call.minimum_version)
        try:
            await self._find_hypervisor(call.hypervisor).validate(call.hvparams, equipment)
        except Invalid as error:
            if not call.about:
                raise
            if found := [each for each in error.problems if each.path in call.about]:
                raise Invalid(found) from error

    async def running_config(self, call: calls.DescribeRunning) -> RunningConfig:
        return await self._find_hypervisor(call.guest.hypervisor).running_config(call.guest)

    async def send_uefi_variables(self, call: calls.ReadFirmwareVariables) -> str:
        async with self.lock_instance(call.guest.name):
            hypervisor = self._find_hypervisor(call.guest.hypervisor)
            content = await hypervisor.read_firmware_variables(call.guest)
        return base64.b64encode(content).decode("ascii")

    async def keep_uefi_variables(self, call: calls.StoreFirmwareVariables) -> None:
        try:
            content = base64.b64decode(call.content, validate=True)
        except ValueError as error:
            raise Invalid([Problem("content", f"is not base64: {error}")]) from error
        async with self.lock_instance(call.guest.name):
            hypervisor = self._find_hypervisor(call.guest.hypervisor)
            await hypervisor.store_firmware_variables(call.guest, content)

    async def accept(self, call: calls.AcceptInstance) -> str:
        async with self.lock_instance(call.guest.name):
            hypervisor = self._find_hypervisor(call.guest.hypervisor)
            guest = apply_running_config(call.guest, call.running)
            self._may_run()
            paths = await self._incoming_paths(guest)
            disks = list(map(AttachedDisk, guest.disks, paths))
            seed = None
            if call.running.seed:
                seed = await self._build_seed(guest, disks)
                if seed is None:
                    raise Refused(
                        f"instance {guest.name} runs with a volume for its first boot, and OS"
                        f" definition {guest.os} of this node does not make one: install the same"
                        " OS definitions on all nodes",
                        Code.STATE,
                    )
            self._may_run()
            return await hypervisor.accept(
                guest,
                disks,
                call.address,
                call.running,
                seed=seed,
                secret=call.secret,
                copies=call.copies,
            )

    async def describe_migrations(self, call: calls.DescribeMigrations) -> tuple[str, ...]:
        copies = ILiveCopies(self._find_hypervisor(call.hypervisor), None)
        found = [calls.MigrationFeature.ENCRYPTION]
        if copies is not None:
            found.append(calls.MigrationFeature.COPIES)
        return tuple(each.value for each in found)

    async def receive_disks(self, call: calls.ReceiveDisks) -> str:
        async with self.lock_instance(call.guest.name):
            self._may_run()
            return await self._find_copies(call.guest).receive_disks(call.guest, call.address)

    async def copy_disks(self, call: calls.CopyDisks) -> None:
        async with self.lock_instance(call.guest.name):
            copies = self._find_copies(call.guest)
            await copies.copy_disks(call.guest, call.destination, call.secret)

    async def copying(self, call: calls.DiskCopyStatus) -> calls.Migration:
        return _to_answer(await self._find_copies(call.guest).copying(call.guest))

    def _find_copies(self, guest: Guest) -> ILiveCopies:
        copies = ILiveCopies(self._find_hypervisor(guest.hypervisor), None)
        if copies is None:
            raise Refused(f"hypervisor {guest.hypervisor} does not copy disks of running guests")
        return copies

    async def migrate(self, call: calls.MigrateInstanceCall) -> None:
        async with self.lock_instance(call.guest.name):
            hypervisor = self._find_hypervisor(call.guest.hypervisor)
            await hypervisor.migrate(
                call.guest, call.destination, live=call.live, secret=call.secret
            )

    async def sending(self, call: calls.MigrationStatus) -> calls.Migration:
        return _to_answer(await self._find_hypervisor(call.guest.hypervisor).sending(call.guest))

    async def finish_incoming(self, call: calls.FinalizeMigrationDst) -> str:
        async with self.lock_instance(call.guest.name):
            hypervisor = self._find_hypervisor(call.guest.hypervisor)
            if call.arrived:
                self._may_run()
            return await hypervisor.finish_incoming(call.guest, arrived=call.arrived)

    async def finish_outgoing(self, call: calls.FinalizeMigrationSrc) -> None:
        async with self.lock_instance(call.guest.name):
            hypervisor = self._find_hypervisor(call.guest.hypervisor)
            if not call.left:
                self._may_run()
            await hypervisor.finish_outgoing(call.guest, left=call.left)

    async def _stop_within(self, hypervisor: IHypervisor, name: str, timeout: float) -> None:
        """Request a shutdown until the guest ends; kill it after ``timeout`` seconds."""
        now = self._clock.seconds()
        deadline, ask, pause = now + timeout, now, _FIRST_POLL_DELAY
        while name in hypervisor.running() and (now := self._clock.seconds()) < deadline:
            if now >= ask:
                ask = now + _STOP_RETRY_INTERVAL
                try:
                    await hypervisor.stop(name, hard=False)
                except NotRunning:
                    # It has ended by itself; the condition of the loop finds that out.
                    continue
                except Failed as error:
                    self._log.warn(
                        "instance {name} cannot be shut down cleanly and is killed: {error}",
                        name=name,
                        error=error,
                    )
                    break
                if name not in hypervisor.running():
                    return
            await deferLater(self._clock, min(pause, deadline - now))
            pause = min(2 * pause, _MAX_POLL_DELAY)
        # It may have ended in the last moment, which is what was asked for.
        with suppress(NotRunning):
            await hypervisor.stop(name, hard=True)

    def _find_hypervisor(self, name: str) -> IHypervisor:
        if name not in self._hypervisors:
            has = ", ".join(sorted(self._hypervisors))
            raise Refused(f"this node has no hypervisor {name}; available: {has}", Code.INPUT)
        return self._hypervisors[name]

    def _check_stopped(self, guest: Guest, what: str) -> None:
        if guest.name in self._find_hypervisor(guest.hypervisor).running():
            raise Refused(
                f"instance {guest.name} is running and cannot be {what}; shut it down first"
            )

    @asynccontextmanager
    async def _attach_raw(self, guest: Guest) -> AsyncIterator[Sequence[str]]:
        yield await self._paths(guest)

    async def _attach_disks(self, guest: Guest) -> list[AttachedDisk]:
        paths = await self._paths(guest)
        return list(map(AttachedDisk, guest.disks, paths))

    async def _build_seed(self, guest: Guest, disks: Sequence[AttachedDisk]) -> bytes | None:
        """Return the image of the volume for a guest's first boot, if its OS definition has one."""
        files = await self._scripts.write_seed(guest, [each.path for each in disks])
        return build_seed_volume(files) if files else None

    @asynccontextmanager
    async def lock_instance(self, name: str) -> AsyncIterator[None]:
        """Keep other operations on the guest with this name away until the block ends."""
        lock = self._locks.setdefault(name, DeferredLock())
        await lock.acquire()
        try:
            yield
        finally:
            # The next waiter runs, and may even finish, before release() returns.
            lock.release()
            if not lock.locked and self._locks.get(name) is lock:
                del self._locks[name]


def _to_answer(progress: MigrationProgress) -> calls.Migration:
    return calls.Migration(
        status=progress.phase.value,
        transferred=progress.transferred,
        total=progress.total,
        downtime_ms=progress.downtime_ms,
        message=progress.message,
    )
