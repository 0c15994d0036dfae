# SPDX-License-Identifier: BSD-2-Clause
"""How to reach the console of a running instance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ganeti.config.state import ClusterState
from ganeti.errors import Refused
from ganeti.locking.names import LockRequest, instance_lock, request
from ganeti.model.guest import Guest
from ganeti.opcodes.instance.lifecycle import OpenConsole
from ganeti.operations.guests import guest_of
from ganeti.operations.instance.subject import Subject, require_online, subject_of
from ganeti.operations.operation import Facts, Operation, Question, Tools
from ganeti.rpc.instances import Console, DescribeConsole
from ganeti.rpc.node import DescribeNode


@dataclass(frozen=True)
class Reach:
    """An instance whose console is asked for."""

    subject: Subject
    guest: Guest

    @property
    def locks(self) -> LockRequest:
        return request(shared=[instance_lock(self.subject.instance.uuid)])


def questions(op: OpenConsole, state: ClusterState) -> Sequence[Question]:
    subject = subject_of(op, state)
    if subject.primary.offline:
        return ()
    hypervisors = (subject.instance.hypervisor,)
    return [Question([subject.primary], DescribeNode(hypervisors=hypervisors))]


def plan(op: OpenConsole, state: ClusterState, facts: Facts) -> Reach:
    """Decide where the console is, or refuse."""
    subject = subject_of(op, state)
    instance, node = subject.instance, subject.primary
    require_online(node, f"the console of instance {instance.name} cannot be reached")
    if instance.name not in facts.of(node, DescribeNode).guests:
        raise Refused(
            f"instance {instance.name} does not run; "
            f"start it first: gnt-instance startup {instance.name}"
        )
    return Reach(subject, guest_of(state, instance))


async def run(plan: Reach, tools: Tools) -> Console:
    return await tools.nodes.ask(plan.subject.primary, DescribeConsole(guest=plan.guest))


OPERATION = Operation(OpenConsole, plan, run, questions)
