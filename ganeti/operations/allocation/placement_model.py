# SPDX-License-Identifier: BSD-2-Clause
"""The model of the cluster for searches, from the configuration and the answers of nodes."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Mapping
from dataclasses import dataclass, field

from ganeti.config.state import ClusterState
from ganeti.model.disk import MIRRORED_TEMPLATES, SHARED_TEMPLATES, Template
from ganeti.model.instance import AdminState, Instance
from ganeti.model.node import Node
from ganeti.model.parameters.backend import Backend
from ganeti.model.parameters.filling import backend_of, node_parameters_of, policy_of
from ganeti.operations.allocation.candidates import ON_PAPER, get_held_space
from ganeti.operations.allocation.iallocator_protocol import compute_disk_space
from ganeti.operations.operation import NodeAnswers
from ganeti.placement.cluster_model import (
    ClusterModel,
    InstanceModel,
    NodeModel,
    NodeState,
    Storage,
)
from ganeti.rpc.node import DescribeNode, NodeInfo

EXCLUSION_PREFIX, DOMAIN_PREFIX = "htools:iextags:", "htools:nlocation:"
"""Tags of the cluster that name the kinds of exclusion tags of instances, and of failure domains
of nodes, as Ganeti's htools do."""

STEP = 200
"""The number of instances in one step of building a model, which takes some milliseconds."""


@dataclass(frozen=True)
class Selection:
    """Which instances may move: those in a group, on nodes, or with tags; all if None or empty."""

    group: str | None = None
    nodes: Collection[str] = ()
    tags: Collection[str] = ()

    def contains(self, instance: Instance, holders: Collection[str], group: str) -> bool:
        """Return whether an instance with these nodes and this group (UUIDs) is selected."""
        if self.group not in (None, group) or (self.nodes and not set(holders) & set(self.nodes)):
            return False
        return not self.tags or bool(set(self.tags) & set(instance.tags))


EVERYTHING = Selection()


def build_model(
    state: ClusterState, facts: NodeAnswers, selection: Selection = EVERYTHING
) -> Generator[None, None, ClusterModel]:
    """Return the model, in steps; nodes that do not answer keep their instances."""
    builder = _Builder(state, facts, selection)
    instances = []
    for number, instance in enumerate(state.instances.values(), start=1):
        instances.append(builder.read_instance(instance))
        if not number % STEP:
            yield
    nodes = (builder.read_node(node) for node in state.nodes.values())
    return ClusterModel(nodes=tuple(nodes), instances=tuple(instances))


def storage_of(template: Template) -> Storage:
    """Return how instances with disks of a template can move."""
    if template in MIRRORED_TEMPLATES:
        return Storage.MIRRORED
    return Storage.SHARED if template in SHARED_TEMPLATES else Storage.LOCAL


@dataclass
class _Builder:
    """The reading of one configuration; ``pending`` is the memory that guests will still need."""

    state: ClusterState
    facts: NodeAnswers
    selection: Selection
    pending: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        tags = self.state.cluster.tags
        self._exclusion = _with_prefix(tags, EXCLUSION_PREFIX)
        self._domains = _with_prefix(tags, DOMAIN_PREFIX)
        self._backends: dict[str, Backend] = {}
        self._known: Mapping[str, NodeInfo | None] = {
            node.uuid: self.facts.known(node, DescribeNode) for node in self.state.nodes.values()
        }
        templates = {*self.state.cluster.enabled_disk_templates}
        uses_groups = templates & {Template.PLAIN.value, Template.DRBD.value}
        self._unit = "lvm-vg" if uses_groups else "file"
        self._template = Template.PLAIN if uses_groups else Template.FILE

    def read_instance(self, instance: Instance) -> InstanceModel:
        state = self.state
        primary = state.nodes[instance.primary_node]
        disks = state.get_disks(instance)
        template = disks[0].dev_type if disks else Template.DISKLESS
        secondaries = state.get_secondaries(instance)
        holders = [primary.uuid, *secondaries]
        storage = storage_of(template)
        backend = self._backend(instance)
        # One that is set offline is not counted, as it cannot be started.
        memory = 0 if instance.admin_state is AdminState.OFFLINE else backend.maxmem
        known = self._known[primary.uuid]
        guest = known.guests.get(instance.name) if known is not None else None
        missing = memory - (guest.memory if guest is not None else 0)
        self.pending[primary.uuid] = self.pending.get(primary.uuid, 0) + max(missing, 0)
        shared = storage is Storage.SHARED
        # Nothing is known of the guests on a node that should answer but does not.
        answers = all(
            self._known[uuid] is not None or state.nodes[uuid].offline for uuid in holders
        )
        return InstanceModel(
            name=instance.name,
            memory=memory,
            disk=0 if shared else compute_disk_space(template, [disk.size for disk in disks]),
            vcpus=0 if instance.hypervisor in ON_PAPER else backend.vcpus,
            storage=storage,
            primary=primary.name,
            secondary=state.nodes[secondaries[0]].name if secondaries else None,
            spindles=0 if shared else backend.spindle_use,
            reserved=min(backend.minmem, memory) if secondaries and backend.auto_balance else 0,
            running=instance.admin_state is AdminState.UP,
            movable=answers
            and not instance.forthcoming
            and backend.auto_balance
            and self.selection.contains(instance, holders, primary.group),
            exclusion_tags=_matching(instance.tags, self._exclusion),
        )

    def read_node(self, node: Node) -> NodeModel:
        state, known = self.state, self._known[node.uuid]
        group = state.groups[node.group]
        policy = policy_of(state.cluster, group)
        pending = self.pending.get(node.uuid, 0)
        units = [each for each in known.storage if each.kind == self._unit] if known else []
        return NodeModel(
            name=node.name,
            group=group.name,
            memory=known.memory_total if known else 0,
            memory_free=(known.memory_free if known else 0) - pending,
            disk=max((each.size for each in units), default=0),
            disk_free=max((each.free for each in units), default=0)
            - get_held_space(state.get_usage(node), self._template),
            cpus=known.cpus if known else 0,
            state=_state_of(node, known),
            spindles=node_parameters_of(state.cluster, group, node).spindle_count,
            vcpu_ratio=policy.vcpu_ratio,
            spindle_ratio=policy.spindle_ratio,
            domains=_matching(node.tags, self._domains),
        )

    def _backend(self, instance: Instance) -> Backend:
        """Return the backend parameters; instances that set the same ones share a record."""
        key = repr(sorted(instance.beparams.items()))
        if (found := self._backends.get(key)) is None:
            found = self._backends[key] = backend_of(self.state.cluster, instance)
        return found


def _state_of(node: Node, known: NodeInfo | None) -> NodeState:
    if node.offline or known is None:
        return NodeState.OFFLINE
    return NodeState.DRAINED if node.drained or not node.vm_capable else NodeState.USABLE


def _with_prefix(tags: Iterable[str], prefix: str) -> tuple[str, ...]:
    return tuple(f"{tag.removeprefix(prefix)}:" for tag in tags if tag.startswith(prefix))


def _matching(tags: Iterable[str], prefixes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(tag for tag in tags if prefixes and tag.startswith(prefixes)))
