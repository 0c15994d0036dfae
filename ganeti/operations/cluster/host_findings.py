# SPDX-License-Identifier: BSD-2-Clause
"""Checks of the hosts of a node group: setup, volumes, DRBD devices, and parameters."""

from __future__ import annotations

from collections.abc import Iterator

from ganeti.config.state import ClusterState
from ganeti.model.disk import Template
from ganeti.model.group import Group
from ganeti.model.parameters.filling import fill_hypervisor, hv_defaults
from ganeti.opcodes.cluster import FindingCode as Code
from ganeti.operations.cluster.findings import Finding
from ganeti.operations.cluster.group_findings import GroupData
from ganeti.rpc.node import STORAGE_OBSTACLES
from ganeti.schema.types import Parameters

_INSTANCES = "instances "
"""The prefix of the source of a set of parameters of instances; their names follow."""


def host_findings(checked: GroupData) -> Iterator[Finding]:
    """Yield findings about hosts from the nodes' answers."""
    for node, problems in checked.answers("nodesetup"):
        for problem in problems:
            yield Finding(Code.ENODESETUP, "node", node.name, str(problem))
    for check in (_missing_devices, _unknown_minors, _other_helpers, _parameters):
        yield from check(checked)


def _missing_devices(checked: GroupData) -> Iterator[Finding]:
    """Yield findings about missing physical volumes."""
    for node, found in checked.answers("pvlist"):
        if not isinstance(found, list):
            continue  # another check reports this failure
        for device in found:
            # The last of the attributes is m if the device is missing, see pvs(8).
            if device["attributes"].endswith("m"):
                message = (
                    f"physical volume {device['name']} of volume group {device['vg_name']} is"
                    " missing; reconnect the device, or see vgreduce(8)"
                )
                yield Finding(Code.ENODELVM, "node", node.name, message)


def _unknown_minors(checked: GroupData) -> Iterator[Finding]:
    """Yield findings about DRBD devices that belong to no disk and block their minors."""
    # Disks may be added or removed while the nodes are asked.
    before = checked.facts.state or checked.state
    known = {end for state in (before, checked.state) for end in _minors(state)}
    for node, found in checked.answers("drbd-list"):
        unknown = [minor for minor in found if (node.uuid, minor) not in known]
        if unknown:
            devices = ", ".join(f"/dev/drbd{minor}" for minor in unknown)
            message = f"has DRBD devices that belong to no instance: {devices}; run drbdsetup down"
            yield Finding(Code.ENODEDRBD, "node", node.name, message)


def _minors(state: ClusterState) -> Iterator[tuple[str, int]]:
    """Return the node and minor of each end of the mirrored disks."""
    for disk in state.disks.values():
        if disk.dev_type is Template.DRBD:
            one, other, _, here, there, _ = disk.logical_id
            yield from ((one, here), (other, there))


def _other_helpers(checked: GroupData) -> Iterator[Finding]:
    """Yield findings about nodes whose DRBD usermode helper differs from the cluster's."""
    wanted = checked.state.cluster.drbd_usermode_helper
    # Another check reports the obstacles of these nodes.
    obstructed = {
        node.uuid
        for node, found in checked.answers(STORAGE_OBSTACLES)
        if Template.DRBD.value in found
    }
    for node, (loaded, helper) in checked.answers("drbd-helper"):
        if wanted and loaded and helper != wanted and node.uuid not in obstructed:
            message = (
                f"its DRBD usermode helper is {helper}, but the cluster's is {wanted}; load the"
                f" module with usermode_helper={wanted}, or use gnt-cluster modify"
                " --drbd-usermode-helper"
            )
            yield Finding(Code.ENODEDRBDHELPER, "node", node.name, message)


def parameter_sets(
    group: Group, state: ClusterState
) -> Iterator[tuple[str, str, Parameters] | None]:
    """Yield the hypervisor parameters that nodes of the group should be able to give guests.

    Each set is one for the check ``hvparms``: its source, the hypervisor, and filled parameters.
    None marks points where work can pause.
    """
    cluster = state.cluster
    enabled = cluster.enabled_hypervisors
    for hypervisor in enabled:
        yield "cluster", hypervisor, hv_defaults(cluster, hypervisor)
    for os, sets in sorted(cluster.os_hvp.items()):
        for hypervisor in sorted(set(sets).intersection(enabled)):
            yield f"OS {os}", hypervisor, hv_defaults(cluster, hypervisor, os)
    alike: dict[tuple[str, str], tuple[list[str], Parameters]] = {}
    for node in state.list_nodes(group):
        for instance in state.list_primary_instances(node):
            if instance.hvparams and instance.hypervisor in enabled:
                filled = fill_hypervisor(cluster, instance)
                # Even thousands of instances have few different sets of parameters.
                key = instance.hypervisor, repr(sorted(filled.items()))
                alike.setdefault(key, ([], filled))[0].append(instance.name)
        yield None
    for (hypervisor, _), (names, filled) in alike.items():
        yield _INSTANCES + ", ".join(sorted(names)), hypervisor, filled


def _parameters(checked: GroupData) -> Iterator[Finding]:
    for node, found in checked.answers("hvparms"):
        if not node.vm_capable or not isinstance(found, list):
            continue  # another check reports errors of the hypervisor
        here = {instance.name for instance in checked.instances_on(node).values()}
        for source, hypervisor, problem in found:
            owner = source
            if source.startswith(_INSTANCES):
                names = here.intersection(source.removeprefix(_INSTANCES).split(", "))
                if not names:
                    continue  # no instance with these parameters can run here
                owner = _INSTANCES + ", ".join(sorted(names))
            message = f"does not support the {hypervisor} parameters of {owner}: {problem}"
            yield Finding(Code.ENODEHV, "node", node.name, message)
