# SPDX-License-Identifier: BSD-2-Clause
"""A real Linux in a real QEMU, with the hypervisor as node daemons have it."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Awaitable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import UNIXClientEndpoint, connectProtocol
from twisted.internet.interfaces import IReactorFDSet, IReactorTime, IReactorUNIX
from twisted.internet.protocol import Protocol
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from ganeti.hypervisor.interfaces import AttachedDisk, MigrationPhase
from ganeti.hypervisor.kvm import console
from ganeti.hypervisor.kvm.accelerator import AcceleratorSelector
from ganeti.hypervisor.kvm.driver import KvmHypervisor
from ganeti.hypervisor.kvm.guest_agent import GuestAgents
from ganeti.hypervisor.kvm.monitor import Monitor, MonitorConnector
from ganeti.hypervisor.kvm.qemu_user import Ranges
from ganeti.model.guest import Guest
from ganeti.system.descriptors import LocalDescriptors
from ganeti.system.files import LocalFiles
from ganeti.system.images import LocalImages
from ganeti.system.processes import LocalProcesses
from ganeti.system.state_files import LocalStateFiles
from ganeti.system.threads import InThread
from ganeti.system.user_accounts import LocalAccounts
from ganeti.testing.builders import a_disk, a_guest
from tests.system.linux import MINI, require_linux

PORT = 18102


class Terminal(Protocol):
    """Reads a console and wakes whoever waits for something to appear there."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self.shown = b""
        self._wanted: tuple[bytes, Deferred[None]] | None = None
        self._checks = 0
        self.timeout = 60.0

    def dataReceived(self, data: bytes) -> None:
        self.shown += data
        if self._wanted and self._wanted[0] in self.shown:
            (_, waiting), self._wanted = self._wanted, None
            waiting.callback(None)

    async def run(self, command: str, shows: bytes) -> None:
        """Type a command for the guest's shell, and wait for what it is to show."""
        assert self.transport is not None
        self.shown = b""
        self.transport.write(command.encode() + b"\n")
        await self.see(shows)

    async def wait_until(self, condition: str) -> None:
        """Wait until a condition of the guest's shell is true: it hears of devices by and by."""
        self._checks += 1
        # The number is computed there, as the terminal also shows what is typed.
        tell = f"echo true-$(({self._checks} + 1000))"
        waiting = f"until [ {condition} ]; do sleep 0.1; done; {tell}"
        await self.run(waiting, f"true-{self._checks + 1000}".encode())

    async def see(self, text: bytes) -> None:
        if text not in self.shown:
            waiting: Deferred[None] = Deferred()
            self._wanted = text, waiting
            await waiting.addTimeout(self.timeout, self._clock)


