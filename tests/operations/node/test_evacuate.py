# SPDX-License-Identifier: BSD-2-Clause
"""Primary or secondary instances leave a node by jobs, or each has its reason to stay."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Refused
from ganeti.model.disk import Template
from ganeti.opcodes.choices import EvacuationMode
from ganeti.opcodes.instance.disks import ReplaceDisks
from ganeti.opcodes.instance.moves import MigrateInstance
from ganeti.opcodes.node import EvacuateNode
from ganeti.operations.node.evacuate import (
    NodeEvacuation,
    plan,
    preview,
    questions,
    request_allocation,
    run,
)
from ganeti.operations.operation import IAllocatorReply, NodeAnswers
from ganeti.rpc.call import Call
from ganeti.rpc.node import DescribeNode
from ganeti.schema.records import replace
from ganeti.testing.builders import Built, a_cluster, a_disk, a_node, an_instance
from ganeti.testing.facts import some_facts
from ganeti.testing.tools import MemoryTools

PRIMARY, SECONDARY = EvacuationMode.PRIMARY_ONLY, EvacuationMode.SECONDARY_ONLY
LOCAL = an_instance("local", disks=[a_disk("f")])
ALL = EvacuationMode.ALL


def drbd(name: str, number: int, *nodes: str) -> Built:
    disk = a_disk(f"disk{number}", Template.DRBD, nodes=nodes)
    return an_instance(name, node=nodes[0], disks=[disk])


DB1, DB2 = drbd("db1", 1, "node1", "node2"), drbd("db2", 2, "node2", "node1")


def a_state(*instances: Built | str) -> ClusterState:
    nodes = ("node1", "node2", "node3", a_node("node4", offline=True))
    return a_cluster(nodes=nodes, instances=instances or [DB1, DB2, "web1"])


def answers(state: ClusterState, advice: object = None) -> NodeAnswers:
    known: dict[tuple[str, type[Call[object]]], object] = {
        (uuid, DescribeNode): some_facts(storage=()) for uuid in state.nodes
    }
    if advice is None:
        return NodeAnswers(known)
    reply = {"success": True, "info": "", "result": advice}
    return NodeAnswers(known, advice=IAllocatorReply("mine", json.dumps(reply)))


def make_plan(
    mode: EvacuationMode, state: ClusterState | None = None, advice: object = None, **fields: Any
) -> NodeEvacuation:
    state = state or a_state()
    op = EvacuateNode(node_name="node1", mode=mode, **fields)
    return plan(op, state, answers(state, advice))


class PlanTests(SynchronousTestCase):
    def summaries(self, mode: EvacuationMode, **fields: Any) -> list[list[str]]:
        return preview(make_plan(mode, **fields))

    def assert_refused(
        self, reason: str, code: Code, mode: EvacuationMode = PRIMARY, **fields: Any
    ) -> None:
        with self.assertRaisesRegex(Refused, reason) as raised:
            make_plan(mode, **fields)
        self.assertEqual(raised.exception.code, code)

    def test_the_other_online_nodes_of_the_group_are_asked_for_their_room(self) -> None:
        [query] = questions(EvacuateNode(node_name="node1", mode=ALL), a_state())
        self.assertEqual(sorted(node.name for node in query.nodes), ["node2", "node3"])

    def test_a_named_node_is_asked_also_in_another_group(self) -> None:
        state = a_cluster(nodes=["node1", a_node("far1", group="far")], groups=["default", "far"])
        by_name = EvacuateNode(node_name="node1", mode=SECONDARY, remote_node="far1")
        for op in (by_name, replace(by_name, remote_node_uuid=a_node("far1").uuid)):
            [query] = questions(op, state)
            self.assertEqual([node.name for node in query.nodes], ["far1"])

    def test_each_mode_has_its_instances(self) -> None:
        db1, web1 = ["INSTANCE_MIGRATE(db1)"], ["INSTANCE_MIGRATE(web1)"]
        copy = ["INSTANCE_REPLACE_DISKS(db2)"]
        self.assertEqual(self.summaries(PRIMARY), [db1, web1])
        self.assertEqual(self.summaries(SECONDARY), [copy])
        both = [*db1, "INSTANCE_REPLACE_DISKS(db1)"]
        self.assertEqual(self.summaries(ALL), [both, web1, copy])

    def test_the_uuid_counts_if_it_is_given(self) -> None:
        op = EvacuateNode(node_name="old-name", node_uuid=a_node("node1").uuid, mode=SECONDARY)
        state = a_state()
        self.assertEqual(len(plan(op, state, answers(state)).leaving.jobs), 1)
        self.assertEqual(len(questions(op, state)[0].nodes), 2)
        self.assertIsNone(request_allocation(op, state, NodeAnswers()))

    def test_a_target_is_named_only_where_the_disks_leave_a_choice(self) -> None:
        [[db1], [web1]] = make_plan(PRIMARY).leaving.jobs
        assert isinstance(db1, MigrateInstance)
        assert isinstance(web1, MigrateInstance)
        self.assertIsNone(db1.target_node)
        self.assertIn(web1.target_node, ("node2", "node3"))

    def test_each_job_acquires_its_own_locks(self) -> None:
        self.assertEqual(make_plan(ALL).locks, {})

    def replacements(self, mode: EvacuationMode, **fields: Any) -> list[ReplaceDisks]:
        jobs = make_plan(mode, **fields).leaving.jobs
        return [op for job in jobs for op in job if isinstance(op, ReplaceDisks)]

    def test_copies_go_to_a_node_that_has_none(self) -> None:
        for early in (False, True):
            found = self.replacements(ALL, early_release=early)
            self.assertEqual([op.remote_node for op in found], ["node3", "node3"])
            self.assertEqual({op.early_release for op in found}, {early})

    def test_a_named_node_takes_the_copies(self) -> None:
        [copy] = self.replacements(SECONDARY, remote_node="node3")
        self.assertEqual(copy.remote_node, "node3")
        uuid = a_node("node3").uuid
        [copy] = self.replacements(SECONDARY, remote_node_uuid=uuid)
        self.assertEqual(copy.remote_node, "node3")
        self.assert_refused("db2: ", Code.RESOURCES, SECONDARY, remote_node="node4")

    def test_a_named_node_must_make_sense(self) -> None:
        both = {"remote_node": "node3", "iallocator": "hail"}
        self.assert_refused("not both", Code.INPUT, SECONDARY, **both)
        reason = "remote_node requires the mode secondary-only"
        for mode in (PRIMARY, ALL):
            self.assert_refused(reason, Code.INPUT, mode, remote_node="node3")
        reason = "node node1 is the source; choose another target"
        self.assert_refused(reason, Code.INPUT, SECONDARY, remote_node="node1")

    def test_one_that_is_stuck_stops_all_unless_that_is_ignored(self) -> None:
        state = a_state(LOCAL, "web1")
        reason = "cannot evacuate all instances from node node1: local: its file disks"
        self.assert_refused(reason, Code.RESOURCES, state=state)
        found = make_plan(PRIMARY, state, ignore_soft_errors=True)
        self.assertEqual(preview(found), [["INSTANCE_MIGRATE(web1)"]])
        memory = MemoryTools(state)
        result = self.successResultOf(run(found, memory.tools))
        self.assertEqual(result, {"jobs": [[True, 1]]})
        [message] = memory.progress.said
        self.assertIn("cannot move local away from node node1: its file disks", message)


class AllocatorTests(SynchronousTestCase):
    def wanted(self, mode: EvacuationMode, **fields: Any) -> Any:
        op = EvacuateNode(node_name="node1", mode=mode, **fields)
        state = a_state()
        state = state.put(replace(state.cluster, default_iallocator="default"))
        return request_allocation(op, state, NodeAnswers())

    def test_it_gets_the_instances_of_the_mode_by_name(self) -> None:
        for mode, names in (
            (PRIMARY, ["db1", "web1"]),
            (SECONDARY, ["db2"]),
            (ALL, ["db1", "db2", "web1"]),
        ):
            found = self.wanted(mode, iallocator="mine")
            expected = {"type": "node-evacuate", "instances": names, "evac_mode": mode.value}
            self.assertEqual((found.name, found.request), ("mine", expected))

    def test_it_is_told_to_ignore_soft_errors(self) -> None:
        found = self.wanted(ALL, iallocator="mine", ignore_soft_errors=True)
        self.assertEqual(list(found.options), ["--ignore-soft-errors"])
        self.assertEqual(list(self.wanted(ALL, iallocator="mine").options), [])

    def test_a_named_node_leaves_it_no_choice(self) -> None:
        self.assertIsNone(self.wanted(SECONDARY, remote_node="node3"))
        self.assertIsNone(self.wanted(SECONDARY, remote_node_uuid="x"))

    def test_its_jobs_are_submitted(self) -> None:
        opcode = {"OP_ID": "OP_INSTANCE_FAILOVER", "instance_name": "web1"}
        found = make_plan(PRIMARY, advice=[[["web1", "default", ["node3"]]], [], [[opcode]]])
        self.assertEqual(preview(found), [["INSTANCE_FAILOVER(web1)"]])

    def test_what_it_cannot_move_is_stuck(self) -> None:
        advice = [[], [["web1", "no room"]], []]
        with self.assertRaisesRegex(Refused, "from node node1: web1: no room") as raised:
            make_plan(PRIMARY, advice=advice)
        self.assertEqual(raised.exception.code, Code.RESOURCES)
        found = make_plan(PRIMARY, advice=advice, ignore_soft_errors=True)
        self.assertEqual(found.leaving.stuck, (("web1", "no room"),))
