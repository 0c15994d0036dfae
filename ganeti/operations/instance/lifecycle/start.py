# SPDX-License-Identifier: BSD-2-Clause
"""The operation that starts an instance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ganeti.config.changes.instances import set_disks_active, want
from ganeti.config.changes.objects import together
from ganeti.config.state import ClusterState
from ganeti.config.writer import Change
from ganeti.errors import Code, Refused
from ganeti.locking.names import LockRequest
from ganeti.model.guest import Guest
from ganeti.model.instance import AdminState, Instance
from ganeti.model.parameters.backend import Backend
from ganeti.model.parameters.filling import fill_backend, fill_hypervisor
from ganeti.model.parameters.hypervisors import get_parameter_set
from ganeti.model.parameters.parsing import validate_with_defaults
from ganeti.opcodes.instance.lifecycle import StartInstance as StartOpcode
from ganeti.operations.guest_conversion import make_guest
from ganeti.operations.instance.context import InstanceContext, subject_of
from ganeti.operations.instance.disks.block_devices import attach_disks
from ganeti.operations.instance.instance_hooks import instance_hooks
from ganeti.operations.instance.running_check import (
    check_nowhere_else,
    determine_presence,
    presence_queries,
)
from ganeti.operations.instance.snapshots.conditions import check_not_reverting
from ganeti.operations.operation import HookCall, NodeAnswers, NodeQuery, Operation, Tools
from ganeti.operations.refusals import marked_offline
from ganeti.rpc.instances import StartInstanceCall
from ganeti.rpc.node import DescribeNode, NodeInfo


@dataclass(frozen=True)
class StartPlan:
    """An instance to start."""

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
    hypervisors, names = (subject.instance.hypervisor,), (subject.instance.name,)
    return [
        # Only this guest: a node may have hundreds of others.
        NodeQuery([subject.primary], DescribeNode(hypervisors=hypervisors, only=names)),
        *presence_queries(subject, state, besides=[subject.primary]),
    ]


def plan(op: StartOpcode, state: ClusterState, facts: NodeAnswers) -> StartPlan:
    """Plan the start."""
    subject = subject_of(op, state)
    instance, node = subject.instance, subject.primary
    if instance.admin_state is AdminState.OFFLINE:
        raise marked_offline(instance.name)
    check_not_reverting(state, instance)
    kind, cluster = get_parameter_set(instance.hypervisor), state.cluster
    hvparams, beparams = op.hvparams, op.beparams
    if hvparams:
        above = fill_hypervisor(cluster, instance)
        hvparams = validate_with_defaults(kind, hvparams, above, path="hvparams", for_one=True)
    if beparams:
        above = fill_backend(cluster, instance)
        beparams = validate_with_defaults(Backend, beparams, above, path="beparams")
    guest = make_guest(state, instance, hvparams=hvparams, beparams=beparams)
    if node.offline:
        if not op.ignore_offline_nodes:
            raise Refused(
                f"primary node {node.name} is offline; "
                "use --ignore-offline to record the new state only"
            )
    else:
        present = facts.answer_of(node, DescribeNode)
        check_nowhere_else(determine_presence(subject, state, facts))
        check_memory(guest, present, node.name)
    return StartPlan(op, subject, guest)


def check_memory(guest: Guest, facts: NodeInfo, node: str, *, restarts: bool = False) -> None:
    """Check that a node has enough memory to start a guest.

    A guest that is running there needs none, unless it ``restarts``, which frees its present
    memory.

    :raises Refused: the node has less free memory than the guest's minimum.
    """
    free, runs = facts.memory_free, facts.guests.get(guest.name)
    if runs is not None:
        if not restarts:
            return
        free += runs.memory
    if free < guest.minmem:
        raise Refused(
            f"node {node} has {free} MiB of free memory, but instance {guest.name} requires"
            f" {guest.minmem} MiB; stop or move another instance, or reduce its memory",
            Code.RESOURCES,
        )


def wanted_up(instance: Instance) -> Change:
    """Return the change that sets an instance up, with active disks."""
    return together(want(instance, AdminState.UP), set_disks_active(instance, True))


async def run(plan: StartPlan, tools: Tools) -> None:
    instance, node = plan.subject.instance, plan.subject.primary
    # First: after a crash in between, the watcher starts the instance.
    if not plan.op.no_remember and instance.admin_state is not AdminState.UP:
        await tools.config.change(wanted_up(instance))
    if node.offline:
        tools.progress.log_message(f"node {node.name} is offline; only the new state was recorded")
        return
    state = tools.config.state()
    # Other disks are attached by the start itself.
    if plan.subject.secondaries:
        await attach_disks(
            state, instance, plan.subject.disks, tools, ignore_secondaries=plan.op.force
        )
    await tools.nodes.ask(node, StartInstanceCall(guest=plan.guest, paused=plan.op.startup_paused))


def hooks(plan: StartPlan, state: ClusterState) -> HookCall:
    return instance_hooks("instance-start", plan.subject, state, {"FORCE": str(plan.op.force)})


OPERATION = Operation(StartOpcode, plan, run, questions, hooks)
