# SPDX-License-Identifier: BSD-2-Clause
"""A guest is saved with its memory, and goes on from there in a virtual machine like it."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from ganeti.errors import Failed, Refused
from ganeti.hypervisor.interfaces import AttachedDisk, IMemorySnapshots
from ganeti.hypervisor.kvm.memory_snapshots import POLL
from ganeti.model.instance_snapshots import SavedMemory
from ganeti.schema.records import replace
from ganeti.testing.builders import a_disk
from tests.hypervisor.kvm.test_live_backups import LiveGuestCase


class MemorySnapshotTests(LiveGuestCase):
    def settle(self, work: Any) -> Deferred[Any]:
        running = Deferred.fromCoroutine(work)
        self.clock.pump([0.0] * 100 + [POLL] * 10 + [0.0] * 100)
        return running

    def save(self, name: str = "gnt-1") -> SavedMemory:
        saved: SavedMemory = self.successResultOf(
            self.settle(self.kvm.snapshot_memory(self.guest, name))
        )
        return saved

    def restart(self, **more: Any) -> None:
        self.done(self.kvm.stop("web1", hard=True))
        self.guest = replace(self.guest, **more)
        self.attached = [AttachedDisk(disk, f"/dev/{disk.uuid}") for disk in self.guest.disks]
        self.done(self.kvm.start(self.guest, self.attached, paused=True))

    def refused(self, work: Any, kind: type[Exception] = Refused) -> str:
        return str(self.failureResultOf(self.settle(work), kind).value)

    def test_the_driver_saves_memory(self) -> None:
        self.assertTrue(IMemorySnapshots.providedBy(self.kvm))

    def test_all_disks_are_saved_with_the_memory_and_the_job_is_dismissed(self) -> None:
        saved = self.save()
        self.assertEqual(self.blocks_of.saved, {"gnt-1": list(self.blocks_of.nodes)})
        self.assertEqual(self.blocks_of.saving, {})
        self.assertEqual([each.uuid for each in saved.running.disks], self.disk_uuids())

    @property
    def blocks_of(self) -> Any:
        return self.host.machine("web1").blocks

    def disk_uuids(self) -> list[str]:
        return [each.uuid for each in self.guest.disks]

    def test_a_guest_goes_on_from_its_memory(self) -> None:
        saved = self.save()
        self.restart()
        self.successResultOf(self.settle(self.kvm.resume_from_memory(self.guest, "gnt-1", saved)))
        self.assertEqual(self.blocks_of.loaded, ["gnt-1"])
        self.assertEqual(self.host.machine("web1").status, "running")

    def test_a_virtual_machine_with_other_devices_does_not_load_it(self) -> None:
        saved = self.save()
        self.restart(disks=(*self.guest.disks, a_disk("web1/9", size=64)))
        said = self.refused(self.kvm.resume_from_memory(self.guest, "gnt-1", saved))
        self.assertIn("has other devices than the one whose memory was saved", said)
        self.assertEqual(self.blocks_of.loaded, [])

    def test_qemus_reason_is_that_of_the_failure(self) -> None:
        self.blocks_of.job_error = "No space left on device"
        said = self.refused(self.kvm.snapshot_memory(self.guest, "gnt-1"), Failed)
        self.assertIn("QEMU could not do it: No space left on device", said)
        self.assertEqual(self.blocks_of.saving, {})

    def test_a_guest_that_is_paused_is_not_saved(self) -> None:
        self.host.machine("web1").status = "paused"
        said = self.refused(self.kvm.snapshot_memory(self.guest, "gnt-1"))
        self.assertIn("is paused; let it go on first", said)

    def test_a_guest_with_its_volume_for_the_first_boot_is_not_saved(self) -> None:
        self.done(self.kvm.stop("web1", hard=True))
        self.done(self.kvm.start(self.guest, self.attached, seed=b"seed"))
        said = self.refused(self.kvm.snapshot_memory(self.guest, "gnt-1"))
        self.assertIn("it still has the volume for its first boot; restart it first", said)

    def test_a_job_that_another_daemon_has_begun_is_awaited_before_a_removal(self) -> None:
        self.blocks_of.saving["gnt-1"] = {"id": "gnt-1", "status": "running"}
        removing = self.settle(self.hypervisor().remove_disk_snapshots(self.guest, "gnt-1"))
        self.successResultOf(removing)
        self.assertEqual(self.blocks_of.saving, {})

    def test_another_qemu_or_processor_cannot_load_it(self) -> None:
        saved = self.save()
        find = self.kvm.find_memory_problem
        self.assertEqual(self.done(find(self.guest, saved)), "")
        other = replace(saved, cpu="Z80")
        self.assertIn("which was Z80", self.done(find(self.guest, other)))
        older = replace(saved, running=replace(saved.running, version="6.0.0"))
        self.assertIn("saved by QEMU 6.0.0, and this", self.done(find(self.guest, older)))
