# SPDX-License-Identifier: BSD-2-Clause
"""What an opcode would do, shown before it is submitted.

All of it follows from the plan, which is pure: explaining changes nothing and waits for no lock.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

from ganeti.config.state import ClusterState
from ganeti.locking.names import CLUSTER, LockMode, LockRequest
from ganeti.model.node import Node
from ganeti.opcodes.backup import RemoveExport
from ganeti.opcodes.backup_repositories import RestoreBackup
from ganeti.opcodes.cluster import DestroyCluster, RenewCrypto, UpgradeCluster
from ganeti.opcodes.instance.disks import RecreateDisks
from ganeti.opcodes.instance.lifecycle import RebootInstance, ReinstallInstance, RemoveInstance
from ganeti.opcodes.instance.modify import ModifyInstance
from ganeti.opcodes.instance.moves import FailoverInstance
from ganeti.opcodes.instance.snapshots import RevertInstance
from ganeti.opcodes.node import PowercycleNode, RemoveNode, UpgradeNode
from ganeti.opcodes.opcode import Opcode
from ganeti.opcodes.tags import AddTags, RemoveTags
from ganeti.operations.allocation.evacuation import Evacuation
from ganeti.operations.instance.create.clone import ClonePlan
from ganeti.operations.instance.create.create import CreationPlan
from ganeti.operations.instance.lifecycle.reboot import InstanceReboot
from ganeti.operations.instance.lifecycle.remove import InstanceRemoval
from ganeti.operations.instance.lifecycle.start import StartPlan
from ganeti.operations.instance.lifecycle.stop import Stop
from ganeti.operations.instance.modify.modify import InstanceModification
from ganeti.operations.instance.moves.failover import Failover
from ganeti.operations.instance.moves.migrate import InstanceMigration, MigrationByRestart
from ganeti.operations.instance.moves.migration_cleanup import MigrationCleanup
from ganeti.operations.node.evacuate import NodeEvacuation
from ganeti.operations.node.migrate import NodeMigration
from ganeti.operations.node.modify import NodeModification
from ganeti.operations.operation import NodeQuery, Operation, Plan


@dataclass(frozen=True)
class LockNeed:
    """A lock that the plan takes, by the name of its object, and how."""

    name: str
    mode: str


@dataclass(frozen=True)
class Explanation:
    """What would be done.

    ``steps`` are sentences; ``asked`` are the nodes that were asked before, ``nodes`` those that
    the plan locks. ``preview`` is the result of a dry run. ``irreversible`` says what is lost for
    good; it is null if everything can be undone.
    """

    opcode: str
    summary: str
    steps: tuple[str, ...]
    locks: tuple[LockNeed, ...]
    asked: tuple[str, ...]
    nodes: tuple[str, ...]
    irreversible: str | None
    preview: Any


_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

_REPLACED_SOFTWARE = "the former release is replaced; another run installs it again"

_IRREVERSIBLE: Mapping[type[Opcode], str] = {
    DestroyCluster: "the cluster ends, and its configuration is removed",
    FailoverInstance: "the guest is stopped, and what it has in memory is lost",
    PowercycleNode: "the node restarts, and what its guests have in memory is lost",
    RebootInstance: "what the guest has in memory is lost",
    RecreateDisks: "the disks are made new and empty, and what is on them is lost",
    UpgradeCluster: _REPLACED_SOFTWARE,
    UpgradeNode: _REPLACED_SOFTWARE,
    ReinstallInstance: "the OS definition overwrites what is on the disks",
    RemoveExport: "the export is deleted",
    RemoveInstance: "the disks of the instance are deleted with all that is on them",
    RemoveNode: "the node leaves the cluster; it has to join again to come back",
    RestoreBackup: "the backup overwrites what is on the disks",
    RevertInstance: "what was written to the disks since the snapshot is lost",
    RenewCrypto: "the old keys and certificates are not valid any more",
}


def explain(
    operation: Operation[Any, Any],
    opcode: Opcode,
    plan: Plan,
    questions: Sequence[NodeQuery],
    state: ClusterState,
) -> Explanation:
    """Return what ``plan`` would do, which was made for ``opcode`` from ``questions``."""
    locks = sorted(
        (LockNeed(name, mode.value) for name, mode in _named(plan.locks, state)),
        key=lambda need: (need.mode, need.name),
    )
    held = (name.removeprefix("node/") for name in plan.locks if name.startswith("node/"))
    nodes = (state.nodes[uuid].name for uuid in held if uuid in state.nodes)
    return Explanation(
        opcode=opcode.op_id,
        summary=opcode.summary,
        steps=tuple(effects(plan, opcode)),
        locks=tuple(locks),
        asked=_names(node for question in questions for node in question.nodes),
        nodes=tuple(sorted(nodes)),
        irreversible=_irreversible(opcode, plan),
        preview=operation.preview(plan),
    )


def _names(nodes: Any) -> tuple[str, ...]:
    return tuple(sorted({node.name for node in nodes}))


def _irreversible(opcode: Opcode, plan: Plan) -> str | None:
    if isinstance(plan, MigrationCleanup):
        return None
    if isinstance(plan, MigrationByRestart):
        return _IRREVERSIBLE[FailoverInstance]
    if isinstance(plan, InstanceReboot) and not plan.runs:
        return None
    if isinstance(plan, Failover) and not plan.restarts:
        return None
    if isinstance(plan, InstanceRemoval) and plan.subject.instance.forthcoming:
        return None
    if isinstance(opcode, ModifyInstance) and "remove" in _actions(opcode):
        return "what is on the disks that are removed is lost"
    return _IRREVERSIBLE.get(type(opcode))


def _actions(opcode: ModifyInstance) -> list[str]:
    return [str(word) for change in opcode.disks for word in change[:2]]


def _named(locks: LockRequest, state: ClusterState) -> Iterator[tuple[str, LockMode]]:
    """Yield the locks by the names of their objects."""
    objects: Mapping[str, Mapping[str, Any]] = {
        "instance": state.instances,
        "node": state.nodes,
        "nodegroup": state.groups,
        "network": state.networks,
    }
    for lock, mode in locks.items():
        kind, _, uuid = lock.partition("/")
        found = objects.get(kind, {}).get(uuid)
        if lock == CLUSTER:
            yield "cluster", mode
        elif found is not None:
            yield f"{kind} {found.name}", mode
        elif uuid == "[lockset]":
            yield f"all of {kind}", mode
        elif not _UUID.fullmatch(uuid):  # what is about to be made is locked by its name, too
            yield f"{kind} {uuid}", mode


@singledispatch
def effects(plan: Any, opcode: Opcode) -> Sequence[str]:
    """Return what a plan changes, in sentences; by default what its opcode is declared to do."""
    if isinstance(opcode, AddTags | RemoveTags):
        verb = "Add" if isinstance(opcode, AddTags) else "Remove"
        tags = ", ".join(opcode.tags)
        about = f"{opcode.kind.value} {opcode.name or ''}".strip()
        return [f"{verb} the tags {tags} ({about})."]
    return [(type(opcode).__doc__ or opcode.summary).partition("\n")[0]]


@effects.register
def _(plan: StartPlan, opcode: Opcode) -> Sequence[str]:
    name, node = plan.subject.instance.name, plan.subject.primary
    if node.offline:
        return [f"Record that instance {name} should run; node {node.name} is offline."]
    return [f"Start instance {name} on node {node.name} with {plan.guest.memory} MiB of memory."]


@effects.register
def _(plan: Stop, opcode: Opcode) -> Sequence[str]:
    name = plan.subject.instance.name
    steps = [f"Shut down instance {name} on node {node.name}." for node in plan.found.nodes]
    return [*steps, f"Record that instance {name} should be stopped."]


@effects.register
def _(plan: InstanceReboot, opcode: Opcode) -> Sequence[str]:
    name, node = plan.subject.instance.name, plan.subject.primary.name
    verb = "Reboot" if plan.runs else "Start"
    return [f"{verb} instance {name} on node {node}."]


@effects.register
def _(plan: InstanceRemoval, opcode: Opcode) -> Sequence[str]:
    name = plan.subject.instance.name
    if plan.subject.instance.forthcoming:
        return [f"Remove the reservation of instance {name}, which is on no node."]
    return [
        *(f"Shut down instance {name} on node {node.name}." for node in plan.found.nodes),
        *(f"Delete disk {n} ({disk.size} MiB)." for n, disk in enumerate(plan.subject.disks)),
        f"Remove instance {name} from the configuration.",
    ]


@effects.register
def _(plan: InstanceMigration, opcode: Opcode) -> Sequence[str]:
    subject = plan.subject
    name, source, target = subject.instance.name, subject.primary.name, plan.target.name
    how = "while it runs" if plan.live else "while it is paused"
    copies = (f"Copy {disk.iv_name} ({disk.size} MiB) to node {target}." for disk in plan.copies)
    removal = [f"Delete the disks on node {source}."] if plan.copies else []
    migration = f"Migrate instance {name} from node {source} to node {target} {how}."
    return [*copies, migration, *removal]


@effects.register
def _(plan: Failover, opcode: Opcode) -> Sequence[str]:
    name, source, target = plan.subject.instance.name, plan.subject.primary, plan.target
    stop = [f"Shut down instance {name} on node {source.name}."] if plan.restarts else []
    start = [f"Start instance {name} on node {target.name}."] if plan.restarts else []
    return [*stop, f"Make {target.name} the primary node of instance {name}.", *start]


@effects.register
def _(plan: MigrationByRestart, opcode: Opcode) -> Sequence[str]:
    return [
        f"Fail over in place of a migration: {plan.reason}.",
        *effects(plan.failover, opcode),
    ]


@effects.register
def _(plan: MigrationCleanup, opcode: Opcode) -> Sequence[str]:
    name = plan.subject.instance.name
    return [f"Find the node that runs instance {name}, and remove what a migration left behind."]


@effects.register
def _(plan: CreationPlan, opcode: Opcode) -> Sequence[str]:
    name = plan.op.instance_name
    primary, *secondaries = plan.nodes
    verb = "Reserve" if plan.op.forthcoming else "Make"
    disks = (
        f"{verb} disk {number} of instance {name} ({disk['size']} MiB)."
        for number, disk in enumerate(plan.op.disks)
        if "size" in disk
    )
    return [
        *disks,
        f"Use {primary.name} as its primary node"
        + "".join(f", and {node.name} as secondary node" for node in secondaries)
        + ".",
        *([f"Install the OS definition {plan.order.os}."] if plan.order.installs else []),
        *([f"Start instance {name}."] if plan.op.start else []),
    ]


@effects.register
def _(plan: ClonePlan, opcode: Opcode) -> Sequence[str]:
    copy = f"Copy the data of instance {plan.subject.instance.name}."
    start = [f"Start instance {plan.creation.op.instance_name}."]
    made = list(effects(plan.creation, opcode))
    return [*made[:-1], copy, *start] if made[-1:] == start else [*made, copy]


@effects.register
def _(plan: InstanceModification, opcode: Opcode) -> Sequence[str]:
    return [f"Set {name} to {value}." for name, value in plan.rows] or ["Change nothing."]


@effects.register
def _(plan: NodeModification, opcode: Opcode) -> Sequence[str]:
    name = plan.node.name
    return [
        *(
            [f"Change the role of node {name} from {plan.was.value} to {plan.role.value}."]
            if plan.role is not plan.was
            else []
        ),
        *(f"Set {field} of node {name} to {value}." for field, value in plan.fields.items()),
        *(f"Make node {node.name} a master candidate." for node in plan.promoted),
    ] or ["Change nothing."]


@effects.register
def _(plan: NodeEvacuation, opcode: Opcode) -> Sequence[str]:
    return _leaving(plan.leaving)


@effects.register
def _(plan: NodeMigration, opcode: Opcode) -> Sequence[str]:
    return _leaving(plan.leaving)


def _leaving(leaving: Evacuation) -> list[str]:
    node: Node = leaving.node
    return [
        *(f"Submit a job: {', '.join(op.summary for op in job)}." for job in leaving.jobs),
        *(f"Leave {name} on node {node.name}: {reason}." for name, reason in leaving.stuck),
    ] or [f"Do nothing: no instance has to leave node {node.name}."]
