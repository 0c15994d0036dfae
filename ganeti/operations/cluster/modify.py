# SPDX-License-Identifier: BSD-2-Clause
"""Changing the settings of the cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Failed, Invalid, Problem, Refused
from ganeti.locking.names import LockRequest
from ganeti.model.cluster import Cluster
from ganeti.model.cluster_settings import BUILT_IN_ALLOCATOR, NEEDS, missing_settings
from ganeti.model.disk import Template
from ganeti.model.instance import Instance
from ganeti.model.parameters.parsing import DEFAULT
from ganeti.opcodes.cluster import ModifyCluster
from ganeti.operations.cluster.hypervisor_check import require_able
from ganeti.operations.cluster.settings import settings
from ganeti.operations.instance.os_check import DELIMITER, unknown_parameters
from ganeti.operations.operation import (
    HookCall,
    NodeAnswers,
    NodeQuery,
    Operation,
    ResultWithCommit,
    Tools,
)
from ganeti.rpc.node import DescribeOSes, VerifyNode
from ganeti.rpc.storage import ListStorageCall
from ganeti.schema.records import replace


@dataclass(frozen=True)
class ClusterModification:
    """A request that makes sense in the state as it was, and the fields that it changes."""

    op: ModifyCluster
    fields: Mapping[str, Any]

    @property
    def locks(self) -> LockRequest:
        # What changes is worked out again, on the state as it is then, where the change is made.
        return {}


def questions(op: ModifyCluster, state: ClusterState) -> Sequence[NodeQuery]:
    found = []
    if op.vg_name:
        found.append(NodeQuery(_hosts(state), ListStorageCall(kind="lvm-vg")))
    if folders := _folders(op):
        name = state.cluster.cluster_name
        found.append(NodeQuery(_hosts(state), VerifyNode(what=folders, cluster_name=name)))
    if op.osparams or op.osparams_private_cluster:
        found.append(NodeQuery(_hosts(state), DescribeOSes()))
    return found


_FOLDERS = {
    "file-storage-path": "file_storage_dir",
    "shared-file-storage-path": "shared_file_storage_dir",
}
"""The checks of nodes for the folders that disks can be in, and the settings."""


def _folders(op: ModifyCluster) -> dict[str, str]:
    return {check: path for check, name in _FOLDERS.items() if (path := getattr(op, name))}


def _hosts(state: ClusterState) -> list[Any]:
    return [node for node in state.nodes.values() if node.vm_capable and not node.offline]


def plan(op: ModifyCluster, state: ClusterState, facts: NodeAnswers) -> ClusterModification:
    """Decide what changes, or refuse with everything that is wrong with it."""
    fields = settings(op, state)
    _require_useful(replace(state.cluster, **fields), fields, state)
    if op.vg_name and not op.force:
        _require_group(op.vg_name, state, facts)
    _require_folders(op, state, facts)
    _require_osparams(op, state, facts)
    if not fields:
        raise Invalid([Problem("", "no changes requested; give at least one parameter")])
    return ClusterModification(op, fields)


def _require_useful(after: Cluster, fields: Mapping[str, Any], state: ClusterState) -> None:
    """Refuse settings with which existing instances, or new ones, could not be.

    :raises Refused: the message says what stands in the way.
    """
    touched = {"enabled_hypervisors", "enabled_disk_templates", *NEEDS.values()} & set(fields)
    touched |= {"drbd_usermode_helper"} & set(fields)
    if not touched:
        return
    for instance in state.instances.values():
        _require_runnable(instance, after, state)
    templates = [Template(name) for name in after.enabled_disk_templates]
    for template, setting in missing_settings(templates, msgspec.structs.asdict(after)):
        if setting in touched:
            raise Refused(
                f"the disk template {template.value} needs {setting}; disable the template first"
            )


def _require_runnable(instance: Instance, after: Cluster, state: ClusterState) -> None:
    template = state.template_of(instance)
    if instance.hypervisor not in after.enabled_hypervisors:
        raise Refused(
            f"instance {instance.name} needs the hypervisor {instance.hypervisor}; remove such "
            "instances first"
        )
    if template is not Template.DISKLESS and template.value not in after.enabled_disk_templates:
        raise Refused(
            f"instance {instance.name} has {template.value} disks; remove such instances first"
        )
    if template is Template.DRBD and not after.drbd_usermode_helper:
        raise Refused(f"instance {instance.name} has drbd disks, which need the helper of DRBD")


def _require_folders(op: ModifyCluster, state: ClusterState, facts: NodeAnswers) -> None:
    """Refuse folders in which nodes would make no disks; ``file-storage-paths`` lists those.

    :raises Refused: with the reason for each such node.
    """
    lacking = []
    for node in _hosts(state) if _folders(op) else ():
        answer = facts.of(node, VerifyNode)
        lacking += [f"{node.name}: {answer[check]}" for check in _folders(op) if check in answer]
    if lacking:
        raise Refused(f"disks cannot be made there: {'; '.join(lacking)}", Code.ENVIRONMENT)


def _require_osparams(op: ModifyCluster, state: ClusterState, facts: NodeAnswers) -> None:
    """Refuse parameters that the OS definitions on the nodes do not have.

    Those of a definition that no node has, or none yet, cannot be checked.

    :raises Invalid: with each of them.
    """
    definitions = {
        definition.name: definition
        for node in _hosts(state)
        for definition in facts.known(node, DescribeOSes) or ()
        if definition.valid
    }
    problems = []
    for path in ("osparams", "osparams_private_cluster"):
        for os, values in (getattr(op, path) or {}).items():
            if (definition := definitions.get(os.partition(DELIMITER)[0])) is not None:
                names = [name for name, value in values.items() if value != DEFAULT]
                problems += unknown_parameters(definition, names, f"{path}/{os}")
    if problems:
        raise Invalid(problems)


def _require_group(name: str, state: ClusterState, facts: NodeAnswers) -> None:
    """Refuse a volume group that a node does not have.

    :raises Refused: with the reason for each such node.
    """
    lacking = []
    for node in _hosts(state):
        answer = facts.answers[node.uuid, ListStorageCall]
        if isinstance(answer, Failed):
            lacking.append(f"{node.name}: {answer}")
        elif name not in [unit.name for unit in answer]:
            lacking.append(f"{node.name}: there is none of that name")
    if lacking:
        raise Refused(
            f"the volume group {name} is not on every node: {'; '.join(lacking)}; use --force to "
            "set it all the same",
            Code.ENVIRONMENT,
        )


async def run(plan: ClusterModification, tools: Tools) -> ResultWithCommit:
    def change(state: ClusterState) -> ClusterState:
        return state.put(replace(state.cluster, **settings(plan.op, state)))

    name = plan.fields.get("default_iallocator")
    if name and name != BUILT_IN_ALLOCATOR and not tools.allocate.installed(name):
        raise Refused(
            f"there is no allocator named {name} on the master; install it there, or name another",
            Code.UNKNOWN,
        )
    state = tools.config.state()
    await require_able(state.cluster, replace(state.cluster, **plan.fields), state, tools)
    size = plan.fields.get("candidate_pool_size")
    if size is not None:
        have = sum(node.master_candidate for node in state.nodes.values())
        if have < min(size, sum(node.master_capable for node in state.nodes.values())):
            tools.progress.say(
                f"there are {have} master candidates; to have more: "
                "gnt-node modify --master-candidate=yes NODE"
            )
    return ResultWithCommit(None, change)


def hooks(plan: ClusterModification, state: ClusterState) -> HookCall:
    here = [state.cluster.master_node]
    more = {"OP_TARGET": state.cluster.cluster_name, "NEW_VG_NAME": plan.op.vg_name or ""}
    return HookCall("cluster-modify", "CLUSTER", more, here, here)


def preview(plan: ClusterModification) -> list[str]:
    """What a dry run shows: the settings that would change."""
    return sorted(plan.fields)


OPERATION = Operation(ModifyCluster, plan, run, questions, hooks, preview)
