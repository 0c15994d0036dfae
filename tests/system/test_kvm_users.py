# SPDX-License-Identifier: BSD-2-Clause
"""A real Linux in a real QEMU that has no powers: files stay root's, and are opened for it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import cast

from twisted.internet import reactor
from twisted.internet.interfaces import IReactorFDSet
from twisted.trial.unittest import SkipTest

from ganeti.hypervisor.interfaces import AttachedDisk
from ganeti.hypervisor.kvm.devices import tap
from ganeti.hypervisor.kvm.driver import KvmHypervisor
from ganeti.model.guest import Guest, GuestNic
from ganeti.model.running import apply_running_config
from ganeti.schema.records import replace
from ganeti.system.processes import LocalProcesses
from ganeti.testing.builders import a_disk
from tests.system.kvm_guests import KvmCase

FIRST = 61990
"""A user ID that no account has."""


class KvmUserTests(KvmCase):
    user_pool = ((FIRST, FIRST),)

    def setUp(self) -> None:
        if os.geteuid() != 0:
            raise SkipTest("only root can give another user to QEMU")
        super().setUp()
        # Nobody but root can even name what is in it.
        os.chmod(self.folder, 0o700)

    def guest(self, **more: str) -> Guest:
        return super().guest(security_model="pool", **more)

    def process(self, node: str = "node1") -> int:
        return int(Path(self.folder, node, "kvm", "web1.pid").read_text())

    def read_status(self, node: str = "node1") -> dict[str, str]:
        """What the kernel says about the QEMU of the guest."""
        text = Path("/proc", str(self.process(node)), "status").read_text()
        return dict(re.findall(r"^(\w+):\s+(.*)$", text, re.MULTILINE))

    def second_disk(self) -> AttachedDisk:
        path = Path(self.folder, "disk1")
        path.write_bytes(b"the second disk".ljust(1 << 20, b"\0"))
        path.chmod(0o600)
        return AttachedDisk(a_disk("b", size=1), str(path))

    def assert_moved(self, path: str) -> None:
        """A disk has what was written after the migration, and is still root's."""
        self.assertIn(b"moved-vd", Path(path).read_bytes())
        self.assertEqual(os.stat(path).st_uid, 0)

    async def move(self, here: KvmHypervisor, there: KvmHypervisor, guest: Guest) -> None:
        running = await here.running_config(guest)
        runs = apply_running_config(guest, running)
        disks = [self.attached()[0], self.second_disk()]
        address = await there.accept(runs, disks, "127.0.0.1", running)
        await here.migrate(guest, address, live=True)
        await self.sent(here)
        await there.finish_incoming(guest, arrived=True)
        await here.finish_outgoing(guest, left=True)

    async def test_a_guest_without_powers_gets_a_disk_and_moves_and_writes(self) -> None:
        self.disk.chmod(0o600)
        here, there, guest = self.hypervisor("node1"), self.hypervisor("node2"), self.guest()
        await here.start(guest, self.attached())
        terminal = await self.terminal("node1")
        await terminal.see(b"tick 1")
        status = self.read_status()
        ids = [status[name].split()[0] for name in ("Uid", "Gid", "Groups", "NoNewPrivs")]
        self.assertEqual(ids, [str(FIRST), "65534", "65534", "1"])
        self.assertEqual(int(status["CapPrm"], 16), 0)
        self.assertEqual(here.running()["web1"].user, FIRST)
        second = self.second_disk()
        await self.hypervisor("node1").plug(guest, second)
        await terminal.wait_until("-b /dev/vdb")
        await terminal.run("head -c 15 /dev/vdb", b"the second disk")
        both = replace(guest, disks=(*guest.disks, second.disk))
        here = self.hypervisor("node1")
        await self.move(here, there, both)
        self.assertEqual(self.read_status("node2")["Uid"].split()[0], str(FIRST))
        moved = await self.terminal("node2")
        for device in ("vda", "vdb"):
            write = f"echo moved-{device} | dd of=/dev/{device} bs=512 seek=8 conv=fsync"
            await moved.run(f"{write} && echo written-$((40 + 2))", b"written-42")
        self.assert_moved(str(self.disk))
        self.assert_moved(second.path)
        await there.unplug(both, second.disk.uuid)
        await moved.wait_until("! -e /dev/vdb")

    async def test_the_picture_cds_and_cards_of_a_guest_without_powers(self) -> None:
        ip = LocalProcesses(cast(IReactorFDSet, reactor), self.clock).run
        made = await ip(["ip", "link", "add", "gnt-test", "type", "bridge"])
        if made.code:
            raise SkipTest(f"no bridge can be made here: {made.err.decode().strip()}")
        self.addCleanup(ip, ["ip", "link", "delete", "gnt-test"])
        nics = [
            GuestNic(uuid=f"{n}" * 36, mac=f"aa:00:10:00:00:0{n}", mode="bridged", link="gnt-test")
            for n in (1, 2)
        ]
        first, second = self.image(), self.image("second.iso")
        hypervisor = self.hypervisor()
        guest = self.guest(cdrom_image_path=first, vga="std", machine_version="q35")
        guest = replace(guest, nics=(nics[0],))
        await hypervisor.start(guest, self.attached())
        terminal = await self.terminal()
        await terminal.see(b"tick 1")
        self.assertTrue((await hypervisor.screenshot(guest)).startswith(b"\x89PNG"))
        await hypervisor.change_media(self.guest(cdrom_image_path=second), force=False)
        await hypervisor.plug(guest, nics[1])
        self.assertEqual(sorted(os.listdir("/sys/class/net/gnt-test/brif")), [*map(tap, nics)])
        cards = "$(cat /sys/bus/pci/devices/*/class | grep -c 0x020000)"
        await terminal.wait_until(f"{cards} = 2")
        await hypervisor.unplug(guest, nics[1].uuid)
        await hypervisor.stop("web1", hard=True)
        self.assertEqual(os.listdir(f"{self.folder}/node1/kvm"), [])
        self.assertNotIn(tap(nics[0]), os.listdir("/sys/class/net"))
