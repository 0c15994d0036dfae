# SPDX-License-Identifier: BSD-2-Clause
"""Import of disk data for a new instance, from an export or from another cluster."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ganeti.config.changes.backup_settings import find_repository
from ganeti.config.state import ClusterState
from ganeti.errors import Code, GanetiError, Invalid, Problem, Refused
from ganeti.model.backups import BackupRepository
from ganeti.model.guest import Guest
from ganeti.model.node import Node
from ganeti.opcodes.fields import NO_COMPRESSION
from ganeti.opcodes.instance.create import CreateInstance, CreationMode
from ganeti.operations.backup.back_up import repository_node
from ganeti.operations.backup.description import read
from ganeti.operations.backup.guest_state import restore_state
from ganeti.operations.backup.handshake import KEY_LIFETIME, Handshake, ImportEndpoint, proofs
from ganeti.operations.backup.restore import StoredBackup, restore_disks
from ganeti.operations.backup.running_transfers import RunningTransfers
from ganeti.operations.instance.create.clone_source import CloneSource, copy_instance
from ganeti.operations.instance.create.export_defaults import apply_export
from ganeti.operations.operation import NodeAnswers, NodeQuery, Tools
from ganeti.operations.refusals import COMPRESSION_UNSUPPORTED
from ganeti.rpc import transfers as calls
from ganeti.rpc.backup_calls import BackupDetails, DescribeBackup
from ganeti.rpc.instances import RenameOS
from ganeti.schema.records import replace
from ganeti.schema.types import BACKUP_ID

CONNECT_TIMEOUT = 180.0
"""Seconds for a source to connect, in addition to the shutdown time-out of its instance."""

NOTE = "remote-import"
"""The type of the job log entry with the endpoints of the disks, for the source cluster."""


_SOURCE_PARAMETERS = (
    *("src_node", "src_node_uuid", "src_path", "src_backup", "compress"),
    *("source_handshake", "source_instance_name", "source_x509_ca"),
)
"""Parameters for the source of an import."""


@dataclass(frozen=True)
class ExportSource:
    """An export on a node; ``dumps`` are the dumps of the first disks in order."""

    node: Node
    path: str
    name: str
    dumps: tuple[str, ...]


@dataclass(frozen=True)
class ClusterSource:
    """Another cluster with its ``handshake``, which connects within ``patience`` seconds."""

    handshake: tuple[Any, ...]
    certificate: str
    name: str
    patience: float


@dataclass(frozen=True)
class BackupImport:
    """A backup in a repository, and the number of its disks."""

    stored: StoredBackup
    disks: int
    details: BackupDetails


ImportSource = ExportSource | ClusterSource | BackupImport | CloneSource


def export_queries(op: CreateInstance, state: ClusterState) -> Sequence[NodeQuery]:
    """Return the queries for the export that ``op`` imports."""
    if op.mode is not CreationMode.IMPORT:
        return ()
    if op.src_backup is not None:
        repository, backup = _find_backup(op.src_backup, state)
        node = repository_node(repository, state)
        return [
            NodeQuery([node], DescribeBackup(repository=repository.make_access(), backup=backup))
        ]
    return [NodeQuery(_source_nodes(op, state), calls.DescribeExport(path=_export_path(op)))]


def _source_nodes(op: CreateInstance, state: ClusterState) -> list[Node]:
    """Return the nodes that may have the export."""
    named = op.src_node_uuid or op.src_node
    nodes = state.nodes.values() if named is None else [state.node(named)]
    return [node for node in nodes if not node.offline]


def _export_path(op: CreateInstance) -> str:
    return op.src_path or op.instance_name


def arriving(
    op: CreateInstance, state: ClusterState, facts: NodeAnswers
) -> tuple[CreateInstance, ImportSource | None]:
    """Return ``op`` completed from the source of its data, and the source.

    :raises Refused: the export does not exist, or is ambiguous.
    :raises Invalid: parameters are missing, or do not match the export.
    """
    if op.mode is CreationMode.CREATE:
        if problems := [
            Problem(name, f"is not valid for mode {op.mode.value}")
            for name in _SOURCE_PARAMETERS
            if getattr(op, name) not in (None, NO_COMPRESSION)
        ]:
            raise Invalid(problems)
        return op, None
    if op.compress != NO_COMPRESSION:
        raise Invalid([COMPRESSION_UNSUPPORTED])
    if op.mode is CreationMode.REMOTE_IMPORT:
        return replace(op, no_install=True), _cluster_source(op)
    if op.src_backup is not None:
        return _complete_by_backup(op, op.src_backup, state, facts)
    node, text = _find_export(op, state, facts)
    export = read(text)
    completed = apply_export(op, export, state.cluster)
    if len(completed.disks) < len(export.disks):
        raise Invalid(
            [Problem("disks", f"must have at least the {len(export.disks)} disks of the export")]
        )
    dumps = tuple(disk.dump for disk in export.disks)
    return completed, ExportSource(node, _export_path(op), export.name, dumps)


def _find_backup(name: str, state: ClusterState) -> tuple[BackupRepository, str]:
    """Return the repository and the ID of a backup.

    :raises Invalid: the name is not REPOSITORY/ID.
    """
    repository, _, backup = name.partition("/")
    if not re.search(BACKUP_ID, backup):
        raise Invalid([Problem("src_backup", "must be REPOSITORY/ID; see gnt-backup list-backups")])
    return find_repository(state, repository), backup


def _complete_by_backup(
    op: CreateInstance, name: str, state: ClusterState, facts: NodeAnswers
) -> tuple[CreateInstance, BackupImport]:
    if problems := [
        Problem(each, "is for exports; the backup says where it is")
        for each in ("src_node", "src_node_uuid", "src_path")
        if getattr(op, each) is not None
    ]:
        raise Invalid(problems)
    repository, backup = _find_backup(name, state)
    node = repository_node(repository, state)
    details = facts.answer_of(node, DescribeBackup)
    export = read(details.description)
    completed = apply_export(op, export, state.cluster)
    if len(completed.disks) < len(export.disks):
        raise Invalid(
            [Problem("disks", f"must have at least the {len(export.disks)} disks of the backup")]
        )
    source = StoredBackup(node, repository.make_access(), backup)
    return completed, BackupImport(source, len(export.disks), details)


def _cluster_source(op: CreateInstance) -> ClusterSource:
    problems = [
        Problem(name, "is required for an import from another cluster")
        for name in ("source_handshake", "source_x509_ca", "source_instance_name")
        if getattr(op, name) is None
    ]
    if problems:
        raise Invalid(problems)
    return ClusterSource(
        handshake=op.source_handshake or (),
        certificate=op.source_x509_ca or "",
        name=op.source_instance_name or "",
        patience=CONNECT_TIMEOUT + op.source_shutdown_timeout,
    )


def _find_export(op: CreateInstance, state: ClusterState, facts: NodeAnswers) -> tuple[Node, str]:
    nodes = _source_nodes(op, state)
    if op.src_node_uuid or op.src_node:
        if not nodes:
            raise Refused(f"node {op.src_node or op.src_node_uuid} is offline")
        return nodes[0], facts.answer_of(nodes[0], calls.DescribeExport)
    found = [(node, facts.known(node, calls.DescribeExport)) for node in nodes]
    having = [(node, text) for node, text in found if text is not None]
    if len(having) == 1:
        return having[0]
    if having:
        names = ", ".join(sorted(node.name for node, _ in having))
        raise Refused(
            f"nodes {names} have an export {_export_path(op)}; choose one by src_node", Code.INPUT
        )
    raise Refused(
        f"no reachable node has an export {_export_path(op)}; see gnt-backup list",
        Code.UNKNOWN,
    )


def hook_variables(arrival: ImportSource | None) -> Mapping[str, str]:
    """Return the hook variables of an import from an export."""
    if not isinstance(arrival, ExportSource):
        return {}
    images = " ".join(f"{arrival.path}/{dump}" for dump in arrival.dumps)
    return {"SRC_NODE": arrival.node.name, "SRC_PATH": arrival.path, "SRC_IMAGES": images}


async def check_source(arrival: ImportSource | None, tools: Tools) -> None:
    """Check the handshake of a source cluster.

    :raises Refused: it has another cluster domain secret.
    """
    if isinstance(arrival, ClusterSource):
        check = await proofs(tools)
        check.check_handshake(arrival.handshake)
        check.check_certificate(arrival.certificate)


async def fill(arrival: ImportSource, node: Node, guest: Guest, tools: Tools) -> None:
    """Import the data of the disks of ``guest``, attached on ``node``, and run the rename script.

    :raises Failed: the import failed; only the data on the disks remain.
    """
    if isinstance(arrival, CloneSource):
        await copy_instance(arrival, node, guest, tools)
        return
    if isinstance(arrival, BackupImport):
        # As it was: no script adapts it to another name.
        disks = [(index, index) for index in range(arrival.disks)]
        await restore_disks(arrival.stored, node, guest, disks, tools)
        # Last: nothing that follows fails and would have to remove it.
        details = arrival.details
        await restore_state(details.state_files, details.summary, guest, node, tools)
        return
    if isinstance(arrival, ExportSource):
        await _restore(arrival, node, guest, tools)
    else:
        await _receive(arrival, node, guest, tools)
    if guest.os and arrival.name != guest.name:
        tools.progress.log_message(
            f"running the rename script of {guest.os}: {arrival.name} is now {guest.name}"
        )
        await tools.nodes.ask(node, RenameOS(guest=guest, old_name=arrival.name))


def _disk_data(guest: Guest, index: int) -> calls.DiskData:
    return calls.DiskData(guest=guest, index=index, raw=not guest.os)


async def _restore(arrival: ExportSource, node: Node, guest: Guest, tools: Tools) -> None:
    async with RunningTransfers(tools) as transfers:
        for index, dump in enumerate(arrival.dumps):
            source = calls.ExportData(path=arrival.path, dump=dump)
            what, sink = guest.disks[index].iv_name, _disk_data(guest, index)
            if node.uuid == arrival.node.uuid:
                await transfers.restore(node, what, source, sink)
            else:
                await transfers.between(arrival.node, node, what, source, sink)
        await transfers.wait_for_all()


async def _receive(arrival: ClusterSource, node: Node, guest: Guest, tools: Tools) -> None:
    ours = await proofs(tools)
    peer = ours.check_certificate(arrival.certificate)
    made = await tools.nodes.ask(node, calls.CreateCertificate(validity=KEY_LIFETIME))
    try:
        trust = calls.Trust(key=made.name, peer=peer)
        async with RunningTransfers(tools) as transfers:
            places = []
            for index, disk in enumerate(guest.disks):
                source = calls.PeerSource(
                    address=node.primary_ip,
                    magic=ours.magic(),
                    patience=arrival.patience,
                    trust=trust,
                )
                sink = _disk_data(guest, index)
                port = await transfers.receive(node, disk.iv_name, source, sink)
                places.append(ImportEndpoint(node.primary_ip, port, source.magic))
            # Before the wait: the source connects when it has read this entry.
            tools.progress.log_entry(NOTE, _make_log_entry(ours, places, made.certificate))
            await transfers.wait_for_all()
    finally:
        try:
            await tools.nodes.ask(node, calls.RemoveCertificate(name=made.name))
        except GanetiError as e:
            tools.progress.log_message(
                f"cannot remove the key {made.name} on node {node.name}: {e}"
            )


def _make_log_entry(
    ours: Handshake, places: Sequence[ImportEndpoint], certificate: str
) -> dict[str, object]:
    """Return the data for the source cluster."""
    return {
        "disks": [ours.place(index, place) for index, place in enumerate(places)],
        "x509_ca": ours.certificate(certificate),
    }
