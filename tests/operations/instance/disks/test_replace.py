# SPDX-License-Identifier: BSD-2-Clause
"""Which copies of mirrored disks are replaced, where, and when that is refused."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Failed, Refused, Unreachable
from ganeti.locking.names import instance_lock, node_lock, request
from ganeti.model.disk import Template
from ganeti.opcodes.instance.disks import ReplaceDisks, ReplacementMode
from ganeti.operations.instance.disks.replace import (
    ReplacementPlan,
    hooks,
    plan,
    questions,
    request_allocation,
    run,
)
from ganeti.operations.operation import IAllocatorReply, NodeAnswers
from ganeti.rpc.call import Call
from ganeti.rpc.disks import AttachDisk, CreateDisk, DescribeDisks, DetachDisk, DiskStatus
from ganeti.rpc.instances import ListGuests
from ganeti.rpc.node import DescribeNode, StorageSpace
from ganeti.schema.records import replace
from ganeti.testing.builders import a_cluster, a_disk, a_group, a_node, an_instance
from ganeti.testing.facts import some_facts
from ganeti.testing.tools import MemoryTools

AUTO, NEW = ReplacementMode.AUTO, ReplacementMode.NEW_SECONDARY
ON_PRIMARY, ON_SECONDARY = ReplacementMode.ON_PRIMARY, ReplacementMode.ON_SECONDARY
GOOD, FAULTY = DiskStatus(path="/dev/drbd0"), DiskStatus(path="/dev/drbd0", local="faulty")
SYNCING = DiskStatus(path="/dev/drbd0", local="syncing")


def a_state(kind: Template = Template.DRBD, *, offline: str = "", **over: Any) -> ClusterState:
    """Return web1 with two disks on node1 and node2; node3 is in their group, node4 is not."""
    nodes = ("node1", "node2") if kind is Template.DRBD else ("node1",)
    disks = [a_disk(f"disk{n}", kind, nodes=nodes) for n in (1, 2)]
    hosts = [a_node(f"node{n}", offline=f"node{n}" == offline) for n in (1, 2, 3)]
    hosts.append(a_node("node4", group="far"))
    far = a_group("far", ipolicy={"disk-templates": ["file"]})
    web1 = an_instance("web1", disks=disks, **over)
    return a_cluster(nodes=hosts, groups=["default", far], instances=[web1])


def answers(state: ClusterState, **over: Any) -> NodeAnswers:
    """Return the answers of all nodes; ``over`` are disks' statuses by name of node.

    ``runs`` is the node that runs web1, ``info`` what nodes say of themselves, by name, ``advice``
    the node that an allocator has chosen.
    """
    space = (StorageSpace(kind="lvm-vg", name="vg0", size=9000, free=over.pop("free", 9000)),)
    runs, info, advice = over.pop("runs", "node1"), over.pop("info", {}), over.pop("advice", None)
    known: dict[tuple[str, type[Call[object]]], object] = {}
    for node in state.nodes.values():
        guests = some_facts(runs=["web1"]).guests if node.name == runs else {}
        known[node.uuid, ListGuests] = guests
        known[node.uuid, DescribeDisks] = over.get(node.name, [GOOD, GOOD])
        known[node.uuid, DescribeNode] = info.get(node.name, some_facts(storage=space))
    if advice is None:
        return NodeAnswers(known)
    reply = {"success": True, "info": "", "result": [advice]}
    return NodeAnswers(known, advice=IAllocatorReply("mine", json.dumps(reply)))


def make_plan(
    mode: ReplacementMode,
    state: ClusterState | None = None,
    facts: NodeAnswers | None = None,
    **fields: Any,
) -> ReplacementPlan:
    state = state or a_state()
    op = ReplaceDisks(instance_name="web1", mode=mode, **fields)
    return plan(op, state, facts or answers(state))


def chosen(found: ReplacementPlan) -> tuple[str, list[str]]:
    return found.node.name, [disk.iv_name for disk in found.disks]


class RefusalTests(SynchronousTestCase):
    def assert_refused(
        self,
        reason: str,
        code: Code,
        mode: ReplacementMode,
        state: ClusterState | None = None,
        facts: NodeAnswers | None = None,
        **fields: Any,
    ) -> None:
        with self.assertRaisesRegex(Refused, reason) as raised:
            make_plan(mode, state, facts, **fields)
        self.assertEqual(raised.exception.code, code)

    def test_disks_without_a_second_copy_are_refused(self) -> None:
        reason = "web1 has plain disks, which have no second copy to replace"
        for mode in ReplacementMode:
            self.assert_refused(reason, Code.INPUT, mode, a_state(Template.PLAIN))

    def test_parameters_must_fit_the_mode(self) -> None:
        for mode, fields, reason in (
            (NEW, {}, "give the new secondary node"),
            (NEW, {"remote_node": "node3", "iallocator": "hail"}, "give either the new"),
            (NEW, {"remote_node": "node3", "disks": (0,)}, "a new secondary node gets all disks"),
            (ON_PRIMARY, {"remote_node": "node3"}, "remote_node is only valid for mode replace_n"),
            (ON_SECONDARY, {"iallocator": "hail"}, "iallocator is only valid for mode"),
            (AUTO, {"remote_node_uuid": "x"}, "remote_node_uuid is only valid for mode"),
            (AUTO, {"disks": (0,)}, "replace_auto detects faulty disks; omit the disks"),
        ):
            self.assert_refused(reason, Code.INPUT, mode, **fields)

    def test_disks_that_do_not_exist_are_named(self) -> None:
        reason = "disk 2, 7 does not exist; instance web1 has 2 disks, from 0"
        self.assert_refused(reason, Code.INPUT, ON_PRIMARY, disks=(1, 2, 7))

    def test_the_primary_node_must_be_online(self) -> None:
        named: dict[str, Any] = {"remote_node": "node3"}
        for mode, fields in ((AUTO, {}), (ON_SECONDARY, {}), (NEW, named)):
            state = a_state(offline="node1")
            self.assert_refused("node1 is offline", Code.STATE, mode, state, **fields)

    def test_both_nodes_must_be_online_for_a_replacement_in_place(self) -> None:
        for mode in (ON_PRIMARY, ON_SECONDARY):
            state = a_state(offline="node2")
            self.assert_refused("node2 is offline", Code.STATE, mode, state)

    def test_the_guest_must_not_run_on_the_other_node(self) -> None:
        for mode in (AUTO, ON_PRIMARY, ON_SECONDARY):
            facts = answers(a_state(), runs="node2")
            self.assert_refused("running on node2, which", Code.STATE, mode, None, facts)

    def test_the_copy_that_stays_must_be_current(self) -> None:
        for mode, node in ((ON_PRIMARY, "node2"), (ON_SECONDARY, "node1"), (NEW, "node1")):
            facts = answers(a_state(), **{node: [GOOD, SYNCING]})
            fields = {"remote_node": "node3"} if mode is NEW else {}
            reason = f"copies on node {node} are not current: disk/1 is syncing; without them"
            self.assert_refused(reason, Code.STATE, mode, None, facts, **fields)


class InPlaceTests(SynchronousTestCase):
    def test_the_requested_side_and_disks_are_replaced(self) -> None:
        self.assertEqual(chosen(make_plan(ON_PRIMARY)), ("node1", ["disk/0", "disk/1"]))
        self.assertEqual(chosen(make_plan(ON_SECONDARY, disks=(1, 1))), ("node2", ["disk/1"]))

    def test_copies_of_active_disks_are_checked_on_both_nodes(self) -> None:
        for mode in ReplacementMode:
            op = ReplaceDisks(instance_name="web1", mode=mode, remote_node="node3")
            [query] = [q for q in questions(op, a_state()) if isinstance(q.call, DescribeDisks)]
            self.assertEqual([node.name for node in query.nodes], ["node1", "node2"])

    def test_copies_of_inactive_disks_are_not_checked_before_they_are_attached(self) -> None:
        state = a_state(disks_active=False)
        asked = questions(ReplaceDisks(instance_name="web1", mode=ON_PRIMARY), state)
        self.assertNotIn(DescribeDisks, [type(query.call) for query in asked])
        make_plan(ON_PRIMARY, state, answers(state, node2=[FAULTY, None]))

    def test_the_faulty_side_is_found(self) -> None:
        for node in ("node1", "node2"):
            facts = answers(a_state(), **{node: [FAULTY, GOOD]})
            self.assertEqual(chosen(make_plan(AUTO, None, facts)), (node, ["disk/0"]))
        facts = answers(a_state(), node2=[FAULTY, None])
        self.assertEqual(chosen(make_plan(AUTO, None, facts)), ("node2", ["disk/0", "disk/1"]))

    def test_a_copy_that_becomes_current_by_itself_is_not_faulty(self) -> None:
        facts = answers(a_state(), node2=[SYNCING, GOOD])
        self.assertEqual(make_plan(AUTO, None, facts).disks, ())

    def test_faults_on_both_sides_are_left_to_the_administrator(self) -> None:
        facts = answers(a_state(), node1=[FAULTY, GOOD], node2=[GOOD, None])
        with self.assertRaisesRegex(Refused, "faulty on both nodes; replace one side after"):
            make_plan(AUTO, None, facts)

    def test_faults_are_only_found_if_the_disks_are_active_and_the_nodes_online(self) -> None:
        with self.assertRaisesRegex(Refused, "first run: gnt-instance activate-disks web1"):
            make_plan(AUTO, a_state(disks_active=False))
        with self.assertRaisesRegex(Refused, "node2 is offline.* replace it by a new secondary"):
            make_plan(AUTO, a_state(offline="node2"))


class NewSecondaryTests(SynchronousTestCase):
    def new(
        self, state: ClusterState | None = None, facts: NodeAnswers | None = None, **fields: Any
    ) -> str:
        found = make_plan(NEW, state, facts, **(fields or {"remote_node": "node3"}))
        self.assertEqual((found.new, len(found.disks)), (True, 2))
        return found.node.name

    def assert_refused(self, reason: str, code: Code, facts: Any = None, **fields: Any) -> None:
        with self.assertRaisesRegex(Refused, reason) as raised:
            self.new(None, facts, **fields)
        self.assertEqual(raised.exception.code, code)

    def test_it_is_the_named_node_or_one_of_the_group(self) -> None:
        self.assertEqual(self.new(), "node3")
        self.assertEqual(self.new(remote_node_uuid=a_node("node3").uuid), "node3")
        self.assertEqual(self.new(iallocator="hail"), "node3")

    def test_only_nodes_that_could_become_it_are_asked(self) -> None:
        given: tuple[tuple[dict[str, Any], str], ...] = (
            ({"iallocator": "hail"}, "node3"),
            ({"remote_node": "node4"}, "node4"),
        )
        for fields, name in given:
            op = ReplaceDisks(instance_name="web1", mode=NEW, **fields)
            queries = questions(op, a_state())
            [nodes] = [query.nodes for query in queries if isinstance(query.call, DescribeNode)]
            self.assertEqual([node.name for node in nodes], [name])
        op = ReplaceDisks(instance_name="web1", mode=NEW, iallocator="hail")
        [*_, query] = questions(op, a_state(offline="node3"))
        self.assertEqual(list(query.nodes), [])

    def test_a_secondary_node_that_is_offline_can_be_replaced(self) -> None:
        self.assertEqual(self.new(a_state(offline="node2")), "node3")

    def test_the_present_nodes_are_refused(self) -> None:
        for name in ("node1", "node2"):
            reason = f"web1 is already on node {name}"
            self.assert_refused(reason, Code.INPUT, remote_node=name)

    def test_a_node_without_room_is_refused(self) -> None:
        small = answers(a_state(), free=2 * (1024 + 128) - 1)
        reason = "node node3 cannot host instance web1: it has 2303 MiB of free disk space"
        self.assert_refused(reason, Code.RESOURCES, small)
        self.new(None, answers(a_state(), free=2 * (1024 + 128)))

    def test_a_node_that_does_not_answer_is_refused(self) -> None:
        facts = answers(a_state(), info={"node3": Unreachable("node3", "gone")})
        self.assert_refused("node3 is unreachable", Code.INTERNAL, facts)

    def test_a_node_that_takes_no_instances_is_refused(self) -> None:
        with self.assertRaisesRegex(Refused, "node3 is offline, so instance web1 cannot have"):
            self.new(a_state(offline="node3"))

    def test_another_group_must_accept_the_instance(self) -> None:
        reason = "disk template drbd is not allowed; allowed are file"
        self.assert_refused(reason, Code.INPUT, remote_node="node4")
        self.assertEqual(self.new(remote_node="node4", ignore_ipolicy=True), "node4")

    def test_an_allocator_is_asked_to_replace_the_secondary_node(self) -> None:
        op = ReplaceDisks(instance_name="web1", mode=NEW, iallocator="mine")
        wanted = request_allocation(op, a_state(), NodeAnswers())
        assert wanted is not None
        self.assertEqual(wanted.request["relocate_from"], ["node2"])
        named = ReplaceDisks(instance_name="web1", mode=NEW, remote_node="node3")
        auto = ReplaceDisks(instance_name="web1", mode=AUTO, iallocator="mine")
        state = a_state()
        state = state.put(replace(state.cluster, default_iallocator="mine"))
        for other in (named, auto):
            self.assertIsNone(request_allocation(other, state, NodeAnswers()))

    def test_the_answer_of_an_allocator_is_checked(self) -> None:
        facts = answers(a_state(), advice="node3")
        self.assertEqual(self.new(None, facts, iallocator="mine"), "node3")
        facts = answers(a_state(), advice="node1")
        reason = "web1 is already on node node1"
        self.assert_refused(reason, Code.ENVIRONMENT, facts, iallocator="mine")

    def test_the_new_node_is_locked_and_gets_the_hooks(self) -> None:
        state = a_state()
        found = make_plan(NEW, state, remote_node="node3")
        uuids = {name: state.node(name).uuid for name in ("node1", "node2", "node3")}
        lock = instance_lock(state.instance("web1").uuid)
        shared = [node_lock(uuid) for uuid in uuids.values()]
        self.assertEqual(found.locks, request(exclusive=[lock], shared=shared))
        call = hooks(found, state)
        expected = [state.cluster.master_node, uuids["node1"], uuids["node3"]]
        self.assertEqual((call.before, call.after), (expected, expected))
        names = ("MODE", "OLD_SECONDARY", "NEW_SECONDARY")
        values = [call.environment[name] for name in names]
        self.assertEqual(values, ["replace_new_secondary", "node2", "node3"])
        call = hooks(make_plan(ON_PRIMARY, state), state)
        self.assertEqual(call.environment["NEW_SECONDARY"], "")


class RunTests(SynchronousTestCase):
    def prepare(self, state: ClusterState) -> None:
        def describe(_: str, call: DescribeDisks) -> list[DiskStatus]:
            return [GOOD for _ in call.disks]

        self.memory = MemoryTools(state, {DescribeDisks: describe})

    def test_nothing_faulty_is_nothing_to_do(self) -> None:
        self.prepare(a_state())
        self.successResultOf(run(make_plan(AUTO), self.memory.tools))
        self.assertEqual(self.memory.nodes.asked, [])
        expected = ["instance web1 has no faulty disks; nothing to do"]
        self.assertEqual(self.memory.progress.said, expected)

    def test_the_other_copy_is_the_source(self) -> None:
        for mode, node in ((ON_PRIMARY, "node1"), (ON_SECONDARY, "node2")):
            self.prepare(a_state())
            self.successResultOf(run(make_plan(mode, disks=(0,)), self.memory.tools))
            self.assertEqual({n for n, _ in self.memory.nodes.calls(CreateDisk)}, {node})
            [(other, _), *_] = self.memory.nodes.calls(DescribeDisks)
            self.assertNotEqual(other, node)

    def test_a_secondary_node_that_fails_can_be_replaced(self) -> None:
        def attach(node: str, _: object) -> object:
            return Failed("it is broken") if node == "node2" else "/dev/drbd0"

        state = a_state(disks_active=False)
        self.prepare(state)
        self.memory.nodes.answers[AttachDisk] = attach
        found = make_plan(NEW, state, remote_node="node3")
        self.successResultOf(run(found, self.memory.tools))

    def test_a_replacement_is_done_although_disks_cannot_be_detached(self) -> None:
        state = a_state(disks_active=False)
        self.prepare(state)
        self.memory.nodes.answers[DetachDisk] = Failed("it is in use")
        found = make_plan(NEW, state, remote_node="node3")
        self.successResultOf(run(found, self.memory.tools))
        self.assertIn("cannot detach the disks of instance", self.memory.progress.said[-1])

    def test_disks_that_may_be_attached_are_detached(self) -> None:
        state = a_state(disks_active=False)
        self.prepare(state)
        self.memory.nodes.answers[AttachDisk] = Unreachable("node1", "gone")
        found = make_plan(NEW, state, remote_node="node3")
        self.failureResultOf(run(found, self.memory.tools), Unreachable)
        self.assertEqual(
            {name for name, _ in self.memory.nodes.calls(DetachDisk)}, {"node1", "node2"}
        )

    def test_inactive_disks_are_attached_only_for_the_replacement(self) -> None:
        for answer in (None, Failed("no space")):
            state = a_state(disks_active=False)
            self.prepare(state)
            self.memory.nodes.answers[CreateDisk] = answer
            working = run(make_plan(NEW, state, remote_node="node3"), self.memory.tools)
            if answer is None:
                self.successResultOf(working)
            else:
                self.failureResultOf(working, Failed)
            calls = self.memory.nodes.calls(AttachDisk, DetachDisk)
            self.assertEqual(calls[0], ("node2", "AttachDisk"))
            there = "node2" if answer else "node3"
            expected = [("node1", "DetachDisk"), (there, "DetachDisk")] * 2
            self.assertEqual(calls[-4:], expected)
