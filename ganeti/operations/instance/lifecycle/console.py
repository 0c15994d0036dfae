# SPDX-License-Identifier: BSD-2-Clause
"""The operation that returns the connection data of a running instance's console."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ganeti.config.state import ClusterState
from ganeti.errors import Refused
from ganeti.locking.names import LockRequest, instance_lock, request
from ganeti.model.guest import Guest
from ganeti.opcodes.instance.lifecycle import OpenConsole
from ganeti.operations.guest_conversion import make_guest
from ganeti.operations.instance.context import InstanceContext, check_online, subject_of
from ganeti.operations.operation import NodeAnswers, NodeQuery, Operation, Tools
from ganeti.rpc.instances import ConsoleInfo, DescribeConsole
from ganeti.rpc.node import DescribeNode


@dataclass(frozen=True)
class ConsoleRequest:
    """An instance whose console is requested."""

    subject: InstanceContext
    guest: Guest

    @property
    def locks(self) -> LockRequest:
        return request(shared=[instance_lock(self.subject.instance.uuid)])


def questions(op: OpenConsole, state: ClusterState) -> Sequence[NodeQuery]:
    subject = subject_of(op, state)
    if subject.primary.offline:
        return ()
    hypervisors = (subject.instance.hypervisor,)
    return [NodeQuery([subject.primary], DescribeNode(hypervisors=hypervisors))]


def plan(op: OpenConsole, state: ClusterState, facts: NodeAnswers) -> ConsoleRequest:
    """Plan the query; the instance must be running."""
    subject = subject_of(op, state)
    instance, node = subject.instance, subject.primary
    check_online(node, f"the console of instance {instance.name} cannot be reached")
    if instance.name not in facts.answer_of(node, DescribeNode).guests:
        raise Refused(
            f"instance {instance.name} is not running; "
            f"start it first: gnt-instance startup {instance.name}"
        )
    return ConsoleRequest(subject, make_guest(state, instance))


async def run(plan: ConsoleRequest, tools: Tools) -> ConsoleInfo:
    return await tools.nodes.ask(plan.subject.primary, DescribeConsole(guest=plan.guest))


OPERATION = Operation(OpenConsole, plan, run, questions)
