# SPDX-License-Identifier: BSD-2-Clause
"""The disks of a running guest are shown as they were, and changes are counted without a gap."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import GanetiError, Refused
from ganeti.hypervisor.interfaces import AttachedDisk, ILiveBackups, LivePoint, NotRunning
from ganeti.hypervisor.kvm.accelerator import AcceleratorSelector
from ganeti.hypervisor.kvm.devices import disk_id
from ganeti.hypervisor.kvm.driver import KvmHypervisor
from ganeti.hypervisor.kvm.guest_agent import GuestAgents
from ganeti.hypervisor.kvm.monitor import MonitorConnector
from ganeti.schema.records import replace
from ganeti.testing.block_layer import MemoryBlockLayer
from ganeti.testing.builders import a_disk, a_guest
from ganeti.testing.disk import MemoryFiles
from ganeti.testing.images import MemoryImages
from ganeti.testing.local_users import MemoryAccounts
from ganeti.testing.memory_descriptors import MemoryDescriptors
from ganeti.testing.processes import MemoryStateFiles
from ganeti.testing.qemu import QemuNetwork, ScriptedHost

VAULT = "5a6f2d4e"


class LiveGuestCase(SynchronousTestCase):
    """A running guest, whose block layer is simulated."""

    disks = 2

    def setUp(self) -> None:
        self.clock = Clock()
        self.host = ScriptedHost(self.clock, QemuNetwork(), ["qemu-system-x86_64"])
        self.notes, self.images = MemoryStateFiles(), MemoryImages()
        disks = [a_disk(f"web1/{number}", size=64) for number in range(self.disks)]
        self.guest = a_guest(
            "web1", hypervisor="kvm", hvparams={"kernel_path": ""}, disks=disks, network_port=11001
        )
        self.attached = [AttachedDisk(disk, f"/dev/{disk.uuid}") for disk in self.guest.disks]
        self.kvm = self.hypervisor()
        self.done(self.kvm.start(self.guest, self.attached))

    def hypervisor(self) -> KvmHypervisor:
        files = MemoryFiles(self.host.disk)
        return KvmHypervisor(
            folder="/run/kvm",
            notes=self.notes,
            files=files,
            processes=self.host.processes,
            monitors=MonitorConnector(self.host.endpoint, self.clock),
            agents=GuestAgents(self.host.endpoint, self.clock),
            accelerators=AcceleratorSelector(files, self.host.processes, MemoryStateFiles()),
            clock=self.clock,
            attach=["console.py"],
            ganeti="/run/kvm-hypervisor",
            firmware="/var/lib/kvm-firmware",
            descriptors=MemoryDescriptors(self.host.disk),
            accounts=MemoryAccounts(),
            user_pool=lambda: (),
            images=self.images,
            keys="/var/lib/ganeti",
            scratch="/scratch",
        )

    def done(self, work: Any) -> Any:
        running = Deferred.fromCoroutine(work)
        self.clock.pump([0.0] * 300)
        return self.successResultOf(running)

    def refusal(self, work: Any, kind: type[GanetiError] = GanetiError) -> str:
        running = Deferred.fromCoroutine(work)
        self.clock.pump([0.0] * 300)
        return str(self.failureResultOf(running, kind).value)

    def start_with_agent(self) -> list[str]:
        """Start the guest with the channel of an agent; return what the agent is asked."""
        self.done(self.kvm.stop("web1", hard=True))
        hvparams = {**self.guest.hvparams, "use_guest_agent": True}
        self.guest = replace(self.guest, hvparams=hvparams)
        self.done(self.kvm.start(self.guest, self.attached))
        return self.host.agents.setdefault("/run/kvm/web1.agent", [])


class LiveBackupsTests(LiveGuestCase):
    @property
    def blocks(self) -> MemoryBlockLayer:
        return self.host.machine("web1").blocks

    def begin(self, backup: str, parent: str = "") -> Any:
        return self.kvm.begin_backup(self.guest, self.attached, VAULT, backup, parent)

    def end(self, backup: str, *, complete: bool = True) -> None:
        self.done(self.kvm.end_backup(self.guest, VAULT, backup, complete=complete))

    def back_up(self, backup: str, parent: str = "") -> LivePoint:
        point: LivePoint = self.done(self.begin(backup, parent))
        self.end(backup)
        return point

    def changed(self, point: LivePoint) -> set[int]:
        """The areas that are read of the first disk."""
        node = f"#{disk_id(self.guest.disks[0])}"
        return self.blocks.bitmaps[node][point.disks[0].bitmap][0]

    def nothing_is_left(self, *, bitmaps: int = 1) -> None:
        """Check that the guest uses its disks as before, with so many bitmaps on each."""
        self.assertEqual({f"#{name}": "" for name in self.blocks.devices}, self.blocks.nodes)
        self.assertEqual(list(self.blocks.devices.values()), list(self.blocks.nodes))
        self.assertEqual((self.blocks.serves, self.blocks.exports), (False, {}))
        for found in self.blocks.bitmaps.values():
            self.assertEqual((len(found), all(each[1] for each in found.values())), (bitmaps, True))
        self.assertEqual(self.host.disk.names("/scratch"), [])
        self.assertEqual(self.host.machine("web1").status, "running")

    def test_the_driver_shows_disks(self) -> None:
        self.assertTrue(ILiveBackups.providedBy(self.kvm))

    def test_every_disk_is_exported_behind_a_filter(self) -> None:
        point = self.done(self.begin("b1"))
        names = [disk_id(disk) for disk in self.guest.disks]
        self.assertEqual([each.name for each in point.disks], names)
        self.assertEqual((point.full, point.disks[0].bitmap), ("", ""))
        exported = [each["node-name"] for each in self.blocks.exports.values()]
        self.assertEqual(exported, [name.replace("disk", "pit") for name in names])
        filters = [name.replace("disk", "cbw") for name in names]
        self.assertEqual(list(self.blocks.devices.values()), filters)

    def test_nothing_is_left_of_a_backup_but_a_bitmap(self) -> None:
        self.back_up("b1")
        self.nothing_is_left()

    def test_a_guest_with_several_disks_stops_for_the_moment(self) -> None:
        self.done(self.begin("b1"))
        asked = self.host.machine("web1").asked
        self.assertEqual(("stop" in asked, "cont" in asked), (self.disks > 1, self.disks > 1))
        self.assertEqual(self.host.machine("web1").status, "running")

    def test_the_next_backup_has_what_was_written_since_the_moment(self) -> None:
        self.blocks.write_as_guest(1)
        self.done(self.begin("b1"))
        self.blocks.write_as_guest(2)
        self.end("b1")
        self.blocks.write_as_guest(3)
        point = self.done(self.begin("b2", "b1"))
        self.assertEqual((self.changed(point), point.full), ({2, 3}, ""))
        self.end("b2")
        self.nothing_is_left()

    def test_a_backup_that_fails_loses_no_change(self) -> None:
        self.back_up("b1")
        self.blocks.write_as_guest(1)
        self.done(self.begin("b2", "b1"))
        self.blocks.write_as_guest(2)
        self.end("b2", complete=False)
        self.nothing_is_left()
        self.blocks.write_as_guest(3)
        self.assertEqual(self.changed(self.done(self.begin("b3", "b1"))), {1, 2, 3})

    def test_a_first_backup_that_fails_leaves_nothing(self) -> None:
        self.done(self.begin("b1"))
        self.end("b1", complete=False)
        self.nothing_is_left(bitmaps=0)

    def test_a_restarted_daemon_ends_what_was_interrupted(self) -> None:
        self.back_up("b1")
        self.done(self.begin("b2", "b1"))
        self.blocks.write_as_guest(5)
        self.kvm = self.hypervisor()
        self.done(self.kvm.end_interrupted_backups())
        self.nothing_is_left()
        self.assertEqual(self.changed(self.done(self.begin("b3", "b1"))), {5})

    def test_a_guest_that_does_not_answer_keeps_no_other_from_being_cleaned_up(self) -> None:
        self.done(self.begin("b1"))
        self.host.deaf.add("web1")
        self.host.disk.add_folder("/scratch/guest-web0", 0o700)
        self.host.disk.add_folder("/scratch/guest-web2", 0o700)
        ending = Deferred.fromCoroutine(self.hypervisor().end_interrupted_backups())
        self.clock.pump([1.0] * 30)
        self.successResultOf(ending)
        self.assertEqual(self.host.disk.names("/scratch"), ["guest-web1"])

    def test_a_guest_that_a_person_has_paused_is_backed_up_and_stays_paused(self) -> None:
        self.host.machine("web1").status = "paused"
        self.back_up("b1")
        self.assertEqual(self.host.machine("web1").status, "paused")

    def test_files_of_a_guest_that_has_ended_are_removed(self) -> None:
        self.done(self.begin("b1"))
        self.done(self.kvm.stop("web1", hard=True))
        self.done(self.hypervisor().end_interrupted_backups())
        self.assertEqual(self.host.disk.names("/scratch"), [])

    def test_any_command_that_fails_leaves_the_guest_as_it_was(self) -> None:
        self.back_up("b1")
        for command in ("blockdev-add", "block-dirty-bitmap-add", "block-export-add"):
            self.blocks.refuses = {command: "no, thanks"}
            running = Deferred.fromCoroutine(self.begin("b2", "b1"))
            self.clock.pump([0.0] * 300)
            self.assertIn("no, thanks", str(self.failureResultOf(running).value), command)
            self.blocks.refuses = {}
            self.nothing_is_left()

    def test_a_guest_that_was_started_again_is_read_as_a_whole(self) -> None:
        self.back_up("b1")
        self.done(self.kvm.stop("web1", hard=True))
        self.done(self.kvm.start(self.guest, self.attached))
        point = self.done(self.begin("b2", "b1"))
        self.assertEqual(point.disks[0].bitmap, "")
        self.assertIn("does not know what has changed since backup b1", point.full)

    def test_repositories_do_not_disturb_each_other(self) -> None:
        self.back_up("b1")
        self.done(self.kvm.begin_backup(self.guest, self.attached, "other", "c1", ""))
        self.blocks.write_as_guest(4)
        self.done(self.kvm.end_backup(self.guest, "other", "c1", complete=True))
        self.nothing_is_left(bitmaps=2)
        self.assertEqual(self.changed(self.done(self.begin("b2", "b1"))), {4})

    def test_file_systems_are_frozen_for_the_moment_by_the_agent(self) -> None:
        asked = self.start_with_agent()
        point = self.done(self.begin("b1"))
        self.assertTrue(point.frozen)
        self.assertEqual(asked[-2:], ["guest-fsfreeze-freeze", "guest-fsfreeze-thaw"])
        self.end("b1")
        self.nothing_is_left()

    def test_a_guest_without_an_agent_is_backed_up_as_it_is(self) -> None:
        self.start_with_agent()
        self.host.agents.clear()
        self.assertFalse(self.done(self.begin("b1")).frozen)
        self.end("b1")
        self.nothing_is_left()

    def test_an_old_qemu_is_refused_with_what_to_do(self) -> None:
        self.host.version = "7.0.0"
        said = self.refusal(self.begin("b1"), Refused)
        self.assertIn("needs QEMU 7.1", said)
        self.nothing_is_left(bitmaps=0)

    def test_a_guest_that_is_not_running_is_refused_and_its_end_succeeds(self) -> None:
        self.done(self.kvm.stop("web1", hard=True))
        self.refusal(self.begin("b1"), NotRunning)
        self.end("b1", complete=False)

    def test_disks_that_the_guest_does_not_have_are_refused(self) -> None:
        more = [*self.attached, AttachedDisk(a_disk("web1/9", size=1), "/dev/x")]
        said = self.refusal(self.kvm.begin_backup(self.guest, more, VAULT, "b1", ""), Refused)
        self.assertIn("runs with other disks", said)


class SingleDiskTests(LiveBackupsTests):
    disks = 1
