# SPDX-License-Identifier: BSD-2-Clause
"""Starting an instance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ganeti.config.changes.instances import activated, want
from ganeti.config.changes.objects import together
from ganeti.config.state import ClusterState
from ganeti.config.writer import Change
from ganeti.errors import Code, Refused
from ganeti.locking.names import LockRequest
from ganeti.model.guest import Guest
from ganeti.model.instance import Instance, Wanted
from ganeti.model.parameters.backend import Backend
from ganeti.model.parameters.filling import be_filled, hv_filled
from ganeti.model.parameters.hypervisors import driven
from ganeti.model.parameters.parsing import with_defaults
from ganeti.opcodes.instance.lifecycle import StartInstance as StartOpcode
from ganeti.operations.guests import guest_of
from ganeti.operations.instance.context import InstanceContext, subject_of
from ganeti.operations.instance.disks.block_devices import attach_disks
from ganeti.operations.instance.hooks import instance_hooks
from ganeti.operations.instance.running_check import (
    presence,
    presence_questions,
    require_nowhere_else,
)
from ganeti.operations.operation import HookCall, NodeAnswers, NodeQuery, Operation, Tools
from ganeti.rpc.instances import StartInstanceCall
from ganeti.rpc.node import DescribeNode, NodeInfo


@dataclass(frozen=True)
class Start:
    """An instance that is to run."""

    op: StartOpcode
    subject: InstanceContext
    guest: Guest

    @property
    def locks(self) -> LockRequest:
        return self.subject.locks


def questions(op: StartOpcode, state: ClusterState) -> Sequence[NodeQuery]:
    subject = subject_of(op, state)
    if subject.primary.offline:
        return ()
    hypervisors = (subject.instance.hypervisor,)
    return [
        NodeQuery([subject.primary], DescribeNode(hypervisors=hypervisors)),
        *presence_questions(subject, state, besides=[subject.primary]),
    ]


def plan(op: StartOpcode, state: ClusterState, facts: NodeAnswers) -> Start:
    """Decide what it takes to start the instance, or refuse."""
    subject = subject_of(op, state)
    instance, node = subject.instance, subject.primary
    if instance.admin_state is Wanted.OFFLINE:
        raise Refused(
            f"instance {instance.name} is marked offline; "
            f"to take it back: gnt-instance modify --online {instance.name}"
        )
    kind, cluster = driven(instance.hypervisor), state.cluster
    hvparams, beparams = op.hvparams, op.beparams
    if hvparams:
        above = hv_filled(cluster, instance)
        hvparams = with_defaults(kind, hvparams, above, path="hvparams", for_one=True)
    if beparams:
        above = be_filled(cluster, instance)
        beparams = with_defaults(Backend, beparams, above, path="beparams")
    guest = guest_of(state, instance, hvparams=hvparams, beparams=beparams)
    if node.offline:
        if not op.ignore_offline_nodes:
            raise Refused(
                f"primary node {node.name} is offline; "
                "use --ignore-offline to record only that the instance is to run"
            )
    else:
        present = facts.of(node, DescribeNode)
        require_nowhere_else(presence(subject, state, facts))
        require_memory(guest, present, node.name)
    return Start(op, subject, guest)


def require_memory(guest: Guest, facts: NodeInfo, node: str, *, restarts: bool = False) -> None:
    """Refuse to start a guest for which a node has not enough memory.

    One that runs there needs none, unless it ``restarts``: then what it has now is free for it.

    :raises Refused: its minimum does not fit.
    """
    free, runs = facts.memory_free, facts.guests.get(guest.name)
    if runs is not None:
        if not restarts:
            return
        free += runs.memory
    if free < guest.minmem:
        raise Refused(
            f"node {node} has {free} MiB of memory free, and instance {guest.name} "
            f"needs {guest.minmem} MiB; stop or move another instance, or lower its memory",
            Code.RESOURCES,
        )


def wanted_up(instance: Instance) -> Change:
    """Say that an instance is to run, which needs its disks."""
    return together(want(instance, Wanted.UP), activated(instance, True))


async def run(plan: Start, tools: Tools) -> None:
    instance, node = plan.subject.instance, plan.subject.primary
    if not plan.op.no_remember and instance.admin_state is not Wanted.UP:
        await tools.config.change(wanted_up(instance))
    if node.offline:
        tools.progress.say(f"node {node.name} is offline: only the wanted state was recorded")
        return
    state = tools.config.state()
    if plan.subject.secondaries:
        await attach_disks(
            state, instance, plan.subject.disks, tools, ignore_secondaries=plan.op.force
        )
    await tools.nodes.ask(node, StartInstanceCall(guest=plan.guest, paused=plan.op.startup_paused))


def hooks(plan: Start, state: ClusterState) -> HookCall:
    return instance_hooks("instance-start", plan.subject, state, {"FORCE": str(plan.op.force)})


OPERATION = Operation(StartOpcode, plan, run, questions, hooks)
