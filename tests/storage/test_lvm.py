# SPDX-License-Identifier: BSD-2-Clause
"""Logical volumes over scripted programs; ``tests/system/test_lvm`` has the real ones."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Code, Failed, Refused
from ganeti.model.disk import Disk, Template
from ganeti.storage.interfaces import (
    IReportsShortages,
    ISnapshots,
    IStorageUnits,
    IVolumes,
    LocalState,
    StorageUnit,
    Volume,
    VolumeStatus,
)
from ganeti.storage.lvm import reports
from ganeti.storage.lvm.lvm_commands import ENVIRONMENT, Lvm
from ganeti.storage.lvm.volume_groups import PhysicalVolumes, VolumeGroups
from ganeti.storage.lvm.volumes import LogicalVolumes, create_arguments
from ganeti.testing.builders import a_disk
from ganeti.testing.images import MemoryImages
from ganeti.testing.lvm import Logical, ScriptedLvm, ScriptedPool
from ganeti.testing.processes import MemoryProcesses, Ran, Script
from tests.contracts.units import UnitsContract
from tests.contracts.volumes import CopiesContract, SnapshotsContract, VolumesContract

CAPTURED = b"""
  {
      "report": [
          {
              "lv": [
                  {"vg_name":"xtest", "lv_name":"one", "lv_size":"32.00", "lv_attr":"-wi-XX----",
                   "lv_kernel_major":"-1", "lv_kernel_minor":"-1", "lv_tags":"a,originstname+web1",
                   "pool_lv":"", "data_percent":"", "metadata_percent":""},
                  {"vg_name":"xtest", "lv_name":"pool", "lv_size":"256.00", "lv_attr":"twi-aotz--",
                   "lv_kernel_major":"253", "lv_kernel_minor":"2", "lv_tags":"",
                   "pool_lv":"", "data_percent":"0.00", "metadata_percent":"10.94"},
                  {"vg_name":"xtest", "lv_name":"two", "lv_size":"64.00", "lv_attr":"Vwi---tz--",
                   "lv_kernel_major":"-1", "lv_kernel_minor":"-1", "lv_tags":"",
                   "pool_lv":"pool", "data_percent":"", "metadata_percent":""}
              ]
          }
      ]
  }
