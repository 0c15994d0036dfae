# SPDX-License-Identifier: BSD-2-Clause
"""Missing, faulty and inactive disks are found on the nodes that answer."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.state import ClusterState
from ganeti.errors import Refused, Unreachable
from ganeti.model.disk import Template
from ganeti.opcodes.cluster import FindingCode, VerifyDisks
from ganeti.opcodes.group import VerifyGroupDisks
from ganeti.operations.cluster.verify_disks import (
    check_disks,
    list_disks,
    plan,
    plan_all,
    questions,
    run,
    run_all,
)
from ganeti.operations.operation import NodeAnswers
from ganeti.rpc.disks import DescribeDisks, DiskStatus
from ganeti.testing.builders import Built, a_cluster, a_disk, a_node, an_instance
from ganeti.testing.tools import MemoryTools

GOOD = DiskStatus(path="/dev/drbd0")
OP = VerifyGroupDisks(group_name="default")


def drbd(name: str, number: int, *nodes: str, active: bool = True) -> Built:
    disk = a_disk(f"disk{number}", Template.DRBD, nodes=nodes)
    return an_instance(name, node=nodes[0], disks=[disk], disks_active=active)


def a_state(*instances: Built, offline: str = "") -> ClusterState:
    """Return node1 to node3 in a group, and node4 in another."""
    nodes = [a_node(f"node{n}", offline=f"node{n}" == offline) for n in (1, 2, 3)]
    nodes.append(a_node("node4", group="far"))
    return a_cluster(nodes=nodes, groups=["default", "far"], instances=instances)


def answers(**by_name: object) -> NodeAnswers:
    return NodeAnswers({(a_node(name).uuid, DescribeDisks): a for name, a in by_name.items()})


class QueryTests(SynchronousTestCase):
    def asked(self, state: ClusterState) -> dict[str, int]:
        """The number of disks that each node is asked for."""
        found = {}
        for query in questions(OP, state):
            if query is not None:
                assert isinstance(query.call, DescribeDisks)
                [node] = query.nodes
                found[node.name] = len(query.call.disks)
        return found

    def test_each_node_is_asked_for_the_disks_that_it_has(self) -> None:
        plain = an_instance("web1", node="node2", disks=[a_disk("p", nodes=("node2",))])
        state = a_state(drbd("db1", 1, "node1", "node2"), plain)
        self.assertEqual(self.asked(state), {"node1": 1, "node2": 2})

    def test_nodes_without_disks_and_offline_ones_are_not_asked(self) -> None:
        state = a_state(drbd("db1", 1, "node1", "node2"), offline="node2")
        self.assertEqual([*self.asked(state)], ["node1"])

    def test_work_can_pause_after_each_node(self) -> None:
        state = a_state(drbd("db1", 1, "node1", "node2"))
        self.assertEqual([*questions(OP, state)].count(None), 3)

    def test_nodes_of_another_group_are_left_to_its_own_check(self) -> None:
        state = a_state(drbd("db1", 1, "node1", "node4"))
        self.assertEqual([*self.asked(state)], ["node1"])


class FindingTests(SynchronousTestCase):
    def findings(self, status: DiskStatus | None, state: ClusterState | None = None) -> list[str]:
        state = state or a_state(drbd("db1", 1, "node1", "node2"))
        found = check_disks(state.group("default"), state, answers(node2=[status]))
        self.codes = set[FindingCode]()
        messages = []
        for each in found:
            self.assertEqual((each.kind, each.name, each.warning), ("instance", "db1", False))
            self.codes.add(each.code)
            messages.append(each.message)
        return messages

    def test_a_good_disk_and_a_syncing_one_are_no_findings(self) -> None:
        syncing = DiskStatus(path="/dev/drbd0", degraded=True, sync_percent=50.0, local="syncing")
        for status in (GOOD, syncing):
            self.assertEqual(self.findings(status), [])

    def test_a_missing_disk_is_one_whatever_its_template(self) -> None:
        self.assertEqual(self.findings(None), ["disk/0 on node2 is missing"])
        self.assertEqual(self.codes, {FindingCode.EINSTANCEMISSINGDISK})
        plain = an_instance("db1", node="node2", disks=[a_disk("p", nodes=("node2",))])
        self.assertEqual(len(self.findings(None, a_state(plain))), 1)

    def test_a_faulty_copy_has_the_command_that_replaces_it(self) -> None:
        status = DiskStatus(path="/dev/drbd0", local="faulty", degraded=True)
        expected = ["disk/0 on node2 is faulty; use gnt-instance replace-disks --auto"]
        self.assertEqual(self.findings(status), expected)
        self.assertEqual(self.codes, {FindingCode.EINSTANCEFAULTYDISK})

    def test_a_copy_that_is_not_active_or_alone_is_reported(self) -> None:
        expected = ["disk/0 on node2 is not active; use gnt-instance activate-disks"]
        self.assertEqual(self.findings(DiskStatus(path="")), expected)
        [message] = self.findings(DiskStatus(path="/dev/drbd0", degraded=True))
        self.assertIn("is degraded: the other copy is outdated or disconnected", message)

    def test_copies_of_inactive_disks_need_not_be_connected(self) -> None:
        state = a_state(drbd("db1", 1, "node1", "node2", active=False))
        self.assertEqual(self.findings(DiskStatus(path="", degraded=True), state), [])

    def test_only_copies_are_judged_by_their_state(self) -> None:
        plain = an_instance("db1", node="node2", disks=[a_disk("p", nodes=("node2",))])
        self.assertEqual(self.findings(DiskStatus(path=""), a_state(plain)), [])

    def test_a_node_that_does_not_answer_has_no_findings(self) -> None:
        state = a_state(drbd("db1", 1, "node1", "node2"))
        facts = answers(node1=Unreachable("node1", "gone"))
        self.assertEqual([*list_disks(state.group("default"), state, facts)], [])


class ResultTests(SynchronousTestCase):
    def test_nodes_instances_and_disks_that_need_a_repair_are_the_result(self) -> None:
        state = a_state(
            drbd("db1", 1, "node1", "node2"),
            drbd("db2", 2, "node1", "node3"),
            drbd("db3", 3, "node1", "node3", active=False),
            drbd("db4", 4, "node1", "node3"),
        )
        first = [each.name for each in state.list_primary_instances(state.node("node1"))]
        inactive = DiskStatus(path="")
        by_name = {"db1": None, "db2": inactive, "db3": inactive, "db4": GOOD}
        silent = Unreachable("node3", "connection refused")
        facts = answers(node1=[by_name[name] for name in first], node2=[GOOD], node3=silent)
        found = plan(OP, state, facts)
        self.assertEqual(found.locks, {})
        result = self.successResultOf(run(found, MemoryTools(state).tools))
        self.assertEqual(result, [{"node3": str(silent)}, ["db2"], {"db1": [["node1", "disk/0"]]}])

    def test_an_instance_with_a_missing_disk_cannot_be_activated(self) -> None:
        state = a_state(drbd("db1", 1, "node1", "node2"))
        facts = answers(node1=[DiskStatus(path="")], node2=[None])
        _, inactive, missing = self.successResultOf(
            run(plan(OP, state, facts), MemoryTools(state).tools)
        )
        self.assertEqual((inactive, missing), ([], {"db1": [["node2", "disk/0"]]}))


class ClusterTests(SynchronousTestCase):
    def jobs(self, op: VerifyDisks) -> list[str]:
        state = a_state()
        memory = MemoryTools(state)
        result = self.successResultOf(run_all(plan_all(op, state, NodeAnswers()), memory.tools))
        names = []
        for job in memory.submitted:
            [opcode] = job
            assert isinstance(opcode, VerifyGroupDisks)
            names.append(opcode.group_name)
        self.assertEqual(result, {"jobs": [[True, n + 1] for n in range(len(names))]})
        return names

    def test_each_group_or_the_named_one_gets_a_job(self) -> None:
        self.assertEqual(self.jobs(VerifyDisks()), ["default", "far"])
        self.assertEqual(self.jobs(VerifyDisks(group_name="far")), ["far"])
        with self.assertRaises(Refused):
            self.jobs(VerifyDisks(group_name="nosuch"))
