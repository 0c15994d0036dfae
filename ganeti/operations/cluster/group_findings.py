# SPDX-License-Identifier: BSD-2-Clause
"""Checks of a node group: instance layout, policies, and resources of nodes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ganeti.config.paced import paced
from ganeti.config.state import ClusterState
from ganeti.model.disk import Disk, Template
from ganeti.model.group import Group
from ganeti.model.instance import Instance, Nic
from ganeti.model.instance_snapshots import get_snapshot_volume
from ganeti.model.network import ADVERTISEMENT_TAG, DHCP_TAG
from ganeti.model.node import Node
from ganeti.model.parameters.filling import (
    hv_defaults,
    nic_defaults,
    node_parameters_of,
    policy_of,
)
from ganeti.opcodes.cluster import FindingCode as Code
from ganeti.operations.allocation.policy_check import violations
from ganeti.operations.allocation.sizes import size_of
from ganeti.operations.cluster.findings import Finding
from ganeti.operations.operation import NodeAnswers
from ganeti.rpc.node import MISSING_PROGRAMS, VerifyNode

EXCLUSION_TAG_PREFIX = "htools:iextags:"
"""The prefix of cluster tags that declare prefixes of exclusion tags."""


@dataclass(frozen=True)
class GroupData:
    """A node group, its online nodes, and their answers."""

    group: Group
    nodes: Sequence[Node]
    state: ClusterState
    facts: NodeAnswers

    def answers(self, key: str) -> Iterator[tuple[Node, Any]]:
        """Yield the nodes that answered the check ``key`` of ``VerifyNode``, with the answers."""
        for node in self.nodes:
            said = self.facts.known(node, VerifyNode)
            if said is not None and key in said:
                yield node, said[key]

    def instances_on(self, node: Node) -> dict[str, Instance]:
        """Return the instances with this primary or secondary node by UUID."""
        found = (
            *self.state.list_primary_instances(node),
            *self.state.list_secondary_instances(node),
        )
        return {each.uuid: each for each in found}


SERVER_PROGRAMS = {"dnsmasq": "dnsmasq-base", "nft": "nftables"}
"""What nodes need for the tags dhcp and ra of networks, with the packages of Debian."""


def list_bridges(instances: Iterable[Instance], state: ClusterState) -> set[str]:
    """Return the bridges that guests of these instances use."""
    usual = nic_defaults(state.cluster)
    return {
        str(nic.nicparams.get("link", usual["link"]))
        for nic in _list_cards(instances, state)
        if nic.nicparams.get("mode", usual["mode"]) == "bridged"
    }


def has_servers(instances: Iterable[Instance], state: ClusterState) -> bool:
    """Return whether guests of these instances have servers of DHCP or router advertisements."""
    tags = {DHCP_TAG, ADVERTISEMENT_TAG}
    networks = {uuid for uuid, each in state.networks.items() if tags.intersection(each.tags)}
    return bool(networks) and any(nic.network in networks for nic in _list_cards(instances, state))


def _list_cards(instances: Iterable[Instance], state: ClusterState) -> Iterator[Nic]:
    """Yield the network cards that are connected to the networks of nodes."""
    # All parameters of thousands of instances would take long to fill in.
    nets: dict[tuple[str, str], object] = {}
    for instance in instances:
        kind = instance.hypervisor, instance.os
        if kind not in nets:
            nets[kind] = hv_defaults(state.cluster, *kind).get("kvm_net")
        if instance.hvparams.get("kvm_net", nets[kind]) == "host":
            yield from instance.nics


def check_instances(checked: GroupData) -> Iterator[Finding | None]:
    """Yield findings about the group's instances from the configuration."""
    state = checked.state
    policy = policy_of(state.cluster, checked.group)
    for node in state.list_nodes(checked.group):
        for instance in paced(state.list_primary_instances(node)):
            if instance is None:
                yield None
                continue
            disks = state.get_disks(instance)
            yield from _check_layout(instance, disks)
            yield from _check_nodes(instance, node, state)
            if broken := violations(size_of(instance, disks, state), policy):
                message = f"violates the instance policy: {'; '.join(broken)}"
                # Only a warning: it keeps running, but cannot be moved or created again.
                yield _instance_finding(instance, Code.EINSTANCEPOLICY, message, warning=True)
        yield from _check_exclusion_tags(node, state)


