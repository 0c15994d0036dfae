# SPDX-License-Identifier: BSD-2-Clause
"""Clusters and their parts for tests, where a test names only what matters to it.

Every UUID is derived from a name by ``uuid_of``, so that parts can refer to each other by name and
a failing test prints the same values in every run.
"""

from __future__ import annotations

import dataclasses
import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from ganeti.config.initial_state import SETTINGS, default_hvparams, first_policy
from ganeti.config.state import ClusterState, empty
from ganeti.model.cluster import Cluster
from ganeti.model.disk import Disk, DiskMode, Template, get_drbd_port
from ganeti.model.group import AllocPolicy, Group
from ganeti.model.guest import Guest
from ganeti.model.instance import AdminState, AdminStateSource, Instance, Nic
from ganeti.model.network import Network
from ganeti.model.node import Node
from ganeti.model.parameters.backend import Backend
from ganeti.model.parameters.declaration import defaults
from ganeti.model.parameters.node import NodeParameters
from ganeti.schema.records import FieldValues, replace

SINCE = 1_700_000_000.0
"""When everything that is built here was made."""

_SPACE = uuid.UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
_STAMP: Mapping[str, Any] = {"serial_no": 1, "ctime": SINCE, "mtime": SINCE}


@dataclasses.dataclass(frozen=True)
class Built:
    """An instance together with its disks, as ``a_cluster`` takes it."""

    instance: Instance
    disks: tuple[Disk, ...] = ()


def uuid_of(kind: str, name: str) -> str:
    """The UUID of what has this name; ``kind`` as in ``config.state.Kind``, or ``nic``."""
    return str(uuid.uuid5(_SPACE, f"{kind}:{name}"))


def a_node(name: str = "node1", *, group: str = "default", **over: object) -> Node:
    """A node of the named group, online and a candidate; ``over`` are fields of ``Node``."""
    number = _number(name)
    fields: FieldValues = {
        **_STAMP,
        "uuid": uuid_of("node", name),
        "tags": (),
        "name": name,
        "primary_ip": f"192.0.2.{number}",
        "secondary_ip": f"192.0.2.{number}",
        "master_candidate": not (over.get("offline") or over.get("drained")),
        "offline": False,
        "drained": False,
        "group": uuid_of("group", group),
        "master_capable": True,
        "vm_capable": True,
        "ndparams": {},
        "powered": True,
    }
    return Node(**{**fields, **over})


def a_group(name: str = "default", **over: object) -> Group:
    """A node group without settings of its own; ``over`` are fields of ``Group``."""
    fields: FieldValues = {
        **_STAMP,
        "uuid": uuid_of("group", name),
        "tags": (),
        "name": name,
        "ndparams": {},
        "alloc_policy": AllocPolicy.PREFERRED,
        "ipolicy": {},
        "diskparams": {},
        "networks": {},
    }
    return Group(**{**fields, **over})


def a_network(name: str = "net1", **over: object) -> Network:
    """A network of eight addresses, 203.0.113.0/29; ``over`` are fields of ``Network``."""
    fields: FieldValues = {
        **_STAMP,
        "uuid": uuid_of("network", name),
        "tags": (),
        "name": name,
        "network": "203.0.113.0/29",
        "gateway": "203.0.113.1",
        "reservations": "00000000",
        # The address of the network, that of the gateway and the broadcast address.
        "ext_reservations": "11000001",
    }
    return Network(**{**fields, **over})


def a_nic(name: str = "nic0", **over: object) -> Nic:
    """A network card with the cluster's parameters; ``over`` are fields of ``Nic``."""
    fields: FieldValues = {
        "uuid": uuid_of("nic", name),
        "mac": _mac(name),
        "nicparams": {},
    }
    return Nic(**{**fields, **over})


def a_disk(
    name: str = "disk0",
    template: Template = Template.FILE,
    *,
    nodes: Sequence[str] = ("node1",),
    size: int = 1024,
    index: int = 0,
    **over: object,
) -> Disk:
    """A disk of ``size`` MiB on the named nodes; ``over`` are fields of ``Disk``.

    ``an_instance`` numbers the disks that it is given, and drbd gets its two volumes.
    """
    held = tuple(uuid_of("node", node) for node in nodes)
    key = uuid_of("disk", name)
    logical: dict[Template, tuple[Any, ...]] = {
        Template.PLAIN: ("vg0", f"{key}.disk{index}"),
        Template.FILE: ("loop", f"/srv/ganeti/file-storage/{name}"),
        Template.SHAREDFILE: ("loop", f"/srv/ganeti/shared-file-storage/{name}"),
        Template.GLUSTER: ("loop", f"/srv/ganeti/gluster/{name}"),
        Template.BLOCKDEV: ("manual", f"/dev/disk/by-id/{name}"),
        Template.RBD: ("rbd", name),
        Template.EXT: ("provider", name),
    }
    children: tuple[Disk, ...] = ()
    if template is Template.DRBD:
        minor = _number(name) - 1
        logical[template] = (*held, 11000 + minor, minor, minor, "0" * 40)
        volume: FieldValues = {"nodes": nodes, "index": index, "iv_name": ""}
        data = a_disk(f"{name}_data", Template.PLAIN, size=size, **volume)
        children = (data, a_disk(f"{name}_meta", Template.PLAIN, size=128, **volume))
    fields: FieldValues = {
        **_STAMP,
        "uuid": key,
        "dev_type": template,
        "logical_id": logical.get(template, ()),
        "children": children,
        "nodes": held,
        "iv_name": f"disk/{index}",
        "size": size,
        "mode": DiskMode.READ_WRITE,
        "params": {},
    }
    return Disk(**{**fields, **over})


