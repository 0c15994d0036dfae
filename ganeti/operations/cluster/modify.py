# SPDX-License-Identifier: BSD-2-Clause
"""The operation that modifies cluster settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Failed, Invalid, Problem, Refused
from ganeti.locking.names import LockRequest
from ganeti.model.cluster import Cluster
from ganeti.model.cluster_settings import (
    BUILT_IN_ALLOCATOR,
    NEEDS,
    NO_USER_POOL,
    lacks_user_pool,
    missing_settings,
)
from ganeti.model.disk import Template
from ganeti.model.instance import Instance
from ganeti.model.node import Node
from ganeti.model.parameters.parsing import DEFAULT
from ganeti.opcodes.cluster import ModifyCluster
from ganeti.operations.cluster.hypervisor_check import require_able
from ganeti.operations.cluster.settings import settings
from ganeti.operations.instance.os_check import VARIANT_DELIMITER, unknown_parameters
from ganeti.operations.operation import (
    HookCall,
    NodeAnswers,
    NodeQuery,
    Operation,
    ResultWithCommit,
    Tools,
)
from ganeti.operations.refusals import NOTHING_TO_CHANGE
from ganeti.rpc.node import DescribeOSes, VerifyNode
from ganeti.rpc.storage import ListStorageCall
from ganeti.schema.records import FieldValues, replace


@dataclass(frozen=True)
class ClusterModification:
    """A valid request, and the fields that it changes."""

    op: ModifyCluster
    fields: FieldValues

    @property
    def locks(self) -> LockRequest:
        # The changes are computed again from the state at the time of the commit.
        return {}


def questions(op: ModifyCluster, state: ClusterState) -> Sequence[NodeQuery]:
    found = []
    if op.vg_name:
        found.append(NodeQuery(_online_hosts(state), ListStorageCall(kind="lvm-vg")))
    if folders := _changed_directories(op):
        name = state.cluster.cluster_name
        found.append(NodeQuery(_online_hosts(state), VerifyNode(what=folders, cluster_name=name)))
    if op.osparams or op.osparams_private_cluster:
        found.append(NodeQuery(_online_hosts(state), DescribeOSes()))
    return found


_DIRECTORY_CHECKS = {
    "file-storage-path": "file_storage_dir",
    "shared-file-storage-path": "shared_file_storage_dir",
}
"""The node checks of directories for disks, with their settings."""


def _changed_directories(op: ModifyCluster) -> dict[str, str]:
    return {check: path for check, name in _DIRECTORY_CHECKS.items() if (path := getattr(op, name))}


def _online_hosts(state: ClusterState) -> list[Node]:
    return [node for node in state.nodes.values() if node.vm_capable and not node.offline]


def plan(op: ModifyCluster, state: ClusterState, facts: NodeAnswers) -> ClusterModification:
    """Plan the changes; refuse with all problems of the request."""
    fields = settings(op, state)
    _check_consistent(replace(state.cluster, **fields), fields, state)
    if op.vg_name and not op.force:
        _check_volume_group(op.vg_name, state, facts)
    _check_directories(op, state, facts)
    _check_osparams(op, state, facts)
    if not fields:
        raise Invalid([Problem("", NOTHING_TO_CHANGE)])
    return ClusterModification(op, fields)


def _check_consistent(after: Cluster, fields: Mapping[str, object], state: ClusterState) -> None:
    """Check that the settings do not contradict each other or existing instances.

    :raises Refused: with the contradiction.
    """
    if {"uid_pool", "hvparams", "os_hvp"} & set(fields):
        _check_user_pool(after, state)
    touched = {"enabled_hypervisors", "enabled_disk_templates", *NEEDS.values()} & set(fields)
    touched |= {"drbd_usermode_helper"} & set(fields)
    if not touched:
        # Contradictions that existed before must not prevent other changes.
        return
    for instance in state.instances.values():
        _check_instance(instance, after, state)
    templates = [Template(name) for name in after.enabled_disk_templates]
    for template, setting in missing_settings(templates, msgspec.structs.asdict(after)):
        if setting in touched:
            raise Refused(
                f"disk template {template.value} requires {setting}; disable the template first"
            )


def _check_user_pool(after: Cluster, state: ClusterState) -> None:
    """Check that the cluster has user IDs if guests are to get them.

    :raises Refused: it has none.
    """
    if after.uid_pool:
        return
    for name, found in after.hvparams.items():
        if lacks_user_pool(found, after.uid_pool):
            raise Refused(f"hypervisor {name}: security_model: {NO_USER_POOL}")
    for os, sets in after.os_hvp.items():
        if any(lacks_user_pool(found, after.uid_pool) for found in sets.values()):
            raise Refused(f"operating system {os}: security_model: {NO_USER_POOL}")
    for instance in state.instances.values():
        if lacks_user_pool(instance.hvparams, after.uid_pool):
            raise Refused(
                f"instance {instance.name} has security_model=pool, which needs user IDs; set"
                f" another one first: gnt-instance modify -H security_model=none {instance.name}"
            )


def _check_instance(instance: Instance, after: Cluster, state: ClusterState) -> None:
    template = state.get_template(instance)
    if instance.hypervisor not in after.enabled_hypervisors:
        raise Refused(
            f"instance {instance.name} uses hypervisor {instance.hypervisor}; remove such "
            "instances first"
        )
    if template is not Template.DISKLESS and template.value not in after.enabled_disk_templates:
        raise Refused(
            f"instance {instance.name} has {template.value} disks; remove such instances first"
        )
    if template is Template.DRBD and not after.drbd_usermode_helper:
        raise Refused(
            f"instance {instance.name} has drbd disks, which require the DRBD usermode helper"
        )


def _check_directories(op: ModifyCluster, state: ClusterState, facts: NodeAnswers) -> None:
    """Check that nodes allow the directories for disks, in their ``file-storage-paths``.

    :raises Refused: with the reason of each node that does not.
    """
    lacking = []
    for node in _online_hosts(state) if _changed_directories(op) else ():
        answer = facts.answer_of(node, VerifyNode)
        lacking += [
            f"{node.name}: {answer[check]}" for check in _changed_directories(op) if check in answer
        ]
    if lacking:
        raise Refused(
            f"nodes do not accept the directory for disks: {'; '.join(lacking)}", Code.ENVIRONMENT
        )


def _check_osparams(op: ModifyCluster, state: ClusterState, facts: NodeAnswers) -> None:
    """Check that the OS definitions on the nodes declare the parameters.

    Parameters of a definition that no node has cannot be checked.

    :raises Invalid: with each unknown parameter.
    """
    definitions = {
        definition.name: definition
        for node in _online_hosts(state)
        for definition in facts.known(node, DescribeOSes) or ()
        if definition.valid
    }
    problems = []
    for path in ("osparams", "osparams_private_cluster"):
        for os, values in (getattr(op, path) or {}).items():
            if (definition := definitions.get(os.partition(VARIANT_DELIMITER)[0])) is not None:
                names = [name for name, value in values.items() if value != DEFAULT]
                problems += unknown_parameters(definition, names, f"{path}/{os}")
    if problems:
        raise Invalid(problems)


def _check_volume_group(name: str, state: ClusterState, facts: NodeAnswers) -> None:
    """Check that all nodes have the volume group.

    :raises Refused: with the reason of each node that does not.
    """
    lacking = []
    for node in _online_hosts(state):
        answer = facts.answers[node.uuid, ListStorageCall]
        if isinstance(answer, Failed):
            lacking.append(f"{node.name}: {answer}")
        elif name not in [unit.name for unit in answer]:
            lacking.append(f"{node.name}: volume group not found")
    if lacking:
        raise Refused(
            f"volume group {name} does not exist on all nodes: {'; '.join(lacking)}; use "
            f"--force to "
            "set it anyway",
            Code.ENVIRONMENT,
        )


async def run(plan: ClusterModification, tools: Tools) -> ResultWithCommit:
    def change(state: ClusterState) -> ClusterState:
        return state.put(replace(state.cluster, **settings(plan.op, state)))

    name = plan.fields.get("default_iallocator")
    if name and name != BUILT_IN_ALLOCATOR and not tools.run_allocator.installed(name):
        raise Refused(
            f"iallocator {name} is not installed on the master; install it or choose another one",
            Code.UNKNOWN,
        )
    state = tools.config.state()
    await require_able(state.cluster, replace(state.cluster, **plan.fields), state, tools)
    size = plan.fields.get("candidate_pool_size")
    if size is not None:
        have = sum(node.master_candidate for node in state.nodes.values())
        if have < min(size, sum(node.master_capable for node in state.nodes.values())):
            tools.progress.log_message(
                f"the cluster has only {have} master candidates; to add more: "
                "gnt-node modify --master-candidate=yes NODE"
            )
    return ResultWithCommit(None, change)


def hooks(plan: ClusterModification, state: ClusterState) -> HookCall:
    here = [state.cluster.master_node]
    more = {"OP_TARGET": state.cluster.cluster_name, "NEW_VG_NAME": plan.op.vg_name or ""}
    return HookCall("cluster-modify", "CLUSTER", more, here, here)


def preview(plan: ClusterModification) -> list[str]:
    """Return the result of a dry run: the settings that would change."""
    return sorted(plan.fields)


OPERATION = Operation(ModifyCluster, plan, run, questions, hooks, preview)
