# SPDX-License-Identifier: BSD-2-Clause
"""Opcodes that evacuate instances from a node, and their targets.

Resources are allocated one instance after the other; each allocation counts for the next ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from ganeti.config.state import ClusterState
from ganeti.errors import Refused
from ganeti.model.disk import MIRRORED_TEMPLATES, SHARED_TEMPLATES
from ganeti.model.group import Group
from ganeti.model.instance import AdminState, Instance
from ganeti.model.node import Node
from ganeti.opcodes.instance.disks import ReplaceDisks, ReplacementMode
from ganeti.opcodes.instance.moves import FailoverInstance, MigrateInstance
from ganeti.opcodes.opcode import Opcode
from ganeti.operations.allocation.allocation_request import Candidate, Placement
from ganeti.operations.allocation.candidates import candidates, storage_units
from ganeti.operations.allocation.policy_check import PolicySize
from ganeti.operations.allocation.scoring import choose, required_disk_space
from ganeti.operations.allocation.sizes import make_placement
from ganeti.operations.instance.context import check_exists, check_online
from ganeti.operations.operation import NodeAnswers, NodeQuery
from ganeti.rpc.node import DescribeNode


@dataclass(frozen=True)
class _Allocated:
    """The resources of a node that were allocated; memory and disk in MiB."""

    memory: int = 0
    disk: int = 0
    vcpus: int = 0
    instances: int = 0


@dataclass
class RemainingResources:
    """The remaining resources of nodes, from which instances are allocated."""

    state: ClusterState
    nodes: Sequence[Node]
    facts: NodeAnswers
    _allocated: dict[str, _Allocated] = field(default_factory=dict)

    def allocate(
        self, wish: Placement, only: Node | None = None, *, runs_there: bool = True
    ) -> Node:
        """Allocate a node for ``wish``, or ``only`` this one; ``runs_there`` as in ``take_in``.

        :raises Refused: no node fits; the message has the reason for each.
        """
        nodes = self.nodes if only is None else [only]
        return self._allocate_from(nodes, wish, None, runs_there=runs_there)[0]

    def take_in(
        self, group: Group, wish: Placement, size: PolicySize, *, runs_there: bool = True
    ) -> tuple[Node, ...]:
        """Allocate the number of nodes of ``group`` that ``wish`` requires.

        The instance runs on the first of them, and uses its processors, if ``runs_there``.

        :raises Refused: not enough nodes fit, or the group's policy does not allow ``size``.
        """
        nodes = [node for node in self.nodes if node.group == group.uuid]
        return self._allocate_from(nodes, wish, size, runs_there=runs_there)

    def _allocate_from(
        self,
        nodes: Sequence[Node],
        wish: Placement,
        size: PolicySize | None,
        *,
        runs_there: bool,
        leaves: Node | None = None,
    ) -> tuple[Node, ...]:
        found = candidates(
            nodes,
            wish.template,
            self.state,
            lambda node: self.facts.known(node, DescribeNode),
            size=size,
            leaves=leaves,
        )
        chosen = tuple(choose(wish, [self._remaining(each) for each in found]).nodes)
        for node in chosen:
            before = self._allocated.get(node.uuid, _Allocated())
            self._allocated[node.uuid] = _Allocated(
                memory=before.memory + wish.memory,
                disk=before.disk + required_disk_space(wish),
                vcpus=before.vcpus + (wish.vcpus if runs_there and node == chosen[0] else 0),
                instances=before.instances + 1,
            )
        return chosen

    def require(self, wish: Placement, node: Node, leaves: Node) -> None:
        """Allocate resources on the secondary node of an instance that leaves a node.

        It has the disks already, and what it reserves for a failure of ``leaves`` is what the
        instances from there use.

        :raises Refused: it does not fit.
        """
        wish = replace(wish, disks=())
        self._allocate_from([node], wish, None, runs_there=True, leaves=leaves)

    def _remaining(self, candidate: Candidate) -> Candidate:
        taken = self._allocated.get(candidate.node.uuid, _Allocated())
        space = candidate.space
        return replace(
            candidate,
            instances=candidate.instances + taken.instances,
            vcpus=candidate.vcpus + taken.vcpus,
            space=replace(
                space,
                memory=None if space.memory is None else space.memory - taken.memory,
                disk=None if space.disk is None else space.disk - taken.disk,
            ),
        )


@dataclass(frozen=True)
class Evacuation:
    """The jobs that evacuate instances from a node, and the reasons why others are stuck."""

    node: Node
    jobs: tuple[tuple[Opcode, ...], ...] = ()
    stuck: tuple[tuple[str, str], ...] = ()

    def told(self) -> str:
        """Format the stuck instances with their reasons."""
        return "; ".join(f"{name}: {reason}" for name, reason in self.stuck)


def others(node: Node, state: ClusterState) -> list[Node]:
    """Return the other nodes of the node's group."""
    group = state.groups[node.group]
    return [each for each in state.list_nodes(group) if each.uuid != node.uuid]


