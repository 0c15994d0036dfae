# SPDX-License-Identifier: BSD-2-Clause
"""Changing the role of a node."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.opcodes.node import ModifyNode
from ganeti.operations.node.modify import OPERATION
from ganeti.operations.operation import NodeAnswers
from ganeti.testing.builders import a_cluster, a_node


class HookTests(SynchronousTestCase):
    def nodes(self, away: bool, **change: Any) -> list[list[str]]:
        """The names of the nodes that run the hooks before and after a change of node2."""
        state = a_cluster(nodes=[a_node("node1"), a_node("node2", offline=away)])
        plan = OPERATION.plan(
            ModifyNode(node_name="node2", force=True, **change), state, NodeAnswers()
        )
        call = OPERATION.hooks(plan, state)
        assert call is not None
        return [[state.nodes[uuid].name for uuid in each] for each in (call.before, call.after)]

    def test_a_node_that_goes_offline_runs_none(self) -> None:
        self.assertEqual(self.nodes(False, offline=True), [["node1"], ["node1"]])

    def test_one_that_stays_offline_runs_none(self) -> None:
        self.assertEqual(self.nodes(True, powered=False), [["node1"], ["node1"]])

    def test_one_that_is_drained_or_comes_back_runs_them(self) -> None:
        both = ["node1", "node2"]
        self.assertEqual(self.nodes(False, drained=True), [both, both])
        self.assertEqual(self.nodes(True, offline=False), [both, both])