"""


class LogicalVolumesTests(VolumesContract, CopiesContract, SnapshotsContract, SynchronousTestCase):
    template = Template.PLAIN

    def make(self) -> IVolumes:
        self.scripted, self.images = ScriptedLvm(size=1024), MemoryImages()
        self.processes = MemoryProcesses(Clock(), self.scripted.programs)
        return LogicalVolumes(Lvm(self.processes), self.images)

    def test_a_volume_knows_its_owner(self) -> None:
        disk = self.created(size=64)
        [found] = self.done(self.volumes.volumes())
        name = "/".join(disk.logical_id)
        self.assertEqual(found, Volume(name=name, size=64, attached=False, owner="web1"))

    def test_the_data_of_a_snapshot_come_back_from_its_volume(self) -> None:
        disk = self.created()
        group, name = disk.logical_id
        self.done(self.snapshots.create_snapshot(disk, "gnt-1"))
        self.done(self.snapshots.revert_to_snapshot(disk, "gnt-1"))
        copied = (f"/dev/{group}/{name}.gnt-1", f"/dev/{group}/{name}")
        self.assertEqual(self.images.copied, [copied])
        self.assertFalse(self.scripted.volumes[name].active)

    def test_a_snapshot_has_room_for_a_change_of_everything(self) -> None:
        disk = self.created(size=64)
        self.done(self.snapshots.create_snapshot(disk, "gnt-1"))
        [found] = [each for each in self.scripted.volumes.values() if each.origin]
        self.assertGreater(found.size, 64)

    def test_without_that_room_there_is_no_snapshot(self) -> None:
        disk = self.created(size=640)
        taking = self.snapshots.create_snapshot(disk, "gnt-1")
        self.assertEqual(self.refusal(taking), Code.RESOURCES)
        self.assertEqual(self.names(disk), [])

    def test_a_volume_in_use_is_not_reverted(self) -> None:
        disk = self.created()
        self.done(self.snapshots.create_snapshot(disk, "gnt-1"))
        self.scripted.opened.add(disk.logical_id[1])
        reverting = self.snapshots.revert_to_snapshot(disk, "gnt-1")
        self.assertEqual((self.refusal(reverting), self.images.copied), (Code.STATE, []))

    def test_a_copy_that_fails_is_reported_and_leaves_the_volume_inactive(self) -> None:
        disk = self.created()
        self.done(self.snapshots.create_snapshot(disk, "gnt-1"))
        self.images.breaks_at = "copy"
        reverting = Deferred.fromCoroutine(self.snapshots.revert_to_snapshot(disk, "gnt-1"))
        self.failureResultOf(reverting, Failed)
        self.assertFalse(self.scripted.volumes[disk.logical_id[1]].active)

    def test_a_volume_that_is_in_use_stays(self) -> None:
        disk = self.created()
        self.done(self.volumes.attach(disk, primary=True))
        self.scripted.opened.add(disk.logical_id[1])
        self.assertEqual(self.refusal(self.volumes.detach(disk)), Code.STATE)
        self.assertEqual(self.refusal(self.volumes.remove(disk)), Code.STATE)

    def test_a_volume_with_a_missing_device_is_faulty(self) -> None:
        disk = self.created(size=64)
        self.scripted.missing.add("/dev/sda")
        [status] = self.done(self.volumes.describe([disk]))
        expected = VolumeStatus(path="", size=64, degraded=True, local=LocalState.FAULTY)
        self.assertEqual(status, expected)

    def test_many_who_ask_at_once_share_two_questions(self) -> None:
        clock = Clock()
        slow = MemoryProcesses(clock, {"lvs": Script(out=CAPTURED, takes=1.0)})
        volumes = LogicalVolumes(Lvm(slow), MemoryImages())
        asked = [Deferred.fromCoroutine(volumes.describe([])) for _ in range(50)]
        clock.pump([1.0, 1.0])
        self.assertEqual([self.successResultOf(each) for each in asked], [[]] * 50)
        self.assertEqual(len(slow.ran), 2)

    def test_who_stops_waiting_disturbs_nobody(self) -> None:
        clock = Clock()
        slow = MemoryProcesses(clock, {"lvs": Script(code=5, err=b"broken", takes=1.0)})
        volumes = LogicalVolumes(Lvm(slow), MemoryImages())
        one, two, three = (Deferred.fromCoroutine(volumes.describe([])) for _ in range(3))
        one.cancel()
        two.cancel()
        self.failureResultOf(one)
        self.failureResultOf(two)
        clock.pump([1.0, 1.0])
        self.failureResultOf(three, Failed)

    def test_programs_speak_english_and_get_nothing_else(self) -> None:
        self.created()
        self.assertEqual([ran.env for ran in self.processes.ran], [ENVIRONMENT])


class ThinVolumesTests(VolumesContract, CopiesContract, SnapshotsContract, SynchronousTestCase):
    """Volumes in a thin pool that has promised nothing yet."""

    template = Template.PLAIN

    def make(self) -> IVolumes:
        self.scripted, self.images = ScriptedLvm(size=1100), MemoryImages()
        self.scripted.pools["thin"] = ScriptedPool(1024)
        self.processes = MemoryProcesses(Clock(), self.scripted.programs)
        return LogicalVolumes(Lvm(self.processes), self.images)

    def disk(self, name: str = "one", size: int = 64) -> Disk:
        return a_disk(name, self.template, size=size, params={"pool": "thin"})

    def test_the_usual_ratio_promises_no_more_than_there_is_also_for_snapshots(self) -> None:
        disk = self.created(size=640)
        for promise in (
            self.volumes.create(self.disk("two", 640), owner="web1", primary=True),
            self.volumes.grow(disk, 640),
            self.snapshots.create_snapshot(disk, "gnt-1"),
            ISnapshots(self.volumes).snapshot(disk, "copy"),
        ):
            self.assertEqual(self.refusal(promise), Code.RESOURCES)
        self.assertEqual(list(self.scripted.volumes), [disk.logical_id[1]])

    def test_a_higher_ratio_promises_more_and_a_refusal_says_what_to_do(self) -> None:
        wide = {"pool": "thin", "overcommit": 1.5}
        for name in ("one", "two"):
            disk = a_disk(name, self.template, size=640, params=wide)
            self.done(self.volumes.create(disk, owner="web1", primary=True))
        more = self.volumes.create(self.disk("three", 640), owner="web1", primary=True)
        error = self.failureResultOf(Deferred.fromCoroutine(more), Refused).value
        self.assertEqual(
            str(error),
            "thin pool vg0/thin has 1024 MiB, its volumes and snapshots may take 1280 MiB, and 640"
            " MiB more are over 1 times its size; extend the pool (lvextend -L +SIZE vg0/thin), or"
            " raise the ratio: gnt-cluster modify -D plain:overcommit=RATIO",
        )

    def test_a_pool_that_is_not_there_or_shows_old_data_is_not_used(self) -> None:
        disk = a_disk("two", self.template, params={"pool": "one"})
        self.created("one")
        creating = self.volumes.create(disk, owner="web1", primary=True)
        self.assertEqual(self.refusal(creating), Code.RESOURCES)
        self.scripted.pools["thin"] = ScriptedPool(1024, zeroes=False)
        creating = self.volumes.create(self.disk("two"), owner="web1", primary=True)
        self.assertEqual(self.refusal(creating), Code.STATE)

    def test_no_option_is_smuggled_in_as_a_pool(self) -> None:
        disk = a_disk("one", self.template, params={"pool": "-f"})
        self.assertRaises(Failed, create_arguments, disk, "vg0", "one", "web1")

    def test_a_snapshot_is_activated_for_the_way_back_only(self) -> None:
        disk = self.created()
        self.done(self.snapshots.create_snapshot(disk, "gnt-1"))
        self.done(self.snapshots.revert_to_snapshot(disk, "gnt-1"))
        self.assertEqual([each.active for each in self.scripted.volumes.values()], [False, False])
        self.assertEqual(len(self.images.copied), 1)

    def test_the_pool_is_no_volume_of_an_instance(self) -> None:
        self.created()
        self.assertEqual(len(self.done(self.volumes.volumes())), 1)

    def test_a_pool_is_reported_before_it_is_full(self) -> None:
        storage = IReportsShortages(self.volumes)
        self.scripted.pools["thin"] = ScriptedPool(1024, data=79.9, metadata=79.9)
        self.assertEqual(self.done(storage.find_shortages()), [])
        self.scripted.pools["thin"] = ScriptedPool(1024, data=80.0, metadata=95.2)
        data, metadata = self.done(storage.find_shortages())
        self.assertIn("80 % of thin pool vg0/thin are used", data)
        self.assertIn("lvextend --poolmetadatasize +SIZE vg0/thin", metadata)


class ArgumentTests(SynchronousTestCase):
    def test_a_volume_is_striped_and_tagged(self) -> None:
        disk = a_disk("one", Template.PLAIN, size=64, params={"stripes": 2})
        self.assertEqual(
            " ".join(create_arguments(disk, "vg0", "one", "web1.example (x)")),
            "--yes -W n -Z n -a n -L 64m -i 2 --addtag originstname+web1.example__x_ -n one vg0",
        )

    def test_no_option_can_be_smuggled_in_as_a_name(self) -> None:
        volumes = LogicalVolumes(Lvm(MemoryProcesses(Clock(), {})), MemoryImages())
        for logical_id in (("vg0", "-f"), ("vg0", "a/b"), ("vg0",), ("", "x"), ("vg0", "x\n")):
            disk = a_disk("one", Template.PLAIN, logical_id=logical_id)
            self.failureResultOf(Deferred.fromCoroutine(volumes.remove(disk)), Failed)


class ReportTests(SynchronousTestCase):
    def test_a_report_of_the_real_program_is_read(self) -> None:
        self.assertEqual(
            reports.parse_logical_volumes(CAPTURED),
            [
                reports.LogicalVolume(
                    group="xtest",
                    name="one",
                    size=32,
                    active=True,
                    opened=False,
                    partial=False,
                    owner="web1",
                ),
                reports.LogicalVolume(
                    group="xtest",
                    name="pool",
                    size=256,
                    active=True,
                    opened=True,
                    partial=False,
                    major=253,
                    minor=2,
                    thin=reports.ThinPool(data=0.0, metadata=10.94),
                ),
                reports.LogicalVolume(
                    group="xtest",
                    name="two",
                    size=64,
                    active=False,
                    opened=False,
                    partial=False,
                    pool="pool",
                ),
            ],
        )

    @given(
        st.binary() | st.recursive(st.none() | st.text(), st.lists).map(lambda x: repr(x).encode())
    )
    def test_what_is_no_report_fails(self, text: bytes) -> None:
        self.assertRaises(Failed, reports.parse_volume_groups, text)

    def test_words_that_are_not_known_are_a_failure(self) -> None:
        processes = MemoryProcesses(
            Clock(), {"vgs": Script(code=5, err=b"  WARNING: x\n  Bad luck\n")}
        )
        asking = Deferred.fromCoroutine(VolumeGroups(Lvm(processes)).units())
        self.assertIn("vgs failed: Bad luck", str(self.failureResultOf(asking, Failed).value))


class VolumeGroupsTests(UnitsContract, SynchronousTestCase):
    def make(self) -> IStorageUnits:
        self.scripted = ScriptedLvm(size=1024)
        self.scripted.volumes["one"] = Logical(24)
        return VolumeGroups(Lvm(MemoryProcesses(Clock(), self.scripted.programs)))

    def test_a_group_without_one_of_its_devices_is_repaired(self) -> None:
        self.scripted.missing.add("/dev/sda")
        broken = self.done(self.units.unit("vg0"))
        self.done(self.units.repair("vg0"))
        whole = self.done(self.units.unit("vg0"))
        self.assertEqual(whole, StorageUnit(name="vg0", size=1024, free=1000, used=24))
        self.assertFalse(broken.healthy)


class PhysicalVolumesTests(UnitsContract, SynchronousTestCase):
    def make(self) -> IStorageUnits:
        return PhysicalVolumes(Lvm(MemoryProcesses(Clock(), ScriptedLvm().programs)))


class RefusalTests(SynchronousTestCase):
    def test_the_words_of_the_program_are_kept(self) -> None:
        def lvremove(ran: Ran) -> Script:
            return Script(code=5, err=b"  Logical volume vg0/one in use.\n")

        volumes = LogicalVolumes(
            Lvm(MemoryProcesses(Clock(), {**ScriptedLvm().programs, "lvremove": lvremove})),
            MemoryImages(),
        )
        disk: Any = a_disk("one", Template.PLAIN, logical_id=("vg0", "one"))
        error = self.failureResultOf(Deferred.fromCoroutine(volumes.remove(disk)), Refused)
        self.assertEqual(str(error.value), "Logical volume vg0/one in use.")
