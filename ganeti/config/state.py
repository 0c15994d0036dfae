# SPDX-License-Identifier: BSD-2-Clause
"""The configuration as an immutable value that is cheap to change.

A new state shares unchanged records with its predecessor and lists its edits, so that the cost of a
change and its journal entry does not depend on the size of the cluster.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import msgspec
from immutables import Map

from ganeti.config.indexes import (
    NO_KEYS,
    Index,
    Indexes,
    Keys,
    build_indexes,
    first_label,
    lookup,
    reindex,
    uuids_of,
)
from ganeti.config.node_usage import (
    UNUSED,
    NodeUsage,
    Usage,
    count_usage,
    with_disk,
    with_instance,
    with_secondaries,
)
from ganeti.errors import Code, Refused
from ganeti.model.access import Authorities, NodeCertificates, SpentToken
from ganeti.model.backups import BackupRepository, BackupSchedule, BackupScheduleProgress
from ganeti.model.cluster import Cluster
from ganeti.model.disk import MIRRORED_TEMPLATES, Disk, Template
from ganeti.model.failover import (
    FailoverSettings,
    FenceHistory,
    InstanceFailover,
    NodeFence,
    NodeGuard,
    NodeMaintenance,
)
from ganeti.model.filters import FilterRule
from ganeti.model.group import Group
from ganeti.model.images import LibraryImage
from ganeti.model.instance import Instance
from ganeti.model.instance_snapshots import InstanceSnapshots
from ganeti.model.network import Network
from ganeti.model.node import Node
from ganeti.model.notifications import Notification, NotificationProgress
from ganeti.model.users import ApiToken, OpenIdProvider, RoleGrant, UserAccount
from ganeti.schema.host_names import normalize
from ganeti.schema.records import replace
from ganeti.schema.typing_errors import list_corrections

Stored: TypeAlias = (
    Cluster
    | Node
    | Group
    | Instance
    | Disk
    | Network
    | FilterRule
    | Authorities
    | NodeCertificates
    | SpentToken
    | UserAccount
    | RoleGrant
    | ApiToken
    | OpenIdProvider
    | Notification
    | NotificationProgress
    | LibraryImage
    | InstanceFailover
    | FailoverSettings
    | NodeMaintenance
    | NodeGuard
    | NodeFence
    | FenceHistory
    | InstanceSnapshots
    | BackupRepository
    | BackupSchedule
    | BackupScheduleProgress
)
S = TypeVar("S", bound=Stored)


class RecordKind(enum.StrEnum):
    """The kinds of object; the values are used in the journal and in messages."""

    CLUSTER = "cluster"
    NODE = "node"
    GROUP = "group"
    INSTANCE = "instance"
    DISK = "disk"
    NETWORK = "network"
    FILTER = "filter"
    AUTHORITIES = "authorities"
    CERTIFICATE = "certificate"
    SPENT_TOKEN = "spent-token"
    USER = "user"
    ROLE_GRANT = "role-grant"
    API_TOKEN = "api-token"
    OPENID = "openid-provider"
    NOTIFICATION = "notification"
    NOTIFICATION_PROGRESS = "notification-progress"
    IMAGE = "image"
    INSTANCE_FAILOVER = "instance-failover"
    FAILOVER_SETTINGS = "failover-settings"
    NODE_MAINTENANCE = "node-maintenance"
    NODE_GUARD = "node-guard"
    NODE_FENCE = "node-fence"
    FENCE_HISTORY = "fence-history"
    INSTANCE_SNAPSHOTS = "instance-snapshots"
    BACKUP_REPOSITORY = "backup-repository"
    BACKUP_SCHEDULE = "backup-schedule"
    BACKUP_SCHEDULE_PROGRESS = "backup-schedule-progress"


TYPES: Mapping[RecordKind, type[Stored]] = {
    RecordKind.CLUSTER: Cluster,
    RecordKind.NODE: Node,
    RecordKind.GROUP: Group,
    RecordKind.INSTANCE: Instance,
    RecordKind.DISK: Disk,
    RecordKind.NETWORK: Network,
    RecordKind.FILTER: FilterRule,
    RecordKind.AUTHORITIES: Authorities,
    RecordKind.CERTIFICATE: NodeCertificates,
    RecordKind.SPENT_TOKEN: SpentToken,
    RecordKind.USER: UserAccount,
    RecordKind.ROLE_GRANT: RoleGrant,
    RecordKind.API_TOKEN: ApiToken,
    RecordKind.OPENID: OpenIdProvider,
    RecordKind.NOTIFICATION: Notification,
    RecordKind.NOTIFICATION_PROGRESS: NotificationProgress,
    RecordKind.IMAGE: LibraryImage,
    RecordKind.INSTANCE_FAILOVER: InstanceFailover,
    RecordKind.FAILOVER_SETTINGS: FailoverSettings,
    RecordKind.NODE_MAINTENANCE: NodeMaintenance,
    RecordKind.NODE_GUARD: NodeGuard,
    RecordKind.NODE_FENCE: NodeFence,
    RecordKind.FENCE_HISTORY: FenceHistory,
    RecordKind.INSTANCE_SNAPSHOTS: InstanceSnapshots,
    RecordKind.BACKUP_REPOSITORY: BackupRepository,
    RecordKind.BACKUP_SCHEDULE: BackupSchedule,
    RecordKind.BACKUP_SCHEDULE_PROGRESS: BackupScheduleProgress,
}
KINDS: Mapping[type[Stored], RecordKind] = {kind: name for name, kind in TYPES.items()}


@dataclass(frozen=True, slots=True)
class RecordEdit:
    """An edited object; ``old`` is None if it is new, ``record`` is None if it was removed."""

    kind: RecordKind
    key: str
    record: Stored | None
    old: Stored | None = None


Names: TypeAlias = Map[tuple[RecordKind, str], str]


class ClusterState(msgspec.Struct, frozen=True):
    """All objects of the configuration by UUID, and indexes for queries.

    ``edits`` lists the records put and removed since the last call of ``settled``.
    """

    # A struct, because replacing fields of a dataclass took a third of the time of a change.

    objects: Map[RecordKind, Map[str, Stored]]
    names: Names
    primaries: Map[str, Keys]  # node: instances
    copies: Map[str, Keys]  # node: disks that are mirrored between nodes
    owners: Map[str, str]  # disk: instance
    macs: Map[str, str]  # in lower case: instance
    indexes: Indexes = Map()
    usage: Usage = Map()
    serial_no: int = 0
    ctime: float = 0.0
    mtime: float = 0.0
    edits: tuple[RecordEdit, ...] = ()

    # --- reading

    @property
    def cluster(self) -> Cluster:
        """The cluster record."""
        [cluster] = self._objects_of(RecordKind.CLUSTER, Cluster).values()
        return cluster

    @property
    def nodes(self) -> Map[str, Node]:
        return self._objects_of(RecordKind.NODE, Node)

    @property
    def groups(self) -> Map[str, Group]:
        return self._objects_of(RecordKind.GROUP, Group)

    @property
    def instances(self) -> Map[str, Instance]:
        return self._objects_of(RecordKind.INSTANCE, Instance)

    @property
    def disks(self) -> Map[str, Disk]:
        return self._objects_of(RecordKind.DISK, Disk)

    @property
    def networks(self) -> Map[str, Network]:
        return self._objects_of(RecordKind.NETWORK, Network)

    @property
    def filters(self) -> Map[str, FilterRule]:
        return self._objects_of(RecordKind.FILTER, FilterRule)

    @property
    def authorities(self) -> Authorities | None:
        """The authorities that the cluster trusts; None in a configuration of other software."""
        return self._objects_of(RecordKind.AUTHORITIES, Authorities).get(self.cluster.uuid)

    @property
    def certificates(self) -> Map[str, NodeCertificates]:
        """The certificates that nodes may present, by node UUID."""
        return self._objects_of(RecordKind.CERTIFICATE, NodeCertificates)

    @property
    def spent_tokens(self) -> Map[str, SpentToken]:
        """Join tokens that have been used, by nonce."""
        return self._objects_of(RecordKind.SPENT_TOKEN, SpentToken)

    @property
    def users(self) -> Map[str, UserAccount]:
        """Users of the remote API, by name, besides those of the users file."""
        return self._objects_of(RecordKind.USER, UserAccount)

    @property
    def role_grants(self) -> Map[str, RoleGrant]:
        """The roles of users and groups."""
        return self._objects_of(RecordKind.ROLE_GRANT, RoleGrant)

    @property
    def api_tokens(self) -> Map[str, ApiToken]:
        """The tokens of users, by the part of them that is no secret."""
        return self._objects_of(RecordKind.API_TOKEN, ApiToken)

    @property
    def openid(self) -> OpenIdProvider | None:
        """The OpenID provider by which users may sign in, if there is one."""
        return self._objects_of(RecordKind.OPENID, OpenIdProvider).get(self.cluster.uuid)

    @property
    def notifications(self) -> Map[str, Notification]:
        """The receivers of events outside of the cluster, by name."""
        return self._objects_of(RecordKind.NOTIFICATION, Notification)

    @property
    def notification_progress(self) -> Map[str, NotificationProgress]:
        """How far each notification has got, by name."""
        return self._objects_of(RecordKind.NOTIFICATION_PROGRESS, NotificationProgress)

    @property
    def images(self) -> Map[str, LibraryImage]:
        """The library of images that instances are installed from, by name."""
        return self._objects_of(RecordKind.IMAGE, LibraryImage)

    @property
    def failover_policies(self) -> Map[str, InstanceFailover]:
        """The failover policies of instances, by instance UUID; others have the default."""
        return self._objects_of(RecordKind.INSTANCE_FAILOVER, InstanceFailover)

    @property
    def failover_settings(self) -> FailoverSettings:
        """The cluster's settings for failover of guests."""
        uuid = self.cluster.uuid
        found = self._objects_of(RecordKind.FAILOVER_SETTINGS, FailoverSettings).get(uuid)
        return found or FailoverSettings(uuid=uuid)

    @property
    def node_maintenance(self) -> Map[str, NodeMaintenance]:
        """The nodes in maintenance, by node UUID."""
        return self._objects_of(RecordKind.NODE_MAINTENANCE, NodeMaintenance)

    @property
    def node_guards(self) -> Map[str, NodeGuard]:
        """The nodes whose guests end with their lease, by node UUID."""
        return self._objects_of(RecordKind.NODE_GUARD, NodeGuard)

    @property
    def node_fences(self) -> Map[str, NodeFence]:
        """The nodes that are being fenced or were fenced, by node UUID."""
        return self._objects_of(RecordKind.NODE_FENCE, NodeFence)

    @property
    def fence_history(self) -> FenceHistory:
        """When nodes were fenced without a person's decision."""
        uuid = self.cluster.uuid
        found = self._objects_of(RecordKind.FENCE_HISTORY, FenceHistory).get(uuid)
        return found or FenceHistory(uuid=uuid)

    @property
    def snapshots(self) -> Map[str, InstanceSnapshots]:
        """The snapshots of instances, by instance UUID; most instances have none."""
        return self._objects_of(RecordKind.INSTANCE_SNAPSHOTS, InstanceSnapshots)

    @property
    def backup_repositories(self) -> Map[str, BackupRepository]:
        """The repositories of backups, by name."""
        return self._objects_of(RecordKind.BACKUP_REPOSITORY, BackupRepository)

    @property
    def backup_schedules(self) -> Map[str, BackupSchedule]:
        """The schedules of backups, by name."""
        return self._objects_of(RecordKind.BACKUP_SCHEDULE, BackupSchedule)

    @property
    def backup_schedule_progress(self) -> Map[str, BackupScheduleProgress]:
        """When each schedule was last due, by name."""
        return self._objects_of(RecordKind.BACKUP_SCHEDULE_PROGRESS, BackupScheduleProgress)

    def _objects_of(self, kind: RecordKind, _: type[S]) -> Map[str, S]:
        return self.objects.get(kind, Map())  # type: ignore[return-value]  # by kind, as put

    def node(self, name: str) -> Node:
        """Return the node with this name or UUID; the domain may be omitted if this is unambiguous.

        :raises Refused: the name is unknown or ambiguous.
        """
        return self.nodes[self._resolve(RecordKind.NODE, name)]

    def group(self, name: str) -> Group:
        """Return the node group with this name or UUID.

        :raises Refused: the name is unknown.
        """
        return self.groups[self._resolve(RecordKind.GROUP, name)]

    def instance(self, name: str) -> Instance:
        """Return the instance with this name or UUID; the domain may be omitted if unambiguous.

        :raises Refused: the name is unknown or ambiguous.
        """
        return self.instances[self._resolve(RecordKind.INSTANCE, name)]

    def search_instance(self, name: str) -> Instance | None:
        """Return the instance that ``instance`` returns for this name; None where it refuses it."""
        found = self._search(RecordKind.INSTANCE, name)
        return self.instances[found[0]] if len(found) == 1 else None

    def find_instance(self, name: str) -> Instance | None:
        """Return the instance with exactly this name, or None."""
        uuid = self.names.get((RecordKind.INSTANCE, name))
        return None if uuid is None else self.instances[uuid]

    def network(self, name: str) -> Network:
        """Return the network with this name or UUID.

        :raises Refused: the name is unknown.
        """
        return self.networks[self._resolve(RecordKind.NETWORK, name)]

    @property
    def master(self) -> Node:
        """The master node."""
        return self.nodes[self.cluster.master_node]

    def knows(self, kind: RecordKind, name: str) -> bool:
        """Return whether an object of this kind has exactly this name."""
        return (kind, name) in self.names

    def get_disks(self, instance: Instance) -> tuple[Disk, ...]:
        """Return the instance's disks in order."""
        disks = self.disks
        return tuple(disks[uuid] for uuid in instance.disks)

    def get_template(self, instance: Instance) -> Template:
        """Return the template of the instance's disks; diskless if it has none."""
        return self.disks[instance.disks[0]].dev_type if instance.disks else Template.DISKLESS

    def get_secondaries(self, instance: Instance) -> tuple[str, ...]:
        """Return the UUIDs of the nodes other than the primary that have a copy of the disks."""
        disks = self.disks
        found = dict.fromkeys(
            node for uuid in instance.disks for node in _mirror_nodes(disks[uuid])
        )
        found.pop(instance.primary_node, None)
        return tuple(found)

    def list_primary_instances(self, node: Node) -> Iterator[Instance]:
        """Return the instances whose primary node is ``node``."""
        instances = self.instances
        return (instances[uuid] for uuid in self.primaries.get(node.uuid, NO_KEYS))

    def list_secondary_instances(self, node: Node) -> Iterator[Instance]:
        """Return the instances that have ``node`` as a secondary node."""
        instances, owners = self.instances, self.owners
        owned = dict.fromkeys(
            owners[disk] for disk in self.copies.get(node.uuid, NO_KEYS) if disk in owners
        )
        found = (instances[uuid] for uuid in owned)
        return (instance for instance in found if instance.primary_node != node.uuid)

    def list_nodes(self, group: Group) -> Iterator[Node]:
        """Return the nodes of a group."""
        nodes = self.nodes
        return (nodes[uuid] for uuid in lookup(self.indexes, Index.GROUP, Node, group.uuid))

    def list_network_instances(self, network: Network) -> Iterator[Instance]:
        """Return the instances that have a network card in a network."""
        instances = self.instances
        found = lookup(self.indexes, Index.NETWORK, Instance, network.uuid)
        return (instances[uuid] for uuid in found)

    def list_tags(self) -> Iterator[tuple[str, list[Stored]]]:
        """Return each tag with the objects that have it, once for each kind of object."""
        for (kind, tag), owners in self.indexes.get(Index.TAG, Map()).items():
            objects = self.objects[KINDS[kind]]
            yield tag, [objects[uuid] for uuid in uuids_of(owners)]

    def get_usage(self, node: Node) -> NodeUsage:
        """Return what the node's instances and disks are configured to use of it.

        The same object is returned until this changes.
        """
        return self.usage.get(node.uuid, UNUSED)

    def _resolve(self, kind: RecordKind, name: str) -> str:
        found = self._search(kind, name)
        if len(found) == 1:
            return found[0]
        if found:
            objects = self.objects[kind]
            names = sorted(getattr(objects[uuid], "name", "") for uuid in found)
            raise Refused(
                f"{kind} name {name} is ambiguous; give one of {', '.join(names)}", Code.UNKNOWN
            )
        meant = self._find_similar_names(kind, name)
        hint = f"did you mean {' or '.join(meant)}? See" if meant else "see"
        raise Refused(f"{kind} {name} does not exist; {hint} gnt-{kind} list", Code.UNKNOWN)

    def _search(self, kind: RecordKind, name: str) -> Sequence[str]:
        """Return the UUIDs of the objects that ``name`` may mean: several if it is ambiguous."""
        uuid = self.names.get((kind, name))
        if uuid is not None:
            return (uuid,)
        objects = self.objects.get(kind, NO_KEYS)
        if name in objects:
            return (name,)
        start = name
        if kind in _HOST_NAME_KINDS and (start := normalize(name)) != name:
            if (uuid := self.names.get((kind, start))) is not None:
                return (uuid,)
            if name.endswith("."):
                start = name  # a trailing dot marks a fully qualified name: no domain is added
        alike = lookup(self.indexes, Index.LABEL, TYPES[kind], first_label(start))
        return [
            uuid for uuid in alike if getattr(objects[uuid], "name", "").startswith(start + ".")
        ]

    def _find_similar_names(self, kind: RecordKind, name: str) -> list[str]:
        """Return names of objects that differ by one typing error before the first dot.

        If ``name`` has a domain, theirs is the same.
        """
        label = first_label(name)
        domain = name[len(label) :]
        objects = self.objects.get(kind, Map())
        found = {
            getattr(objects[uuid], "name", "")
            for word in list_corrections(label)
            for uuid in lookup(self.indexes, Index.LABEL, TYPES[kind], word)
        }
        alike = (each for each in found if not domain or each == first_label(each) + domain)
        return sorted(alike)[:MAX_SUGGESTIONS]

    # --- changing

    def put(self, record: Stored) -> ClusterState:
        """Return the state with ``record`` added, or in place of the object with its UUID.

        :raises Refused: another object of this kind has this name.
        """
        kind = KINDS[type(record)]
        same = self.objects.get(kind, Map())
        old = same.get(record.uuid)
        state = self
        if old is None or not _same_fields(old, record, _INDEXED_FIELDS):
            state = (self if old is None else self._remove_from_indexes(old))._add_to_indexes(
                record
            )
        return replace(
            state,
            objects=self.objects.set(kind, same.set(record.uuid, record)),
            indexes=reindex(self.indexes, old, record),
            usage=self._usage_after(old, record),
            edits=(*self.edits, RecordEdit(kind, record.uuid, record, old)),
        )

    def remove(self, record: Stored) -> ClusterState:
        """Return the state without the object of this record's kind and UUID, which must exist."""
        kind = KINDS[type(record)]
        same = self.objects[kind]
        old, left = same[record.uuid], same.delete(record.uuid)
        return replace(
            self._remove_from_indexes(old),
            objects=self.objects.set(kind, left) if left else self.objects.delete(kind),
            indexes=reindex(self.indexes, old, None),
            usage=self._usage_after(old, None),
            edits=(*self.edits, RecordEdit(kind, record.uuid, None, old)),
        )

    def settled(self) -> ClusterState:
        """Return the same state with an empty list of edits."""
        return replace(self, edits=()) if self.edits else self

    def _usage_after(self, old: Stored | None, new: Stored | None) -> Usage:
        """Return the usage of nodes after ``new`` has replaced ``old``."""
        usage, disks, record = self.usage, self.disks, new or old
        if old is not None and new is not None and _same_fields(old, new, _USAGE_FIELDS):
            return usage
        if isinstance(record, Instance):
            if isinstance(old, Instance):
                usage = with_instance(usage, old, disks, -1)
            return with_instance(usage, new, disks) if isinstance(new, Instance) else usage
        if isinstance(record, Disk):
            if isinstance(old, Disk):
                usage = with_disk(usage, old, -1)
            if isinstance(new, Disk):
                usage = with_disk(usage, new)
            # What its secondary nodes need depends on the nodes of its disks.
            owner = self.instances.get(self.owners.get(record.uuid, ""))
            if owner is not None:
                after = (
                    disks.set(new.uuid, new) if isinstance(new, Disk) else disks.delete(record.uuid)
                )
                usage = with_secondaries(usage, owner, disks, -1)
                usage = with_secondaries(usage, owner, after)
        return usage

    def _add_to_indexes(self, record: Stored) -> ClusterState:
        if isinstance(record, Instance):
            owned = dict.fromkeys(record.disks, record.uuid)
            carried = {nic.mac.lower(): record.uuid for nic in record.nics}
            return replace(
                self,
                names=_add_name(self.names, record),
                primaries=_add_key(self.primaries, record.primary_node, record.uuid),
                owners=self.owners.update(owned) if owned else self.owners,
                macs=self.macs.update(carried) if carried else self.macs,
            )
        if isinstance(record, Disk):
            copies = self.copies
            for node in _mirror_nodes(record):
                copies = _add_key(copies, node, record.uuid)
            return self if copies is self.copies else replace(self, copies=copies)
        if isinstance(record, Node | Group | Network):
            return replace(self, names=_add_name(self.names, record))
        return self

    def _remove_from_indexes(self, record: Stored) -> ClusterState:
        if isinstance(record, Instance):
            return replace(
                self,
                names=self.names.delete((RecordKind.INSTANCE, record.name)),
                primaries=_remove_key(self.primaries, record.primary_node, record.uuid),
                owners=_remove_owned(self.owners, record.disks, record.uuid),
                macs=_remove_owned(
                    self.macs, (nic.mac.lower() for nic in record.nics), record.uuid
                ),
            )
        if isinstance(record, Disk):
            copies = self.copies
            for node in _mirror_nodes(record):
                copies = _remove_key(copies, node, record.uuid)
            return self if copies is self.copies else replace(self, copies=copies)
        if isinstance(record, Node | Group | Network):
            return replace(self, names=self.names.delete((KINDS[type(record)], record.name)))
        return self


