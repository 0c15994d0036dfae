# SPDX-License-Identifier: BSD-2-Clause
"""What every ``IVolumes`` does; a subclass says which one."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, TypeVar

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ganeti.errors import Code, Failed, Refused
from ganeti.model.disk import Disk, Template
from ganeti.schema.records import replace
from ganeti.storage.interfaces import INamedSnapshots, ISnapshots, IVolumes
from ganeti.testing.builders import a_disk

T = TypeVar("T")

if TYPE_CHECKING:
    Case = SynchronousTestCase
else:
    Case = object


class AttachmentContract(Case):
    """Volumes that exist, and are attached and described.

    Those that do not know ``reasons`` fail where others refuse.
    """

    template = Template.FILE
    reasons = True

    def setUp(self) -> None:
        self.volumes = self.make()

    def make(self) -> IVolumes:
        """Volumes with nothing in them and room for 1 GiB."""
        raise NotImplementedError

    def done(self, work: Awaitable[T]) -> T:
        """The result of ``work``, which needs no more than what has happened."""
        return self.successResultOf(Deferred.fromCoroutine(work))  # type: ignore[arg-type]

    def refusal(self, work: Awaitable[object]) -> Code:
        """Why ``work`` was refused."""
        error = self.failureResultOf(Deferred.fromCoroutine(work), Refused).value  # type: ignore[arg-type]
        assert isinstance(error, Refused)
        self.assertNotEqual(str(error), "")
        return error.code

    def assert_refused(self, work: Awaitable[object], code: Code) -> None:
        """``work`` is refused with this code, or fails if the storage does not know the reason."""
        if self.reasons:
            self.assertEqual(self.refusal(work), code)
            return
        error = self.failureResultOf(Deferred.fromCoroutine(work), Failed).value  # type: ignore[arg-type]
        assert isinstance(error, Failed)
        self.assertEqual(error.code, Code.ENVIRONMENT)

    def disk(self, name: str = "one", size: int = 64) -> Disk:
        return a_disk(name, self.template, size=size)

    def created(self, name: str = "one", size: int = 64) -> Disk:
        disk = self.disk(name, size)
        self.done(self.volumes.create(disk, owner="web1", primary=True))
        return disk

    def size(self, disk: Disk) -> int | None:
        [status] = self.done(self.volumes.describe([disk]))
        return None if status is None else status.size

    def test_it_is_what_it_says(self) -> None:
        verifyObject(IVolumes, self.volumes)

    def test_attaching_answers_the_same_path_again(self) -> None:
        disk = self.created()
        first = self.done(self.volumes.attach(disk, primary=True))
        self.assertTrue(first.startswith("/"))
        self.assertEqual(self.done(self.volumes.attach(disk, primary=True)), first)

    def test_an_attached_disk_is_described_with_its_path(self) -> None:
        disk = self.created()
        path = self.done(self.volumes.attach(disk, primary=True))
        [status] = self.done(self.volumes.describe([disk]))
        self.assertEqual(status and (status.path, status.degraded), (path, False))

    def test_detaching_twice_succeeds(self) -> None:
        disk = self.created()
        self.done(self.volumes.attach(disk, primary=True))
        self.done(self.volumes.detach(disk))
        self.done(self.volumes.detach(disk))
        self.assertEqual(self.size(disk), 64)

    def test_disks_are_described_in_their_order(self) -> None:
        one, none, two = self.created("one", 32), self.disk("none"), self.created("two", 64)
        for disk in (one, two):
            self.done(self.volumes.attach(disk, primary=True))
        found = self.done(self.volumes.describe([two, none, one]))
        self.assertEqual([each and each.size for each in found], [64, None, 32])


class VolumesContract(AttachmentContract):
    """Volumes that take some disks of at most 1 GiB together; some are not renamed, or listed.

    The size in a list may be that of a file, not of a disk.
    """

    lists_sizes = True
    renames = True
    lists = True

    def test_a_created_disk_is_there_with_its_size(self) -> None:
        self.assertEqual(self.size(self.created(size=96)), 96)

    def test_a_disk_is_not_made_over_another(self) -> None:
        disk = self.created(size=64)
        again = self.volumes.create(replace(disk, size=32), owner="web2", primary=True)
        self.assert_refused(again, Code.EXISTS)
        self.assertEqual(self.size(disk), 64)

    def test_a_disk_that_does_not_fit_is_refused_and_leaves_nothing(self) -> None:
        disk = self.disk(size=4096)
        creating = self.volumes.create(disk, owner="web1", primary=True)
        self.assert_refused(creating, Code.RESOURCES)
        self.assertIsNone(self.size(disk))

    def test_a_removed_disk_is_gone_and_removing_it_again_succeeds(self) -> None:
        disk = self.created()
        self.done(self.volumes.remove(disk))
        self.done(self.volumes.remove(disk))
        self.assertEqual((self.size(disk), self.done(self.volumes.volumes())), (None, []))

    def test_an_attached_disk_can_be_removed(self) -> None:
        disk = self.created()
        self.done(self.volumes.attach(disk, primary=True))
        self.done(self.volumes.remove(disk))
        self.assertIsNone(self.size(disk))

    def test_growing_twice_is_growing_once(self) -> None:
        disk = self.created(size=64)
        self.done(self.volumes.grow(disk, 32))
        self.done(self.volumes.grow(disk, 32))
        self.assertEqual(self.size(disk), 96)

    def test_a_disk_that_cannot_grow_stays(self) -> None:
        disk = self.created(size=64)
        self.assert_refused(self.volumes.grow(disk, 4096), Code.RESOURCES)
        self.assertEqual(self.size(disk), 64)

    def test_a_renamed_disk_is_found_by_its_new_name_only(self) -> None:
        disk, to = self.created(size=64), self.disk("two")
        if not self.renames:
            self.assertEqual(self.refusal(self.volumes.rename(disk, to)), Code.INPUT)
            return
        self.done(self.volumes.rename(disk, to))
        self.assertEqual((self.size(disk), self.size(to)), (None, 64))

    def test_a_disk_is_not_renamed_over_another(self) -> None:
        one, two = self.created("one", 64), self.created("two", 32)
        refusal = self.refusal(self.volumes.rename(one, two))
        expected = Code.EXISTS if self.renames else Code.INPUT
        self.assertEqual((refusal, self.size(one), self.size(two)), (expected, 64, 32))

    def test_what_is_not_there_can_neither_be_attached_nor_grow_nor_be_renamed(self) -> None:
        disk = self.disk()
        self.assert_refused(self.volumes.attach(disk, primary=True), Code.UNKNOWN)
        self.assert_refused(self.volumes.grow(disk, 32), Code.UNKNOWN)
        renaming = self.volumes.rename(disk, self.disk("two"))
        self.assertEqual(self.refusal(renaming), Code.UNKNOWN if self.renames else Code.INPUT)

    def test_who_uses_what_is_not_there_hears_how_it_is_made_anew(self) -> None:
        if not self.reasons:
            return
        using = Deferred.fromCoroutine(self.volumes.attach(self.disk(), primary=True))
        error = self.failureResultOf(using, Refused).value
        self.assertIn("gnt-instance recreate-disks", str(error))

    def test_volumes_are_listed_by_name(self) -> None:
        self.created("two", 64)
        self.created("one", 32)
        listed = self.done(self.volumes.volumes())
        sizes = [32, 64] if self.lists else []
        if self.lists_sizes:
            self.assertEqual([each.size for each in listed], sizes)
        self.assertEqual(listed, sorted(listed, key=lambda each: each.name))
        self.assertEqual(len(listed), len(sizes))


class CopiesContract(AttachmentContract):
    """Volumes that can be read as they were at one moment."""

    def test_a_snapshot_is_a_disk_that_is_removed_like_one(self) -> None:
        disk = self.created(size=64)
        taken = self.done(ISnapshots(self.volumes).snapshot(disk, "one.snap"))
        there = self.size(taken)
        self.done(self.volumes.remove(taken))
        self.assertEqual((there, self.size(taken), self.size(disk)), (64, None, 64))


class SnapshotsContract(AttachmentContract):
    """Volumes with snapshots that have names and stay."""

    def test_a_disk_with_snapshots_can_still_be_read_as_it_was_at_one_moment(self) -> None:
        if not ISnapshots.providedBy(self.volumes):
            return
        disk = self.created()
        self.done(self.snapshots.create_snapshot(disk, "gnt-one"))
        taken = self.done(ISnapshots(self.volumes).snapshot(disk, "copy"))
        self.assertTrue(self.done(self.volumes.attach(taken, primary=True)))
        self.done(self.volumes.remove(taken))
        self.assertEqual(self.names(disk), ["gnt-one"])

    @property
    def snapshots(self) -> INamedSnapshots:
        return INamedSnapshots(self.volumes)

    def names(self, disk: Disk) -> list[str]:
        return self.done(self.snapshots.list_snapshots(disk))

    def test_snapshots_are_listed_and_stay_when_reverted_to(self) -> None:
        disk = self.created()
        for name in ("gnt-one", "gnt-two"):
            self.done(self.snapshots.create_snapshot(disk, name))
        self.done(self.snapshots.revert_to_snapshot(disk, "gnt-two"))
        self.done(self.snapshots.revert_to_snapshot(disk, "gnt-two"))
        self.assertEqual(self.names(disk), ["gnt-one", "gnt-two"])

    def test_a_snapshot_is_not_made_over_another(self) -> None:
        disk = self.created()
        self.done(self.snapshots.create_snapshot(disk, "gnt-one"))
        again = self.snapshots.create_snapshot(disk, "gnt-one")
        self.assertEqual(self.refusal(again), Code.EXISTS)
        self.assertEqual(self.names(disk), ["gnt-one"])

    def test_removing_a_snapshot_again_succeeds_also_without_its_disk(self) -> None:
        disk = self.created()
        self.done(self.snapshots.create_snapshot(disk, "gnt-one"))
        self.done(self.snapshots.remove_snapshot(disk, "gnt-one"))
        self.done(self.snapshots.remove_snapshot(disk, "gnt-one"))
        self.assertEqual((self.names(disk), self.size(disk)), ([], 64))
        self.done(self.volumes.remove(disk))
        self.done(self.snapshots.remove_snapshot(disk, "gnt-one"))

    def test_there_is_no_way_back_to_what_is_not_there(self) -> None:
        disk = self.created()
        reverting = self.snapshots.revert_to_snapshot(disk, "gnt-one")
        self.assertEqual(self.refusal(reverting), Code.UNKNOWN)
        gone = self.disk("two")
        self.assertEqual(self.refusal(self.snapshots.create_snapshot(gone, "x")), Code.UNKNOWN)
        self.assertEqual(self.refusal(self.snapshots.list_snapshots(gone)), Code.UNKNOWN)

    def test_snapshots_go_with_their_disk(self) -> None:
        disk = self.created()
        self.done(self.snapshots.create_snapshot(disk, "gnt-one"))
        self.done(self.volumes.remove(disk))
        self.assertEqual(self.done(self.volumes.volumes()), [])
