# SPDX-License-Identifier: BSD-2-Clause
"""The last steps of a cluster's creation, and of its destruction."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.state import ClusterState
from ganeti.errors import Refused
from ganeti.locking.names import CLUSTER, request
from ganeti.opcodes.cluster import DestroyCluster, FinishInit
from ganeti.operations.cluster.lifecycle import (
    ClusterHook,
    destroy_hooks,
    init_hooks,
    plan_destroy,
    plan_init,
    run_destroy,
    run_init,
)
from ganeti.operations.operation import NodeAnswers
from ganeti.testing.builders import a_cluster, a_node
from ganeti.testing.tools import MemoryTools

MASTER = a_node("node1").uuid


def destroy(state: ClusterState) -> ClusterHook:
    return plan_destroy(DestroyCluster(), state, NodeAnswers())


class DestructionTests(SynchronousTestCase):
    def test_instances_are_removed_first(self) -> None:
        state = a_cluster(nodes=["node1", "node2"], instances=["web2", "web1"])
        reason = "the cluster still has instances: web1, web2; remove them first"
        with self.assertRaisesRegex(Refused, reason):
            destroy(state)

    def test_other_nodes_are_removed_first_even_if_they_are_offline(self) -> None:
        state = a_cluster(nodes=["node1", "node3", a_node("node2", offline=True)])
        reason = "the cluster still has other nodes: node2, node3; remove them first"
        with self.assertRaisesRegex(Refused, reason):
            destroy(state)

    def test_the_master_is_the_result(self) -> None:
        state = a_cluster()
        found = destroy(state)
        self.assertEqual(found.locks, request(exclusive=[CLUSTER]))
        result = self.successResultOf(run_destroy(found, MemoryTools(state).tools))
        self.assertEqual(result, MASTER)


class HookTests(SynchronousTestCase):
    def test_post_hooks_run_on_the_master_only(self) -> None:
        state = a_cluster(nodes=["node2", "node1"], master_node=MASTER)
        found = plan_init(FinishInit(), state, NodeAnswers())
        self.assertIs(self.successResultOf(run_init(found, MemoryTools(state).tools)), True)
        for hooks, directory in ((init_hooks, "cluster-init"), (destroy_hooks, "cluster-destroy")):
            call = hooks(found, state)
            self.assertEqual((call.directory, call.object_type), (directory, "CLUSTER"))
            self.assertEqual((call.before, call.after), ((), (MASTER,)))
            self.assertEqual(call.environment, {"OP_TARGET": "cluster.example.com"})
