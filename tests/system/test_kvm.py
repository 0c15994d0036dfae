# SPDX-License-Identifier: BSD-2-Clause
"""A real Linux boots in a real QEMU, is found again, moves while it runs, and shuts down."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.task import deferLater
from twisted.trial.unittest import SkipTest

from ganeti.errors import Refused
from ganeti.hypervisor.interfaces import AttachedDisk, MigrationPhase
from ganeti.hypervisor.kvm.devices import tap
from ganeti.hypervisor.kvm.driver import KvmHypervisor
from ganeti.hypervisor.kvm.monitor import CommandFailed
from ganeti.model.guest import GuestNic
from ganeti.model.running import apply_running_config
from ganeti.schema.records import replace
from ganeti.system.processes import LocalProcesses
from ganeti.testing.builders import a_disk
from tests.system.kvm_guests import KvmCase
from tests.system.linux import MINI

_PAGE = 4096


class KvmTests(KvmCase):
    async def test_linux_boots_is_found_again_and_shuts_down_when_asked(self) -> None:
        await self.hypervisor().start(self.guest(), self.attached())
        terminal = await self.terminal()
        await terminal.see(b"mini: up as web1")
        await terminal.see(b"mini: disk says welcome")
        await terminal.see(b"tick 1")
        later = self.hypervisor()
        self.assertEqual(list(later.running()), ["web1"])
        await later.stop("web1", hard=False)
        await terminal.see(b"mini: down")
        await self.until_down(later)

    async def test_a_qemu_that_hangs_is_killed_without_being_asked(self) -> None:
        await self.hypervisor().start(self.guest(), self.attached(), paused=True)
        os.kill(self.pid("node1"), signal.SIGSTOP)
        watchdog = self.hypervisor()
        await watchdog.kill(["web1"])
        self.assertEqual(watchdog.present(), frozenset())

    async def test_a_guest_that_has_arrived_runs_unasked_and_can_be_killed(self) -> None:
        here, there = self.hypervisor("node1"), self.hypervisor("node2")
        await here.start(self.guest(), self.attached())
        running = await here.running_config(self.guest())
        runs = apply_running_config(self.guest(), running)
        address = await there.accept(runs, self.attached(), "127.0.0.1", running)
        await here.migrate(self.guest(), address, live=True)
        await self.sent(here)
        while (status := await self.status("node2")) == "inmigrate":
            await deferLater(self.clock, 0.05)
        self.assertEqual((status, there.running()), ("running", {}))
        self.assertEqual((here.present(), there.present()), ({"web1"}, {"web1"}))
        for each in (here, there):
            await each.kill(["web1"])
            self.assertEqual(each.present(), frozenset())

    async def start_as_ganeti(self) -> None:
        """Start the guest with the arguments and files of Ganeti 3.0."""
        top = f"{self.folder}/node1/kvm-hypervisor"
        for folder in ("pid", "ctrl", "conf"):
            os.makedirs(f"{top}/{folder}")
        control, kvm = f"unix:{top}/ctrl/web1", self.guest().hvparams
        arguments = [
            *("/usr/bin/qemu-system-x86_64", "-name", "web1", "-m", "128", "-smp", "1"),
            *("-pidfile", f"{top}/pid/web1", "-daemonize", "-machine", "pc"),
            *("-kernel", str(kvm["kernel_path"]), "-initrd", str(kvm["initrd_path"])),
            *("-append", "root=/dev/vda quiet console=ttyS0,38400", "-display", "none"),
            *("-monitor", f"{control}.monitor,server,nowait"),
            *("-serial", f"{control}.serial,server,nowait"),
            *("-qmp", f"{control}.qmp,server,nowait"),
            *("-drive", f"file={self.disk},format=raw,if=virtio"),
        ]
        done = await LocalProcesses(cast(IReactorFDSet, reactor), self.clock).run(arguments)
        self.assertEqual(done.code, 0, done.err)

    async def test_a_guest_that_ganeti_has_started_goes_on(self) -> None:
        await self.start_as_ganeti()
        hypervisor = self.hypervisor()
        self.assertEqual(list(hypervisor.running()), ["web1"])
        terminal = await self.terminal(path="kvm-hypervisor/ctrl/web1.serial")
        await terminal.see(b"tick 1")
        later = self.hypervisor()
        await later.stop("web1", hard=False)
        await terminal.see(b"mini: down")
        await self.until_down(later)
        await later.start(self.guest(), self.attached())
        top = f"{self.folder}/node1/kvm-hypervisor"
        self.assertEqual([names for _, _, names in os.walk(top) if names], [])

    async def test_a_card_is_connected_to_its_bridge_while_the_guest_runs(self) -> None:
        ip = LocalProcesses(cast(IReactorFDSet, reactor), self.clock).run
        made = await ip(["ip", "link", "add", "gnt-test", "type", "bridge"])
        if made.code:
            raise SkipTest(f"no bridge can be made here: {made.err.decode().strip()}")
        self.addCleanup(ip, ["ip", "link", "delete", "gnt-test"])
        nic = GuestNic(uuid="0" * 36, mac="aa:00:10:00:00:01", mode="bridged", link="gnt-test")
        hypervisor = self.hypervisor()
        await hypervisor.start(replace(self.guest(), nics=(nic,)), self.attached(), paused=True)
        self.assertEqual(os.listdir("/sys/class/net/gnt-test/brif"), [tap(nic)])
        self.assertTrue(hypervisor.running()["web1"].paused)
        await hypervisor.stop("web1", hard=True)
        self.assertEqual(os.listdir("/sys/class/net/gnt-test/brif"), [])
        self.assertNotIn(tap(nic), os.listdir("/sys/class/net"))

    async def test_linux_moves_while_it_runs(self) -> None:
        here, there, guest = self.hypervisor("node1"), self.hypervisor("node2"), self.guest()
        await here.start(guest, self.attached())
        before = await self.terminal("node1")
        await before.see(b"tick 1")
        running = await here.running_config(guest)
        address = await there.accept(guest, self.attached(), "127.0.0.1", running)
        after = await self.terminal("node2")
        await here.migrate(guest, address, live=True)
        await self.sent(here)
        await there.finish_incoming(guest, arrived=True)
        await here.finish_outgoing(guest, left=True)
        seen = before.shown.count(b"tick")
        await after.see(b"tick %d" % (seen + 2))
        self.assertNotIn(b"mini: up", after.shown.partition(b"tick")[0])
        self.assertEqual([list(here.running()), list(there.running())], [[], ["web1"]])
        await there.stop("web1", hard=True)
        self.assertEqual(os.listdir(f"{self.folder}/node2/kvm"), [])

    async def test_a_guest_moves_with_what_it_was_started_with(self) -> None:
        here, there = self.hypervisor("node1"), self.hypervisor("node2")
        await here.start(self.guest(), self.attached(), paused=True)
        bigger = {"maxmem": 256, "minmem": 256, "vcpus": 2}
        changed = replace(self.guest(machine_version="q35", usb_mouse="tablet"), beparams=bigger)
        running = await here.running_config(changed)
        runs = apply_running_config(changed, running)
        address = await there.accept(runs, self.attached(), "127.0.0.1", running)
        await here.migrate(changed, address, live=True)
        await self.sent(here)
        await there.finish_incoming(changed, arrived=True)
        self.assertEqual(there.running()["web1"].memory, 128)
        self.assertNotIn("web1.log", os.listdir(f"{self.folder}/node2/kvm"))

    async def test_a_receiver_that_is_another_machine_says_so(self) -> None:
        here, there = self.hypervisor("node1"), self.hypervisor("node2")
        await here.start(self.guest(), self.attached(), paused=True)
        for over, reason in (
            ({"memory": 256}, "Size mismatch: pc.ram"),
            ({"chosen": {"machine_version": "pc-q35-7.2"}}, "Machine type received is"),
        ):
            wrong = replace(await here.running_config(self.guest()), **over)
            runs = apply_running_config(self.guest(), wrong)
            address = await there.accept(runs, self.attached(), "127.0.0.1", wrong)
            await here.migrate(self.guest(), address, live=True)
            while (await here.sending(self.guest())).phase is MigrationPhase.ACTIVE:
                await deferLater(self.clock, 0.05)
            self.assertIn(reason, await there.finish_incoming(self.guest(), arrived=False))
            await here.finish_outgoing(self.guest(), left=False)
            self.assertEqual(list(here.running()), ["web1"])

    async def test_a_q35_guest_with_every_drive_starts_and_starts_again(self) -> None:
        image = self.image()
        hypervisor = self.hypervisor()
        images = ("cdrom_image_path", "cdrom2_image_path", "floppy_image_path")
        for disk_type in ("paravirtual", "ide", "scsi"):
            drives = dict.fromkeys(images, image) | {"disk_type": disk_type}
            guest = self.guest(machine_version="q35", **drives)
            for _ in range(2):
                await hypervisor.start(guest, self.attached())
                await hypervisor.reboot(guest)
                running = await hypervisor.running_config(guest)
                self.assertTrue(running.chosen["machine_version"].startswith("pc-q35-"))
                await hypervisor.stop("web1", hard=True)

    async def test_another_cd_is_put_into_the_drive_of_a_running_guest(self) -> None:
        hypervisor, first, second = self.hypervisor(), self.image(), self.image("second.iso")
        await hypervisor.start(self.guest(cdrom_image_path=first), self.attached())
        await hypervisor.change_media(
            self.guest(cdrom_image_path=second, cdrom2_image_path=first), force=False
        )
        async with hypervisor._qemus.connect_monitor("web1") as qemu:
            blocks = {each["device"]: each for each in await qemu.execute("query-block")}
        self.assertEqual(blocks["cdrom0"]["inserted"]["file"], second)
        self.assertTrue(blocks["cdrom0"]["inserted"]["ro"])
        hvparams = (await hypervisor.running_config(self.guest())).hvparams
        self.assertEqual(hvparams["cdrom_image_path"], second)
        self.assertEqual(hvparams.get("cdrom2_image_path", ""), "")
        with self.assertRaises(CommandFailed):
            await hypervisor.change_media(self.guest(cdrom_image_path="/nowhere.iso"), force=False)

    async def drive(self, hypervisor: KvmHypervisor) -> dict[str, Any]:
        """What QEMU says about the first CD drive."""
        async with hypervisor._qemus.connect_monitor("web1") as qemu:
            blocks = {each["device"]: each for each in await qemu.execute("query-block")}
        found: dict[str, Any] = blocks["cdrom0"]
        return found

    async def test_a_guest_moves_with_a_drive_whose_cd_was_taken_out(self) -> None:
        here, there = self.hypervisor("node1"), self.hypervisor("node2")
        image, without = self.image(), self.guest(cdrom_image_path="")
        await here.start(self.guest(cdrom_image_path=image), self.attached())
        await here.change_media(without, force=False)
        self.assertNotIn("inserted", await self.drive(here))
        os.unlink(image)
        running = await here.running_config(without)
        arriving = apply_running_config(without, running)
        address = await there.accept(arriving, self.attached(), "127.0.0.1", running)
        await here.migrate(without, address, live=True)
        await self.sent(here)
        await there.finish_incoming(without, arrived=True)
        self.assertNotIn("inserted", await self.drive(there))
        other = self.image("other.iso")
        await there.change_media(self.guest(cdrom_image_path=other), force=False)
        self.assertEqual((await self.drive(there))["inserted"]["file"], other)

    async def test_a_cd_that_a_guest_uses_is_taken_out_by_force_only(self) -> None:
        hypervisor, image = self.hypervisor(), self.image()
        without = self.guest(cdrom_image_path="")
        await hypervisor.start(self.guest(cdrom_image_path=image), self.attached())
        terminal = await self.terminal()
        await terminal.see(b"tick 1")
        assert terminal.transport is not None
        terminal.transport.write(
            b"[ -b /dev/sr0 ] && echo has-$((40 + 2)) || echo no-$((40 + 2))\n"
        )
        await terminal.see(b"-42")
        if b"no-42" in terminal.shown:
            raise SkipTest(f"the guest in {MINI} has no driver for CD drives: make it again")
        # Linux locks a drive as long as something has it open.
        terminal.transport.write(b"sleep 1000 < /dev/sr0 & sleep 1; echo open-$((40 + 3))\n")
        await terminal.see(b"open-43")
        self.assertTrue((await self.drive(hypervisor))["locked"])
        with self.assertRaisesRegex(Refused, "has locked the CD drive of cdrom_image_path"):
            await hypervisor.change_media(without, force=False)
        self.assertEqual((await self.drive(hypervisor))["inserted"]["file"], image)
        await hypervisor.change_media(without, force=True)
        self.assertNotIn("inserted", await self.drive(hypervisor))

    async def test_devices_come_and_go_while_linux_runs_and_move_with_it(self) -> None:
        await self.change_devices_and_move("pc")

    async def test_devices_of_a_q35_come_and_go_while_linux_runs_and_move_with_it(self) -> None:
        await self.change_devices_and_move("q35")

    async def change_devices_and_move(self, machine: str) -> None:
        here, there = self.hypervisor("node1"), self.hypervisor("node2")
        first, second = self.attached()[0], self.second_disk()
        card = GuestNic(uuid="1" * 36, mac="aa:00:10:00:00:01", mode="bridged", link="none")
        guest = self.guest(kvm_net="user", machine_version=machine)
        await here.start(guest, [first])
        terminal = await self.terminal("node1")
        await terminal.see(b"tick 1")
        self.assertEqual(await here.find_hotplug_problem(guest), "")
        for _ in range(2):
            await here.plug(guest, second)
            await here.plug(guest, card)
        cards = "$(cat /sys/bus/pci/devices/*/class | grep -c 0x020000)"
        await terminal.wait_until("-b /dev/vdb")
        await terminal.run("head -c 21 /dev/vdb", b"the second disk of it")
        await terminal.wait_until(f"{cards} = 1")
        await here.unplug(guest, first.disk.uuid)
        await terminal.wait_until("! -e /dev/vda")
        configured = replace(guest, disks=(second.disk,), nics=(card,))
        running = await here.running_config(configured)
        self.assertEqual([disk.uuid for disk in running.disks], [second.disk.uuid])
        runs = apply_running_config(configured, running)
        address = await there.accept(runs, [second], "127.0.0.1", running)
        moved = await self.terminal("node2")
        await here.migrate(configured, address, live=True)
        await self.sent(here)
        await there.finish_incoming(configured, arrived=True)
        await here.finish_outgoing(configured, left=True)
        await moved.run("dd if=/dev/vdb bs=64k skip=8 count=1 | head -c 13", b"moved with it")
        await there.unplug(configured, card.uuid)
        await moved.wait_until(f"{cards} = 0")
        await there.unplug(configured, second.disk.uuid)
        await moved.wait_until("! -e /dev/vdb")

    def second_disk(self) -> AttachedDisk:
        path = Path(self.folder, "disk1")
        content = b"the second disk of it\n".ljust(512 << 10, b"\0") + b"moved with it\n"
        path.write_bytes(content.ljust(1 << 20, b"\0"))
        return AttachedDisk(a_disk("b", size=1), str(path))

    async def test_what_qemu_cannot_open_is_not_part_of_the_guest(self) -> None:
        hypervisor, guest = self.hypervisor(), self.guest()
        await hypervisor.start(guest, self.attached(), paused=True)
        missing = AttachedDisk(a_disk("b", size=1), "/nowhere")
        with self.assertRaisesRegex(CommandFailed, "/nowhere"):
            await hypervisor.plug(guest, missing)
        running = await hypervisor.running_config(guest)
        self.assertEqual([disk.uuid for disk in running.disks], [guest.disks[0].uuid])
        await hypervisor.plug(guest, self.second_disk())

    async def test_what_a_busy_guest_writes_while_it_moves_arrives(self) -> None:
        here, there = self.hypervisor("node1"), self.hypervisor("node2")
        await here.start(self.guest(), self.attached())
        terminal = await self.terminal("node1")
        await terminal.see(b"tick 1")
        # Without a change of context, the translations of addresses stay what they are: a write
        # to a page that is no longer watched goes unnoticed, where a sleep would reveal it.
        assert terminal.transport is not None
        terminal.transport.write(b"i=0; while :; do i=$((i+1)); done &\n")
        held = self.guest(kvm_extra="-S")
        running = await here.running_config(held)
        address = await there.accept(held, self.attached(), "127.0.0.1", running)
        await here.migrate(self.guest(), address, live=True)
        await self.sent(here)
        self.assert_same_pages(await self.memory("node1"), await self.memory("node2"))

    def assert_same_pages(self, one: Path, other: Path) -> None:
        sent, arrived = one.read_bytes(), other.read_bytes()
        pages = range(0, len(sent), _PAGE)
        lost = [at for at in pages if sent[at : at + _PAGE] != arrived[at : at + _PAGE]]
        self.assertEqual((len(sent), lost), (self.guest().memory << 20, []))
