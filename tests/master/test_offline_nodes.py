# SPDX-License-Identifier: BSD-2-Clause
from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.changes.nodes import remove_node, set_role
from ganeti.config.changes.objects import update
from ganeti.config.state import ClusterState
from ganeti.config.writer import Change
from ganeti.master.offline_nodes import end_calls_to_absent_nodes
from ganeti.model.node import NodeRole
from ganeti.testing.builders import a_cluster, a_node


class AbsentNodesTests(SynchronousTestCase):
    def given_up(self, state: ClusterState, change: Change) -> list[tuple[str, str]]:
        """The nodes that are given up when ``change`` is made, by name, and why."""
        found: list[tuple[str, str]] = []
        observe = end_calls_to_absent_nodes(
            lambda uuid, why: found.append((state.nodes[uuid].name, why))
        )
        after: ClusterState = change(state)
        observe(after.settled(), after.edits)
        return found

    def test_calls_to_a_node_end_when_it_is_marked_offline(self) -> None:
        state = a_cluster(nodes=[a_node("node1"), a_node("node2")])
        change = set_role(state.node("node2"), NodeRole.OFFLINE)
        self.assertEqual(self.given_up(state, change), [("node2", "it was marked offline")])

    def test_calls_to_a_node_end_when_it_leaves_the_cluster(self) -> None:
        state = a_cluster(nodes=[a_node("node1"), a_node("node2")])
        change = remove_node(state.node("node2"))
        self.assertEqual(self.given_up(state, change), [("node2", "it has left the cluster")])

    def test_other_changes_of_nodes_end_no_calls(self) -> None:
        members = [a_node("node1"), a_node("node2"), a_node("node3", offline=True)]
        state = a_cluster(nodes=members)
        for node in ("node2", "node3"):
            self.assertEqual(self.given_up(state, update(state.node(node), powered=False)), [])
        self.assertEqual(self.given_up(state, set_role(state.node("node2"), NodeRole.DRAINED)), [])
        self.assertEqual(self.given_up(state, set_role(state.node("node3"), NodeRole.REGULAR)), [])
