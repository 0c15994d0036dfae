# SPDX-License-Identifier: BSD-2-Clause
"""Lost disks are recreated, empty; disks that exist are never overwritten."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Failed, GanetiError, Invalid, Refused
from ganeti.locking.names import instance_lock, node_lock, request
from ganeti.model.disk import DiskMode, Template
from ganeti.model.instance import AdminState
from ganeti.opcodes.instance.disks import RecreateDisks
from ganeti.operations.instance.disks.recreate import (
    RecreationPlan,
    hooks,
    plan,
    questions,
    request_allocation,
    run,
)
from ganeti.operations.operation import IAllocatorReply, NodeAnswers
from ganeti.rpc.call import Call
from ganeti.rpc.disks import (
    AttachDisk,
    CreateDisk,
    DescribeDisks,
    DetachDisk,
    DiskStatus,
    RemoveDisk,
    WipeDisk,
)
from ganeti.rpc.instances import ListGuests
from ganeti.rpc.node import DescribeNode, StorageSpace
from ganeti.testing.builders import a_cluster, a_disk, a_group, a_node, an_instance
from ganeti.testing.facts import some_facts
from ganeti.testing.tools import MemoryTools


def a_state(
    kind: Template = Template.PLAIN,
    *,
    primary: dict[str, Any] | None = None,
    instance: dict[str, Any] | None = None,
    **over: Any,
) -> ClusterState:
    """Return web1, stopped, with two disks of 1 GiB on node1, or on node1 and node2.

    node3 is offline, node4 in another group, whose policy accepts files only.
    """
    nodes = ("node1", "node2") if kind is Template.DRBD else ("node1",)
    count = 0 if kind is Template.DISKLESS else 2
    disks = [a_disk(f"disk{n + 1}", kind, nodes=nodes) for n in range(count)]
    web1 = an_instance("web1", disks=disks, **{"admin_state": AdminState.DOWN, **(instance or {})})
    hosts = [
        a_node("node1", **(primary or {})),
        a_node("node2"),
        a_node("node3", offline=True),
        a_node("node4", group="far"),
    ]
    groups = ("default", a_group("far", ipolicy={"disk-templates": ["file"]}))
    return a_cluster(nodes=hosts, groups=groups, instances=[web1], **over)


def answers(state: ClusterState, **over: Any) -> NodeAnswers:
    """Return the answers of all nodes, with ``free`` MiB; ``runs`` is the node that runs web1.

    ``advice`` are the nodes that an allocator has chosen.
    """
    space = (StorageSpace(kind="lvm-vg", name="vg0", size=9000, free=over.get("free", 9000)),)
    known: dict[tuple[str, type[Call[object]]], object] = {}
    for node in state.nodes.values():
        runs = node.name == over.get("runs")
        known[node.uuid, ListGuests] = some_facts(runs=["web1"]).guests if runs else {}
        known[node.uuid, DescribeNode] = some_facts(storage=space)
    if "advice" not in over:
        return NodeAnswers(known)
    reply = {"success": True, "info": "", "result": over["advice"]}
    return NodeAnswers(known, advice=IAllocatorReply("mine", json.dumps(reply)))


def make_plan(
    state: ClusterState, facts: NodeAnswers | None = None, **fields: Any
) -> RecreationPlan:
    op = RecreateDisks(instance_name="web1", **fields)
    return plan(op, state, facts or answers(state))


def names(found: RecreationPlan) -> list[str]:
    return [node.name for node in found.nodes]


class PlanTests(SynchronousTestCase):
    def assert_refused(
        self, reason: str, code: Code, state: ClusterState, facts: Any = None, **fields: Any
    ) -> None:
        with self.assertRaisesRegex((Refused, Invalid), reason) as raised:
            make_plan(state, facts, **fields)
        error = raised.exception
        assert isinstance(error, GanetiError)
        self.assertEqual(error.arguments()[1], code)

    def test_all_disks_or_the_named_ones_are_recreated_where_they_were(self) -> None:
        for given, indexes in (((), [0, 1]), ((1,), [1]), ((1, (0, {})), [1, 0])):
            found = make_plan(a_state(), disks=given)
            self.assertEqual([disk.iv_name for disk in found.disks], [f"disk/{n}" for n in indexes])
            self.assertEqual((names(found), found.moves), (["node1"], False))

    def test_size_and_mode_can_be_changed(self) -> None:
        found = make_plan(a_state(Template.DRBD), disks=((0, {"size": 2048, "mode": "ro"}),))
        [disk] = found.disks
        self.assertEqual((disk.size, disk.mode), (2048, DiskMode.READ_ONLY))
        self.assertEqual([child.size for child in disk.children], [2048, 128])

    def test_other_parameters_are_refused(self) -> None:
        reason = r"disks\[1\]/vg: cannot be set; only mode, size, spindles can"
        self.assert_refused(reason, Code.INPUT, a_state(), disks=((1, {"vg": "vg1"}),))
        reason = "disk/0/size: must be greater than 0 MiB"
        self.assert_refused(reason, Code.INPUT, a_state(), disks=((0, {"size": 0}),))

    def test_disks_that_do_not_exist_are_refused(self) -> None:
        reason = "disk 2 does not exist; instance web1 has 2 disks, from 0"
        self.assert_refused(reason, Code.INPUT, a_state(), disks=(0, 2))
        reason = "instance web1 has no disks"
        self.assert_refused(reason, Code.INPUT, a_state(Template.DISKLESS))

    def test_only_a_stopped_instance_gets_empty_disks(self) -> None:
        up = a_state(instance={"admin_state": AdminState.UP})
        self.assert_refused("gnt-instance shutdown web1", Code.STATE, up)
        running = answers(a_state(), runs="node1")
        self.assert_refused("gnt-instance shutdown web1", Code.STATE, a_state(), running)
        state = a_state(Template.DRBD)
        facts = answers(state, runs="node2")
        self.assert_refused("running on node2, which is not", Code.STATE, state, facts)

    def test_its_nodes_must_be_online_unless_others_are_named(self) -> None:
        state = a_state(primary={"offline": True}, master_node=a_node("node2").uuid)
        reason = "node1 is offline, so disks of instance web1 cannot be created there"
        self.assert_refused(reason, Code.STATE, state)
        found = make_plan(state, nodes=("node2",))
        self.assertEqual((names(found), found.moves), (["node2"], True))

    def test_there_must_be_as_many_nodes_as_copies(self) -> None:
        reason = "the disks of instance web1 require 2 different nodes"
        for nodes in (("node1",), ("node2", "node2")):
            self.assert_refused(reason, Code.INPUT, a_state(Template.DRBD), nodes=nodes)
        reason = "the disks of instance web1 require 1 different nodes"
        self.assert_refused(reason, Code.INPUT, a_state(), nodes=("node1", "node2"))

    def test_named_nodes_must_accept_instances(self) -> None:
        reason = "node3 is offline, so disks of instance web1 cannot be created there"
        self.assert_refused(reason, Code.STATE, a_state(), nodes=("node3",))
        uuid = a_node("node2").uuid
        self.assertEqual(names(make_plan(a_state(), node_uuids=(uuid,))), ["node2"])

    def test_nodes_exclude_an_allocator(self) -> None:
        given = {"nodes": ("node2",), "iallocator": "hail"}
        self.assert_refused("not both", Code.INPUT, a_state(), **given)

    def test_on_other_nodes_all_disks_are_recreated(self) -> None:
        given = {"nodes": ("node2",), "disks": (0,)}
        reason = "on other nodes all disks must be recreated; omit the disks"
        self.assert_refused(reason, Code.INPUT, a_state(), **given)
        make_plan(a_state(), nodes=("node1",), disks=(0,))

    def test_the_same_nodes_in_another_order_are_other_nodes(self) -> None:
        found = make_plan(a_state(Template.DRBD), nodes=("node2", "node1"))
        self.assertEqual((found.moves, names(found)), (True, ["node2", "node1"]))

    def test_each_node_needs_the_space(self) -> None:
        state = a_state()
        self.assert_refused("2048 MiB", Code.RESOURCES, state, answers(state, free=2047))
        make_plan(state, answers(state, free=2048))

    def test_the_policy_counts_changed_sizes_only(self) -> None:
        large = ((0, {"size": (1 << 20) + 1}),)
        facts = answers(a_state(), free=1 << 21)
        reason = "would violate the instance policy: .*; give other sizes"
        self.assert_refused(reason, Code.INPUT, a_state(), facts, disks=large)
        policy = {**a_state().cluster.ipolicy, "disk-templates": ["file"]}
        make_plan(a_state(ipolicy=policy))
        self.assert_refused(reason, Code.INPUT, a_state(ipolicy=policy), disks=((0, {"size": 1}),))

    def test_another_group_must_accept_the_instance(self) -> None:
        reason = "disk template plain is not allowed"
        self.assert_refused(reason, Code.INPUT, a_state(), nodes=("node4",))

    def test_the_old_and_the_new_nodes_are_locked(self) -> None:
        state = a_state()
        found = make_plan(state, nodes=("node2",))
        lock = instance_lock(state.instance("web1").uuid)
        shared = [node_lock(state.node(name).uuid) for name in ("node1", "node2")]
        self.assertEqual(found.locks, request(exclusive=[lock], shared=shared))
        self.assertEqual(hooks(found, state).environment["INSTANCE_DISK_COUNT"], "2")


class AllocatorTests(SynchronousTestCase):
    def test_online_nodes_of_the_group_and_named_ones_are_asked(self) -> None:
        op = RecreateDisks(instance_name="web1", nodes=("node4",))
        [described, listed] = questions(op, a_state())
        found = sorted(node.name for node in described.nodes)
        self.assertEqual(found, ["node1", "node2", "node4"])
        self.assertIsInstance(listed.call, ListGuests)

    def test_the_built_in_one_may_choose_the_same_nodes(self) -> None:
        found = make_plan(a_state(Template.DRBD), iallocator="hail")
        self.assertEqual(sorted(names(found)), ["node1", "node2"])

    def test_the_built_in_one_leaves_out_nodes_that_take_no_instances(self) -> None:
        found = make_plan(a_state(primary={"drained": True}), iallocator="hail")
        self.assertEqual(names(found), ["node2"])

    def test_an_external_one_is_asked_as_for_a_new_instance_in_the_group(self) -> None:
        op = RecreateDisks(instance_name="web1", iallocator="mine", disks=((1, {"size": 64}), 0))
        wanted = request_allocation(op, a_state(Template.DRBD), NodeAnswers())
        assert wanted is not None
        keys = ("type", "name", "group_name", "required_nodes", "disk_template")
        values = [wanted.request[key] for key in keys]
        self.assertEqual(values, ["allocate", "web1", "default", 2, "drbd"])
        self.assertEqual(wanted.request["disk_space_total"], 1024 + 64 + 2 * 128)

    def test_named_nodes_leave_it_no_choice(self) -> None:
        for op in (
            RecreateDisks(instance_name="web1", iallocator="mine", nodes=("node2",)),
            RecreateDisks(instance_name="web1", iallocator="mine", node_uuids=("x",)),
            RecreateDisks(instance_name="web1"),
        ):
            state = a_state(default_iallocator="mine")
            self.assertIsNone(request_allocation(op, state, NodeAnswers()))

    def test_its_answer_is_taken_and_checked(self) -> None:
        facts = answers(a_state(), advice=["node2"])
        self.assertEqual(names(make_plan(a_state(), facts, iallocator="mine")), ["node2"])
        facts = answers(a_state(), advice=["node3"])
        with self.assertRaisesRegex(Refused, "chose node node3, which is offline"):
            make_plan(a_state(), facts, iallocator="mine")


class RunTests(SynchronousTestCase):
    def prepare(self, state: ClusterState, *, there: bool = False, create: object = None) -> None:
        def describe(_: str, call: DescribeDisks) -> list[DiskStatus | None]:
            return [DiskStatus(path="") if there else None for _ in call.disks]

        self.memory = MemoryTools(state, {DescribeDisks: describe, CreateDisk: create})

    def recreate(self, **fields: Any) -> Any:
        return run(make_plan(self.memory.state(), **fields), self.memory.tools)

    def disk_nodes(self) -> list[list[str]]:
        state = self.memory.state()
        disks = state.get_disks(state.instance("web1"))
        return [[state.nodes[uuid].name for uuid in disk.nodes] for disk in disks]

    @property
    def primary(self) -> str:
        state = self.memory.state()
        return state.nodes[state.instance("web1").primary_node].name

    def test_a_disk_that_exists_is_never_overwritten(self) -> None:
        self.prepare(a_state(), there=True)
        error = self.failureResultOf(self.recreate(disks=(1,)), Refused).value
        self.assertEqual(error.code, Code.EXISTS)
        self.assertIn("disk/1 of instance web1 still exists on node node1", str(error))
        self.assertEqual(self.memory.nodes.calls(CreateDisk, RemoveDisk), [])

    def test_disks_are_created_on_all_their_nodes(self) -> None:
        self.prepare(a_state(Template.DRBD))
        self.successResultOf(self.recreate(disks=(0,)))
        created = [(n, c.primary) for n, c in self.memory.nodes.asked if isinstance(c, CreateDisk)]
        self.assertEqual(created, [("node2", False), ("node1", True)])
        expected = ["recreated 1 disks of web1, empty, on node1 and node2"]
        self.assertEqual(self.memory.progress.said, expected)

    def test_on_another_node_the_instance_goes_with_its_disks(self) -> None:
        self.prepare(a_state())
        self.successResultOf(self.recreate(nodes=("node2",)))
        self.assertEqual((self.primary, self.disk_nodes()), ("node2", [["node2"], ["node2"]]))
        self.assertEqual({node for node, _ in self.memory.nodes.calls()}, {"node2"})

    def test_a_new_size_is_recorded(self) -> None:
        self.prepare(a_state())
        self.successResultOf(self.recreate(disks=((1, {"size": 64}),)))
        state = self.memory.state()
        sizes = [disk.size for disk in state.get_disks(state.instance("web1"))]
        self.assertEqual(sizes, [1024, 64])

    def test_a_failure_restores_the_records_and_removes_what_was_created(self) -> None:
        count = 0

        def create(*_: object) -> Failed | None:
            nonlocal count
            count += 1
            return Failed("no space") if count == 2 else None

        self.prepare(a_state(), create=create)
        before = self.memory.state()
        self.failureResultOf(self.recreate(nodes=("node2",), disks=((0, {"size": 64}), 1)), Failed)
        after = self.memory.state()
        web1 = before.instance("web1")
        layout = [(d.size, d.nodes, d.logical_id) for d in before.get_disks(web1)]
        found = [(d.size, d.nodes, d.logical_id) for d in after.get_disks(web1)]
        self.assertEqual((found, self.primary), (layout, "node1"))
        self.assertEqual(self.memory.nodes.calls(RemoveDisk), [("node2", "RemoveDisk")] * 2)

    def test_a_disk_of_something_else_on_another_node_is_not_removed(self) -> None:
        self.prepare(a_state(), create=Refused("there is a volume already", Code.EXISTS))
        self.failureResultOf(self.recreate(nodes=("node2",)), Refused)
        self.assertEqual(self.memory.nodes.calls(RemoveDisk), [])

    def test_new_disks_are_wiped_if_the_cluster_wipes(self) -> None:
        self.prepare(a_state(prealloc_wipe_disks=True))
        self.successResultOf(self.recreate(disks=(0,)))
        kinds = (CreateDisk, AttachDisk, WipeDisk, DetachDisk)
        names = [name for _, name in self.memory.nodes.calls(*kinds)]
        self.assertEqual(names, ["CreateDisk", "AttachDisk", "WipeDisk", "DetachDisk"])
