# SPDX-License-Identifier: BSD-2-Clause
"""A real Linux moves with its disks, which it writes to all the time, between two real QEMUs."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
from pathlib import Path

from twisted.internet.task import deferLater
from twisted.trial.unittest import SkipTest

from ganeti.hypervisor.interfaces import AttachedDisk, MigrationPhase
from ganeti.hypervisor.kvm.driver import KvmHypervisor
from ganeti.hypervisor.kvm.monitor import CommandFailed
from ganeti.model.disk import Template
from ganeti.model.guest import Guest
from ganeti.model.running import apply_running_config
from ganeti.schema.records import replace
from ganeti.testing.builders import a_disk
from tests.system.kvm_guests import KvmCase, Terminal

SECRET = "0123456789abcdef" * 2
SIZE = 48 << 20
_BLOCK = 4096
_WRITES = (
    "i=0; while i=$((i + 1)); do echo block-$i | dd of=/dev/vda bs=4k seek=$((i % 4000 + 64))"
    " conv=notrunc,fsync 2>/dev/null; echo wrote-$i; done & writer=$!"
)


_WROTE = re.compile(rb"wrote-(\d+)\r\n")


class CopyCase(KvmCase):
    def setUp(self) -> None:
        super().setUp()
        content = b"mini web1\nwelcome\n".ljust(1 << 20, b"\0") + os.urandom(24 << 20)
        self.disk.write_bytes(content.ljust(SIZE, b"\0"))
        self.disk.chmod(0o600)
        self.copy = Path(self.folder, "copy0")
        self.copy.write_bytes(b"")
        os.truncate(self.copy, SIZE)
        self.copy.chmod(0o600)

    def arriving(self) -> list[AttachedDisk]:
        """The disks of the guest on its new node."""
        return [AttachedDisk(self.guest().disks[0], str(self.copy))]

    async def prepare(
        self, here: KvmHypervisor, there: KvmHypervisor, secret: str = SECRET
    ) -> tuple[str, str]:
        """Let the second node await the guest and its disks; return both addresses."""
        running = await here.running_config(self.guest())
        runs = apply_running_config(self.guest(), running)
        address = await there.accept(
            runs, self.arriving(), "127.0.0.1", running, secret=secret, copies=True
        )
        return address, await there.receive_disks(runs, "127.0.0.1")

    async def copied(self, here: KvmHypervisor) -> None:
        while (found := await here.copying(self.guest())).phase is MigrationPhase.ACTIVE:
            await deferLater(self.clock, 0.05)
        self.assertEqual(found.phase, MigrationPhase.COMPLETED, found.message)

    async def write(self, terminal: Terminal) -> None:
        """Let the guest write from now on."""
        await terminal.see(b"tick 1")
        await terminal.run(_WRITES, b"wrote-20\r\n")

    async def move(self, here: KvmHypervisor, there: KvmHypervisor) -> Terminal:
        """Move the guest; return its console on the new node."""
        address, disks = await self.prepare(here, there)
        await here.copy_disks(self.guest(), disks, SECRET)
        await self.copied(here)
        await here.migrate(self.guest(), address, live=True, secret=SECRET)
        await self.sent(here)
        self.assertEqual((here.running(), there.running()), ({}, {}))
        terminal = await self.terminal("node2")
        await there.finish_incoming(self.guest(), arrived=True)
        await here.finish_outgoing(self.guest(), left=True)
        return terminal

    async def check_data(self, terminal: Terminal, path: Path) -> None:
        """Check that the guest has what is on the disk, and everything that it has written."""
        shown = terminal.shown.count(b"wrote-")
        while terminal.shown.count(b"wrote-") < shown + 20:
            await deferLater(self.clock, 0.05)
        last = max(map(int, _WROTE.findall(terminal.shown)))
        await terminal.run("kill $writer; wait $writer; echo ended-$((40 + 2))", b"ended-42")
        await terminal.run(
            "sync; echo 3 > /proc/sys/vm/drop_caches; md5sum /dev/vda; echo sum-$((40 + 3))",
            b"sum-43",
        )
        async with self.monitor("node2") as qemu:
            await qemu.execute("stop")
        outside = self.read_disk(path)
        self.assertIn(hashlib.md5(outside).hexdigest().encode(), terminal.shown)
        for number in range(1, last + 1):
            begin = (number % 4000 + 64) * _BLOCK
            wanted = b"block-%d\n" % number
            self.assertEqual(outside[begin : begin + len(wanted)], wanted)

    def read_disk(self, path: Path) -> bytes:
        return path.read_bytes()


class LiveCopyTests(CopyCase):
    async def test_a_guest_that_writes_moves_with_its_disk(self) -> None:
        here, there = self.hypervisor("node1"), self.hypervisor("node2")
        await here.start(self.guest(), self.attached())
        await self.write(await self.terminal("node1"))
        await self.check_data(await self.move(here, there), self.copy)
        await there.stop("web1", hard=True)
        self.assertEqual(os.listdir(f"{self.folder}/node1/kvm"), [])
        self.assertEqual(os.listdir(f"{self.folder}/node2/kvm"), [])

    async def test_a_lost_receiver_leaves_the_guest_as_it_was(self) -> None:
        here, there = self.hypervisor("node1"), self.hypervisor("node2")
        slow = replace(self.guest(), hvparams={**self.guest().hvparams, "migration_bandwidth": 1})
        await here.start(slow, self.attached())
        terminal = await self.terminal("node1")
        await self.write(terminal)
        _, disks = await self.prepare(here, there)
        await here.copy_disks(slow, disks, SECRET)
        os.kill(self.pid("node2"), signal.SIGKILL)
        while (found := await here.copying(slow)).phase is MigrationPhase.ACTIVE:
            await deferLater(self.clock, 0.05)
        self.assertEqual(found.phase, MigrationPhase.FAILED)
        await here.finish_outgoing(slow, left=False)
        await terminal.run("echo goes-on-$((40 + 2))", b"goes-on-42")
        async with self.monitor("node1") as qemu:
            self.assertEqual(await qemu.execute("query-jobs"), [])
            nodes = await qemu.execute("query-named-block-nodes")
        self.assertEqual([each for each in nodes if each["drv"] == "nbd"], [])
        self.assertNotIn("web1.keys", os.listdir(f"{self.folder}/node1/kvm"))

    async def test_one_without_the_secret_gets_nowhere(self) -> None:
        here, there = self.hypervisor("node1"), self.hypervisor("node2")
        await here.start(self.guest(), self.attached(), paused=True)
        address, disks = await self.prepare(here, there)
        with self.assertRaises(CommandFailed):
            await here.copy_disks(self.guest(), disks, SECRET[::-1])
        await here.migrate(self.guest(), address, live=True)
        while (found := await here.sending(self.guest())).phase is MigrationPhase.ACTIVE:
            await deferLater(self.clock, 0.05)
        self.assertEqual(found.phase, MigrationPhase.FAILED)
        await there.finish_incoming(self.guest(), arrived=False)
        await here.finish_outgoing(self.guest(), left=False)
        self.assertEqual(list(here.running()), ["web1"])


class UnprivilegedCopyTests(CopyCase):
    """The image has the format qcow2, and QEMU has no powers."""

    user_pool = ((61990, 61990),)

    def setUp(self) -> None:
        if os.geteuid() != 0:
            raise SkipTest("only root can give another user to QEMU")
        super().setUp()
        os.chmod(self.folder, 0o700)
        raw = self.disk.rename(Path(self.folder, "raw"))
        for command in (
            ["qemu-img", "convert", "-O", "qcow2", str(raw), str(self.disk)],
            ["qemu-img", "create", "-q", "-f", "qcow2", str(self.copy), str(SIZE)],
        ):
            subprocess.run(command, check=True)

    def guest(self, **more: str) -> Guest:
        disk = replace(a_disk("a", Template.FILE, size=48), params={"format": "qcow2"})
        return replace(super().guest(security_model="pool", **more), disks=(disk,))

    def read_disk(self, path: Path) -> bytes:
        raw = Path(self.folder, "raw")
        # The guest still has it open, but does not run.
        convert = ["qemu-img", "convert", "-U", "-O", "raw", str(path), str(raw)]
        subprocess.run(convert, check=True)
        return raw.read_bytes()

    async def test_qemus_without_powers_get_the_key_and_copy_the_disk(self) -> None:
        here, there = self.hypervisor("node1"), self.hypervisor("node2")
        await here.start(self.guest(), self.attached())
        await self.write(await self.terminal("node1"))
        await self.check_data(await self.move(here, there), self.copy)
        self.assertEqual(os.stat(self.copy).st_uid, 0)