def capacity_queries(
    node: Node, state: ClusterState, named: str | None = None
) -> Sequence[NodeQuery]:
    """Return the queries for the resources of the nodes that the instances of ``node`` may use.

    These are the group's other nodes, the secondary nodes of its instances, and the ``named`` one;
    the latter may be in other groups.
    """
    secondaries = (
        uuid
        for instance in state.list_primary_instances(node)
        for uuid in state.get_secondaries(instance)
    )
    found = dict.fromkeys(each.uuid for each in others(node, state))
    found |= dict.fromkeys(secondaries)
    if named is not None:
        found[state.node(named).uuid] = None
    online = [state.nodes[uuid] for uuid in found if not state.nodes[uuid].offline]
    hypervisors = state.cluster.enabled_hypervisors
    asked = DescribeNode(hypervisors=hypervisors, storage=storage_units(state.cluster))
    return [NodeQuery(online, asked)]


def by_name(instances: Iterable[Instance]) -> list[Instance]:
    """Return the instances sorted by name."""
    return sorted(instances, key=lambda instance: instance.name)


def choose_primary(
    instance: Instance,
    node: Node,
    places: RemainingResources,
    state: ClusterState,
    asked: Node | None,
) -> Node:
    """Choose a new primary node for an instance on ``node``; it must be ``asked`` unless None.

    :raises Refused: no node fits.
    """
    check_exists(instance)
    disks = state.get_disks(instance)
    template = state.get_template(instance)
    wish = make_placement(instance, disks, state, away_from=[node.uuid])
    if template in MIRRORED_TEMPLATES:
        target = state.nodes[state.get_secondaries(instance)[0]]
        if asked is not None and asked != target:
            raise Refused(f"its secondary node is {target.name}, and it can only move there")
        check_online(target, "it cannot move there")
        places.require(replace(wish, template=template), target, node)
        return target
    if template not in SHARED_TEMPLATES:
        raise Refused(f"its {template.value} disks are only on {node.name}; use gnt-instance move")
    return places.allocate(wish, asked)


def moving(instance: Instance, node: Node, target: Node, template_named: bool) -> Opcode:
    """Return the opcode that moves an instance from its primary node to ``target``."""
    name = target.name if template_named else None
    if node.offline or instance.admin_state is not AdminState.UP:
        return FailoverInstance(instance_name=instance.name, target_node=name)
    return MigrateInstance(instance_name=instance.name, target_node=name, allow_failover=True)


def make_secondary_replacement(
    instance: Instance,
    leaves: Node,
    primary: Node,
    places: RemainingResources,
    state: ClusterState,
    asked: Node | None,
    *,
    early: bool,
) -> Opcode:
    """Return the opcode that replaces the secondary node ``leaves``, by ``asked`` unless None.

    :raises Refused: no node fits.
    """
    check_exists(instance)
    wish = make_placement(
        instance,
        state.get_disks(instance),
        state,
        away_from=[leaves.uuid, primary.uuid],
        runs_there=False,
    )
    node = places.allocate(wish, asked, runs_there=False)
    return ReplaceDisks(
        instance_name=instance.name,
        mode=ReplacementMode.NEW_SECONDARY,
        remote_node=node.name,
        early_release=early,
    )
