# SPDX-License-Identifier: BSD-2-Clause
"""The operation that exports an instance to a node of this cluster, or to another cluster.

Exports are atomic: an export exists completely or not at all. If requested, the instance is removed
after the export is complete.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Failed, GanetiError, Invalid, Problem, Refused
from ganeti.locking.names import LockRequest, node_lock, request
from ganeti.model.guest import Guest
from ganeti.model.instance import AdminState
from ganeti.model.node import Node
from ganeti.opcodes.backup import ExportInstance, ExportMode
from ganeti.opcodes.fields import NO_COMPRESSION
from ganeti.opcodes.instance.lifecycle import RemoveInstance
from ganeti.operations.backup.description import described
from ganeti.operations.backup.handshake import ImportEndpoint, proofs
from ganeti.operations.backup.running_transfers import RunningTransfers
from ganeti.operations.backup.snapshots import SnapshotOptions, standing
from ganeti.operations.guest_conversion import make_guest
from ganeti.operations.instance.context import InstanceContext, check_online, subject_of
from ganeti.operations.instance.instance_hooks import instance_hooks
from ganeti.operations.instance.lifecycle import remove
from ganeti.operations.instance.moves.firmware_state import describe_loss, has_state
from ganeti.operations.instance.os_check import find_definition
from ganeti.operations.instance.running_check import (
    Presence,
    check_nowhere_else,
    determine_presence,
    presence_queries,
)
from ganeti.operations.instance.snapshots.conditions import check_not_reverting
from ganeti.operations.operation import HookCall, NodeAnswers, NodeQuery, Operation, Tools
from ganeti.operations.refusals import COMPRESSION_UNSUPPORTED
from ganeti.operations.undo import Undo
from ganeti.rpc import transfers as calls
from ganeti.rpc.node import DescribeNode, DescribeOSes
from ganeti.schema.records import FieldValues

CONNECT_TIMEOUT = 20.0
MAX_CONNECT_ATTEMPTS = 10
"""Connection attempts of a source to its destination: seconds per attempt, and their number."""


@dataclass(frozen=True)
class Export:
    """An instance to export; ``target`` is None for another cluster."""

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
        """Whether to copy raw disks, because there is no OS definition to dump them."""
        return not self.subject.instance.os


@dataclass(frozen=True)
class Destination:
    """The verified endpoints of another cluster, one per disk, and the keys of the transfer."""

    places: tuple[ImportEndpoint, ...]
    trust: calls.Trust


def questions(op: ExportInstance, state: ClusterState) -> Sequence[NodeQuery]:
    subject = subject_of(op, state)
    if subject.primary.offline:
        return ()
    present = DescribeNode(hypervisors=(subject.instance.hypervisor,))
    return [
        *(NodeQuery([subject.primary], call) for call in (present, DescribeOSes())),
        *presence_queries(subject, state, besides=[subject.primary]),
    ]


def plan(op: ExportInstance, state: ClusterState, facts: NodeAnswers) -> Export:
    """Plan the export."""
    _validate(op)
    subject = subject_of(op, state)
    instance, node = subject.instance, subject.primary
    check_online(node, f"instance {instance.name} cannot be exported")
    if not subject.disks:
        raise Refused(f"instance {instance.name} has no disks to export")
    check_not_reverting(state, instance)
    target = None
    if op.mode is ExportMode.LOCAL:
        target = state.node(op.target_node_uuid or str(op.target_node))
        check_online(target, "it cannot store the export")
    elif len(op.target_node) != len(subject.disks):
        raise Refused(
            f"instance {instance.name} has {len(subject.disks)} disks, but target_node has"
            f" {len(op.target_node)} endpoints",
            Code.INPUT,
        )
    if instance.os:
        find_definition(
            instance.os, facts.answer_of(node, DescribeOSes), node.name, force_variant=True
        )
    facts.answer_of(node, DescribeNode)
    found = determine_presence(subject, state, facts)
    check_nowhere_else(found)
    # What the guest writes after the snapshots would be lost.
    if op.remove_instance and found.here and not op.shutdown:
        raise Refused("an instance must be stopped for its export if it is removed afterwards")
    return Export(op, subject, target, found)


def _validate(op: ExportInstance) -> None:
    """Check the parameters of the opcode.

    :raises Invalid: parameters are missing or not supported.
    """
    problems = []
    if op.compress != NO_COMPRESSION:
        problems.append(COMPRESSION_UNSUPPORTED)
    if op.mode is ExportMode.LOCAL and not isinstance(op.target_node, str):
        problems.append(Problem("target_node", "must be the name of a node"))
    if op.mode is ExportMode.REMOTE:
        if isinstance(op.target_node, str):
            problems.append(Problem("target_node", "must be a list with an endpoint for each disk"))
        for name in ("x509_key_name", "destination_x509_ca"):
            if getattr(op, name) is None:
                problems.append(Problem(name, "is required for an export to another cluster"))
    if problems:
        raise Invalid(problems)


async def run(plan: Export, tools: Tools) -> tuple[bool, list[bool]]:
    op, subject = plan.op, plan.subject
    manner = SnapshotOptions(
        running=plan.found.here,
        shutdown=op.shutdown,
        timeout=op.shutdown_timeout,
        long_sleep=op.long_sleep,
        goes=op.remove_instance or subject.instance.admin_state is not AdminState.UP,
    )
    guest = make_guest(tools.config.state(), subject.instance)
    if has_state(guest):
        tools.progress.log_message(
            f"the export has only the disks of instance {subject.instance.name}: an import starts"
            f" {describe_loss(guest)}"
        )
    if plan.target is not None:
        async with standing(subject, manner, tools) as guest:
            await _export_to_node(plan, plan.target, guest, tools)
        # Only now: until the new export is complete, an older one is the only backup.
        await _remove_older_exports(plan, plan.target, tools)
    else:
        # Checked before the instance is stopped for the export.
        destination = await _check_destination(plan, tools)
        try:
            async with standing(subject, manner, tools) as guest:
                await _send_disks(plan, destination, guest, tools)
        finally:
            await _remove_key(plan, destination, tools)
    if op.remove_instance:
        await _remove_instance(plan, tools)
    return True, [True for _ in subject.disks]


async def _export_to_node(plan: Export, target: Node, guest: Guest, tools: Tools) -> None:
    """Dump the disks to a node as an export."""
    subject, state = plan.subject, tools.config.state()
    name, source = subject.instance.name, subject.primary
    unfinished = calls.RemoveExportCall(name=name + calls.NEW)
    # What an interrupted export has left would be in the way.
    await tools.nodes.ask(target, unfinished)
    async with Undo(tools.progress) as undo:
        undo.by("remove the unfinished export", partial(tools.nodes.ask, target, unfinished))
        async with RunningTransfers(tools) as transfers:
            for index, disk in enumerate(subject.disks):
                content = calls.DiskData(guest=guest, index=index, raw=plan.raw)
                dump = calls.ExportData(path=name + calls.NEW, dump=disk.uuid)
                if target == source:
                    await transfers.send(source, disk.iv_name, content, dump)
                else:
                    await transfers.between(source, target, disk.iv_name, content, dump)
            await transfers.wait_for_all()
        dumps = [(disk, disk.uuid) for disk in subject.disks]
        text = described(state, subject.instance, dumps, tools.time.date())
        await tools.nodes.ask(target, calls.FinalizeExport(name=name, description=text))


async def _remove_older_exports(plan: Export, target: Node, tools: Tools) -> None:
    """Remove older exports of the instance from other nodes."""
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
            tools.progress.log_message(f"cannot remove an older export on node {node.name}: {e}")


async def _check_destination(plan: Export, tools: Tools) -> Destination:
    """Verify the data of the destination cluster.

    :raises Refused: they were not signed with this cluster's secret.
    """
    op, check = plan.op, await proofs(tools)
    assert op.x509_key_name is not None and op.destination_x509_ca is not None
    key = check.check_key_name(op.x509_key_name)
    peer = check.check_certificate(op.destination_x509_ca)
    places = tuple(check.check_endpoint(index, row) for index, row in enumerate(op.target_node))
    return Destination(places, calls.Trust(key=key, peer=peer))


async def _send_disks(plan: Export, destination: Destination, guest: Guest, tools: Tools) -> None:
    """Send the disks to the endpoints of the other cluster."""
    node = plan.subject.primary
    async with RunningTransfers(tools) as transfers:
        for index, place in enumerate(destination.places):
            peer = calls.PeerSink(
                host=place.host,
                port=place.port,
                magic=place.magic,
                patience=CONNECT_TIMEOUT,
                tries=MAX_CONNECT_ATTEMPTS,
                name=calls.PEER,
                trust=destination.trust,
            )
            content = calls.DiskData(guest=guest, index=index, raw=plan.raw)
            await transfers.send(node, plan.subject.disks[index].iv_name, content, peer)
        await transfers.wait_for_all()


async def _remove_key(plan: Export, destination: Destination, tools: Tools) -> None:
    key = destination.trust.key
    assert key is not None
    try:
        await tools.nodes.ask(plan.subject.primary, calls.RemoveCertificate(name=key))
    except GanetiError as e:
        tools.progress.log_message(
            f"cannot remove the key {key} on node {plan.subject.primary.name}: {e}"
        )


async def _remove_instance(plan: Export, tools: Tools) -> None:
    op = RemoveInstance(
        instance_name=plan.subject.instance.name,
        shutdown_timeout=plan.op.shutdown_timeout,
        ignore_failures=plan.op.ignore_remove_failures,
    )
    await remove.run(remove.InstanceRemoval(op, plan.subject, plan.found), tools)


def hooks(plan: Export, state: ClusterState) -> HookCall:
    op, subject = plan.op, plan.subject
    more: FieldValues = {
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
