# SPDX-License-Identifier: BSD-2-Clause
"""What does not fit together in a node group: instances, policies, and what nodes have of things.

Each function takes the group's nodes that are online, the state, and what the nodes answered.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ganeti.config.state import ClusterState
from ganeti.model.disk import Disk, Template
from ganeti.model.group import Group
from ganeti.model.instance import Instance
from ganeti.model.node import Node
from ganeti.model.parameters.filling import hv_filled, nd_filled, nic_filled, policy_filled
from ganeti.opcodes.cluster import FindingCode as Code
from ganeti.operations.allocation.policy_check import violations
from ganeti.operations.allocation.sizes import size_of
from ganeti.operations.cluster.findings import Finding
from ganeti.operations.operation import NodeAnswers
from ganeti.rpc.node import VerifyNode

EXCLUSION = "htools:iextags:"
"""What a tag of the cluster begins with whose rest begins the tags that exclude each other."""


@dataclass(frozen=True)
class Checked:
    """A node group with the nodes of it that are online, and what these said."""

    group: Group
    nodes: Sequence[Node]
    state: ClusterState
    facts: NodeAnswers

    def answers(self, key: str) -> Iterator[tuple[Node, Any]]:
        """What each node that made a check has answered to it."""
        for node in self.nodes:
            said = self.facts.known(node, VerifyNode)
            if said is not None and key in said:
                yield node, said[key]

    def instances_on(self, node: Node) -> dict[str, Instance]:
        """The instances that run on a node or could, by UUID."""
        found = (*self.state.primaries_on(node), *self.state.secondaries_on(node))
        return {each.uuid: each for each in found}


def bridges_of(instances: Iterable[Instance], state: ClusterState) -> set[str]:
    """Return the bridges that guests of these instances are connected to."""
    return {
        str(filled["link"])
        for instance in instances
        if hv_filled(state.cluster, instance).get("kvm_net") == "host"
        for nic in instance.nics
        if (filled := nic_filled(state.cluster, nic))["mode"] == "bridged"
    }


def instance_findings(checked: Checked) -> Iterator[Finding]:
    """Return what is wrong with the instances of the group, whatever the nodes say."""
    state = checked.state
    policy = policy_filled(state.cluster, checked.group)
    for node in state.nodes_in(checked.group):
        for instance in state.primaries_on(node):
            disks = state.disks_of(instance)
            yield from _layout(instance, disks)
            yield from _places(instance, node, state)
            if broken := violations(size_of(instance, disks, state), policy):
                message = f"breaks the instance policy: {'; '.join(broken)}"
                # It runs, and goes on running: what it cannot is to be moved or made again.
                yield _about(instance, Code.EINSTANCEPOLICY, message, warning=True)
        yield from _excluded(node, state)


def _about(instance: Instance, code: Code, message: str, *, warning: bool = False) -> Finding:
    return Finding(code, "instance", instance.name, message, warning)


def _layout(instance: Instance, disks: Sequence[Disk]) -> Iterator[Finding]:
    kinds = sorted({disk.dev_type.value for disk in disks})
    if len(kinds) > 1:
        message = f"has disks of several kinds: {', '.join(kinds)}"
        yield _about(instance, Code.EINSTANCELAYOUT, message)
    mirrors = {disk.nodes for disk in disks if disk.dev_type is Template.DRBD}
    if len({frozenset(nodes) for nodes in mirrors}) > 1:
        yield _about(instance, Code.EINSTANCELAYOUT, "has mirrored disks on more than two nodes")


def _places(instance: Instance, primary: Node, state: ClusterState) -> Iterator[Finding]:
    others = [state.nodes[uuid] for uuid in state.secondaries_of(instance)]
    for node in (primary, *others):
        if not node.vm_capable:
            message = f"is on {node.name}, which is not to run instances; move it to another node"
            yield _about(instance, Code.EINSTANCEUNSUITABLENODE, message)
    groups = sorted({state.groups[node.group].name for node in (primary, *others)})
    if len(groups) > 1:
        message = f"has copies of its disks in several groups: {', '.join(groups)}"
        yield _about(instance, Code.EINSTANCESPLITGROUPS, message, warning=True)


def _excluded(node: Node, state: ClusterState) -> Iterator[Finding]:
    """Instances that have the same exclusion tag and the same primary node."""
    starts = tuple(
        tag.removeprefix(EXCLUSION) + ":" for tag in state.cluster.tags if tag.startswith(EXCLUSION)
    )
    by_tag: dict[str, list[str]] = {}
    for instance in state.primaries_on(node) if starts else ():
        for tag in instance.tags:
            if tag.startswith(starts):
                by_tag.setdefault(tag, []).append(instance.name)
    for tag, names in sorted(by_tag.items()):
        if len(names) > 1:
            message = f"runs {', '.join(sorted(names))}, which the tag {tag} is to keep apart"
            yield Finding(Code.EEXTAGS, "node", node.name, message)


def node_findings(checked: Checked) -> Iterator[Finding]:
    """Return what nodes lack or have more than others, of what they were asked about."""
    for check in (_bridges, _orphans, _definitions, _shared_folder, _forbidden_folders, _drbd):
        yield from check(checked)


def _of_node(node: Node, code: Code, message: str, *, warning: bool = False) -> Finding:
    return Finding(code, "node", node.name, message, warning)


def _bridges(checked: Checked) -> Iterator[Finding]:
    for node, missing in checked.answers("bridges"):
        needed = bridges_of(checked.instances_on(node).values(), checked.state)
        if lacking := sorted(needed.intersection(missing)):
            message = f"has no bridge {', '.join(lacking)}, which instances on it need"
            yield _of_node(node, Code.ENODENET, message)


def _orphans(checked: Checked) -> Iterator[Finding]:
    """Logical volumes that belong to no disk, and are not reserved."""
    reserved = [re.compile(pattern) for pattern in checked.state.cluster.reserved_lvs]
    known = {
        "/".join(map(str, leaf.logical_id[:2]))
        for disk in checked.state.disks.values()
        for leaf in (disk, *disk.children)
        if leaf.dev_type is Template.PLAIN
    }
    for node, found in checked.answers("lvlist"):
        if not isinstance(found, Mapping):
            continue  # that volume groups cannot be seen is told by another check
        strange = sorted(
            name
            for name in found
            if name not in known and not any(each.match(name) for each in reserved)
        )
        if strange:
            message = (
                f"has volumes that belong to no instance: {', '.join(strange)}; remove them, or"
                " gnt-cluster modify --reserved-lvs"
            )
            yield _of_node(node, Code.ENODEORPHANLV, message, warning=True)


def _definitions(checked: Checked) -> Iterator[Finding]:
    """OS definitions that instances of a node need, or that other nodes have."""
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
            yield _of_node(node, Code.ENODEOS, f"lacks the OS definition {name} of its instances")
        for name in sorted(set(everywhere) - valid[node.uuid] - needed):
            message = f"lacks the OS definition {name}, which works on other nodes"
            yield _of_node(node, Code.ENODEOS, message, warning=True)


def _shared_folder(checked: Checked) -> Iterator[Finding]:
    for node, problem in checked.answers("shared-file-storage-path"):
        yield _of_node(node, Code.ENODESHAREDFILESTORAGEPATHUNUSABLE, str(problem))


def _forbidden_folders(checked: Checked) -> Iterator[Finding]:
    for node, found in checked.answers("allowed-file-storage-paths"):
        if found:
            message = f"allows folders for disks that cannot be accepted: {', '.join(found)}"
            yield _of_node(node, Code.ENODEFILESTORAGEPATHS, message)


def _drbd(checked: Checked) -> Iterator[Finding]:
    versions = {node.name: text for node, text in checked.answers("drbd-version") if text}
    if len(set(versions.values())) > 1:
        told = ", ".join(f"{name} {text}" for name, text in sorted(versions.items()))
        message = f"the nodes of the group run different versions of DRBD: {told}"
        yield Finding(Code.ENODEDRBDVERSION, "group", checked.group.name, message, warning=True)


def power_helpers(state: ClusterState) -> dict[str, list[str]]:
    """Return the out-of-band helpers, each with the names of the nodes that it is for."""
    found: dict[str, list[str]] = {}
    for node in state.nodes.values():
        program = str(nd_filled(state.cluster, state.groups[node.group], node)["oob_program"])
        if program:
            found.setdefault(program, []).append(node.name)
    return found


def helper_findings(state: ClusterState, facts: NodeAnswers) -> Iterator[Finding]:
    """Return the nodes whose out-of-band helper is missing on the master."""
    said = facts.known(state.master, VerifyNode) or {}
    helpers = power_helpers(state)
    for program in said.get("user-scripts") or ():
        for name in sorted(helpers.get(program, ())):
            message = f"its out-of-band helper {program} is missing on the master, or cannot be run"
            yield Finding(Code.ENODEOOBPATH, "node", name, message)
