# SPDX-License-Identifier: BSD-2-Clause
"""Operations for the failover of guests: policies, settings, maintenance, a person's word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ganeti.config.changes.failover import (
    confirm_off,
    set_maintenance,
    set_policy,
    update_settings,
)
from ganeti.config.changes.nodes import set_role
from ganeti.config.changes.objects import together
from ganeti.config.state import ClusterState
from ganeti.config.writer import Change
from ganeti.errors import Refused, TermNotGranted, Unreachable
from ganeti.locking.names import LockRequest
from ganeti.model.disk import MIRRORED_TEMPLATES, SHARED_TEMPLATES
from ganeti.model.failover import FailoverPolicy, InstanceFailover
from ganeti.model.node import NodeRole
from ganeti.opcodes.failover import (
    ConfirmNodeOff,
    ModifyFailover,
    SetFailoverPolicy,
    SetNodeMaintenance,
)
from ganeti.operations.operation import (
    AnyOperation,
    NodeAnswers,
    NodeQuery,
    Operation,
    ResultWithCommit,
    Tools,
)
from ganeti.operations.refusals import nothing_to_change
from ganeti.rpc.node import AskVersion
from ganeti.schema.records import replace


@dataclass(frozen=True)
class FailoverChange:
    """A change that needs no locks: it is made as a whole, and waits for no job.

    Jobs that wait for a lost node keep the locks of its instances until it is confirmed that the
    node is off.
    """

    change: Change

    @property
    def locks(self) -> LockRequest:
        return {}


def plan_policy(op: SetFailoverPolicy, state: ClusterState, facts: NodeAnswers) -> FailoverChange:
    """Plan the policy of an instance, whose disks must allow it."""
    instance = state.instance(op.instance_name)
    before = state.failover_policies.get(instance.uuid) or InstanceFailover(uuid=instance.uuid)
    fields = {"policy": op.policy, "rank": op.rank}
    given = {name: value for name, value in fields.items() if value is not None}
    if not given:
        raise nothing_to_change()
    policy = replace(before, **given)
    template = state.get_template(instance)
    if policy.policy is FailoverPolicy.FAILOVER and template not in (
        MIRRORED_TEMPLATES | SHARED_TEMPLATES
    ):
        raise Refused(
            f"the disks of instance {instance.name} ({template.value}) are on one node only, so"
            " that it cannot start on another one; use the policy restart, or convert its disks to"
            " drbd or to shared storage"
        )
    return FailoverChange(set_policy(policy))


def plan_settings(op: ModifyFailover, state: ClusterState, facts: NodeAnswers) -> FailoverChange:
    """Plan the settings of the cluster."""
    fields = {
        "maintenance": op.maintenance,
        "max_nodes": op.max_nodes,
        "window": op.window,
        "require_device": op.require_device,
    }
    given = {name: value for name, value in fields.items() if value is not None}
    if not given:
        raise nothing_to_change()
    return FailoverChange(update_settings(**given))


def plan_maintenance(
    op: SetNodeMaintenance, state: ClusterState, facts: NodeAnswers
) -> FailoverChange:
    """Plan the begin or end of a node's maintenance."""
    node = state.node(op.node_name)
    since = (facts.since or 0.0) if op.maintenance else None
    return FailoverChange(set_maintenance(node.uuid, since))


def ask_whether_off(op: ConfirmNodeOff, state: ClusterState) -> Sequence[NodeQuery]:
    node = state.node(op.node_name)
    return [] if node.offline else [NodeQuery([node], AskVersion())]


def plan_confirmation(
    op: ConfirmNodeOff, state: ClusterState, facts: NodeAnswers
) -> FailoverChange:
    """Plan to start the instances of a node elsewhere, which must not answer."""
    node = state.node(op.node_name)
    if node.uuid == state.cluster.master_node:
        raise Refused(f"node {node.name} is the master, which runs")
    # Any answer proves that the node runs, also one that reports an error.
    answer = facts.answers.get((node.uuid, AskVersion))
    silent = isinstance(answer, Unreachable) and not isinstance(answer, TermNotGranted)
    if not node.offline and not silent:
        raise Refused(
            f"node {node.name} answers, so it is not off; power it off first. To move its instances"
            f" away while it runs: gnt-node evacuate {node.name}"
        )
    change = confirm_off(node, facts.since or 0.0)
    if not node.offline:
        change = together(change, set_role(node, NodeRole.OFFLINE))
    return FailoverChange(change)


async def run(plan: FailoverChange, tools: Tools) -> ResultWithCommit:
    return ResultWithCommit(None, plan.change)


OPERATIONS: tuple[AnyOperation, ...] = (
    Operation(SetFailoverPolicy, plan_policy, run),
    Operation(ModifyFailover, plan_settings, run),
    Operation(SetNodeMaintenance, plan_maintenance, run),
    Operation(ConfirmNodeOff, plan_confirmation, run, ask_whether_off),
)
