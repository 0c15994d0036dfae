# SPDX-License-Identifier: BSD-2-Clause
"""The ``ssconf_*`` files: small facts of the configuration that every node has as text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from ganeti.config.state import ClusterState, EditedState, RecordKind
from ganeti.errors import Code, Failed
from ganeti.model.node import Node
from ganeti.model.parameters.filling import hv_defaults, nd_filled
from ganeti.schema.types import ONE_LINE

_HYPERVISORS = ("chroot", "fake", "kvm", "lxc", "xen-hvm", "xen-pvm")
"""All whose parameters have a file, whether this software knows them or not."""

_AS_THEY_ARE = (
    "cluster_name",
    "enabled_user_shutdown",
    "file_storage_dir",
    "gluster_storage_dir",
    "maintain_node_health",
    "master_ip",
    "master_netdev",
    "master_netmask",
    "primary_ip_family",
    "shared_file_storage_dir",
)
"""Fields of the cluster that are written under their own name."""


def ssconf(state: ClusterState, *, release: str) -> dict[str, str]:
    """What the files hold, by key; lists have an item a line, names in their natural order.

    Keys are without ``ssconf_``, and texts without the line end that files have last.
    """
    return {"release_version": release, **{key: text(state) for key, text in _TEXTS.items()}}


def affects_ssconf(edits: Iterable[EditedState]) -> bool:
    """Whether a change with these edits may have changed what the files hold."""
    return any(map(_matters, edits))


def _matters(edited: EditedState) -> bool:
    fields = _FIELDS.get(edited.kind, ())
    if not fields or edited.old is None or edited.record is None:
        return bool(fields)
    return any(getattr(edited.old, name) != getattr(edited.record, name) for name in fields)


@lru_cache(maxsize=1 << 16)
def _natural(name: str) -> tuple[tuple[int, str], ...]:
    """Orders node2 before node10."""
    # Kept: while instances are made, their list is put in order several times a second.
    parts = re.split(r"(\d+)", name)
    return tuple((int(part), "") if number % 2 else (-1, part) for number, part in enumerate(parts))


def _node_list(chosen: Callable[[Node], bool]) -> Callable[[ClusterState], str]:
    return lambda state: _lines(node.name for node in _nodes(state) if chosen(node))


def _node_facts(fact: Callable[[Node], str]) -> Callable[[ClusterState], str]:
    return lambda state: _lines(map(fact, _nodes(state)))


def _cluster(field: str) -> Callable[[ClusterState], str]:
    return lambda state: _line(str(getattr(state.cluster, field)))


def _cluster_list(field: str) -> Callable[[ClusterState], str]:
    return lambda state: _lines(getattr(state.cluster, field))


def _hypervisor(name: str) -> Callable[[ClusterState], str]:
    return lambda state: _assignments(hv_defaults(state.cluster, name))


_TEXTS: Mapping[str, Callable[[ClusterState], str]] = MappingProxyType(
    {
        **{field: _cluster(field) for field in _AS_THEY_ARE},
        **{f"hvparams_{name}": _hypervisor(name) for name in _HYPERVISORS},
        "cluster_tags": _cluster_list("tags"),
        "hypervisor_list": _cluster_list("enabled_hypervisors"),
        "instance_list": lambda state: _lines(
            sorted((each.name for each in state.instances.values()), key=_natural)
        ),
        "master_candidates": _node_list(lambda node: node.master_candidate),
        "master_candidates_certs": lambda state: _assignments(state.cluster.candidate_certs),
        "master_candidates_ips": lambda state: _lines(
            node.primary_ip for node in _nodes(state) if node.master_candidate
        ),
        "master_node": lambda state: _line(state.master.name),
        "networks": lambda state: _named(state.networks.values()),
        "node_list": _node_list(lambda node: True),
        "node_primary_ips": _node_facts(lambda node: f"{node.name} {node.primary_ip}"),
        "node_secondary_ips": _node_facts(lambda node: f"{node.name} {node.secondary_ip}"),
        "node_vm_capable": _node_facts(lambda node: f"{node.name}={node.vm_capable}"),
        "nodegroups": lambda state: _named(state.groups.values()),
        "offline_nodes": _node_list(lambda node: node.offline),
        "online_nodes": _node_list(lambda node: not node.offline),
        "ssh_ports": lambda state: _lines(
            f"{node.name}={_ssh_port(state, node)}" for node in _nodes(state)
        ),
        "uid_pool": lambda state: _lines(
            f"{low}-{high}" if low != high else f"{low}" for low, high in state.cluster.uid_pool
        ),
    }
)

KEYS = tuple(sorted(("release_version", *_TEXTS)))

_FIELDS: Mapping[RecordKind, Sequence[str]] = MappingProxyType(
    {
        RecordKind.INSTANCE: ("name",),
        RecordKind.NETWORK: ("name",),
        RecordKind.GROUP: ("name", "ndparams"),
        RecordKind.NODE: (
            "name",
            "primary_ip",
            "secondary_ip",
            "master_candidate",
            "offline",
            "vm_capable",
            "group",
            "ndparams",
        ),
        RecordKind.CLUSTER: (
            *_AS_THEY_ARE,
            "tags",
            "enabled_hypervisors",
            "hvparams",
            "candidate_certs",
            "master_node",
            "ndparams",
            "uid_pool",
        ),
    }
)
"""The fields that the texts are made of."""


def _nodes(state: ClusterState) -> list[Node]:
    return sorted(state.nodes.values(), key=lambda node: _natural(node.name))


def _ssh_port(state: ClusterState, node: Node) -> int:
    return int(nd_filled(state.cluster, state.groups[node.group], node)["ssh_port"])


def _named(objects: Iterable[Any]) -> str:
    ordered = sorted(objects, key=lambda each: _natural(each.name))
    return _lines(f"{each.uuid} {each.name}" for each in ordered)


def _assignments(values: Mapping[str, Any]) -> str:
    return _lines(f"{name}={values[name]}" for name in sorted(values))


def _lines(items: Iterable[str]) -> str:
    return "\n".join(map(_line, items))


def _line(item: str) -> str:
    """The item, which is not more than one line to any reader of the file.

    No such text can get into the configuration: this is for the day when it did.

    :raises Failed: it is more.
    """
    if not _IS_LINE(item):
        raise Failed(
            f"{item!r} in the configuration contains control characters and cannot be written to"
            " ssconf files; rename the object, or correct its parameters",
            Code.INTERNAL,
        )
    return item


_IS_LINE = re.compile(ONE_LINE).match
