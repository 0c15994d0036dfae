# SPDX-License-Identifier: BSD-2-Clause
"""Operations that activate and deactivate the disks of an instance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ganeti.config.changes.instances import set_disks_active
from ganeti.config.state import ClusterState
from ganeti.errors import Refused
from ganeti.locking.names import LockRequest
from ganeti.opcodes.instance.disks import ActivateDisks, DeactivateDisks
from ganeti.operations.instance.context import InstanceContext, check_online, subject_of
from ganeti.operations.instance.disks.block_devices import attach_disks, detach_disks
from ganeti.operations.instance.disks.mirrors import wait_until_synced
from ganeti.operations.instance.running_check import (
    check_not_elsewhere,
    check_nowhere_else,
    determine_presence,
    presence_queries,
)
from ganeti.operations.operation import NodeAnswers, NodeQuery, Operation, Tools
from ganeti.rpc.node import DescribeNode


@dataclass(frozen=True)
class ActivationPlan:
    """An instance whose disks are activated."""

    op: ActivateDisks
    subject: InstanceContext

    @property
    def locks(self) -> LockRequest:
        return self.subject.locks


def activate_queries(op: ActivateDisks, state: ClusterState) -> Sequence[NodeQuery]:
    return presence_queries(subject_of(op, state), state)


def plan_activate(op: ActivateDisks, state: ClusterState, facts: NodeAnswers) -> ActivationPlan:
    """Plan the activation; the instance must not run on another node."""
    subject = subject_of(op, state)
    check_online(
        subject.primary, f"the disks of instance {subject.instance.name} cannot be activated"
    )
    check_nowhere_else(determine_presence(subject, state, facts))
    return ActivationPlan(op, subject)


async def run_activate(plan: ActivationPlan, tools: Tools) -> list[tuple[str, str, str]]:
    """Attach the disks; return rows of node, disk and path."""
    instance, disks = plan.subject.instance, plan.subject.disks
    rows = await attach_disks(
        tools.config.state(),
        instance,
        disks,
        tools,
        ignore_secondaries=True,
        ignore_size=plan.op.ignore_size,
    )
    if not instance.disks_active:
        await tools.config.change(set_disks_active(instance, True))
    if plan.op.wait_for_sync:
        await wait_until_synced(instance, disks, tools)
    return rows


@dataclass(frozen=True)
class DeactivationPlan:
    """An instance whose disks are deactivated."""

    subject: InstanceContext

    @property
    def locks(self) -> LockRequest:
        return self.subject.locks


def questions(op: DeactivateDisks, state: ClusterState) -> Sequence[NodeQuery]:
    subject = subject_of(op, state)
    if subject.primary.offline or op.force:
        return ()
    asked = DescribeNode(hypervisors=(subject.instance.hypervisor,))
    return [
        NodeQuery([subject.primary], asked),
        *presence_queries(subject, state, besides=[subject.primary]),
    ]


def plan_deactivate(
    op: DeactivateDisks, state: ClusterState, facts: NodeAnswers
) -> DeactivationPlan:
    """Plan the deactivation; the instance must be stopped unless forced."""
    subject = subject_of(op, state)
    name, node = subject.instance.name, subject.primary
    if not op.force and not node.offline:
        runs = name in facts.answer_of(node, DescribeNode).guests
        check_not_elsewhere(determine_presence(subject, state, facts))
        if runs:
            raise Refused(
                f"instance {name} is running on node {node.name}; stop it first: "
                f"gnt-instance shutdown {name}"
            )
    return DeactivationPlan(subject)


async def run_deactivate(plan: DeactivationPlan, tools: Tools) -> None:
    instance, disks = plan.subject.instance, plan.subject.disks
    await detach_disks(tools.config.state(), instance, disks, tools)
    if instance.disks_active:
        await tools.config.change(set_disks_active(instance, False))


ACTIVATE = Operation(ActivateDisks, plan_activate, run_activate, activate_queries)
DEACTIVATE = Operation(DeactivateDisks, plan_deactivate, run_deactivate, questions)
