# SPDX-License-Identifier: BSD-2-Clause
"""Making the disks of an instance usable on its nodes, and giving them back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ganeti.config.changes.instances import activated
from ganeti.config.state import ClusterState
from ganeti.errors import Refused
from ganeti.locking.names import LockRequest
from ganeti.opcodes.instance.disks import ActivateDisks, DeactivateDisks
from ganeti.operations.instance.context import InstanceContext, require_online, subject_of
from ganeti.operations.instance.disks.block_devices import attach_disks, detach_disks
from ganeti.operations.instance.disks.mirrors import wait_for_sync
from ganeti.operations.instance.running_check import (
    presence,
    presence_questions,
    require_not_elsewhere,
    require_nowhere_else,
)
from ganeti.operations.operation import NodeAnswers, NodeQuery, Operation, Tools
from ganeti.rpc.node import DescribeNode


@dataclass(frozen=True)
class Activate:
    """An instance whose disks are to be usable."""

    op: ActivateDisks
    subject: InstanceContext

    @property
    def locks(self) -> LockRequest:
        return self.subject.locks


def activate_questions(op: ActivateDisks, state: ClusterState) -> Sequence[NodeQuery]:
    return presence_questions(subject_of(op, state), state)


def plan_activate(op: ActivateDisks, state: ClusterState, facts: NodeAnswers) -> Activate:
    """Decide where the disks are attached, or refuse."""
    subject = subject_of(op, state)
    require_online(
        subject.primary, f"the disks of instance {subject.instance.name} cannot be activated"
    )
    require_nowhere_else(presence(subject, state, facts))
    return Activate(op, subject)


async def run_activate(plan: Activate, tools: Tools) -> list[tuple[str, str, str]]:
    """Attach the disks; answers rows of node, disk and path."""
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
        await tools.config.change(activated(instance, True))
    if plan.op.wait_for_sync:
        await wait_for_sync(instance, disks, tools)
    return rows


@dataclass(frozen=True)
class Deactivate:
    """An instance whose disks are to be given back."""

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
        *presence_questions(subject, state, besides=[subject.primary]),
    ]


def plan_deactivate(op: DeactivateDisks, state: ClusterState, facts: NodeAnswers) -> Deactivate:
    """Decide whether the disks may be given back, or refuse."""
    subject = subject_of(op, state)
    name, node = subject.instance.name, subject.primary
    if not op.force and not node.offline:
        runs = name in facts.of(node, DescribeNode).guests
        require_not_elsewhere(presence(subject, state, facts))
        if runs:
            raise Refused(
                f"instance {name} runs on {node.name}; stop it first: gnt-instance shutdown {name}"
            )
    return Deactivate(subject)


async def run_deactivate(plan: Deactivate, tools: Tools) -> None:
    instance, disks = plan.subject.instance, plan.subject.disks
    await detach_disks(tools.config.state(), instance, disks, tools)
    if instance.disks_active:
        await tools.config.change(activated(instance, False))


ACTIVATE = Operation(ActivateDisks, plan_activate, run_activate, activate_questions)
DEACTIVATE = Operation(DeactivateDisks, plan_deactivate, run_deactivate, questions)
