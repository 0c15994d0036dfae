# SPDX-License-Identifier: BSD-2-Clause
"""Where instances go when nodes fail, and which failures a cluster survives.

The same function places the instances of a node that was fenced, those of a rehearsal, and those of
every failure that is tried.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations

from ganeti.placement.cluster_model import (
    ClusterModel,
    InstanceModel,
    NodeModel,
    NodeState,
    Storage,
)
from ganeti.schema.records import Record

TOGETHER = 4
"""The number of jobs that start instances on one node at the same time."""


class FailoverPlacement(Record):
    """An instance that starts on another node."""

    instance: str
    source: str
    target: str


class FailoverRefusal(Record):
    """An instance that cannot start elsewhere, and why."""

    instance: str
    source: str
    reason: str


class FailurePlan(Record):
    """What happens to the instances of failed nodes, in the order of their start."""

    failed: tuple[str, ...]
    placements: tuple[FailoverPlacement, ...] = ()
    refusals: tuple[FailoverRefusal, ...] = ()


class SurvivalReport(Record):
    """The failures that a cluster does not survive: of single nodes, and of pairs of others.

    A failure is survived if every instance that is to fail over can start elsewhere.
    ``pairs_tried`` counts the pairs of nodes each of which alone is survived.
    """

    nodes: int
    pairs_tried: int
    single: tuple[FailurePlan, ...]
    double: tuple[FailurePlan, ...]


def plan_failures(
    model: ClusterModel, failed: Collection[str], ranks: Mapping[str, int]
) -> FailurePlan:
    """Place the running instances of the ``failed`` nodes on others.

    ``ranks`` has the instances that are to fail over; those of a higher rank, and among equals
    the larger ones, come first. Nothing that runs elsewhere is moved or stopped.
    """
    room = _Room.of(model, frozenset(failed))
    lost = [each for each in model.instances if each.running and each.primary in room.failed]
    lost.sort(key=lambda each: (-ranks.get(each.name, -1), -each.memory, each.name))
    placements, refusals = [], []
    for each in lost:
        found = room.place(each) if each.name in ranks else NOT_WANTED
        if isinstance(found, NodeModel):
            made = FailoverPlacement(instance=each.name, source=each.primary, target=found.name)
            placements.append(made)
        else:
            refused = FailoverRefusal(instance=each.name, source=each.primary, reason=found)
            refusals.append(refused)
    return FailurePlan(
        failed=tuple(sorted(failed)), placements=tuple(placements), refusals=tuple(refusals)
    )


def survey_failures(model: ClusterModel, ranks: Mapping[str, int]) -> SurvivalReport:
    """Try the failure of every node, and of every pair of nodes that are survived alone."""
    nodes = [node.name for node in model.nodes if node.state is not NodeState.OFFLINE]
    single = [plan for name in nodes if (plan := _find_loss(model, (name,), ranks))]
    fatal = {plan.failed[0] for plan in single}
    pairs = list(combinations([name for name in nodes if name not in fatal], 2))
    double = [plan for pair in pairs if (plan := _find_loss(model, pair, ranks))]
    return SurvivalReport(
        nodes=len(nodes), pairs_tried=len(pairs), single=tuple(single), double=tuple(double)
    )


def _find_loss(
    model: ClusterModel, failed: Collection[str], ranks: Mapping[str, int]
) -> FailurePlan | None:
    """Return the plan for a failure that is not survived, without what is not to fail over."""
    plan = plan_failures(model, failed, ranks)
    refusals = tuple(each for each in plan.refusals if each.instance in ranks)
    if not refusals:
        return None
    return FailurePlan(failed=plan.failed, placements=plan.placements, refusals=refusals)


NOT_WANTED = "its failover policy is not failover"


@dataclass
class _Room:
    """What is left on the other nodes: free memory, and the exclusion tags in use."""

    nodes: Mapping[str, NodeModel]
    failed: frozenset[str]
    free: dict[str, int]
    tags: dict[str, set[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, model: ClusterModel, failed: frozenset[str]) -> _Room:
        nodes = {node.name: node for node in model.nodes}
        room = cls(nodes, failed, {name: node.memory_free for name, node in nodes.items()})
        for each in model.instances:
            if each.running and each.primary not in failed:
                room.tags.setdefault(each.primary, set()).update(each.exclusion_tags)
        return room

    def place(self, instance: InstanceModel) -> NodeModel | str:
        """Return the node for an instance, whose resources it uses from now on, or why there is
        none."""
        if instance.storage is Storage.LOCAL:
            return f"its disks are on {instance.primary} only"
        targets = list(self._list_targets(instance))
        reasons = {node.name: self._find_obstacle(instance, node) for node in targets}
        able = [node for node in targets if not reasons[node.name]]
        if not able:
            found = "; ".join(f"{name}: {why}" for name, why in sorted(reasons.items()))
            return found or f"group {self.nodes[instance.primary].group} has no other node"
        best = max(able, key=lambda node: (self.free[node.name] / max(node.memory, 1), node.name))
        self.free[best.name] -= instance.memory
        self.tags.setdefault(best.name, set()).update(instance.exclusion_tags)
        return best

    def _list_targets(self, instance: InstanceModel) -> Iterator[NodeModel]:
        if instance.storage is Storage.MIRRORED:
            if instance.secondary is not None:
                yield self.nodes[instance.secondary]
            return
        group = self.nodes[instance.primary].group
        for node in self.nodes.values():
            if node.group == group and node.name != instance.primary:
                yield node

    def _find_obstacle(self, instance: InstanceModel, node: NodeModel) -> str:
        """Return why an instance cannot start on a node; empty if it can."""
        if node.name in self.failed:
            return "it fails as well"
        if node.state is not NodeState.USABLE:
            return f"it is {node.state.value}"
        if self.free[node.name] < instance.memory:
            return (
                f"{instance.memory} MiB of memory are needed, and {max(self.free[node.name], 0)}"
                " MiB are free"
            )
        shared = self.tags.get(node.name, set()).intersection(instance.exclusion_tags)
        if shared:
            return f"another instance with the tag {min(shared)} runs there"
        return ""
