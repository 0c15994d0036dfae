# SPDX-License-Identifier: BSD-2-Clause
"""Instances whose disks are filled from elsewhere: from an export, or by another cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ganeti.config.state import ClusterState
from ganeti.errors import Code, GanetiError, Invalid, Problem, Refused
from ganeti.model.guest import Guest
from ganeti.model.node import Node
from ganeti.opcodes.fields import NO_COMPRESSION
from ganeti.opcodes.instance.create import CreateInstance, CreationMode
from ganeti.operations.backup.description import read
from ganeti.operations.backup.handshake import KEY_LIFE, ImportEndpoint, Proofs, proofs
from ganeti.operations.backup.running_transfers import RunningTransfers
from ganeti.operations.instance.create.export_defaults import restored
from ganeti.operations.operation import NodeAnswers, NodeQuery, Tools
from ganeti.rpc import transfers as calls
from ganeti.rpc.instances import RenameOS
from ganeti.schema.records import replace

CONNECT_TIMEOUT = 180.0
"""Seconds for a source to connect, besides those in which it stops its instance."""

NOTE = "remote-import"
"""The kind of entry in the job's log that tells the source's side where disks are awaited."""


_FOR_OTHER_MODES = (
    *("src_node", "src_node_uuid", "src_path", "compress"),
    *("source_handshake", "source_instance_name", "source_x509_ca"),
)
"""Parameters that say where the contents of an instance come from."""


@dataclass(frozen=True)
class FromExport:
    """An export on a node; ``dumps`` are those of the disks in their order, as far as there are."""

    node: Node
    path: str
    name: str
    dumps: tuple[str, ...]


@dataclass(frozen=True)
class FromCluster:
    """Another cluster that has shown ``handshake``, and connects within ``patience`` seconds."""

    handshake: tuple[Any, ...]
    certificate: str
    name: str
    patience: float


Arrival = FromExport | FromCluster


def export_questions(op: CreateInstance, state: ClusterState) -> Sequence[NodeQuery]:
    """What must be asked to know what ``op`` is to be filled from."""
    if op.mode is not CreationMode.IMPORT:
        return ()
    return [NodeQuery(_sources(op, state), calls.DescribeExport(path=_path(op)))]


def _sources(op: CreateInstance, state: ClusterState) -> list[Node]:
    """The nodes that may have the export."""
    named = op.src_node_uuid or op.src_node
    nodes = state.nodes.values() if named is None else [state.node(named)]
    return [node for node in nodes if not node.offline]


def _path(op: CreateInstance) -> str:
    return op.src_path or op.instance_name


def arriving(
    op: CreateInstance, state: ClusterState, facts: NodeAnswers
) -> tuple[CreateInstance, Arrival | None]:
    """Where the contents of the new instance come from, and ``op`` with what follows from that.

    :raises Refused: there is no such export, or several.
    :raises Invalid: something is missing, or does not fit the export.
    """
    if op.mode is CreationMode.CREATE:
        if problems := [
            Problem(name, f"is for another mode than {op.mode.value}")
            for name in _FOR_OTHER_MODES
            if getattr(op, name) not in (None, NO_COMPRESSION)
        ]:
            raise Invalid(problems)
        return op, None
    if op.compress != NO_COMPRESSION:
        raise Invalid([Problem("compress", "must be none: data are sent as they are")])
    if op.mode is CreationMode.REMOTE_IMPORT:
        return replace(op, no_install=True), _from_cluster(op)
    node, text = _found(op, state, facts)
    export = read(text)
    completed = restored(op, export, state.cluster)
    if len(completed.disks) < len(export.disks):
        raise Invalid(
            [Problem("disks", f"must be {len(export.disks)} or more, as many as in the export")]
        )
    dumps = tuple(disk.dump for disk in export.disks)
    return completed, FromExport(node, _path(op), export.name, dumps)


def _from_cluster(op: CreateInstance) -> FromCluster:
    problems = [
        Problem(name, "is required to take in an instance of another cluster")
        for name in ("source_handshake", "source_x509_ca", "source_instance_name")
        if getattr(op, name) is None
    ]
    if problems:
        raise Invalid(problems)
    return FromCluster(
        handshake=op.source_handshake or (),
        certificate=op.source_x509_ca or "",
        name=op.source_instance_name or "",
        patience=CONNECT_TIMEOUT + op.source_shutdown_timeout,
    )


def _found(op: CreateInstance, state: ClusterState, facts: NodeAnswers) -> tuple[Node, str]:
    nodes = _sources(op, state)
    if op.src_node_uuid or op.src_node:
        if not nodes:
            raise Refused(f"node {op.src_node or op.src_node_uuid} is offline")
        return nodes[0], facts.of(nodes[0], calls.DescribeExport)
    found = [(node, facts.known(node, calls.DescribeExport)) for node in nodes]
    having = [(node, text) for node, text in found if text is not None]
    if len(having) == 1:
        return having[0]
    if having:
        names = ", ".join(node.name for node, _ in having)
        raise Refused(f"{names} have an export {_path(op)}; say which by src_node", Code.INPUT)
    raise Refused(
        f"no node that can be reached has an export {_path(op)}; see gnt-backup list",
        Code.UNKNOWN,
    )


def hook_variables(arrival: Arrival | None) -> Mapping[str, str]:
    """What hooks are told of an export."""
    if not isinstance(arrival, FromExport):
        return {}
    images = " ".join(f"{arrival.path}/{dump}" for dump in arrival.dumps)
    return {"SRC_NODE": arrival.node.name, "SRC_PATH": arrival.path, "SRC_IMAGES": images}


async def require_proof(arrival: Arrival | None, tools: Tools) -> None:
    """:raises Refused: another cluster does not have our secret."""
    if isinstance(arrival, FromCluster):
        check = await proofs(tools)
        check.check_handshake(arrival.handshake)
        check.check_certificate(arrival.certificate)


async def fill(arrival: Arrival, node: Node, guest: Guest, tools: Tools) -> None:
    """Fill the disks of ``guest``, which are attached on ``node``, and tell it of its new name.

    :raises Failed: nothing is left of it but what is on the disks.
    """
    if isinstance(arrival, FromExport):
        await _restore(arrival, node, guest, tools)
    else:
        await _receive(arrival, node, guest, tools)
    if guest.os and arrival.name != guest.name:
        tools.progress.say(f"telling {guest.os} that {arrival.name} is now {guest.name}")
        await tools.nodes.ask(node, RenameOS(guest=guest, old_name=arrival.name))


def _disk(guest: Guest, index: int) -> calls.OfDisk:
    return calls.OfDisk(guest=guest, index=index, raw=not guest.os)


async def _restore(arrival: FromExport, node: Node, guest: Guest, tools: Tools) -> None:
    async with RunningTransfers(tools) as transfers:
        for index, dump in enumerate(arrival.dumps):
            source = calls.OfExport(path=arrival.path, dump=dump)
            what, sink = guest.disks[index].iv_name, _disk(guest, index)
            if node.uuid == arrival.node.uuid:
                await transfers.restore(node, what, source, sink)
            else:
                await transfers.between(arrival.node, node, what, source, sink)
        await transfers.arrive()


async def _receive(arrival: FromCluster, node: Node, guest: Guest, tools: Tools) -> None:
    ours = await proofs(tools)
    peer = ours.check_certificate(arrival.certificate)
    made = await tools.nodes.ask(node, calls.CreateCertificate(validity=KEY_LIFE))
    try:
        trust = calls.Trust(key=made.name, peer=peer)
        async with RunningTransfers(tools) as transfers:
            places = []
            for index, disk in enumerate(guest.disks):
                source = calls.FromPeer(
                    address=node.primary_ip,
                    magic=ours.magic(),
                    patience=arrival.patience,
                    trust=trust,
                )
                sink = _disk(guest, index)
                port = await transfers.receive(node, disk.iv_name, source, sink)
                places.append(ImportEndpoint(node.primary_ip, port, source.magic))
            tools.progress.note(NOTE, _note(ours, places, made.certificate))
            await transfers.arrive()
    finally:
        try:
            await tools.nodes.ask(node, calls.RemoveCertificate(name=made.name))
        except GanetiError as e:
            tools.progress.say(f"the key {made.name} is left on {node.name}: {e}")


def _note(ours: Proofs, places: Sequence[ImportEndpoint], certificate: str) -> dict[str, Any]:
    """What the source needs to know."""
    return {
        "disks": [ours.place(index, place) for index, place in enumerate(places)],
        "x509_ca": ours.certificate(certificate),
    }
