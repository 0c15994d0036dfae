# SPDX-License-Identifier: BSD-2-Clause
"""A disk grows on all its nodes before its new size is recorded, and never shrinks."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Failed, JobCanceled, Refused, Unreachable
from ganeti.model.disk import Template
from ganeti.model.instance import AdminState
from ganeti.opcodes.instance.disks import GrowDisk
from ganeti.operations.instance.disks.grow import Grow, hooks, plan, questions, run
from ganeti.operations.operation import NodeAnswers
from ganeti.rpc.call import Call
from ganeti.rpc.disks import AttachDisk, DescribeDisks, DetachDisk, DiskStatus, GrowDiskCall
from ganeti.rpc.disks import WipeDisk as Wipe
from ganeti.rpc.instances import ListGuests
from ganeti.rpc.node import DescribeNode, StorageSpace
from ganeti.testing.builders import a_cluster, a_disk, a_node, an_instance
from ganeti.testing.facts import some_facts
from ganeti.testing.tools import MemoryTools


def a_state(
    kind: Template = Template.PLAIN, *, offline: str = "", up: bool = True, **over: Any
) -> ClusterState:
    """Return web1 with disks of 1024 and 512 MiB on node1, mirrored ones also on node2."""
    nodes = ("node1", "node2") if kind is Template.DRBD else ("node1",)
    disks = [a_disk(f"disk{n}", kind, nodes=nodes, size=1024 // n) for n in (1, 2)]
    web1 = an_instance("web1", disks=disks, admin_state=AdminState.UP if up else AdminState.DOWN)
    hosts = [a_node(name, offline=name == offline) for name in ("node1", "node2")]
    return a_cluster(nodes=hosts, instances=[web1], **over)


def answers(state: ClusterState, *, free: int = 4096, runs: str = "node1") -> NodeAnswers:
    space = (StorageSpace(kind="lvm-vg", name="vg0", size=8192, free=free),)
    known: dict[tuple[str, type[Call[object]]], object] = {}
    for node in state.nodes.values():
        guests = some_facts(runs=["web1"]).guests if node.name == runs else {}
        known[node.uuid, ListGuests] = guests
        known[node.uuid, DescribeNode] = some_facts(storage=space)
    return NodeAnswers(known)


def make_plan(
    state: ClusterState, facts: NodeAnswers | None = None, *, disk: int = 0, **fields: Any
) -> Grow:
    op = GrowDisk(instance_name="web1", disk=disk, **{"amount": 512, **fields})
    return plan(op, state, facts or answers(state))


class PlanTests(SynchronousTestCase):
    def assert_refused(
        self, reason: str, code: Code, state: ClusterState, facts: Any = None, **fields: Any
    ) -> None:
        with self.assertRaisesRegex(Refused, reason) as raised:
            make_plan(state, facts, **fields)
        self.assertEqual(raised.exception.code, code)

    def test_the_amount_is_added_or_is_the_new_size(self) -> None:
        self.assertEqual(make_plan(a_state()).amount, 512)
        self.assertEqual(make_plan(a_state(), amount=1536, absolute=True).amount, 512)
        self.assertEqual(make_plan(a_state(), amount=1024, absolute=True).amount, 0)

    def test_a_smaller_size_is_refused(self) -> None:
        reason = "disk/1 of web1 has 512 MiB and cannot be shrunk"
        given = {"disk": 1, "amount": 511, "absolute": True}
        self.assert_refused(reason, Code.INPUT, a_state(), **given)

    def test_a_disk_that_does_not_exist_is_refused(self) -> None:
        reason = "disk 2 does not exist; instance web1 has 2 disks, from 0"
        self.assert_refused(reason, Code.INPUT, a_state(), disk=2)

    def test_a_device_of_the_administrator_has_its_size(self) -> None:
        state = a_state(Template.BLOCKDEV)
        self.assert_refused("cannot grow blockdev disks", Code.INPUT, state)

    def test_a_guest_on_another_node_would_not_see_the_new_size(self) -> None:
        state = a_state(Template.DRBD)
        facts = answers(state, runs="node2")
        self.assert_refused("running on node2, which is not", Code.STATE, state, facts)

    def test_every_node_must_be_online_and_have_the_space(self) -> None:
        state = a_state(Template.DRBD, offline="node2")
        reason = "node2 is offline, so disk/0 of web1 cannot grow there"
        self.assert_refused(reason, Code.STATE, state)
        state = a_state(Template.DRBD)
        self.assert_refused("512 MiB are required", Code.RESOURCES, state, answers(state, free=511))
        make_plan(state, answers(state, free=512))

    def test_the_policy_counts_the_larger_disk_unless_it_is_ignored(self) -> None:
        large = (1 << 20) - 1024
        state = a_state()
        facts = answers(state, free=1 << 21)
        make_plan(state, facts, amount=large)
        self.assert_refused("outside the range", Code.INPUT, state, facts, amount=large + 1)
        make_plan(state, facts, amount=large + 1, ignore_ipolicy=True)

    def test_online_nodes_of_the_instance_are_asked_for_their_space(self) -> None:
        for offline, names in (("", ["node1", "node2"]), ("node2", ["node1"])):
            state = a_state(Template.DRBD, offline=offline)
            [described, *_] = questions(GrowDisk(instance_name="web1", disk=0, amount=1), state)
            self.assertEqual([node.name for node in described.nodes], names)

    def test_hooks_get_the_request_and_the_new_size_afterwards(self) -> None:
        state = a_state()
        found = make_plan(state)
        environment = hooks(found, state).environment
        values = [environment[name] for name in ("DISK", "AMOUNT", "ABSOLUTE")]
        self.assertEqual(values, ["0", "512", "False"])
        self.assertEqual(found.locks, found.subject.locks)


class RunTests(SynchronousTestCase):
    def prepare(self, state: ClusterState, answer: object = None) -> None:
        def describe(*_: object) -> list[DiskStatus]:
            return [DiskStatus(path="/dev/drbd0", size=1028)]

        self.memory = MemoryTools(state, {GrowDiskCall: answer, DescribeDisks: describe})

    def grow(self, **fields: Any) -> Any:
        return run(make_plan(self.memory.state(), **fields), self.memory.tools)

    def size(self) -> int:
        state = self.memory.state()
        return state.get_disks(state.instance("web1"))[0].size

    def test_the_secondary_node_grows_first_and_then_the_record(self) -> None:
        self.prepare(a_state(Template.DRBD), lambda *_: self.assertEqual(self.size(), 1024))
        self.successResultOf(self.grow())
        self.assertEqual(self.memory.nodes.calls(AttachDisk, DetachDisk), [])
        found = [(n, c) for n, c in self.memory.nodes.asked if isinstance(c, GrowDiskCall)]
        self.assertEqual([node for node, _ in found], ["node2", "node1"])
        self.assertEqual({(call.disk.size, call.amount) for _, call in found}, {(1024, 512)})
        self.assertEqual(self.size(), 1536)

    def test_a_node_that_fails_leaves_the_recorded_size(self) -> None:
        self.prepare(a_state(), Failed("no space"))
        self.failureResultOf(self.grow(), Failed)
        self.assertEqual(self.size(), 1024)

    def test_a_disk_that_has_the_size_is_not_touched(self) -> None:
        self.prepare(a_state())
        self.successResultOf(self.grow(amount=1024, absolute=True))
        self.assertEqual(self.memory.nodes.asked, [])
        self.assertEqual(self.memory.progress.said, ["disk/0 of web1 already has 1024 MiB"])

    def test_a_canceled_job_stops_between_two_nodes(self) -> None:
        def cancel(*_: object) -> None:
            self.memory.progress.canceled = lambda: True

        self.prepare(a_state(Template.DRBD), cancel)
        self.failureResultOf(self.grow(), JobCanceled)
        self.assertEqual(self.memory.nodes.calls(GrowDiskCall), [("node2", "GrowDiskCall")])

    def test_the_sync_is_awaited_unless_that_is_not_wanted(self) -> None:
        for wait in (True, False):
            self.prepare(a_state(Template.DRBD))
            self.successResultOf(self.grow(wait_for_sync=wait))
            self.assertEqual(bool(self.memory.nodes.calls(DescribeDisks)), wait)

    def test_mirrored_disks_of_a_stopped_instance_are_attached_meanwhile(self) -> None:
        for kind, expected in ((Template.DRBD, 2), (Template.PLAIN, 0)):
            self.prepare(a_state(kind, up=False))
            self.successResultOf(self.grow())
            attached, detached = (self.memory.nodes.calls(k) for k in (AttachDisk, DetachDisk))
            self.assertEqual((len(attached), len(detached)), (expected, expected))
        self.assertFalse(self.memory.state().instance("web1").disks_active)

    def test_disks_that_cannot_be_detached_do_not_hide_the_result(self) -> None:
        for error in (None, Failed("no space")):
            self.prepare(a_state(Template.DRBD, up=False), error)
            self.memory.nodes.answers[DetachDisk] = Failed("it is in use")
            if error is None:
                self.successResultOf(self.grow())
            else:
                self.assertIs(self.failureResultOf(self.grow(), Failed).value, error)
            self.assertIn("cannot detach the disks of", self.memory.progress.said[-1])

    def test_disks_that_may_be_attached_are_detached(self) -> None:
        self.prepare(a_state(Template.DRBD, up=False))
        self.memory.nodes.answers[AttachDisk] = Unreachable("node2", "gone")
        self.failureResultOf(self.grow(), Unreachable)
        self.assertEqual(len(self.memory.nodes.calls(DetachDisk)), 2)

    def test_what_is_added_is_wiped_behind_the_actual_end(self) -> None:
        self.prepare(a_state(up=False, prealloc_wipe_disks=True))
        sizes = iter([1028, 1540])
        self.memory.nodes.answers[DescribeDisks] = lambda *_: [
            DiskStatus(path="", size=next(sizes))
        ]
        self.successResultOf(self.grow())
        [wipe] = [call for _, call in self.memory.nodes.asked if isinstance(call, Wipe)]
        self.assertEqual((wipe.offset, wipe.size), (1028, 512))
        self.assertEqual(len(self.memory.nodes.calls(AttachDisk)), 1)
