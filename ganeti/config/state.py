# SPDX-License-Identifier: BSD-2-Clause
"""The configuration at one moment, as an immutable value that is cheap to change.

A new state shares all but the changed records with the one it came from, and remembers what was
edited on the way, so that neither a change nor its journal entry costs more in a larger cluster.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar

from immutables import Map

from ganeti.errors import Code, Refused
from ganeti.model.cluster import Cluster
from ganeti.model.disk import Disk, Template
from ganeti.model.filters import FilterRule
from ganeti.model.group import Group
from ganeti.model.instance import Instance
from ganeti.model.network import Network
from ganeti.model.node import Node

Stored: TypeAlias = Cluster | Node | Group | Instance | Disk | Network | FilterRule
S = TypeVar("S", bound=Stored)


class Kind(enum.StrEnum):
    """The kinds of object; the values name them in the journal and in messages."""

    CLUSTER = "cluster"
    NODE = "node"
    GROUP = "group"
    INSTANCE = "instance"
    DISK = "disk"
    NETWORK = "network"
    FILTER = "filter"


TYPES: Mapping[Kind, type[Stored]] = {
    Kind.CLUSTER: Cluster,
    Kind.NODE: Node,
    Kind.GROUP: Group,
    Kind.INSTANCE: Instance,
    Kind.DISK: Disk,
    Kind.NETWORK: Network,
    Kind.FILTER: FilterRule,
}
KINDS: Mapping[type[Stored], Kind] = {kind: name for name, kind in TYPES.items()}

_NAMED = frozenset({Kind.NODE, Kind.GROUP, Kind.INSTANCE, Kind.NETWORK})


@dataclass(frozen=True, slots=True)
class Edited:
    """One object that differs from the state before; ``record`` is None if it is gone."""

    kind: Kind
    key: str
    record: Stored | None


Keys: TypeAlias = Map[str, None]
_NONE: Keys = Map()


@dataclass(frozen=True, slots=True)
class ClusterState:
    """Every object of the configuration, by UUID, with the indexes that questions need.

    ``edits`` lists what was put and removed since the last call of ``settled``.
    """

    objects: Map[Kind, Map[str, Stored]]
    names: Map[tuple[Kind, str], str]
    primaries: Map[str, Keys]
    secondaries: Map[str, Keys]
    owners: Map[str, str]
    macs: Map[str, str]
    serial_no: int = 0
    ctime: float = 0.0
    mtime: float = 0.0
    edits: tuple[Edited, ...] = ()

    # --- reading

    @property
    def cluster(self) -> Cluster:
        """The cluster's own settings."""
        [cluster] = self._all(Kind.CLUSTER, Cluster).values()
        return cluster

    @property
    def nodes(self) -> Map[str, Node]:
        return self._all(Kind.NODE, Node)

    @property
    def groups(self) -> Map[str, Group]:
        return self._all(Kind.GROUP, Group)

    @property
    def instances(self) -> Map[str, Instance]:
        return self._all(Kind.INSTANCE, Instance)

    @property
    def disks(self) -> Map[str, Disk]:
        return self._all(Kind.DISK, Disk)

    @property
    def networks(self) -> Map[str, Network]:
        return self._all(Kind.NETWORK, Network)

    @property
    def filters(self) -> Map[str, FilterRule]:
        return self._all(Kind.FILTER, FilterRule)

    def _all(self, kind: Kind, _: type[S]) -> Map[str, S]:
        return self.objects.get(kind, Map())  # type: ignore[return-value]  # by kind, as put

    def node(self, name: str) -> Node:
        """The node of this name or UUID; the domain may be left out where that is unique.

        :raises Refused: there is none.
        """
        return self.nodes[self._find(Kind.NODE, name)]

    def group(self, name: str) -> Group:
        """The node group of this name or UUID.

        :raises Refused: there is none.
        """
        return self.groups[self._find(Kind.GROUP, name)]

    def instance(self, name: str) -> Instance:
        """The instance of this name or UUID; the domain may be left out where that is unique.

        :raises Refused: there is none.
        """
        return self.instances[self._find(Kind.INSTANCE, name)]

    def network(self, name: str) -> Network:
        """The network of this name or UUID.

        :raises Refused: there is none.
        """
        return self.networks[self._find(Kind.NETWORK, name)]

    @property
    def master(self) -> Node:
        """The node that the master daemon runs on."""
        return self.nodes[self.cluster.master_node]

    def knows(self, kind: Kind, name: str) -> bool:
        """Whether an object of this kind has exactly this name."""
        return (kind, name) in self.names

    def disks_of(self, instance: Instance) -> tuple[Disk, ...]:
        """The instance's disks in their order."""
        disks = self.disks
        return tuple(disks[uuid] for uuid in instance.disks)

    def template_of(self, instance: Instance) -> Template:
        """What the instance's disks are made of; diskless if it has none."""
        return self.disks[instance.disks[0]].dev_type if instance.disks else Template.DISKLESS

    def secondaries_of(self, instance: Instance) -> tuple[str, ...]:
        """UUIDs of the nodes, other than the primary, that hold a copy of the disks."""
        return _secondaries(instance, self.disks)

    def primaries_on(self, node: Node) -> Iterator[Instance]:
        """The instances whose primary node this is."""
        instances = self.instances
        return (instances[uuid] for uuid in self.primaries.get(node.uuid, _NONE))

    def secondaries_on(self, node: Node) -> Iterator[Instance]:
        """The instances that keep a copy of their disks on this node."""
        instances = self.instances
        return (instances[uuid] for uuid in self.secondaries.get(node.uuid, _NONE))

    def nodes_in(self, group: Group) -> Iterator[Node]:
        """The nodes of a group."""
        return (node for node in self.nodes.values() if node.group == group.uuid)

    def _find(self, kind: Kind, name: str) -> str:
        uuid = self.names.get((kind, name))
        if uuid is not None:
            return uuid
        if name in self.objects.get(kind, _NONE):
            return name
        near = [key for known, key in self.names if known is kind and key.startswith(name + ".")]
        if len(near) == 1:
            return self.names[kind, near[0]]
        if near:
            raise Refused(
                f"{kind} {name} may be any of {', '.join(sorted(near))}; give the whole name",
                Code.UNKNOWN,
            )
        raise Refused(f"there is no {kind} named {name}", Code.UNKNOWN)

    # --- changing

    def put(self, record: Stored) -> ClusterState:
        """The state with ``record`` in place of the object of its UUID, if there is one.

        Disks are put before the instance that they belong to.
        """
        kind = KINDS[type(record)]
        before = self.objects.get(kind, Map()).get(record.uuid)
        state = self._unindexed(before) if before is not None else self
        everything = state.objects.get(kind, Map()).set(record.uuid, record)
        edited = Edited(kind, record.uuid, record)
        changed = replace(
            state._indexed(record),
            objects=state.objects.set(kind, everything),
            edits=(*self.edits, edited),
        )
        return changed._mirrored(self, record.uuid) if kind is Kind.DISK else changed

    def remove(self, record: Stored) -> ClusterState:
        """The state without ``record``. An instance is removed before its disks."""
        kind = KINDS[type(record)]
        everything = self.objects[kind].delete(record.uuid)
        return replace(
            self._unindexed(self.objects[kind][record.uuid]),
            objects=self.objects.set(kind, everything),
            edits=(*self.edits, Edited(kind, record.uuid, None)),
        )

    def settled(self) -> ClusterState:
        """The same state, with nothing counted as edited."""
        return replace(self, edits=())

    def _indexed(self, record: Stored) -> ClusterState:
        kind = KINDS[type(record)]
        state = self
        if kind in _NAMED:
            state = replace(state, names=state.names.set((kind, _name(record)), record.uuid))
        if isinstance(record, Instance):
            state = replace(
                state,
                primaries=_with(state.primaries, record.primary_node, record.uuid),
                owners=state.owners.update(dict.fromkeys(record.disks, record.uuid)),
                macs=state.macs.update({nic.mac.lower(): record.uuid for nic in record.nics}),
            )
            for node in _secondaries(record, state.disks):
                state = replace(state, secondaries=_with(state.secondaries, node, record.uuid))
        return state

    def _unindexed(self, record: Stored) -> ClusterState:
        kind = KINDS[type(record)]
        state = self
        if kind in _NAMED:
            state = replace(state, names=state.names.delete((kind, _name(record))))
        if isinstance(record, Instance):
            owners, macs = state.owners, state.macs
            for disk in record.disks:
                owners = owners.delete(disk)
            for nic in record.nics:
                if macs.get(nic.mac.lower()) == record.uuid:
                    macs = macs.delete(nic.mac.lower())
            state = replace(
                state,
                primaries=_without(state.primaries, record.primary_node, record.uuid),
                owners=owners,
                macs=macs,
            )
            for node in _secondaries(record, state.disks):
                state = replace(state, secondaries=_without(state.secondaries, node, record.uuid))
        return state

    def _mirrored(self, before: ClusterState, disk: str) -> ClusterState:
        """This state with the index of secondaries right, after ``disk`` was put."""
        if disk not in self.owners:
            return self
        owner = self.instances[self.owners[disk]]
        old, new = _secondaries(owner, before.disks), _secondaries(owner, self.disks)
        index = self.secondaries
        for node in old:
            index = _without(index, node, owner.uuid)
        for node in new:
            index = _with(index, node, owner.uuid)
        return replace(self, secondaries=index)


def empty() -> ClusterState:
    """A state without any object."""
    return ClusterState(
        objects=Map(), names=Map(), primaries=Map(), secondaries=Map(), owners=Map(), macs=Map()
    )


def _name(record: Stored) -> str:
    assert isinstance(record, Node | Group | Instance | Network)
    return record.name


def _secondaries(instance: Instance, disks: Map[str, Disk]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for uuid in instance.disks:
        if disks[uuid].dev_type is Template.DRBD:
            found.update(dict.fromkeys(disks[uuid].nodes))
    found.pop(instance.primary_node, None)
    return tuple(found)


def _with(index: Map[str, Keys], key: str, value: str) -> Map[str, Keys]:
    return index.set(key, index.get(key, _NONE).set(value, None))


def _without(index: Map[str, Keys], key: str, value: str) -> Map[str, Keys]:
    left = index.get(key, _NONE)
    if value not in left:
        return index
    left = left.delete(value)
    return index.set(key, left) if left else index.delete(key)
