# SPDX-License-Identifier: BSD-2-Clause
"""Storage that is only pretended keeps the contracts, and mirrors behave as mirrors do."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Code, Refused
from ganeti.model.disk import Disk, Template
from ganeti.model.mirror import add_ends
from ganeti.schema.records import replace
from ganeti.storage.interfaces import IStorageUnits, IVolumes, LocalState, VolumeStatus
from ganeti.storage.pretend.devices import VOLUMES, Device, Devices, PretendDevices, PretendGroups
from ganeti.storage.pretend.mirror import PretendMirror
from ganeti.storage.pretend.volumes import PretendVolumes, volume_path
from ganeti.system.files import LocalFiles
from ganeti.system.images import LocalImages
from ganeti.system.threads import P, T
from ganeti.testing.builders import a_disk, a_node
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from ganeti.testing.images import MemoryImages
from tests.contracts.units import UnitsContract
from tests.contracts.volumes import VolumesContract

R = TypeVar("R")

FOLDER = "/pretend/node1"
DEVICES = (
    Device(name="/dev/one", group="vg0", size=512),
    Device(name="/dev/two", group="vg0", size=512),
    Device(name="/dev/three", group="vg1", size=64),
)


def devices(*listed: Device) -> Devices:
    return Devices(MemoryFiles(MemoryDisk()), MemoryImages(), FOLDER, listed or DEVICES)


class VolumesTests(VolumesContract, SynchronousTestCase):
    template = Template.PLAIN

    def make(self) -> IVolumes:
        return PretendVolumes(devices())

    def test_a_thin_pool_is_not_simulated_as_the_refusal_says(self) -> None:
        disk = a_disk("one", Template.PLAIN, params={"pool": "thin"})
        creating = self.volumes.create(disk, owner="web1", primary=True)
        self.assertEqual(self.refusal(creating), Code.INPUT)
        self.assertIsNone(self.size(disk))


class GroupsTests(UnitsContract, SynchronousTestCase):
    def make(self) -> IStorageUnits:
        return PretendGroups(devices())


class DevicesTests(UnitsContract, SynchronousTestCase):
    def make(self) -> IStorageUnits:
        return PretendDevices(devices())

    def test_volumes_fill_one_device_after_the_other(self) -> None:
        known = devices()
        disk = a_disk("one", Template.PLAIN, size=600)
        self.done(PretendVolumes(known).create(disk, owner="web1", primary=True))
        units = self.done(PretendDevices(known).units())
        self.assertEqual([unit.used for unit in units], [512, 0, 88])
        self.assertEqual(self.done(PretendGroups(known).unit("vg0")).free, 424)


class FailedDeviceTests(SynchronousTestCase):
    """A device of the first group is gone."""

    def setUp(self) -> None:
        self.devices = devices(DEVICES[0], replace(DEVICES[1], missing=True))
        self.groups = PretendGroups(self.devices)

    def done(self, work: Coroutine[Any, Any, R]) -> R:
        return self.successResultOf(Deferred.fromCoroutine(work))

    def test_a_group_is_repaired_by_taking_out_what_is_missing(self) -> None:
        before = self.done(self.groups.unit("vg0"))
        self.done(self.groups.repair("vg0"))
        after = self.done(self.groups.unit("vg0"))
        self.assertEqual((before.healthy, before.size), (False, 1024))
        self.assertEqual((after.healthy, after.size), (True, 512))

    def test_a_repair_that_would_lose_data_is_refused(self) -> None:
        volumes = PretendVolumes(self.devices)
        disk = a_disk("one", Template.PLAIN, size=400)
        self.done(volumes.create(disk, owner="web1", primary=True))
        self.done(self.devices.write_devices([replace(DEVICES[0], missing=True), DEVICES[1]]))
        self.done(self.devices.write_devices([replace(DEVICES[0], missing=True)]))
        repairing = Deferred.fromCoroutine(self.groups.repair("vg0"))
        self.assertIn("move its instances", str(self.failureResultOf(repairing, Refused).value))


def at_once(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
    return succeed(function(*args, **kwargs))


@dataclass
class Side:
    mirror: PretendMirror
    disk: Disk
    path: str


class MirrorTests(SynchronousTestCase):
    """A mirrored disk on two nodes of this host, attached and written on the first."""

    def setUp(self) -> None:
        self.folder = os.path.realpath(self.mktemp())
        disk = a_disk("one", Template.DRBD, nodes=("node1", "node2"), size=8)
        nodes = [a_node(f"node{n}", secondary_ip=f"192.0.2.{n}") for n in (1, 2, 3)]
        self.nodes = {node.uuid: node for node in nodes}
        whole = add_ends(disk, self.nodes)
        self.one, self.two = self.side("node1", whole), self.side("node2", whole)
        for side in (self.one, self.two):
            primary = side is self.one
            self.done(side.mirror.create(whole, owner="web1", primary=primary))
            self.done(side.mirror.attach(whole, primary=primary))

    def side(self, name: str, disk: Disk) -> Side:
        files = LocalFiles(at_once)
        known = Devices(files, LocalImages(at_once), f"{self.folder}/{name}", DEVICES)
        mirror = PretendMirror(self.folder, name, PretendVolumes(known))
        return Side(mirror, disk, f"{self.folder}/{name}{volume_path(disk.children[0])}")

    def done(self, work: Coroutine[Any, Any, R]) -> R:
        return self.successResultOf(Deferred.fromCoroutine(work))

    def refused(self, work: Coroutine[Any, Any, object]) -> None:
        self.assertNotEqual(
            str(self.failureResultOf(Deferred.fromCoroutine(work), Refused).value), ""
        )

    def status(self, side: Side) -> VolumeStatus:
        [found] = self.done(side.mirror.describe([side.disk]))
        assert found is not None
        return found

    def local(self) -> list[tuple[LocalState, bool]]:
        return [(s.local, s.degraded) for s in (self.status(self.one), self.status(self.two))]

    def write(self, side: Side, text: bytes) -> None:
        with open(side.path, "r+b") as file:
            file.write(text)

    def texts(self) -> list[bytes]:
        found = []
        for side in (self.one, self.two):
            with open(side.path, "rb") as file:
                found.append(file.read(5))
        return found

    def cut(self) -> None:
        self.done(self.one.mirror.disconnect(self.one.disk))

    def mend(self) -> None:
        self.done(self.one.mirror.connect(self.one.disk))

    def test_both_copies_have_what_is_written(self) -> None:
        self.write(self.one, b"hello")
        self.assertEqual(self.texts(), [b"hello", b"hello"])
        self.assertEqual(self.local(), [(LocalState.OK, False), (LocalState.OK, False)])

    def test_one_side_is_writable_at_a_time(self) -> None:
        self.refused(self.two.mirror.promote(self.two.disk))
        self.done(self.one.mirror.demote(self.one.disk))
        self.done(self.two.mirror.promote(self.two.disk))
        self.refused(self.one.mirror.promote(self.one.disk))

    def test_both_sides_are_writable_if_both_are_told_so(self) -> None:
        for side in (self.one, self.two):
            self.done(side.mirror.connect(side.disk, both=True))
        self.done(self.two.mirror.promote(self.two.disk, both=True))
        self.write(self.two, b"moved")
        self.assertEqual(self.texts(), [b"moved", b"moved"])
        self.done(self.one.mirror.demote(self.one.disk))
        for side in (self.one, self.two):
            self.done(side.mirror.connect(side.disk))
        self.refused(self.one.mirror.promote(self.one.disk))

    def test_a_disk_that_is_cut_off_goes_on_and_fills_its_peer_again(self) -> None:
        self.write(self.one, b"hello")
        self.cut()
        self.write(self.one, b"later")
        self.assertEqual(self.texts(), [b"later", b"hello"])
        self.assertEqual(self.local(), [(LocalState.OK, True), (LocalState.OK, True)])
        self.mend()
        self.assertEqual(self.texts(), [b"later", b"later"])

    def test_after_a_split_brain_nobody_is_connected(self) -> None:
        self.cut()
        self.done(self.two.mirror.promote(self.two.disk))
        self.write(self.two, b"other")
        self.mend()
        self.assertEqual(self.local(), [(LocalState.OK, True), (LocalState.OK, True)])
        self.assertEqual(self.texts()[1], b"other")
        self.assertNotEqual(*self.texts())

    def test_a_copy_that_breaks_leaves_the_disk_with_its_peer_and_is_replaced(self) -> None:
        self.write(self.one, b"hello")
        os.unlink(self.one.path)
        self.assertEqual(self.local(), [(LocalState.FAULTY, True), (LocalState.OK, True)])
        self.refused(self.two.mirror.detach_children(self.two.disk))
        self.done(self.one.mirror.detach_children(self.one.disk))
        data = self.one.disk.children[0]
        volumes = self.side("node1", self.one.disk).mirror._below
        self.done(volumes.create(data, owner="web1", primary=False))
        for _ in range(2):
            self.done(self.one.mirror.attach_children(self.one.disk))
        self.assertEqual(self.local(), [(LocalState.OK, False), (LocalState.OK, False)])
        self.assertEqual(self.texts(), [b"hello", b"hello"])

    def test_the_second_copy_comes_to_another_node(self) -> None:
        self.write(self.one, b"hello")
        three = self.nodes[sorted(self.nodes, key=lambda u: self.nodes[u].name)[2]]
        uuids = (self.one.disk.logical_id[0], three.uuid)
        moved = add_ends(
            replace(self.one.disk, logical_id=(*uuids, *self.one.disk.logical_id[2:])), self.nodes
        )
        new = self.side("node3", moved)
        self.done(new.mirror.create(moved, owner="web1", primary=False))
        self.done(self.two.mirror.detach(self.two.disk))
        self.done(self.one.mirror.disconnect(self.one.disk))
        self.done(new.mirror.attach(moved, primary=False))
        self.done(self.one.mirror.connect(moved))
        self.done(self.two.mirror.remove(self.two.disk))
        self.one.disk, self.two = moved, new
        self.assertEqual(self.local(), [(LocalState.OK, False), (LocalState.OK, False)])
        self.assertEqual(self.texts(), [b"hello", b"hello"])

    def test_detaching_and_removing_can_be_repeated_and_leave_nothing(self) -> None:
        for side in (self.one, self.two):
            for _ in range(2):
                self.done(side.mirror.detach(side.disk))
            self.assertEqual(self.status(side).path, "")
            for _ in range(2):
                self.done(side.mirror.remove(side.disk))
            self.assertEqual(self.done(side.mirror.describe([side.disk])), [None])
        left = [name for _, _, names in os.walk(self.folder) for name in names]
        self.assertEqual(left, [])

    def test_a_disk_grows_on_both_sides(self) -> None:
        for side in (self.two, self.one):
            self.done(side.mirror.grow(side.disk, 4))
        self.assertEqual([self.status(s).size for s in (self.one, self.two)], [12, 12])

    def test_what_is_not_there_cannot_be_used(self) -> None:
        self.done(self.two.mirror.remove(self.two.disk))
        self.refused(self.two.mirror.attach(self.two.disk, primary=False))
        self.refused(self.two.mirror.promote(self.two.disk))

    def test_volumes_are_where_they_can_be_broken_by_hand(self) -> None:
        self.assertTrue(self.one.path.startswith(f"{self.folder}/node1{VOLUMES}/vg0/"))
        self.assertTrue(os.path.isfile(self.one.path))