def empty() -> ClusterState:
    """Return a state without objects."""
    return ClusterState(
        objects=Map(), names=Map(), primaries=Map(), copies=Map(), owners=Map(), macs=Map()
    )


def make_state(
    records: Iterable[Stored], *, serial_no: int, ctime: float, mtime: float
) -> ClusterState:
    """Build a state from these objects in one step, with an empty list of edits.

    :raises Refused: two objects of a kind have the same name.
    """
    objects: dict[RecordKind, dict[str, Stored]] = {}
    names: dict[tuple[RecordKind, str], str] = {}
    primaries: dict[str, dict[str, None]] = {}
    copies: dict[str, dict[str, None]] = {}
    instances: dict[str, Instance] = {}
    disks: dict[str, Disk] = {}
    owners: dict[str, str] = {}
    macs: dict[str, str] = {}
    for record in records:
        kind = KINDS[type(record)]
        objects.setdefault(kind, {})[record.uuid] = record
        if isinstance(record, Instance | Node | Group | Network):
            if names.setdefault((kind, record.name), record.uuid) != record.uuid:
                raise _duplicate_name(kind, record.name)
        elif isinstance(record, Disk):
            disks[record.uuid] = record
            for node in _mirror_nodes(record):
                copies.setdefault(node, {})[record.uuid] = None
        if isinstance(record, Instance):
            instances[record.uuid] = record
            primaries.setdefault(record.primary_node, {})[record.uuid] = None
            owners.update(dict.fromkeys(record.disks, record.uuid))
            macs.update({nic.mac.lower(): record.uuid for nic in record.nics})
    indexes = build_indexes(each for same in objects.values() for each in same.values())
    return ClusterState(
        objects=Map({kind: Map(same) for kind, same in objects.items()}),
        names=Map(names),
        primaries=Map({node: Map(keys) for node, keys in primaries.items()}),
        copies=Map({node: Map(keys) for node, keys in copies.items()}),
        owners=Map(owners),
        macs=Map(macs),
        indexes=indexes,
        usage=count_usage(instances.values(), disks),
        serial_no=serial_no,
        ctime=ctime,
        mtime=mtime,
    )


