# SPDX-License-Identifier: BSD-2-Clause
"""The removal of exports, of instances that exist and of those that no longer do."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Failed, Refused
from ganeti.locking.names import node_lock, request
from ganeti.opcodes.backup import RemoveExport
from ganeti.operations.backup.remove import ExportRemoval, plan, questions, run
from ganeti.operations.operation import NodeAnswers, NodeQuery
from ganeti.rpc.transfers import ListExports, RemoveExportCall
from ganeti.testing.builders import a_cluster, a_node, uuid_of
from ganeti.testing.tools import MemoryTools


def cluster() -> ClusterState:
    """Return two nodes that are online, node3 that is not, and an instance."""
    nodes = [a_node("node1"), a_node("node2"), a_node("node3", offline=True)]
    return a_cluster(nodes=nodes, instances=["web1.example.com"])


def exports(**lists: list[str] | Failed) -> NodeAnswers:
    """Return the exports of nodes as they list them."""
    return NodeAnswers({(uuid_of("node", name), ListExports): lists[name] for name in lists})


class PlanTests(SynchronousTestCase):
    def names(self, removal: ExportRemoval) -> tuple[str, set[str]]:
        return removal.name, {node.name for node in removal.nodes}

    def test_all_online_nodes_are_asked(self) -> None:
        [query] = questions(RemoveExport(instance_name="web1"), cluster())
        assert isinstance(query, NodeQuery)
        self.assertEqual({node.name for node in query.nodes}, {"node1", "node2"})

    def test_only_nodes_with_an_export_are_used_and_locked(self) -> None:
        op = RemoveExport(instance_name="gone")
        found = plan(op, cluster(), exports(node1=["other"], node2=["gone", "other"]))
        self.assertEqual(self.names(found), ("gone", {"node2"}))
        self.assertEqual(found.locks, request(shared=[node_lock(uuid_of("node", "node2"))]))

    def test_exports_of_an_instance_that_exists_have_its_name(self) -> None:
        answers = exports(node1=["web1.example.com"], node2=["web1"])
        found = plan(RemoveExport(instance_name="web1.example.com"), cluster(), answers)
        self.assertEqual(self.names(found), ("web1.example.com", {"node1"}))

    def test_an_instance_is_found_by_its_short_name_and_its_uuid(self) -> None:
        answers = exports(node1=["web1.example.com"])
        uuid = uuid_of("instance", "web1.example.com")
        for op in (
            RemoveExport(instance_name="web1"),
            RemoveExport(instance_name="other", instance_uuid=uuid),
        ):
            self.assertEqual(self.names(plan(op, cluster(), answers))[0], "web1.example.com")

    def test_a_node_that_does_not_answer_keeps_its_exports(self) -> None:
        answers = exports(node1=Failed("no answer"), node2=["gone"])
        found = plan(RemoveExport(instance_name="gone"), cluster(), answers)
        self.assertEqual(self.names(found), ("gone", {"node2"}))

    def test_an_export_that_no_node_has_is_refused(self) -> None:
        answers = exports(node1=Failed("no answer"), node2=["other"], node3=["gone"])
        words = "no reachable node has an export of gone; see gnt-backup list"
        with self.assertRaisesRegex(Refused, words) as caught:
            plan(RemoveExport(instance_name="gone"), cluster(), answers)
        self.assertEqual(caught.exception.code, Code.UNKNOWN)


class RunTests(SynchronousTestCase):
    def test_it_is_removed_from_each_node(self) -> None:
        memory = MemoryTools(cluster())
        removal = ExportRemoval("gone", (a_node("node1"), a_node("node2")))
        self.successResultOf(run(removal, memory.tools))
        expected = [(name, RemoveExportCall(name="gone")) for name in ("node1", "node2")]
        self.assertEqual(memory.nodes.asked, expected)

    def test_a_failure_of_a_node_is_that_of_the_job(self) -> None:
        memory = MemoryTools(cluster(), {RemoveExportCall: Failed("it is in use")})
        working = run(ExportRemoval("gone", (a_node("node1"),)), memory.tools)
        self.assertEqual(str(self.failureResultOf(working, Failed).value), "it is in use")
