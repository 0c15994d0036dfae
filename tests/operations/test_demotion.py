# SPDX-License-Identifier: BSD-2-Clause
"""What a candidate has known is replaced when it is one no more."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.model.access import Authorities, NodeCertificates
from ganeti.opcodes.cluster import RedistributeConfig, RenewCrypto
from ganeti.opcodes.node import ModifyNode, RemoveNode
from ganeti.operations.node import modify, remove
from ganeti.operations.operation import NodeAnswers
from ganeti.rpc.node import LeaveCluster, RunHooks
from ganeti.testing.builders import a_cluster, a_node, uuid_of
from ganeti.testing.tools import MemoryTools

ROTATION = [RenewCrypto(shared_secrets=True), RedistributeConfig()]
NODES = [
    a_node("node1"),
    a_node("node2"),
    a_node("node3", master_candidate=False),
    a_node("node4", master_candidate=False, offline=True),
]


class DemotionTests(SynchronousTestCase):
    """node1 is the master, node2 another candidate, node4 offline."""

    def setUp(self) -> None:
        self.memory = MemoryTools(a_cluster(nodes=NODES), {LeaveCluster: None, RunHooks: []})

    def modify(self, name: str, **fields: Any) -> None:
        op = ModifyNode(node_name=name, force=True, **fields)
        plan = modify.plan(op, self.memory.state(), NodeAnswers())
        self.successResultOf(modify.run(plan, self.memory.tools))

    def remove(self, name: str) -> None:
        plan = remove.plan(RemoveNode(node_name=name), self.memory.state(), NodeAnswers())
        self.successResultOf(remove.run(plan, self.memory.tools))

    def test_when_a_candidate_loses_the_role(self) -> None:
        for fields in ({"master_candidate": False}, {"drained": True}):
            self.setUp()
            self.modify("node2", **fields)
            self.assertEqual(self.memory.submitted, [ROTATION])
            self.assertIn("job 1 replaces them", "".join(self.memory.progress.said))

    def test_not_when_it_is_offline_for_a_while_but_that_is_told(self) -> None:
        self.modify("node2", offline=True)
        self.assertEqual(self.memory.submitted, [])
        self.assertIn(
            "still has the secrets of a master candidate", "".join(self.memory.progress.said)
        )

    def test_when_a_candidate_that_was_offline_comes_back_without_the_role(self) -> None:
        state = a_cluster(nodes=NODES)
        state = state.put(Authorities(uuid=state.cluster.uuid, certificates=("old",)))
        known = NodeCertificates(uuid=uuid_of("node", "node2"), fingerprints=("aa",))
        state = state.put(known)
        self.memory = MemoryTools(state, {LeaveCluster: None, RunHooks: []})
        self.modify("node2", offline=True)
        self.modify("node2", offline=False)
        self.assertEqual(self.memory.submitted, [ROTATION])

    def test_when_one_that_is_or_may_have_been_a_candidate_is_removed(self) -> None:
        for name in ("node2", "node4"):
            self.setUp()
            self.remove(name)
            self.assertEqual(self.memory.submitted, [ROTATION])

    def test_not_when_a_plain_node_changes_or_is_removed(self) -> None:
        self.modify("node3", drained=True)
        self.remove("node3")
        self.assertEqual(self.memory.submitted, [])

    def test_the_members_are_in_force_before_anything_else_happens(self) -> None:
        self.modify("node2", master_candidate=False)
        self.remove("node3")
        self.assertEqual(len(self.memory.distributed), 2)
