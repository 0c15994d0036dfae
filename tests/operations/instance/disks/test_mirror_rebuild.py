# SPDX-License-Identifier: BSD-2-Clause
"""Copies of mirrored disks are rebuilt or relocated, and a failure leaves what there was."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed, GanetiError, JobCanceled, Refused
from ganeti.model.disk import Disk, Template
from ganeti.operations.instance.disks.mirror_rebuild import (
    MirrorRebuild,
    MirrorRelocation,
    rebuild_copies,
    relocate_copies,
)
from ganeti.rpc.call import Call
from ganeti.rpc.disks import (
    AttachDisk,
    AttachMirrorChildren,
    ConnectDisk,
    CreateDisk,
    DescribeDisks,
    DetachDisk,
    DetachMirrorChildren,
    DisconnectDisk,
    DiskStatus,
    RemoveDisk,
    RenameDisk,
)
from ganeti.testing.builders import a_cluster, a_disk, a_node, an_instance
from ganeti.testing.tools import MemoryTools

HEALTHY = DiskStatus(path="/dev/drbd0")


class MirrorTests(SynchronousTestCase):
    """web1 has one disk with copies on node1, its primary node, and node2."""

    def prepare(self, *, offline: str = "", count: int = 1) -> None:
        disks = [
            a_disk(f"disk{n + 1}", Template.DRBD, nodes=("node1", "node2")) for n in range(count)
        ]
        nodes = [a_node(name, offline=name == offline) for name in ("node1", "node2", "node3")]
        state = a_cluster(nodes=nodes, instances=[an_instance("web1", disks=disks)])
        self.memory = MemoryTools(state, {DescribeDisks: self.describe})
        self.instance = state.instance("web1")
        self.disks = state.get_disks(self.instance)
        self.node1, self.node2, self.node3 = (state.node(node.name) for node in nodes)
        self.whole: dict[str, DiskStatus | None] = {}
        self.lost: set[str] = set()

    def describe(self, node: str, call: DescribeDisks) -> list[DiskStatus | None]:
        """The status of disks by ``whole``, by name of node; volumes are there unless ``lost``."""
        return [
            self.whole.get(node, HEALTHY)
            if disk.dev_type is Template.DRBD
            else (None if disk.uuid in self.lost else DiskStatus(path=""))
            for disk in call.disks
        ]

    def break_call(self, kind: type[Call[object]], number: int = 1, node: str = "") -> None:
        """Let the call of this kind and number fail, on this node or on any."""
        count = 0

        def answer(name: str, _: object) -> Failed | None:
            nonlocal count
            count += node in ("", name)
            return Failed("it is broken") if count == number and node in ("", name) else None

        self.memory.nodes.answers[kind] = answer

    def steps(self, *kinds: type[Call[object]]) -> list[tuple[str, str]]:
        found = self.memory.nodes.calls(*kinds)
        return [(node, name) for node, name in found if name != "DescribeDisks"]

    def failure(self, working: Any, kind: type[BaseException] = Failed) -> str:
        return str(self.failureResultOf(working, kind).value)

    def assert_never_primary(self, node: str) -> None:
        """The guest writes to its primary node, and disks on others must not be writable."""
        found = [
            call.primary
            for name, call in self.memory.nodes.asked
            if isinstance(call, CreateDisk | AttachDisk) and name == node
        ]
        self.assertEqual({*found}, {False})

    @property
    def said(self) -> str:
        return "\n".join(self.memory.progress.said)


class RebuildTests(MirrorTests):
    def setUp(self) -> None:
        self.prepare()

    def rebuild(self, *, early: bool = False) -> Any:
        what = MirrorRebuild(self.instance, self.disks, self.node2, self.node1)
        return rebuild_copies(what, early, self.memory.tools)

    def renames(self) -> list[tuple[str, str]]:
        """The volumes that were renamed, each by its suffix before and after."""

        def suffix(disk: Disk) -> str:
            name = str(disk.logical_id[1])
            return name.partition(".disk0.")[2].partition("-")[0] or "in use"

        calls = [c for _, c in self.memory.nodes.asked if isinstance(c, RenameDisk)]
        return [(suffix(call.disk), suffix(call.to)) for call in calls]

    def test_nothing_is_touched_unless_the_other_copy_is_current(self) -> None:
        for status, word in ((None, "missing"), (DiskStatus(path="", local="faulty"), "faulty")):
            self.whole["node1"] = status
            message = self.failure(self.rebuild(), Refused)
            self.assertIn(f"the copy of disk/0 on node node1 is {word}", message)
            self.assertEqual(self.steps(), [])

    def test_new_volumes_are_there_before_the_old_ones_leave_the_mirror(self) -> None:
        self.successResultOf(self.rebuild())
        names = [name for node, name in self.steps() if node == "node2"]
        self.assertEqual(names[:3], ["CreateDisk", "CreateDisk", "DetachMirrorChildren"])
        self.assertEqual(names[-3:], ["AttachMirrorChildren", "RemoveDisk", "RemoveDisk"])
        self.assertEqual(self.renames(), [("in use", "replaced"), ("new", "in use")] * 2)
        self.assertEqual({node for node, _ in self.steps()}, {"node2"})

    def test_old_volumes_are_removed_when_the_new_ones_are_current(self) -> None:
        seen: list[int] = []

        def describe(node: str, call: DescribeDisks) -> list[DiskStatus | None]:
            seen.append(len(self.steps(RemoveDisk)))
            return self.describe(node, call)

        for early, removed in ((False, 0), (True, 2)):
            self.prepare()
            self.memory.nodes.answers[DescribeDisks] = describe
            self.successResultOf(self.rebuild(early=early))
            self.assertEqual((seen[-1], len(self.steps(RemoveDisk))), (removed, 2))

    def test_a_copy_that_does_not_become_current_keeps_the_old_volumes(self) -> None:
        stale = DiskStatus(path="/dev/drbd0", degraded=True)
        self.whole["node1"] = stale
        self.assertIn("have only one current copy", self.failure(self.rebuild()))
        self.assertEqual(self.steps(RemoveDisk), [])

    def test_a_copy_that_is_missing_altogether_is_created(self) -> None:
        self.whole["node2"] = None
        self.successResultOf(self.rebuild())
        expected = [("node2", name) for name in ("RemoveDisk", "CreateDisk", "AttachDisk")]
        self.assertEqual(self.steps(), expected)
        self.assert_never_primary("node2")

    def test_a_volume_that_is_lost_is_neither_renamed_nor_removed(self) -> None:
        self.lost = {self.disks[0].children[0].uuid}
        self.successResultOf(self.rebuild())
        expected = [("new", "in use"), ("in use", "replaced"), ("new", "in use")]
        self.assertEqual(self.renames(), expected)
        self.assertEqual(len(self.steps(RemoveDisk)), 1)

    def test_a_volume_that_cannot_be_created_leaves_the_mirror_alone(self) -> None:
        self.break_call(CreateDisk, 2)
        self.failure(self.rebuild())
        self.assertEqual(self.steps(DetachMirrorChildren, RenameDisk), [])
        self.assertEqual(len(self.steps(RemoveDisk)), 2)

    def test_a_failure_on_the_way_puts_the_old_volumes_back(self) -> None:
        for kind, number in ((RenameDisk, 2), (RenameDisk, 4), (AttachMirrorChildren, 1)):
            self.prepare()
            self.break_call(kind, number)
            self.failure(self.rebuild())
            # Also the one that failed: if the node was silent, it may have renamed the volume.
            done = number if kind is RenameDisk else 4
            renamed = self.renames()[:done]
            back = [(after, before) for before, after in reversed(renamed)]
            self.assertEqual(self.renames()[-done:], back)
            names = [name for _, name in self.steps()]
            self.assertEqual(names[-3:], ["AttachMirrorChildren", "RemoveDisk", "RemoveDisk"])

    def test_a_canceled_job_stops_before_the_next_disk(self) -> None:
        self.memory.progress.canceled = lambda: True
        self.failure(self.rebuild(), JobCanceled)
        self.assertEqual(self.steps(), [])

    def test_a_canceled_job_does_not_take_the_old_volumes_out(self) -> None:
        def cancel(*_: object) -> None:
            self.memory.progress.canceled = lambda: True

        self.memory.nodes.answers[CreateDisk] = cancel
        self.failure(self.rebuild(), JobCanceled)
        self.assertEqual(self.steps(DetachMirrorChildren), [])
        self.assertEqual(len(self.steps(RemoveDisk)), 2)

    def test_an_old_volume_that_stays_is_reported(self) -> None:
        self.break_call(RemoveDisk)
        self.successResultOf(self.rebuild())
        self.assertIn("cannot remove the volume ", self.said)
        self.assertIn(", remove it manually: it is broken", self.said)


class RelocationTests(MirrorTests):
    """The second copies move from node2 to node3."""

    def setUp(self) -> None:
        self.prepare()

    def relocate(self, *, early: bool = False) -> Any:
        old = self.memory.state().node("node2")
        what = MirrorRelocation(self.instance, self.disks, self.node1, old, self.node3)
        return relocate_copies(what, early, self.memory.tools)

    def secondaries(self) -> set[str]:
        state = self.memory.state()
        found = state.get_secondaries(state.instance("web1"))
        return {state.nodes[uuid].name for uuid in found}

    def test_the_guest_always_has_a_current_copy(self) -> None:
        self.whole["node1"] = None
        self.assertIn("node node1 is missing", self.failure(self.relocate(), Refused))
        self.assertEqual((self.steps(), self.secondaries()), ([], {"node2"}))

    def test_the_new_copy_is_connected_when_the_old_one_is_not(self) -> None:
        self.successResultOf(self.relocate())
        expected = [
            ("node3", "CreateDisk"),
            ("node2", "DetachDisk"),
            ("node1", "DisconnectDisk"),
            ("node3", "AttachDisk"),
            ("node1", "ConnectDisk"),
            ("node2", "RemoveDisk"),
        ]
        self.assertEqual(self.steps(), expected)
        self.assertEqual(self.secondaries(), {"node3"})

    def test_each_node_gets_the_disk_as_it_knows_it(self) -> None:
        self.successResultOf(self.relocate())
        ends = {
            type(call).__name__: set(call.disk.nodes)
            for _, call in self.memory.nodes.asked
            if isinstance(call, DetachDisk | DisconnectDisk | ConnectDisk | RemoveDisk)
        }
        before, after = ({self.node1.uuid, n.uuid} for n in (self.node2, self.node3))
        expected = {
            "DetachDisk": before,
            "DisconnectDisk": before,
            "ConnectDisk": after,
            "RemoveDisk": before,
        }
        self.assertEqual(ends, expected)

    def test_the_secondary_nodes_never_write(self) -> None:
        self.break_call(ConnectDisk)
        self.failure(self.relocate())
        self.assert_never_primary("node3")
        self.assert_never_primary("node2")

    def test_a_canceled_job_stops_before_the_next_disk_is_created(self) -> None:
        def cancel(*_: object) -> None:
            self.memory.progress.canceled = lambda: True

        self.prepare(count=2)
        self.memory.nodes.answers[CreateDisk] = cancel
        self.failure(self.relocate(), JobCanceled)
        self.assertEqual(self.steps(), [("node3", "CreateDisk"), ("node3", "RemoveDisk")])
        self.assertEqual(self.secondaries(), {"node2"})

    def test_all_disks_are_created_before_the_first_is_switched(self) -> None:
        self.prepare(count=2)
        self.successResultOf(self.relocate())
        names = [name for _, name in self.steps()]
        self.assertEqual(names[:3], ["CreateDisk", "CreateDisk", "DetachDisk"])

    def test_an_offline_node_is_not_asked_and_what_it_keeps_is_reported(self) -> None:
        self.prepare(offline="node2")
        self.successResultOf(self.relocate())
        self.assertNotIn("node2", {node for node, _ in self.steps()})
        self.assertIn("cannot remove disk/0 on node node2: the node is offline", self.said)

    def test_an_old_node_that_fails_does_not_stop_it(self) -> None:
        self.break_call(DetachDisk)
        self.memory.nodes.answers[RemoveDisk] = Refused("it is held open")
        self.successResultOf(self.relocate())
        self.assertIn("cannot detach disk/0 on node node2: it is broken", self.said)
        self.assertIn("cannot remove disk/0 on node node2: it is held open", self.said)
        self.assertEqual(self.secondaries(), {"node3"})

    def test_a_copy_that_cannot_be_created_changes_nothing(self) -> None:
        self.break_call(CreateDisk)
        self.failure(self.relocate())
        self.assertEqual(self.steps(), [("node3", "CreateDisk"), ("node3", "RemoveDisk")])
        self.assertEqual(self.secondaries(), {"node2"})

    def test_a_failed_switch_connects_the_old_copy_again(self) -> None:
        for kind, node in ((DisconnectDisk, "node1"), (AttachDisk, "node3"), (ConnectDisk, "")):
            self.prepare()
            self.break_call(kind, node=node)
            self.failure(self.relocate())
            expected = [
                ("node3", "DetachDisk"),
                ("node1", "DisconnectDisk"),
                ("node2", "AttachDisk"),
                ("node1", "ConnectDisk"),
                ("node3", "RemoveDisk"),
            ]
            self.assertEqual(self.steps()[-5:], expected)
            self.assertEqual(self.secondaries(), {"node2"})

    def test_steps_that_a_failed_switch_did_not_reach_do_not_stop_the_undo(self) -> None:
        self.memory.nodes.answers[DisconnectDisk] = Refused("there is no such device")
        self.failure(self.relocate(), GanetiError)
        self.assertEqual(self.steps(AttachDisk, ConnectDisk)[-1], ("node1", "ConnectDisk"))

    def test_after_the_switch_there_is_no_way_back(self) -> None:
        for early, removed in ((False, 0), (True, 1)):
            self.prepare()
            self.whole["node1"] = DiskStatus(path="/dev/drbd0", degraded=True)
            self.assertIn("only one current copy", self.failure(self.relocate(early=early)))
            self.assertIn("the old copies on node node2 are no longer used", self.said)
            self.assertEqual(len(self.steps(RemoveDisk)), removed)
            self.assertEqual(self.secondaries(), {"node3"})
