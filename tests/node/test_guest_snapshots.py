# SPDX-License-Identifier: BSD-2-Clause
"""The hypervisor of a running guest makes its snapshots, the storage those of a stopped one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from ganeti.errors import Failed, Refused
from ganeti.hypervisor.interfaces import ILiveSnapshots, Running
from ganeti.model.disk import Template
from ganeti.model.guest import Guest
from ganeti.rpc import snapshots as calls
from ganeti.rpc.disks import CreateDisk
from ganeti.rpc.instances import StartInstanceCall
from ganeti.testing.builders import a_disk, a_guest
from ganeti.testing.host import MemoryHost
from ganeti.testing.hypervisor import MemoryHypervisor
from ganeti.testing.lvm import ScriptedLvm
from tests.operations.disk_images import install_programs

FOLDER = "/srv/ganeti/file-storage"


@implementer(ILiveSnapshots)
class LiveHypervisor(MemoryHypervisor):
    """Guests with images that only they have open; ``taken`` are the names of their snapshots."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[str] = []
        self.freezes = False

    async def snapshot_disks(self, guest: Guest, name: str) -> bool:
        self._ask("snapshot", guest.name)
        self.taken.append(name)
        return self.freezes

    @asynccontextmanager
    async def hold_writes(self, guest: Guest) -> AsyncIterator[bool]:
        self._ask("hold", guest.name)
        try:
            yield self.freezes
        finally:
            self._ask("continue", guest.name)

    async def release_guest(self, guest: Guest) -> None:
        self._ask("release", guest.name)

    async def remove_disk_snapshots(self, guest: Guest, name: str) -> None:
        self.taken = [each for each in self.taken if each != name]


def an_image(name: str) -> Any:
    return a_disk(name, size=8, logical_id=("loop", f"{FOLDER}/{name}"), params={"format": "qcow2"})


class GuestSnapshotTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.kvm = LiveHypervisor()
        self.host = MemoryHost("node1", hypervisors={"kvm": self.kvm})
        self.program = install_programs(self.host)
        self.guest = a_guest("web1", hypervisor="kvm", disks=[an_image("a"), an_image("b")])
        self.parts = self.host.parts
        for disk in self.guest.disks:
            self.done(self.parts.disks.create(CreateDisk(disk=disk, owner="web1")))

    def done(self, work: Any) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(work))

    def make(self, name: str = "gnt-1") -> Any:
        call = calls.CreateGuestSnapshot(guest=self.guest, name=name)
        return self.parts.guest_snapshots.create(call)

    def stored(self) -> list[list[str]]:
        paths = [f"/node1{each.logical_id[1]}" for each in self.guest.disks]
        return [list(self.program.sizes_by_snapshot(path)) for path in paths]

    def start(self) -> None:
        self.done(self.parts.instances.start(StartInstanceCall(guest=self.guest)))

    def test_the_storage_makes_those_of_a_stopped_guest(self) -> None:
        self.assertEqual(self.done(self.make()), calls.SnapshotReport(running=False))
        self.assertEqual((self.stored(), self.kvm.taken), ([["gnt-1"], ["gnt-1"]], []))

    def test_the_hypervisor_makes_and_removes_those_of_a_running_guest(self) -> None:
        self.start()
        self.kvm.freezes = True
        report = self.done(self.make())
        self.assertEqual(report, calls.SnapshotReport(running=True, frozen=True))
        self.assertEqual((self.stored(), self.kvm.taken), ([[], []], ["gnt-1"]))
        removal = calls.RemoveGuestSnapshot(guest=self.guest, name="gnt-1")
        self.done(self.parts.guest_snapshots.remove(removal))
        self.assertEqual(self.kvm.taken, [])
        self.assertNotIn(("release", "web1"), self.kvm.asked)
        unfinished = calls.RemoveGuestSnapshot(guest=self.guest, name="gnt-1", unfinished=True)
        self.done(self.parts.guest_snapshots.remove(unfinished))
        self.assertIn(("release", "web1"), self.kvm.asked)

    def test_the_memory_of_a_guest_is_saved_by_its_hypervisor(self) -> None:
        call = calls.CreateGuestSnapshot(guest=self.guest, name="gnt-1", memory=True)
        refused = Deferred.fromCoroutine(self.parts.guest_snapshots.create(call))
        self.failureResultOf(refused, Refused)
        self.start()
        report = self.done(self.parts.guest_snapshots.create(call))
        self.assertEqual((report.running, report.memory is not None), (True, True))
        self.assertIn(("save memory", "web1"), self.kvm.asked)

    def test_a_guest_that_does_not_load_its_memory_does_not_run(self) -> None:
        self.start()
        call = calls.CreateGuestSnapshot(guest=self.guest, name="gnt-1", memory=True)
        report = self.done(self.parts.guest_snapshots.create(call))
        self.kvm.unloadable.add("web1")
        load = calls.LoadSavedMemory(guest=self.guest, name="gnt-1", memory=report.memory)
        loading = Deferred.fromCoroutine(self.parts.guest_snapshots.load_memory(load))
        self.failureResultOf(loading, Failed)
        self.assertEqual(self.kvm.running(), {})

    def test_a_running_guest_is_not_reverted(self) -> None:
        self.done(self.make())
        self.start()
        call = calls.RevertGuest(guest=self.guest, name="gnt-1")
        reverting = Deferred.fromCoroutine(self.parts.guest_snapshots.revert(call))
        self.failureResultOf(reverting, Running)

    def test_what_cannot_be_removed_again_is_part_of_the_message(self) -> None:
        self.done(self.make("gnt-0"))
        self.program.broken.add("snapshot")
        creating = Deferred.fromCoroutine(self.make())
        error = self.failureResultOf(creating, Failed).value
        self.assertIn("disk/0 of web1", str(error))
        self.assertEqual(self.stored(), [["gnt-0"], ["gnt-0"]])

    def test_disks_that_are_missing_are_left_out_of_lists(self) -> None:
        self.done(self.make())
        asked = (*self.guest.disks, an_image("gone"))
        listed = self.parts.guest_snapshots.list_names(calls.ListDiskSnapshots(disks=asked))
        expected = {each.uuid: ["gnt-1"] for each in self.guest.disks}
        self.assertEqual(self.done(listed), expected)


