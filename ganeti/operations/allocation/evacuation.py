# SPDX-License-Identifier: BSD-2-Clause
"""Which opcodes take instances off a node, and where each of them goes.

Places are given out one after the other, each counted as taken for those that follow.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from ganeti.config.state import ClusterState
from ganeti.errors import Refused
from ganeti.model.disk import MIRRORED_BETWEEN_NODES, REACHED_FROM_ANYWHERE
from ganeti.model.group import Group
from ganeti.model.instance import Instance, Wanted
from ganeti.model.node import Node
from ganeti.opcodes.instance.disks import ReplaceDisks, ReplacementMode
from ganeti.opcodes.instance.moves import FailoverInstance, MigrateInstance
from ganeti.opcodes.opcode import Opcode
from ganeti.operations.allocation.candidates import candidates, storage_units
from ganeti.operations.allocation.policy_check import PolicySize
from ganeti.operations.allocation.request import Candidate, Placement
from ganeti.operations.allocation.scoring import choose, disk_needed
from ganeti.operations.allocation.sizes import placement_of
from ganeti.operations.instance.context import require_online
from ganeti.operations.operation import NodeAnswers, NodeQuery
from ganeti.rpc.node import DescribeNode


@dataclass
class Capacity:
    """The room that some nodes have left, given out one after the other."""

    state: ClusterState
    nodes: Sequence[Node]
    facts: NodeAnswers
    _taken: dict[str, tuple[int, int, int]] = field(default_factory=dict)

    def take(self, wish: Placement, only: Node | None = None) -> Node:
        """A node for ``wish``, or ``only`` this one.

        :raises Refused: there is none; the message says why not, for each.
        """
        nodes = [node for node in self.nodes if only in (None, node)]
        return self._taken_of([only] if only is not None else nodes, wish, None)[0]

    def take_in(self, group: Group, wish: Placement, size: PolicySize) -> tuple[Node, ...]:
        """As many nodes of ``group`` as ``wish`` needs, for an instance of this size.

        :raises Refused: there are not enough, or the group does not take that size.
        """
        nodes = [node for node in self.nodes if node.group == group.uuid]
        return self._taken_of(nodes, wish, size)

    def _taken_of(
        self, nodes: Sequence[Node], wish: Placement, size: PolicySize | None
    ) -> tuple[Node, ...]:
        found = candidates(
            nodes,
            wish.template,
            self.state,
            lambda node: self.facts.known(node, DescribeNode),
            size=size,
        )
        chosen = tuple(choose(wish, [self._left(each) for each in found]).nodes)
        for node in chosen:
            memory, disk, count = self._taken.get(node.uuid, (0, 0, 0))
            self._taken[node.uuid] = (memory + wish.memory, disk + disk_needed(wish), count + 1)
        return chosen

    def require(self, wish: Placement, node: Node) -> None:
        """Take room on a node that holds the disks already."""
        self.take(replace(wish, disks=()), node)

    def _left(self, candidate: Candidate) -> Candidate:
        memory, disk, count = self._taken.get(candidate.node.uuid, (0, 0, 0))
        space = candidate.space
        return replace(
            candidate,
            instances=candidate.instances + count,
            space=replace(
                space,
                memory=None if space.memory is None else space.memory - memory,
                disk=None if space.disk is None else space.disk - disk,
            ),
        )


@dataclass(frozen=True)
class Evacuation:
    """The jobs that take instances off a node, and why others cannot leave it."""

    node: Node
    jobs: tuple[tuple[Opcode, ...], ...] = ()
    stuck: tuple[tuple[str, str], ...] = ()

    def told(self) -> str:
        """The instances that cannot leave, each with its reason."""
        return "; ".join(f"{name}: {reason}" for name, reason in self.stuck)


def others(node: Node, state: ClusterState) -> list[Node]:
    """The other nodes of a node's group."""
    group = state.groups[node.group]
    return [each for each in state.nodes_in(group) if each.uuid != node.uuid]


def room_questions(node: Node, state: ClusterState) -> Sequence[NodeQuery]:
    """How much room the other nodes of the group have."""
    online = [each for each in others(node, state) if not each.offline]
    hypervisors = state.cluster.enabled_hypervisors
    asked = DescribeNode(hypervisors=hypervisors, storage=storage_units(state.cluster))
    return [NodeQuery(online, asked)]


def by_name(instances: Iterable[Instance]) -> list[Instance]:
    """The instances in the order of their names."""
    return sorted(instances, key=lambda instance: instance.name)


def primary_target(
    instance: Instance, node: Node, places: Capacity, state: ClusterState, asked: Node | None
) -> Node:
    """Where an instance that runs on ``node`` can run instead, on ``asked`` if that is named.

    :raises Refused: nowhere.
    """
    disks = state.disks_of(instance)
    template = state.template_of(instance)
    wish = placement_of(instance, disks, state, away_from=[node.uuid])
    if template in MIRRORED_BETWEEN_NODES:
        target = state.nodes[state.secondaries_of(instance)[0]]
        if asked is not None and asked != target:
            raise Refused(f"it has the second copy of its disks on {target.name}")
        require_online(target, "it cannot move there")
        places.require(replace(wish, template=template), target)
        return target
    if template not in REACHED_FROM_ANYWHERE:
        raise Refused(f"its {template.value} disks are only on {node.name}; see gnt-instance move")
    return places.take(wish, asked)


def moving(instance: Instance, node: Node, target: Node, template_named: bool) -> Opcode:
    """The opcode that takes an instance off its primary node."""
    name = target.name if template_named else None
    if node.offline or instance.admin_state is not Wanted.UP:
        return FailoverInstance(instance_name=instance.name, target_node=name)
    return MigrateInstance(instance_name=instance.name, target_node=name, allow_failover=True)


def new_secondary(
    instance: Instance,
    leaves: Node,
    primary: Node,
    places: Capacity,
    state: ClusterState,
    asked: Node | None,
    *,
    early: bool,
) -> Opcode:
    """The opcode that brings the second copies off ``leaves``, to ``asked`` if that is named.

    :raises Refused: there is no place for them.
    """
    wish = placement_of(
        instance,
        state.disks_of(instance),
        state,
        away_from=[leaves.uuid, primary.uuid],
        runs_there=False,
    )
    node = places.take(wish, asked)
    return ReplaceDisks(
        instance_name=instance.name,
        mode=ReplacementMode.NEW_SECONDARY,
        remote_node=node.name,
        early_release=early,
    )
