# SPDX-License-Identifier: BSD-2-Clause
"""Exporting an instance: to a node of this cluster, or to another cluster.

An export is there whole or not at all, and the instance goes, where that is wanted, only when all
of it has arrived.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Failed, GanetiError, Invalid, Problem, Refused
from ganeti.locking.names import LockRequest, node_lock, request
from ganeti.model.guest import Guest
from ganeti.model.instance import Wanted
from ganeti.model.node import Node
from ganeti.opcodes.backup import ExportInstance, ExportMode
from ganeti.opcodes.fields import NO_COMPRESSION
from ganeti.opcodes.instance.lifecycle import RemoveInstance
from ganeti.operations.backup.description import described
from ganeti.operations.backup.handshake import ImportEndpoint, proofs
from ganeti.operations.backup.running_transfers import RunningTransfers
from ganeti.operations.backup.snapshots import SnapshotOptions, standing
from ganeti.operations.instance.context import InstanceContext, require_online, subject_of
from ganeti.operations.instance.hooks import instance_hooks
from ganeti.operations.instance.lifecycle import remove
from ganeti.operations.instance.os_check import require_os
from ganeti.operations.instance.running_check import (
    Presence,
    presence,
    presence_questions,
    require_nowhere_else,
)
from ganeti.operations.operation import HookCall, NodeAnswers, NodeQuery, Operation, Tools
from ganeti.operations.undo import Undo
from ganeti.rpc import transfers as calls
from ganeti.rpc.node import DescribeNode, DescribeOSes

CONNECT_TIMEOUT = 20.0
CONNECT_TRIES = 10
"""How a source reaches a destination: seconds for each try, and how many."""


@dataclass(frozen=True)
class Export:
    """An instance that is to be copied; ``target`` is None where another cluster gets it."""

    op: ExportInstance
    subject: InstanceContext
    target: Node | None
    found: Presence

    @property
    def locks(self) -> LockRequest:
        more = request(shared=[node_lock(self.target.uuid)] if self.target else [])
        return {**more, **self.subject.locks}

    @property
    def raw(self) -> bool:
        """Whether disks are copied as they are, and not as an OS definition dumps them."""
        return not self.subject.instance.os


@dataclass(frozen=True)
class Destination:
    """What another cluster has said, checked: where each disk goes, and how we know who it is."""

    places: tuple[ImportEndpoint, ...]
    trust: calls.Trust


def questions(op: ExportInstance, state: ClusterState) -> Sequence[NodeQuery]:
    subject = subject_of(op, state)
    if subject.primary.offline:
        return ()
    present = DescribeNode(hypervisors=(subject.instance.hypervisor,))
    return [
        *(NodeQuery([subject.primary], call) for call in (present, DescribeOSes())),
        *presence_questions(subject, state, besides=[subject.primary]),
    ]


def plan(op: ExportInstance, state: ClusterState, facts: NodeAnswers) -> Export:
    """Decide what exporting the instance means, or refuse."""
    _require_sense(op)
    subject = subject_of(op, state)
    instance, node = subject.instance, subject.primary
    require_online(node, f"instance {instance.name} cannot be exported")
    if not subject.disks:
        raise Refused(f"instance {instance.name} has no disks: there is nothing to export")
    target = None
    if op.mode is ExportMode.LOCAL:
        target = state.node(op.target_node_uuid or str(op.target_node))
        require_online(target, "it cannot keep the export")
    elif len(op.target_node) != len(subject.disks):
        raise Refused(
            f"instance {instance.name} has {len(subject.disks)} disks, and target_node says where"
            f" {len(op.target_node)} are awaited",
            Code.INPUT,
        )
    if instance.os:
        require_os(instance.os, facts.of(node, DescribeOSes), node.name, force_variant=True)
    facts.of(node, DescribeNode)
    found = presence(subject, state, facts)
    require_nowhere_else(found)
    if op.remove_instance and found.here and not op.shutdown:
        raise Refused("an instance that is removed after its export must be stopped for it")
    return Export(op, subject, target, found)


def _require_sense(op: ExportInstance) -> None:
    """:raises Invalid: parameters are missing, or ask for what this software does not offer."""
    problems = []
    if op.compress != NO_COMPRESSION:
        problems.append(Problem("compress", "must be none: data are sent as they are"))
    if op.mode is ExportMode.LOCAL and not isinstance(op.target_node, str):
        problems.append(Problem("target_node", "must be a node's name"))
    if op.mode is ExportMode.REMOTE:
        if isinstance(op.target_node, str):
            problems.append(Problem("target_node", "must say where each disk is awaited"))
        for name in ("x509_key_name", "destination_x509_ca"):
            if getattr(op, name) is None:
                problems.append(Problem(name, "is required to export to another cluster"))
    if problems:
        raise Invalid(problems)


async def run(plan: Export, tools: Tools) -> tuple[bool, list[bool]]:
    op, subject = plan.op, plan.subject
    manner = SnapshotOptions(
        running=plan.found.here,
        shutdown=op.shutdown,
        timeout=op.shutdown_timeout,
        long_sleep=op.long_sleep,
        goes=op.remove_instance or subject.instance.admin_state is not Wanted.UP,
    )
    if plan.target is not None:
        async with standing(subject, manner, tools) as guest:
            await _keep(plan, plan.target, guest, tools)
        await _remove_older(plan, plan.target, tools)
    else:
        destination = await _destination(plan, tools)
        try:
            async with standing(subject, manner, tools) as guest:
                await _send(plan, destination, guest, tools)
        finally:
            await _forget_key(plan, destination, tools)
    if op.remove_instance:
        await _remove_instance(plan, tools)
    return True, [True for _ in subject.disks]


async def _keep(plan: Export, target: Node, guest: Guest, tools: Tools) -> None:
    """Dump the disks to a node, and let it keep them as an export."""
    subject, state = plan.subject, tools.config.state()
    name, source = subject.instance.name, subject.primary
    unfinished = calls.RemoveExportCall(name=name + calls.NEW)
    await tools.nodes.ask(target, unfinished)
    async with Undo(tools.progress) as undo:
        undo.by("remove the unfinished export", partial(tools.nodes.ask, target, unfinished))
        async with RunningTransfers(tools) as transfers:
            for index, disk in enumerate(subject.disks):
                content = calls.OfDisk(guest=guest, index=index, raw=plan.raw)
                dump = calls.OfExport(path=name + calls.NEW, dump=disk.uuid)
                if target == source:
                    await transfers.send(source, disk.iv_name, content, dump)
                else:
                    await transfers.between(source, target, disk.iv_name, content, dump)
            await transfers.arrive()
        dumps = [(disk, disk.uuid) for disk in subject.disks]
        text = described(state, subject.instance, dumps, tools.time.date())
        await tools.nodes.ask(target, calls.FinalizeExport(name=name, description=text))


async def _remove_older(plan: Export, target: Node, tools: Tools) -> None:
    """Remove exports of the instance from other nodes: only the newest is of use."""
    name, state = plan.subject.instance.name, tools.config.state()
    others = [node for node in state.nodes.values() if node.uuid != target.uuid]
    asked = [node for node in others if not node.offline]
    answers = await tools.nodes.ask_all(asked, calls.ListExports())
    for node in asked:
        found = answers[node.uuid]
        if isinstance(found, Failed) or name not in found:
            continue
        try:
            await tools.nodes.ask(node, calls.RemoveExportCall(name=name))
        except GanetiError as e:
            tools.progress.say(f"an older export is left on {node.name}: {e}")


async def _destination(plan: Export, tools: Tools) -> Destination:
    """What the other cluster says, checked.

    :raises Refused: it was not the one with our secret that said so.
    """
    op, check = plan.op, await proofs(tools)
    assert op.x509_key_name is not None and op.destination_x509_ca is not None
    key = check.check_key_name(op.x509_key_name)
    peer = check.check_certificate(op.destination_x509_ca)
    places = tuple(check.check_place(index, row) for index, row in enumerate(op.target_node))
    return Destination(places, calls.Trust(key=key, peer=peer))


async def _send(plan: Export, destination: Destination, guest: Guest, tools: Tools) -> None:
    """Send the disks to where the other cluster awaits them."""
    node = plan.subject.primary
    async with RunningTransfers(tools) as transfers:
        for index, place in enumerate(destination.places):
            peer = calls.ToPeer(
                host=place.host,
                port=place.port,
                magic=place.magic,
                patience=CONNECT_TIMEOUT,
                tries=CONNECT_TRIES,
                name=calls.PEER,
                trust=destination.trust,
            )
            content = calls.OfDisk(guest=guest, index=index, raw=plan.raw)
            await transfers.send(node, plan.subject.disks[index].iv_name, content, peer)
        await transfers.arrive()


async def _forget_key(plan: Export, destination: Destination, tools: Tools) -> None:
    key = destination.trust.key
    assert key is not None
    try:
        await tools.nodes.ask(plan.subject.primary, calls.RemoveCertificate(name=key))
    except GanetiError as e:
        tools.progress.say(f"the key {key} is left on {plan.subject.primary.name}: {e}")


async def _remove_instance(plan: Export, tools: Tools) -> None:
    op = RemoveInstance(
        instance_name=plan.subject.instance.name,
        shutdown_timeout=plan.op.shutdown_timeout,
        ignore_failures=plan.op.ignore_remove_failures,
    )
    await remove.run(remove.InstanceRemoval(op, plan.subject, plan.found), tools)


def hooks(plan: Export, state: ClusterState) -> HookCall:
    op, subject = plan.op, plan.subject
    more: dict[str, Any] = {
        "EXPORT_MODE": op.mode.value,
        "EXPORT_NODE": plan.target.name if plan.target else op.target_node,
        "EXPORT_DO_SHUTDOWN": op.shutdown,
        "SHUTDOWN_TIMEOUT": op.shutdown_timeout,
        "REMOVE_INSTANCE": op.remove_instance,
    }
    here = [state.cluster.master_node, subject.primary.uuid]
    if plan.target is not None:
        here.append(plan.target.uuid)
    variables = {name: str(value) for name, value in more.items()}
    return instance_hooks("instance-export", subject, state, variables, before=here, after=here)


OPERATION = Operation(ExportInstance, plan, run, questions, hooks)