def _instance_finding(
    instance: Instance, code: Code, message: str, *, warning: bool = False
) -> Finding:
    return Finding(code, "instance", instance.name, message, warning)


def _check_layout(instance: Instance, disks: Sequence[Disk]) -> Iterator[Finding]:
    kinds = sorted({disk.dev_type.value for disk in disks})
    if len(kinds) > 1:
        message = f"has disks of several templates: {', '.join(kinds)}"
        yield _instance_finding(instance, Code.EINSTANCELAYOUT, message)
    mirrors = {disk.nodes for disk in disks if disk.dev_type is Template.DRBD}
    if len({frozenset(nodes) for nodes in mirrors}) > 1:
        yield _instance_finding(
            instance, Code.EINSTANCELAYOUT, "has mirrored disks on more than two nodes"
        )


def _check_nodes(instance: Instance, primary: Node, state: ClusterState) -> Iterator[Finding]:
    others = [state.nodes[uuid] for uuid in state.get_secondaries(instance)]
    for node in (primary, *others):
        if not node.vm_capable:
            message = f"is on node {node.name}, which is not vm_capable; move it to another node"
            yield _instance_finding(instance, Code.EINSTANCEUNSUITABLENODE, message)
    groups = sorted({state.groups[node.group].name for node in (primary, *others)})
    if len(groups) > 1:
        message = f"has copies of its disks in several node groups: {', '.join(groups)}"
        yield _instance_finding(instance, Code.EINSTANCESPLITGROUPS, message, warning=True)


def _check_exclusion_tags(node: Node, state: ClusterState) -> Iterator[Finding]:
    """Yield findings about instances with the same exclusion tag and primary node."""
    starts = tuple(
        tag.removeprefix(EXCLUSION_TAG_PREFIX) + ":"
        for tag in state.cluster.tags
        if tag.startswith(EXCLUSION_TAG_PREFIX)
    )
    by_tag: dict[str, list[str]] = {}
    for instance in state.list_primary_instances(node) if starts else ():
        for tag in instance.tags:
            if tag.startswith(starts):
                by_tag.setdefault(tag, []).append(instance.name)
    for tag, names in sorted(by_tag.items()):
        if len(names) > 1:
            message = (
                f"runs instances with the same exclusion tag {tag}: {', '.join(sorted(names))}"
            )
            yield Finding(Code.EEXTAGS, "node", node.name, message)


def check_nodes(checked: GroupData) -> Iterator[Finding]:
    """Yield findings about the group's nodes from their answers."""
    for check in (
        _check_bridges,
        _check_programs,
        _check_orphan_volumes,
        _check_os_definitions,
        _check_shared_directory,
        _check_allowed_directories,
        _check_drbd_versions,
    ):
        yield from check(checked)


def _node_finding(node: Node, code: Code, message: str, *, warning: bool = False) -> Finding:
    return Finding(code, "node", node.name, message, warning)


def _check_bridges(checked: GroupData) -> Iterator[Finding]:
    for node, missing in checked.answers("bridges"):
        needed = list_bridges(checked.instances_on(node).values(), checked.state)
        if lacking := sorted(needed.intersection(missing)):
            message = f"lacks bridges of its instances: {', '.join(lacking)}"
            yield _node_finding(node, Code.ENODENET, message)


def _check_programs(checked: GroupData) -> Iterator[Finding]:
    for node, missing in checked.answers(MISSING_PROGRAMS):
        if missing and has_servers(checked.instances_on(node).values(), checked.state):
            packages = " ".join(SERVER_PROGRAMS.get(name, name) for name in missing)
            message = (
                f"lacks {', '.join(missing)} for the tags {DHCP_TAG} and {ADVERTISEMENT_TAG} of"
                f" networks, without which its instances cannot start: install {packages}"
            )
            yield _node_finding(node, Code.ENODENET, message)