def an_instance(
    name: str = "web1", *, node: str = "node1", disks: Sequence[Disk] = (), **over: object
) -> Built:
    """An instance that is wanted up on the named node; ``over`` are fields of ``Instance``.

    Use ``.instance`` for the bare record.
    """
    disks = tuple(replace(disk, iv_name=f"disk/{i}") for i, disk in enumerate(disks))
    fields: FieldValues = {
        **_STAMP,
        "uuid": uuid_of("instance", name),
        "tags": (),
        "name": name,
        "primary_node": uuid_of("node", node),
        "os": "noop",
        "hypervisor": "fake",
        "hvparams": {},
        "beparams": {},
        "osparams": {},
        "osparams_private": {},
        "admin_state": AdminState.UP,
        "admin_state_source": AdminStateSource.ADMIN,
        "nics": (a_nic(f"{name}/0"),),
        "disks": tuple(disk.uuid for disk in disks),
        "disks_active": over.get("admin_state", AdminState.UP) is AdminState.UP,
    }
    return Built(Instance(**{**fields, **over}), disks)


def a_guest(name: str = "web1", *, disks: Sequence[Disk] = (), **over: object) -> Guest:
    """An instance as its node sees it, without network cards; ``over`` are fields of ``Guest``."""
    fields: FieldValues = {
        "name": name,
        "uuid": uuid_of("instance", name),
        "hypervisor": "fake",
        "hvparams": {},
        "beparams": {"maxmem": 128, "minmem": 128, "vcpus": 1},
        "os": "noop",
        "osparams": {},
        "primary": uuid_of("node", "node1"),
        "secondaries": (),
        "nics": (),
        "disks": tuple(replace(disk, iv_name=f"disk/{i}") for i, disk in enumerate(disks)),
        "ctime": SINCE,
        "mtime": SINCE,
    }
    return Guest(**{**fields, **over})


def a_cluster(
    *,
    nodes: Sequence[Node | str] = ("node1",),
    instances: Sequence[Built | str] = (),
    groups: Sequence[Group | str] = ("default",),
    networks: Sequence[Network | str] = (),
    **over: object,
) -> ClusterState:
    """A cluster of these parts, a name standing for a part as built by default.

    The first node is the master unless ``master_node`` (a UUID) says otherwise; ``over`` are
    fields of ``Cluster``.
    """
    machines = [an_instance(one) if isinstance(one, str) else one for one in instances]
    hosts = [a_node(one) if isinstance(one, str) else one for one in nodes]
    ports = [get_drbd_port(d) for m in machines for d in m.disks if d.dev_type is Template.DRBD]
    ports += [m.instance.network_port or 0 for m in machines]
    over = {"highest_used_port": max((11000, *ports)), **over}
    state = empty().put(_settings(hosts[0], over))
    for group in groups:
        state = state.put(a_group(group) if isinstance(group, str) else group)
    for network in networks:
        state = state.put(a_network(network) if isinstance(network, str) else network)
    for node in hosts:
        state = state.put(node)
    for machine in machines:
        for disk in machine.disks:
            state = state.put(disk)
        state = state.put(machine.instance)
    # As if it had just been read from a file: nothing of it is a change.
    return replace(state, edits=(), serial_no=1, ctime=SINCE, mtime=SINCE)


def _number(name: str) -> int:
    # The number becomes the last byte of an address.
    digits = re.search(r"\d+", name)
    return int(digits[0]) % 254 if digits else sum(name.encode()) % 254


def _mac(name: str) -> str:
    digest = uuid.uuid5(_SPACE, f"mac:{name}").hex
    return f"aa:00:10:{digest[0:2]}:{digest[2:4]}:{digest[4:6]}"


_OVER: Mapping[str, Any] = {
    "cluster_name": "cluster.example.com",
    "mac_prefix": "aa:00:10",
    "volume_group_name": "vg0",
    "drbd_usermode_helper": "/bin/true",
    "master_ip": "192.0.2.200",
    "master_netdev": "br0",
    "gluster_storage_dir": "/srv/ganeti/gluster",
    "candidate_certs": {},
    "enabled_hypervisors": ("fake", "kvm"),
    "enabled_disk_templates": tuple(template.value for template in Template),
    "diskparams": {},
}
"""What differs from a cluster as it is founded."""


def _settings(master: Node, over: Mapping[str, Any]) -> Cluster:
    return Cluster(
        **{
            **_STAMP,
            **SETTINGS,
            "uuid": uuid_of("cluster", "cluster.example.com"),
            "tags": (),
            "master_node": master.uuid,
            "hvparams": default_hvparams(),
            "beparams": {"default": dict(defaults(Backend))},
            "nicparams": {"default": {"mode": "bridged", "link": "br0", "vlan": ""}},
            "ndparams": dict(defaults(NodeParameters)),
            "ipolicy": first_policy(),
            **_OVER,
            **over,
        }
    )