def _same_fields(old: Stored, new: Stored, fields: Mapping[type[Stored], tuple[str, ...]]) -> bool:
    """Return whether both objects have the same values of these fields, as after most changes."""
    return all(getattr(old, name) == getattr(new, name) for name in fields.get(type(old), ()))


MAX_SUGGESTIONS = 3
"""The number of names that the error about an unknown name suggests."""

_HOST_NAME_KINDS = frozenset({RecordKind.INSTANCE, RecordKind.NODE})
"""Kinds whose names are host names, which have several spellings."""

_INDEXED_FIELDS: Mapping[type[Stored], tuple[str, ...]] = {
    Instance: ("name", "primary_node", "disks", "nics"),
    Disk: ("dev_type", "nodes"),
    Node: ("name",),
    Group: ("name",),
    Network: ("name",),
}
"""The fields that names, ``primaries``, ``copies``, ``owners`` and ``macs`` are built from."""

_USAGE_FIELDS: Mapping[type[Stored], tuple[str, ...]] = {
    Instance: (
        *("primary_node", "disks", "beparams", "admin_state", "hypervisor"),
        "forthcoming",
    ),
    Disk: ("dev_type", "nodes", "size", "forthcoming", "params"),
}
"""The fields that the usage of nodes is computed from."""


def _add_name(names: Names, record: Instance | Node | Group | Network) -> Names:
    kind = KINDS[type(record)]
    if names.get((kind, record.name), record.uuid) != record.uuid:
        raise _duplicate_name(kind, record.name)
    return names.set((kind, record.name), record.uuid)


def _duplicate_name(kind: RecordKind, name: str) -> Refused:
    return Refused(f"{kind} {name} already exists; choose another name", Code.EXISTS)


def _mirror_nodes(disk: Disk) -> tuple[str, ...]:
    """Return the nodes that have a copy of a mirrored disk."""
    return disk.nodes if disk.dev_type in MIRRORED_TEMPLATES else ()


def _remove_owned(index: Map[str, str], keys: Iterable[str], owner: str) -> Map[str, str]:
    for key in keys:
        # Two instances may have the same one by mistake; the index then has one of them.
        if index.get(key) == owner:
            index = index.delete(key)
    return index


def _add_key(index: Map[str, Keys], key: str, value: str) -> Map[str, Keys]:
    return index.set(key, index.get(key, NO_KEYS).set(value, None))


def _remove_key(index: Map[str, Keys], key: str, value: str) -> Map[str, Keys]:
    left = index.get(key, NO_KEYS)
    if value not in left:
        return index
    left = left.delete(value)
    return index.set(key, left) if left else index.delete(key)
