# SPDX-License-Identifier: BSD-2-Clause
"""Operations at the creation and destruction of a cluster."""

from __future__ import annotations

from dataclasses import dataclass

from ganeti.config.state import ClusterState
from ganeti.errors import Refused
from ganeti.locking.names import CLUSTER, LockRequest, request
from ganeti.opcodes.cluster import DestroyCluster, FinishInit
from ganeti.operations.operation import AnyOperation, HookCall, NodeAnswers, Operation, Tools


@dataclass(frozen=True)
class ClusterHook:
    """The cluster's name and master node, for the hooks."""

    cluster: str
    master: str

    @property
    def locks(self) -> LockRequest:
        return request(exclusive=[CLUSTER])


def plan_destroy(op: DestroyCluster, state: ClusterState, facts: NodeAnswers) -> ClusterHook:
    """Plan the destruction of a cluster without instances and other nodes."""
    if state.instances:
        names = sorted(instance.name for instance in state.instances.values())
        raise Refused(f"the cluster still has instances: {', '.join(names)}; remove them first")
    others = sorted(
        node.name for node in state.nodes.values() if node.uuid != state.cluster.master_node
    )
    if others:
        raise Refused(f"the cluster still has other nodes: {', '.join(others)}; remove them first")
    return ClusterHook(state.cluster.cluster_name, state.cluster.master_node)


async def run_destroy(plan: ClusterHook, tools: Tools) -> str:
    """Return the UUID of the master node; the tool then stops the daemons."""
    return plan.master


def plan_init(op: FinishInit, state: ClusterState, facts: NodeAnswers) -> ClusterHook:
    """Plan the post hooks of a new cluster."""
    return ClusterHook(state.cluster.cluster_name, state.cluster.master_node)


async def run_init(plan: ClusterHook, tools: Tools) -> bool:
    return True


def init_hooks(plan: ClusterHook, state: ClusterState) -> HookCall:
    return HookCall("cluster-init", "CLUSTER", {"OP_TARGET": plan.cluster}, (), (plan.master,))


def destroy_hooks(plan: ClusterHook, state: ClusterState) -> HookCall:
    return HookCall("cluster-destroy", "CLUSTER", {"OP_TARGET": plan.cluster}, (), (plan.master,))


OPERATIONS: tuple[AnyOperation, ...] = (
    Operation(DestroyCluster, plan_destroy, run_destroy, hooks=destroy_hooks),
    Operation(FinishInit, plan_init, run_init, hooks=init_hooks),
)