class VolumeSnapshotTests(SynchronousTestCase):
    """Disks on logical volumes, whose snapshots the storage makes."""

    def setUp(self) -> None:
        self.kvm, self.lvm = LiveHypervisor(), ScriptedLvm(group="vg0", size=256)
        self.host = MemoryHost("node1", hypervisors={"kvm": self.kvm})
        self.host.processes.programs |= self.lvm.programs
        disks = [
            a_disk(name, Template.PLAIN, size=64, logical_id=("vg0", name)) for name in ("a", "b")
        ]
        self.guest = a_guest("web1", hypervisor="kvm", disks=disks)
        self.parts = self.host.parts
        for disk in disks:
            self.done(self.parts.disks.create(CreateDisk(disk=disk, owner="web1")))
        self.done(self.parts.instances.start(StartInstanceCall(guest=self.guest)))

    def done(self, work: Any) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(work))

    def snapshots(self) -> list[str]:
        return [name for name, each in self.lvm.volumes.items() if each.origin]

    def test_a_guest_does_not_write_while_its_snapshots_are_made(self) -> None:
        call = calls.CreateGuestSnapshot(guest=self.guest, name="gnt-1")
        made = Deferred.fromCoroutine(self.parts.guest_snapshots.create(call))
        error = self.failureResultOf(made, Failed).value
        self.assertIn("disk/1 of web1", str(error))
        self.assertEqual(self.snapshots(), [])
        self.lvm.size = 512
        report = self.done(self.parts.guest_snapshots.create(call))
        self.assertEqual(report, calls.SnapshotReport(running=True))
        self.assertEqual(self.snapshots(), ["a.gnt-1", "b.gnt-1"])
        asked = [what for what, _ in self.kvm.asked if what != "start"]
        self.assertEqual(asked, ["hold", "continue"] * 2)

    def test_they_are_removed_while_the_guest_runs(self) -> None:
        self.lvm.size = 512
        self.done(
            self.parts.guest_snapshots.create(
                calls.CreateGuestSnapshot(guest=self.guest, name="gnt-1")
            )
        )
        removal = calls.RemoveGuestSnapshot(guest=self.guest, name="gnt-1", unfinished=True)
        self.done(self.parts.guest_snapshots.remove(removal))
        self.assertEqual(self.snapshots(), [])
        self.assertIn(("release", "web1"), self.kvm.asked)
