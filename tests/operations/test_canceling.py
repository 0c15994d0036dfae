# SPDX-License-Identifier: BSD-2-Clause
"""A job that waits for a node which is silent is canceled at once, and takes back its work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.state import ClusterState
from ganeti.errors import JobCanceled
from ganeti.model.instance import AdminState
from ganeti.operations.hook_execution import run_pre_hooks
from ganeti.operations.operation import HookCall
from ganeti.rpc.call import Call
from ganeti.rpc.instances import InstallOS, StopInstance
from ganeti.rpc.node import DelayCall, RunHooks, RunRestrictedCommandCall, VerifyNode
from ganeti.rpc.wire import CallRequest
from ganeti.testing.builders import a_cluster, a_node, an_instance
from tests.operations.whole import WholeCluster

NODES = ("node1", "node2")


class CancelingTests(SynchronousTestCase):
    def cluster(self, state: ClusterState) -> WholeCluster:
        self.whole = WholeCluster(state)
        for instance in state.instances.values():
            self.successResultOf(self.whole.start(instance.name))
        return self.whole

    def cancel(self, waits_for: type[Call[Any]], work: Coroutine[Any, Any, Any]) -> None:
        """Cancel a job that waits for a call which is never answered."""

        async def be_silent(request: CallRequest, answer: Callable[[], Awaitable[bytes]]) -> bytes:
            return await (Deferred() if request.name == waits_for.wire else answer())

        for name in NODES:
            self.whole.network.misbehave(name, be_silent)
        working = Deferred.fromCoroutine(work)
        self.assertNoResult(working)
        self.assertIn(waits_for.wire, [call for _, call in self.whole.network.asked])
        self.whole.memory.progress.cancel()
        self.failureResultOf(working, JobCanceled)

    def wanted(self) -> AdminState:
        return self.whole.state.instance("web1").admin_state

    def test_a_shutdown(self) -> None:
        whole = self.cluster(a_cluster(nodes=NODES, instances=["web1"]))
        self.cancel(StopInstance, whole.do("OP_INSTANCE_SHUTDOWN", instance_name="web1"))
        self.assertIs(self.wanted(), AdminState.UP)

    def test_a_removal(self) -> None:
        whole = self.cluster(a_cluster(nodes=NODES, instances=["web1"]))
        self.cancel(StopInstance, whole.do("OP_INSTANCE_REMOVE", instance_name="web1"))
        self.assertIs(self.wanted(), AdminState.UP)

    def test_a_failover(self) -> None:
        whole = self.cluster(a_cluster(nodes=NODES, instances=[an_instance("web1")]))
        move = whole.do("OP_INSTANCE_FAILOVER", instance_name="web1", target_node="node2")
        whole.network.asked.clear()
        self.cancel(StopInstance, move)
        self.assertEqual(whole.network.asked[-1], ("node1", "instance_start"))
        self.assertEqual(whole.where("web1"), ["node1"])

    def test_an_installation(self) -> None:
        whole = self.cluster(a_cluster(nodes=NODES))
        fields = {"mode": "create", "disk_template": "diskless", "disks": [], "nics": []}
        order = {**fields, "os_type": "noop", "pnode": "node1", "name_check": False}
        self.cancel(InstallOS, whole.do("OP_INSTANCE_CREATE", instance_name="web1", **order))
        self.assertEqual(len(whole.state.instances), 0)

    def test_a_delay_on_nodes(self) -> None:
        whole = self.cluster(a_cluster(nodes=NODES))
        self.cancel(
            DelayCall, whole.do("OP_TEST_DELAY", duration=5.0, on_master=False, on_nodes=NODES)
        )

    def test_a_restricted_command(self) -> None:
        whole = self.cluster(a_cluster(nodes=NODES))
        command = {"command": "uptime", "nodes": ["node1"]}
        self.cancel(RunRestrictedCommandCall, whole.do("OP_RESTRICTED_COMMAND", **command))

    def test_a_node_that_becomes_a_candidate(self) -> None:
        members = [a_node("node1"), a_node("node2", master_candidate=False)]
        whole = self.cluster(a_cluster(nodes=members))
        fields = {"node_name": "node2", "master_candidate": True}
        self.cancel(VerifyNode, whole.do("OP_NODE_SET_PARAMS", **fields))
        self.assertFalse(whole.state.node("node2").master_candidate)

    def test_pre_hooks(self) -> None:
        whole = self.cluster(a_cluster(nodes=NODES))
        nodes = list(whole.state.nodes)
        call = HookCall("node-modify", "NODE", {}, nodes, nodes)
        self.cancel(RunHooks, run_pre_hooks(call, "OP_NODE_SET_PARAMS", whole.state, whole.tools))
