# SPDX-License-Identifier: BSD-2-Clause
"""What every ``IMirror`` does between two nodes; a subclass says which one."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ganeti.errors import Refused
from ganeti.model.disk import Disk, Template
from ganeti.model.mirror import add_ends
from ganeti.storage.interfaces import IMirror, IVolumes, LocalState, VolumeStatus
from ganeti.testing.builders import a_disk, a_node
from ganeti.testing.mirror import Copies, Key

T = TypeVar("T")

if TYPE_CHECKING:
    Case = SynchronousTestCase
else:
    Case = object

ADDRESSES = {"node1": "192.0.2.1", "node2": "192.0.2.2"}
SIZE, RATE = 64, 8.0


@dataclass(frozen=True)
class Side:
    """One node: its driver, which is both of these, and where it keeps its copy."""

    volumes: IVolumes
    mirror: IMirror
    disk: Disk
    key: Key


class MirrorCase(Case):
    """A mirrored disk on two nodes, filled at 8 MiB per second.

    What happens to the copies, or takes time, is a method, so that the nodes can be real.
    """

    size = SIZE

    def setUp(self) -> None:
        self.clock = Clock()
        self.copies = Copies(self.clock, RATE)
        disk = a_disk("one", Template.DRBD, nodes=("node1", "node2"), size=self.size)
        nodes = [a_node(name, secondary_ip=ip) for name, ip in ADDRESSES.items()]
        disk = add_ends(disk, {node.uuid: node for node in nodes})
        self.one, self.two = (
            Side(*self.make(name, self.copies), disk, (ip, disk.logical_id[2]))
            for name, ip in ADDRESSES.items()
        )

    def make(self, node: str, copies: Copies) -> tuple[IVolumes, IMirror]:
        """The driver of a node, whose copies are among ``copies``."""
        raise NotImplementedError

    def done(self, work: Coroutine[Any, Any, T]) -> T:
        return self.successResultOf(Deferred.fromCoroutine(work))

    def refused(self, work: Coroutine[Any, Any, object]) -> str:
        said = str(self.failureResultOf(Deferred.fromCoroutine(work), Refused).value)
        self.assertNotEqual(said, "")
        return said

    def status(self, side: Side) -> VolumeStatus:
        [found] = self.done(side.volumes.describe([side.disk]))
        assert found is not None
        return found

    def local(self) -> list[tuple[LocalState, bool]]:
        return [(s.local, s.degraded) for s in (self.status(self.one), self.status(self.two))]

    def assert_local(self, *expected: tuple[LocalState, bool]) -> None:
        """The state of both copies, and whether the loss of the other would lose data."""
        self.assertEqual(self.local(), list(expected))

    def assert_filled(self, *expected: tuple[LocalState, bool]) -> None:
        """A copy is being filled: this may be over before anybody can look."""
        self.assert_local(*expected)

    def assert_percent(self, expected: float) -> None:
        """How much of a copy is filled, in percent, as both nodes see it."""
        found = [self.status(side).sync_percent for side in (self.one, self.two)]
        self.assertEqual(found, [expected, expected])

    def let_fill(self, amount: float) -> None:
        """Let the time pass that it takes to fill this many MiB of a copy."""
        self.clock.advance(amount / RATE)

    def cut_link(self) -> None:
        """Cut the wire between the nodes."""
        self.copies.cut_link(*ADDRESSES.values())

    def repair_link(self) -> None:
        """Repair the wire."""
        self.copies.repair_link(*ADDRESSES.values())

    def write(self, side: Side, amount: int) -> None:
        """Write some MiB to the disk on one node."""
        self.copies.write(side.key, amount)

    def break_device(self, side: Side) -> None:
        """Let the device below a copy fail."""
        self.copies.break_device(side.key)

    def hold_open(self, side: Side) -> None:
        """Open the disk on one node, until the end of the test."""
        self.copies.all_copies()[side.key].opened = True

    def attach(self, side: Side, *, primary: bool = False) -> str:
        return self.done(side.volumes.attach(side.disk, primary=primary))

    def created(self) -> None:
        """The disk is made on both nodes, attached, primary on the first, and being filled."""
        for side in (self.one, self.two):
            primary = side is self.one
            self.done(side.volumes.create(side.disk, owner="web1", primary=primary))
            self.attach(side, primary=primary)

    def whole(self) -> None:
        """Both copies are the same."""
        self.created()
        self.let_fill(self.size)
        self.assert_local((LocalState.OK, False), (LocalState.OK, False))


class MirrorBasicsContract(MirrorCase):
    """A new disk, and one that was cut off, get equal copies."""

    def test_it_is_what_it_says(self) -> None:
        verifyObject(IVolumes, self.one.volumes)
        verifyObject(IMirror, self.one.mirror)

    def test_a_new_disk_is_written_at_once_and_its_secondary_filled(self) -> None:
        self.created()
        self.let_fill(self.size / 4)
        self.assert_filled((LocalState.OK, True), (LocalState.SYNC, True))
        self.assert_percent(25.0)
        self.let_fill(self.size)
        self.assert_local((LocalState.OK, False), (LocalState.OK, False))

    def test_a_disk_that_is_cut_off_goes_on_and_is_filled_again(self) -> None:
        self.whole()
        self.done(self.one.mirror.disconnect(self.one.disk))
        self.done(self.one.mirror.disconnect(self.one.disk))
        self.write(self.one, 4)
        self.assert_local((LocalState.OK, True), (LocalState.OK, True))
        self.done(self.one.mirror.connect(self.one.disk))
        self.assert_filled((LocalState.OK, True), (LocalState.SYNC, True))
        self.let_fill(4)
        self.assert_local((LocalState.OK, False), (LocalState.OK, False))


class MirrorContract(MirrorCase):
    """Roles of the nodes, and what happens when the wire between them breaks."""

    def test_attaching_again_answers_the_same_path(self) -> None:
        self.created()
        path = self.attach(self.one, primary=True)
        self.assertEqual(self.attach(self.one, primary=True), path)
        self.assertEqual(self.status(self.one).path, path)

    def test_a_resync_can_be_held(self) -> None:
        self.created()
        self.done(self.one.mirror.pause(self.one.disk, paused=True))
        self.let_fill(self.size)
        self.assert_local((LocalState.OK, True), (LocalState.SYNC, True))
        self.done(self.one.mirror.pause(self.one.disk, paused=False))
        self.let_fill(self.size)
        self.assert_local((LocalState.OK, False), (LocalState.OK, False))

    def test_one_side_is_writable_at_a_time(self) -> None:
        self.whole()
        self.refused(self.two.mirror.promote(self.two.disk))
        self.done(self.one.mirror.demote(self.one.disk))
        self.done(self.one.mirror.demote(self.one.disk))
        self.done(self.two.mirror.promote(self.two.disk))
        self.refused(self.one.mirror.promote(self.one.disk))

    def test_both_sides_are_writable_if_both_are_told_so(self) -> None:
        self.whole()
        for side in (self.one, self.two):
            self.done(side.mirror.connect(side.disk, both=True))
        self.done(self.two.mirror.promote(self.two.disk, both=True))
        self.done(self.one.mirror.demote(self.one.disk))
        for side in (self.one, self.two):
            self.done(side.mirror.connect(side.disk))
        self.refused(self.one.mirror.promote(self.one.disk))

    def test_a_broken_wire_heals_by_itself(self) -> None:
        self.whole()
        self.cut_link()
        self.assert_local((LocalState.OK, True), (LocalState.OK, True))
        self.repair_link()
        self.assert_local((LocalState.OK, False), (LocalState.OK, False))

    def test_after_a_split_brain_nobody_is_connected(self) -> None:
        self.whole()
        self.cut_link()
        self.done(self.two.mirror.promote(self.two.disk))
        for side in (self.one, self.two):
            self.write(side, 1)
        self.repair_link()
        self.assert_local((LocalState.OK, True), (LocalState.OK, True))


class MirrorRepairsContract(MirrorCase):
    """Copies that lack data, break, are replaced, grow or go."""

    def test_a_copy_that_lacks_data_is_not_writable_alone(self) -> None:
        self.created()
        self.done(self.one.mirror.pause(self.one.disk, paused=True))
        self.cut_link()
        self.assert_local((LocalState.OK, True), (LocalState.FAULTY, True))
        self.refused(self.two.mirror.promote(self.two.disk))

    def test_a_device_that_breaks_leaves_the_disk_with_its_peer(self) -> None:
        self.whole()
        self.break_device(self.one)
        self.assert_local((LocalState.FAULTY, True), (LocalState.OK, True))
        self.attach(self.one, primary=True)

    def test_a_copy_is_replaced_under_a_disk_in_use(self) -> None:
        self.whole()
        self.done(self.one.mirror.detach_children(self.one.disk))
        self.assert_local((LocalState.FAULTY, True), (LocalState.OK, True))
        for _ in range(2):
            self.done(self.one.mirror.attach_children(self.one.disk))
        self.assert_filled((LocalState.SYNC, True), (LocalState.OK, True))
        self.let_fill(self.size)
        self.assert_local((LocalState.OK, False), (LocalState.OK, False))

    def test_the_only_copy_is_not_dropped(self) -> None:
        self.whole()
        self.cut_link()
        self.refused(self.one.mirror.detach_children(self.one.disk))

    def test_a_disk_that_is_held_open_stays(self) -> None:
        self.whole()
        self.hold_open(self.one)
        self.refused(self.one.mirror.demote(self.one.disk))
        self.refused(self.one.volumes.detach(self.one.disk))
        self.assert_local((LocalState.OK, False), (LocalState.OK, False))

    def test_detaching_and_removing_can_be_repeated(self) -> None:
        self.whole()
        for _ in range(2):
            self.done(self.one.volumes.detach(self.one.disk))
        self.assertEqual(self.status(self.one).path, "")
        for _ in range(2):
            self.done(self.one.volumes.remove(self.one.disk))
        self.assertEqual(self.done(self.one.volumes.describe([self.one.disk])), [None])

    def test_a_detached_disk_is_attached_with_what_it_had(self) -> None:
        self.whole()
        self.done(self.one.volumes.detach(self.one.disk))
        self.attach(self.one, primary=True)
        self.assert_local((LocalState.OK, False), (LocalState.OK, False))

    def test_a_disk_grows_when_it_has_grown_on_both_sides(self) -> None:
        self.whole()
        for side in (self.two, self.one):
            for _ in range(2):
                self.done(side.volumes.grow(side.disk, self.size))
        self.assertEqual(self.status(self.one).size, 2 * self.size)
        self.let_fill(self.size)
        self.assert_local((LocalState.OK, False), (LocalState.OK, False))

    def test_what_is_not_there_cannot_be_used(self) -> None:
        self.refused(self.one.volumes.attach(self.one.disk, primary=True))
        self.refused(self.one.mirror.promote(self.one.disk))
        self.refused(self.one.mirror.connect(self.one.disk))
