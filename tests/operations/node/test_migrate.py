# SPDX-License-Identifier: BSD-2-Clause
"""All primary instances of a node get a job that migrates them, if they have a target."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Refused
from ganeti.model.disk import Template
from ganeti.model.instance import AdminState
from ganeti.opcodes.choices import MigrationMode
from ganeti.opcodes.instance.moves import MigrateInstance
from ganeti.opcodes.node import MigrateNode
from ganeti.operations.node.migrate import NodeMigration, hooks, plan, preview, questions, run
from ganeti.operations.operation import NodeAnswers
from ganeti.rpc.node import DescribeNode
from ganeti.schema.records import replace
from ganeti.testing.builders import Built, a_cluster, a_disk, a_node, an_instance
from ganeti.testing.facts import some_facts
from ganeti.testing.tools import MemoryTools

DISK = a_disk("disk1", Template.DRBD, nodes=("node1", "node2"))
DB1 = an_instance("db1", disks=[DISK])
LOCAL = an_instance("local", disks=[a_disk("f")])
IDLE = an_instance("idle", admin_state=AdminState.DOWN)


def a_state(*instances: Built | str) -> ClusterState:
    nodes = ("node1", "node2", "node3", a_node("node4", offline=True))
    return a_cluster(nodes=nodes, instances=instances)


def make_plan(state: ClusterState, **fields: Any) -> NodeMigration:
    facts = NodeAnswers({(uuid, DescribeNode): some_facts() for uuid in state.nodes})
    return plan(MigrateNode(node_name="node1", **fields), state, facts)


def migrations(found: NodeMigration) -> list[MigrateInstance]:
    opcodes = [opcode for [opcode] in found.leaving.jobs]
    return [opcode for opcode in opcodes if isinstance(opcode, MigrateInstance)]


class MigrationTests(SynchronousTestCase):
    def assert_refused(self, reason: str, code: Code, state: ClusterState, **fields: Any) -> None:
        with self.assertRaisesRegex(Refused, reason) as raised:
            make_plan(state, **fields)
        self.assertEqual(raised.exception.code, code)

    def test_the_other_online_nodes_of_the_group_are_asked_for_their_room(self) -> None:
        [query] = questions(MigrateNode(node_name="node1"), a_state())
        self.assertEqual(sorted(node.name for node in query.nodes), ["node2", "node3"])

    def test_a_named_node_is_asked_also_in_another_group(self) -> None:
        state = a_cluster(nodes=["node1", a_node("far1", group="far")], groups=["default", "far"])
        by_name = MigrateNode(node_name="node1", target_node="far1")
        for op in (by_name, replace(by_name, target_node_uuid=a_node("far1").uuid)):
            [query] = questions(op, state)
            self.assertEqual([node.name for node in query.nodes], ["far1"])

    def test_the_uuid_counts_if_it_is_given(self) -> None:
        op = MigrateNode(node_name="old-name", node_uuid=a_node("node1").uuid)
        state = a_state("web1")
        facts = NodeAnswers({(uuid, DescribeNode): some_facts() for uuid in state.nodes})
        self.assertEqual(len(plan(op, state, facts).leaving.jobs), 1)
        self.assertEqual(len(questions(op, state)[0].nodes), 2)

    def test_each_instance_gets_a_job_by_name(self) -> None:
        found = make_plan(a_state("web2", "web1", DB1))
        self.assertEqual([op.instance_name for op in migrations(found)], ["db1", "web1", "web2"])
        self.assertEqual(preview(found)[0], ["INSTANCE_MIGRATE(db1)"])
        self.assertEqual(found.locks, {})

    def test_a_target_is_named_only_where_the_disks_leave_a_choice(self) -> None:
        db1, web1 = migrations(make_plan(a_state("web1", DB1)))
        self.assertIsNone(db1.target_node)
        self.assertIn(web1.target_node, ("node2", "node3"))

    def test_a_named_target_is_that_of_every_instance(self) -> None:
        found = migrations(make_plan(a_state("web1", "web2"), target_node="node3"))
        self.assertEqual([op.target_node for op in found], ["node3", "node3"])
        uuid = a_node("node2").uuid
        [web1] = migrations(make_plan(a_state("web1"), target_node_uuid=uuid))
        self.assertEqual(web1.target_node, "node2")

    def test_an_allocator_chooses_the_target_in_each_job(self) -> None:
        [web1] = migrations(make_plan(a_state("web1"), iallocator="mine"))
        self.assertEqual((web1.target_node, web1.iallocator), (None, "mine"))

    def test_options_of_the_migration_are_passed_on(self) -> None:
        given = {"mode": MigrationMode.NON_LIVE, "ignore_ipolicy": True}
        [web1] = migrations(make_plan(a_state("web1"), allow_runtime_changes=False, **given))
        passed = (web1.mode, web1.live, web1.allow_runtime_changes, web1.ignore_ipolicy)
        self.assertEqual(passed, (MigrationMode.NON_LIVE, None, False, True))

    def test_what_is_not_wanted_up_may_be_failed_over(self) -> None:
        idle, web1 = migrations(make_plan(a_state(IDLE, "web1")))
        self.assertEqual((idle.allow_failover, web1.allow_failover), (True, False))

    def test_an_instance_that_cannot_leave_does_not_stop_the_others(self) -> None:
        state = a_state(LOCAL, "web1")
        memory = MemoryTools(state)
        result = self.successResultOf(run(make_plan(state), memory.tools))
        self.assertEqual(result, {"jobs": [[True, 1]]})
        [message] = memory.progress.said
        self.assertIn("cannot move local away from node node1: its file disks", message)

    def test_it_is_refused_if_no_instance_can_leave(self) -> None:
        reason = "cannot migrate any instance from node node1: local: its file disks"
        self.assert_refused(reason, Code.RESOURCES, a_state(LOCAL))
        reason = "its secondary node is node2, and it can only move there"
        self.assert_refused(reason, Code.RESOURCES, a_state(DB1), target_node="node3")

    def test_a_node_without_instances_is_left_at_once(self) -> None:
        memory = MemoryTools(a_state())
        result = self.successResultOf(run(make_plan(a_state()), memory.tools))
        self.assertEqual(result, {"jobs": []})

    def test_the_target_is_another_node_and_not_also_an_allocator(self) -> None:
        reason = "node node1 is the source; choose another target"
        self.assert_refused(reason, Code.INPUT, a_state(), target_node="node1")
        both = {"target_node": "node2", "iallocator": "hail"}
        self.assert_refused("not both", Code.INPUT, a_state(), **both)

    def test_hooks_run_on_the_master_for_the_node(self) -> None:
        state = a_state()
        call = hooks(make_plan(state), state)
        expected = {"OP_TARGET": "node1", "NODE_NAME": "node1", "ALLOW_RUNTIME_CHANGES": "True"}
        self.assertEqual(call.environment, expected)
        self.assertEqual((call.before, call.after), ([state.cluster.master_node],) * 2)