class KvmCase(TestCase):
    """Guests of two nodes of this host, which are ended after each test."""

    timeout = 120
    guest_memory = 128
    """MiB."""
    user_pool: Ranges = ()

    def setUp(self) -> None:
        require_linux()
        # The paths of sockets must be short, so it is not trial's folder.
        self.folder = tempfile.mkdtemp(prefix="ganeti-kvm-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.clock = cast(IReactorTime, reactor)
        self.disk = Path(self.folder, "disk0")
        self.disk.write_bytes(b"mini web1\nwelcome\n".ljust(1 << 20, b"\0"))
        self.addCleanup(self.end_all)

    def guest(self, **more: Any) -> Guest:
        hvparams = {
            "kernel_path": str(MINI / "vmlinuz"),
            "initrd_path": str(MINI / "initrd.img"),
            "kernel_args": "ro quiet",
            "migration_port": PORT,
            **more,
        }
        disks = [a_disk("a", size=1)]
        be = {"maxmem": self.guest_memory, "minmem": self.guest_memory, "vcpus": 1}
        return a_guest("web1", hypervisor="kvm", hvparams=hvparams, disks=disks, beparams=be)

    def attached(self) -> list[AttachedDisk]:
        return [AttachedDisk(self.guest().disks[0], str(self.disk))]

    def image(self, name: str = "empty.iso") -> str:
        """What is in drives that nobody boots from."""
        image = Path(self.folder, name)
        image.write_bytes(bytes(1 << 20))
        return str(image)

    def hypervisor(self, node: str = "node1") -> KvmHypervisor:
        """The hypervisor as a daemon of that node finds it."""
        files = LocalFiles(cast(InThread, deferToThread))
        processes = LocalProcesses(cast(IReactorFDSet, reactor), self.clock)
        run = f"{self.folder}/{node}"
        endpoint = partial(UNIXClientEndpoint, cast(IReactorUNIX, reactor))
        return KvmHypervisor(
            folder=f"{run}/kvm",
            notes=LocalStateFiles(f"{run}/notes"),
            files=files,
            processes=processes,
            monitors=MonitorConnector(endpoint, self.clock),
            agents=GuestAgents(endpoint, self.clock),
            accelerators=AcceleratorSelector(files, processes, LocalStateFiles(f"{run}/verdicts")),
            clock=self.clock,
            attach=[sys.executable, console.__file__],
            ganeti=f"{run}/kvm-hypervisor",
            firmware=f"{self.folder}/{node}/firmware",
            descriptors=LocalDescriptors(cast(InThread, deferToThread)),
            accounts=LocalAccounts(cast(InThread, deferToThread)),
            user_pool=lambda: self.user_pool,
            images=LocalImages(cast(InThread, deferToThread)),
            keys=self.folder,
            scratch=f"{self.folder}/{node}/scratch",
        )

    async def end_all(self) -> None:
        for node in ("node1", "node2"):
            await self.hypervisor(node).finish_outgoing(self.guest(), left=True)

    def pid(self, node: str) -> int:
        """The process of the guest's QEMU on a node."""
        return int(Path(self.folder, node, "kvm/web1.pid").read_text())

    def monitor(self, node: str) -> AbstractAsyncContextManager[Monitor]:
        """A connection to the monitor of the guest's QEMU on a node."""
        monitors = MonitorConnector(
            lambda path: UNIXClientEndpoint(cast(IReactorUNIX, reactor), path), self.clock
        )
        return monitors.talk(f"{self.folder}/{node}/kvm/web1.qmp")

    async def status(self, node: str) -> str:
        """The status of the guest on a node, in QEMU's words."""
        async with self.monitor(node) as qemu:
            status: str = (await qemu.execute("query-status"))["status"]
            return status

    async def memory(self, node: str) -> Path:
        """A file with what the guest, which must be held, has in its memory."""
        saved = Path(self.folder, f"{node}.memory")
        async with self.monitor(node) as qemu:
            while (await qemu.execute("query-status"))["status"] == "inmigrate":
                await deferLater(self.clock, 0.02)
            size = self.guest().memory << 20
            await qemu.execute("pmemsave", val=0, size=size, filename=str(saved))
        return saved

    async def terminal(self, node: str = "node1", path: str = "kvm/web1.serial") -> Terminal:
        endpoint = UNIXClientEndpoint(cast(IReactorUNIX, reactor), f"{self.folder}/{node}/{path}")
        connecting = connectProtocol(endpoint, Terminal(self.clock))
        terminal = await cast(Awaitable[Terminal], connecting)
        assert terminal.transport is not None
        self.addCleanup(terminal.transport.loseConnection)
        return terminal

    async def sent(self, hypervisor: KvmHypervisor) -> None:
        while (sending := await hypervisor.sending(self.guest())).phase is MigrationPhase.ACTIVE:
            await deferLater(self.clock, 0.05)
        self.assertEqual(sending.phase, MigrationPhase.COMPLETED, sending.message)

    async def until_down(self, hypervisor: KvmHypervisor) -> None:
        for _ in range(3000):
            if not hypervisor.running():
                return
            await deferLater(self.clock, 0.02)
        raise AssertionError("the guest does not shut down")
