# SPDX-License-Identifier: BSD-2-Clause
"""Disks that do not change during an export, and instances that run again after it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed, Invalid, JobCanceled, Refused, Unreachable
from ganeti.model.disk import Disk, Template
from ganeti.model.guest import Guest
from ganeti.operations.backup.snapshots import SnapshotOptions, standing
from ganeti.operations.instance import context
from ganeti.rpc.call import Call
from ganeti.rpc.disks import AttachDisk, DetachDisk, RemoveDisk, SnapshotDisk
from ganeti.rpc.instances import StartInstanceCall, StopInstance
from ganeti.rpc.node import ValidateHypervisor
from ganeti.schema.records import replace
from ganeti.testing.builders import a_cluster, a_disk, an_instance
from ganeti.testing.tools import MemoryTools

STATE = a_cluster(
    instances=[an_instance(disks=[a_disk(f"disk{number}", Template.PLAIN) for number in (1, 2)])]
)
CHECK, STOP, START = "ValidateHypervisor", "StopInstance", "StartInstanceCall"
SNAPSHOTS, REMOVALS = ["SnapshotDisk"] * 2, ["RemoveDisk"] * 2


def options(**over: bool) -> SnapshotOptions:
    fields = {"running": True, "shutdown": True, "long_sleep": False, "goes": False, **over}
    return SnapshotOptions(timeout=30, **fields)


def snapshot(node: str, call: SnapshotDisk) -> Disk:
    found: Disk = replace(call.disk, logical_id=("vg0", call.name))
    return found


class StandingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.memory = MemoryTools(STATE, {SnapshotDisk: snapshot})
        self.subject = context.standing(STATE.instance("web1"), STATE)
        self.before = 0

    async def export(
        self, manner: SnapshotOptions, during: Callable[[Guest], object] = lambda guest: None
    ) -> Guest:
        """Do something during an export; ``before`` counts the calls until then."""
        async with standing(self.subject, manner, self.memory.tools) as guest:
            self.before = len(self.memory.nodes.asked)
            during(guest)
            return guest

    def exported(self, **fields: bool) -> Guest:
        guest: Guest = self.successResultOf(self.export(options(**fields)))
        return guest

    def failure(self, during: Exception | None = None, **fields: bool) -> Exception:
        def fail(guest: Guest) -> None:
            if during is not None:
                raise during

        error: Exception = self.failureResultOf(self.export(options(**fields), fail)).value
        return error

    def answer(self, call: type[Call[Any]], answer: object) -> None:
        self.memory.nodes.answers[call] = answer

    def calls(self) -> list[str]:
        return [name for _, name in self.memory.nodes.calls()]

    @property
    def said(self) -> list[str]:
        return self.memory.progress.said


class OrderTests(StandingTests):
    def test_a_running_instance_stops_only_until_there_are_snapshots(self) -> None:
        guest = self.exported()
        self.assertEqual(self.calls(), [CHECK, STOP, *SNAPSHOTS, START, *REMOVALS])
        self.assertEqual(self.before, 5)
        names = {str(disk.logical_id[1]) for disk in guest.disks}
        self.assertEqual([name[:9] for name in names], ["snapshot-"] * 2)
        self.assertEqual(self.said, ["stopping instance web1", "starting instance web1 again"])

    def test_it_is_stopped_and_started_as_it_was(self) -> None:
        self.exported()
        sent = {type(call): call for _, call in self.memory.nodes.asked}
        stop, start = sent[StopInstance], sent[StartInstanceCall]
        assert isinstance(stop, StopInstance)
        assert isinstance(start, StartInstanceCall)
        self.assertEqual((stop.instance_name, stop.timeout), ("web1", 30))
        self.assertEqual(
            [disk.uuid for disk in start.guest.disks], [d.uuid for d in self.subject.disks]
        )

    def test_after_a_long_sleep_it_is_started_at_the_end(self) -> None:
        self.exported(long_sleep=True)
        self.assertEqual(self.calls(), [CHECK, STOP, *SNAPSHOTS, *REMOVALS, START])

    def test_one_that_goes_is_neither_checked_nor_started_again(self) -> None:
        self.exported(goes=True)
        self.assertEqual(self.calls(), [STOP, *SNAPSHOTS, *REMOVALS])

    def test_one_that_keeps_running_is_not_stopped(self) -> None:
        self.exported(shutdown=False)
        self.assertEqual((self.calls(), self.said), ([*SNAPSHOTS, *REMOVALS], []))

    def test_one_that_is_stopped_has_its_disks_attached_meanwhile(self) -> None:
        guest = self.exported(running=False)
        self.assertEqual(self.calls(), ["AttachDisk"] * 2 + ["DetachDisk"] * 2)
        self.assertEqual([disk.uuid for disk in guest.disks], [d.uuid for d in self.subject.disks])


class WithoutSnapshotsTests(StandingTests):
    def test_it_stays_stopped_until_the_end(self) -> None:
        self.answer(SnapshotDisk, Refused("files have no snapshots"))
        guest = self.exported()
        self.assertEqual(self.calls(), [CHECK, STOP, "SnapshotDisk", START])
        self.assertEqual(self.before, 3)
        self.assertEqual([disk.uuid for disk in guest.disks], [d.uuid for d in self.subject.disks])

    def test_snapshots_of_some_disks_only_are_removed_at_once(self) -> None:
        first = self.subject.disks[0].uuid

        def answer(node: str, call: SnapshotDisk) -> object:
            return snapshot(node, call) if call.disk.uuid == first else Failed("vg0 is full")

        self.answer(SnapshotDisk, answer)
        self.exported()
        self.assertEqual(self.calls(), [CHECK, STOP, *SNAPSHOTS, "RemoveDisk", START])
        self.assertEqual(self.before, 5)

    def test_one_that_keeps_running_is_refused(self) -> None:
        self.answer(SnapshotDisk, Refused("files have no snapshots"))
        error = self.failure(shutdown=False)
        self.assertIsInstance(error, Refused)
        words = "running and cannot be exported without a shutdown; omit --noshutdown"
        self.assertEqual(str(error), f"instance web1 is {words} (files have no snapshots)")

    def test_a_silent_node_is_no_reason_to_go_on_without(self) -> None:
        self.answer(SnapshotDisk, Unreachable("node1", "timed out"))
        self.assertIsInstance(self.failure(), Unreachable)
        self.assertEqual(self.calls(), [CHECK, STOP, "SnapshotDisk", START])


class FailureTests(StandingTests):
    def test_one_that_could_not_start_again_is_not_stopped(self) -> None:
        self.answer(ValidateHypervisor, Invalid("there is no kernel"))
        self.assertIn("web1 cannot run: there is no kernel", str(self.failure()))
        self.assertEqual(self.calls(), [CHECK])

    def test_one_that_was_perhaps_stopped_is_started_again(self) -> None:
        self.answer(StopInstance, Unreachable("node1", "timed out"))
        self.assertIsInstance(self.failure(), Unreachable)
        self.assertEqual(self.calls(), [CHECK, STOP, START])

    def test_after_a_failed_export_even_one_that_would_go_runs_again(self) -> None:
        for canceled in (Failed("disk full"), JobCanceled("the job was canceled")):
            self.setUp()
            self.assertIs(self.failure(canceled, goes=True), canceled)
            self.assertEqual(self.calls(), [STOP, *SNAPSHOTS, *REMOVALS, START])

    def test_one_that_runs_already_is_not_started_a_second_time(self) -> None:
        self.failure(Failed("disk full"))
        self.assertEqual(self.calls().count(START), 1)

    def test_one_that_does_not_start_again_is_a_failure(self) -> None:
        self.answer(StartInstanceCall, Failed("no memory"))
        words = "instance web1 was stopped and cannot be started again: no memory"
        self.assertEqual(str(self.failure(long_sleep=True)), words)

    def test_a_start_that_fails_is_tried_again_at_the_end(self) -> None:
        self.answer(StartInstanceCall, Failed("no memory"))
        self.assertIn("cannot be started again", str(self.failure()))
        self.assertEqual(self.calls(), [CHECK, STOP, *SNAPSHOTS, START, *REMOVALS, START])

    def test_a_snapshot_that_cannot_be_removed_is_named(self) -> None:
        self.answer(RemoveDisk, Failed("it is in use"))
        guest = self.exported()
        names = ["/".join(map(str, disk.logical_id)) for disk in reversed(guest.disks)]
        told = [f"cannot remove the snapshot {name}: it is in use" for name in names]
        self.assertEqual(self.said[-2:], told)

    def test_disks_that_cannot_be_detached_are_told(self) -> None:
        self.answer(DetachDisk, Failed("it is in use"))
        self.exported(running=False)
        self.assertTrue(self.said[-1].startswith("cannot detach the disks of instance web1: "))

    def test_disks_that_cannot_be_attached_are_detached(self) -> None:
        self.answer(AttachDisk, Failed("no such volume"))
        self.assertIn("no such volume", str(self.failure(running=False)))
        self.assertEqual(self.calls(), ["AttachDisk", "DetachDisk", "DetachDisk"])
