# SPDX-License-Identifier: BSD-2-Clause
"""Find what is wrong with the hosts of a node group: set-up, volumes, mirrors, and parameters."""

from __future__ import annotations

from collections.abc import Iterator

from ganeti.config.state import ClusterState
from ganeti.model.disk import Template
from ganeti.model.group import Group
from ganeti.model.parameters.filling import hv_defaults, hv_filled
from ganeti.opcodes.cluster import FindingCode as Code
from ganeti.operations.cluster.findings import Finding
from ganeti.operations.cluster.group_findings import Checked
from ganeti.rpc.node import OBSTACLES
from ganeti.schema.types import Parameters

_INSTANCES = "instances "
"""What the source of a set of parameters begins with that is of instances, whose names follow."""


def host_findings(checked: Checked) -> Iterator[Finding]:
    """Return what nodes said about their hosts that keeps instances from running there."""
    for node, problems in checked.answers("nodesetup"):
        for problem in problems:
            yield Finding(Code.ENODESETUP, "node", node.name, str(problem))
    for check in (_missing_devices, _unknown_minors, _other_helpers, _parameters):
        yield from check(checked)


def _missing_devices(checked: Checked) -> Iterator[Finding]:
    """Physical volumes that LVM knows by name only."""
    for node, found in checked.answers("pvlist"):
        if not isinstance(found, list):
            continue  # that volume groups cannot be seen is told by another check
        for device in found:
            if device["attributes"].endswith("m"):
                message = (
                    f"physical volume {device['name']} of volume group {device['vg_name']} is"
                    " missing; bring the device back, or see vgreduce(8)"
                )
                yield Finding(Code.ENODELVM, "node", node.name, message)


def _unknown_minors(checked: Checked) -> Iterator[Finding]:
    """DRBD devices that belong to no disk, and keep new ones from getting their number."""
    before = checked.facts.state or checked.state
    known = {end for state in (before, checked.state) for end in _minors(state)}
    for node, found in checked.answers("drbd-list"):
        unknown = [minor for minor in found if (node.uuid, minor) not in known]
        if unknown:
            devices = ", ".join(f"/dev/drbd{minor}" for minor in unknown)
            message = f"has DRBD devices that belong to no instance: {devices}; drbdsetup down them"
            yield Finding(Code.ENODEDRBD, "node", node.name, message)


def _minors(state: ClusterState) -> Iterator[tuple[str, int]]:
    """Return the node and number of each end of the mirrored disks."""
    for disk in state.disks.values():
        if disk.dev_type is Template.DRBD:
            one, other, _, here, there, _ = disk.logical_id
            yield from ((one, here), (other, there))


def _other_helpers(checked: Checked) -> Iterator[Finding]:
    """Nodes whose kernel asks another program about mirrors than the cluster is set to."""
    wanted = checked.state.cluster.drbd_usermode_helper
    obstructed = {
        node.uuid for node, found in checked.answers(OBSTACLES) if Template.DRBD.value in found
    }
    for node, (loaded, helper) in checked.answers("drbd-helper"):
        if wanted and loaded and helper != wanted and node.uuid not in obstructed:
            message = (
                f"its DRBD asks the helper {helper}, and the cluster's is {wanted}; load the module"
                f" with usermode_helper={wanted}, or gnt-cluster modify --drbd-usermode-helper"
            )
            yield Finding(Code.ENODEDRBDHELPER, "node", node.name, message)


def parameter_sets(group: Group, state: ClusterState) -> Iterator[tuple[str, str, Parameters]]:
    """Return the hypervisor parameters that nodes of the group should be able to give guests.

    Each set is one for the check ``hvparms``: its source, the hypervisor, and filled parameters.
    """
    cluster = state.cluster
    enabled = cluster.enabled_hypervisors
    for hypervisor in enabled:
        yield "cluster", hypervisor, hv_defaults(cluster, hypervisor)
    for os, sets in sorted(cluster.os_hvp.items()):
        for hypervisor in sorted(set(sets).intersection(enabled)):
            yield f"OS {os}", hypervisor, hv_defaults(cluster, hypervisor, os)
    alike: dict[tuple[str, str], tuple[list[str], Parameters]] = {}
    for node in state.nodes_in(group):
        for instance in state.primaries_on(node):
            if instance.hvparams and instance.hypervisor in enabled:
                filled = hv_filled(cluster, instance)
                # Clusters with thousands of instances have only some kinds of them.
                key = instance.hypervisor, repr(sorted(filled.items()))
                alike.setdefault(key, ([], filled))[0].append(instance.name)
    for (hypervisor, _), (names, filled) in alike.items():
        yield _INSTANCES + ", ".join(sorted(names)), hypervisor, filled


def _parameters(checked: Checked) -> Iterator[Finding]:
    for node, found in checked.answers("hvparms"):
        if not node.vm_capable or not isinstance(found, list):
            continue  # an error here is that of the hypervisor, which another check tells
        here = {instance.name for instance in checked.instances_on(node).values()}
        for source, hypervisor, problem in found:
            owner = source
            if source.startswith(_INSTANCES):
                names = here.intersection(source.removeprefix(_INSTANCES).split(", "))
                if not names:
                    continue  # the others that have them may not come here
                owner = _INSTANCES + ", ".join(sorted(names))
            message = f"cannot give guests the {hypervisor} parameters of {owner}: {problem}"
            yield Finding(Code.ENODEHV, "node", node.name, message)