def _check_orphan_volumes(checked: GroupData) -> Iterator[Finding]:
    """Yield findings about logical volumes that are neither disks nor reserved."""
    reserved = [re.compile(pattern) for pattern in checked.state.cluster.reserved_lvs]
    known = {
        "/".join(map(str, leaf.logical_id[:2]))
        for disk in checked.state.disks.values()
        for leaf in (disk, *disk.children)
        if leaf.dev_type is Template.PLAIN
    }
    known |= {
        "/".join(get_snapshot_volume(checked.state.disks[each.uuid], snapshot.stored_name))
        for record in checked.state.snapshots.values()
        for snapshot in record.snapshots
        for each in snapshot.disks
        if each.uuid in checked.state.disks
        and checked.state.disks[each.uuid].dev_type is Template.PLAIN
    }
    for node, found in checked.answers("lvlist"):
        if not isinstance(found, Mapping):
            continue  # another check reports this failure
        strange = sorted(
            name
            for name in found
            if name not in known and not any(each.fullmatch(name) for each in reserved)
        )
        if strange:
            message = (
                f"has volumes that belong to no instance: {', '.join(strange)}; remove or reserve"
                " them (gnt-cluster modify --reserved-lvs)"
            )
            yield _node_finding(node, Code.ENODEORPHANLV, message, warning=True)


def _check_os_definitions(checked: GroupData) -> Iterator[Finding]:
    """Yield findings about missing OS definitions of instances or of other nodes."""
    valid = {
        node.uuid: {each["name"] for each in found if each["valid"]}
        for node, found in checked.answers("oslist")
        if isinstance(found, list)
    }
    everywhere = Counter(name for names in valid.values() for name in names)
    for node in checked.nodes:
        if node.uuid not in valid:
            continue
        needed = {each.os.partition("+")[0] for each in checked.instances_on(node).values()}
        for name in sorted((needed - {""}) - valid[node.uuid]):
            yield _node_finding(
                node, Code.ENODEOS, f"lacks the OS definition {name} of its instances"
            )
        for name in sorted(set(everywhere) - valid[node.uuid] - needed):
            message = f"lacks the OS definition {name}, which is valid on other nodes"
            yield _node_finding(node, Code.ENODEOS, message, warning=True)


def _check_shared_directory(checked: GroupData) -> Iterator[Finding]:
    for node, problem in checked.answers("shared-file-storage-path"):
        yield _node_finding(node, Code.ENODESHAREDFILESTORAGEPATHUNUSABLE, str(problem))


def _check_allowed_directories(checked: GroupData) -> Iterator[Finding]:
    for node, found in checked.answers("allowed-file-storage-paths"):
        if found:
            message = f"allows unsafe directories for file disks: {', '.join(found)}"
            yield _node_finding(node, Code.ENODEFILESTORAGEPATHS, message)


def _check_drbd_versions(checked: GroupData) -> Iterator[Finding]:
    versions = {node.name: text for node, text in checked.answers("drbd-version") if text}
    if len(set(versions.values())) > 1:
        told = ", ".join(f"{name} {text}" for name, text in sorted(versions.items()))
        message = f"nodes have different DRBD versions: {told}"
        yield Finding(Code.ENODEDRBDVERSION, "group", checked.group.name, message, warning=True)


def list_oob_programs(state: ClusterState) -> dict[str, list[str]]:
    """Return the out-of-band programs, each with the names of its nodes."""
    found: dict[str, list[str]] = {}
    for node in state.nodes.values():
        program = node_parameters_of(state.cluster, state.groups[node.group], node).oob_program
        if program:
            found.setdefault(program, []).append(node.name)
    return found


def check_oob_programs(state: ClusterState, facts: NodeAnswers) -> Iterator[Finding]:
    """Yield findings about out-of-band programs that are missing on the master."""
    said = facts.known(state.master, VerifyNode) or {}
    helpers = list_oob_programs(state)
    for program in said.get("user-scripts") or ():
        for name in sorted(helpers.get(program, ())):
            what = f"its out-of-band program {program}"
            message = f"{what} is missing or not executable on the master"
            yield Finding(Code.ENODEOOBPATH, "node", name, message)
