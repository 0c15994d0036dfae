# SPDX-License-Identifier: BSD-2-Clause
"""The beginning and the end of a cluster, as far as they are jobs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ganeti.config.state import ClusterState
from ganeti.errors import Refused
from ganeti.locking.names import CLUSTER, LockRequest, request
from ganeti.opcodes.cluster import DestroyCluster, FinishInit
from ganeti.operations.operation import HookCall, NodeAnswers, Operation, Tools


@dataclass(frozen=True)
class ClusterHook:
    """The cluster's name and its master, at its beginning or end."""

    cluster: str
    master: str

    @property
    def locks(self) -> LockRequest:
        return request(exclusive=[CLUSTER])


def plan_destroy(op: DestroyCluster, state: ClusterState, facts: NodeAnswers) -> ClusterHook:
    """Decide whether the cluster may end, or say what keeps it."""
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
    """The UUID of the master node; who asked for the end stops the daemons next."""
    return plan.master


def plan_init(op: FinishInit, state: ClusterState, facts: NodeAnswers) -> ClusterHook:
    """The cluster as it has just been made."""
    return ClusterHook(state.cluster.cluster_name, state.cluster.master_node)


async def run_init(plan: ClusterHook, tools: Tools) -> bool:
    return True


def init_hooks(plan: ClusterHook, state: ClusterState) -> HookCall:
    return HookCall("cluster-init", "CLUSTER", {"OP_TARGET": plan.cluster}, (), (plan.master,))


def destroy_hooks(plan: ClusterHook, state: ClusterState) -> HookCall:
    return HookCall("cluster-destroy", "CLUSTER", {"OP_TARGET": plan.cluster}, (), (plan.master,))


OPERATIONS: tuple[Operation[Any, Any], ...] = (
    Operation(DestroyCluster, plan_destroy, run_destroy, hooks=destroy_hooks),
    Operation(FinishInit, plan_init, run_init, hooks=init_hooks),
)
