# SPDX-License-Identifier: BSD-2-Clause
"""Snapshots of all disks of a running guest are one transaction of its QEMU."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Refused
from ganeti.hypervisor.kvm import disk_snapshots
from ganeti.hypervisor.kvm.devices import disk_id
from ganeti.hypervisor.kvm.monitor import CommandFailed
from ganeti.model.running import running_config
from ganeti.schema.records import replace
from ganeti.testing.builders import a_disk, a_guest
from tests.hypervisor.kvm.test_hotplug import HotplugCase

DISKS = (a_disk("disk0"), a_disk("disk1"))


class DiskSnapshotTests(HotplugCase):
    def test_one_transaction_has_all_disks(self) -> None:
        self.do(lambda qemu: disk_snapshots.create(qemu, DISKS, "gnt-1"))
        kind = "blockdev-snapshot-internal-sync"
        expected = [
            {"type": kind, "data": {"device": disk_id(disk), "name": "gnt-1"}} for disk in DISKS
        ]
        self.assertEqual(self.host.given["transaction"], {"actions": expected})
        self.assertEqual(self.count("transaction"), 1)

    def test_qemus_reason_is_that_of_the_failure(self) -> None:
        self.host.rejects.add("transaction")
        creating = self.begin(lambda qemu: disk_snapshots.create(qemu, DISKS, "gnt-1"))
        self.clock.pump([0.05] * 40)
        self.assertIn("no free slot", str(self.failureResultOf(creating, CommandFailed).value))

    def test_a_snapshot_is_removed_from_each_disk(self) -> None:
        self.do(lambda qemu: disk_snapshots.remove(qemu, DISKS, "gnt-1"))
        command = "blockdev-snapshot-delete-internal-sync"
        self.assertEqual(self.count(command), 2)
        self.assertEqual(self.host.given[command], {"device": disk_id(DISKS[1]), "name": "gnt-1"})

    def test_another_failure_to_remove_it_is_reported(self) -> None:
        self.host.rejects.add("blockdev-snapshot-delete-internal-sync")
        removing = self.begin(lambda qemu: disk_snapshots.remove(qemu, DISKS, "gnt-1"))
        self.clock.pump([0.05] * 40)
        self.failureResultOf(removing, CommandFailed)


class DisksOfAGuestTests(SynchronousTestCase):
    def test_a_guest_with_other_disks_than_configured_is_refused(self) -> None:
        guest = a_guest("web1", disks=list(DISKS))
        disk_snapshots.require_same_disks(guest, running_config(guest, {}, ""))
        started = running_config(replace(guest, disks=DISKS[:1]), {}, "")
        error = self.assertRaises(Refused, disk_snapshots.require_same_disks, guest, started)
        self.assertIn("gnt-instance reboot web1", str(error))
