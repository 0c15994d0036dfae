# SPDX-License-Identifier: BSD-2-Clause
"""The ``ssconf_*`` files: values of the configuration that every node has as text files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from ganeti.config.state import ClusterState, RecordEdit, RecordKind
from ganeti.errors import Code, Failed
from ganeti.model.node import Node
from ganeti.model.parameters.filling import fill_node, hv_defaults
from ganeti.schema.types import ONE_LINE

_HYPERVISORS = ("chroot", "fake", "kvm", "lxc", "xen-hvm", "xen-pvm")
"""Hypervisors with a file for their parameters, also those that are not supported here."""

_PLAIN_FIELDS = (
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
"""Cluster fields whose file has the name and value of the field."""


def ssconf(state: ClusterState, *, release: str) -> dict[str, str]:
    """Return the content of the files by key; lists have one item per line, in natural order.

    Keys are without the prefix ``ssconf_``, and texts without the final newline of the files.
    """
    return {"release_version": release, **{key: text(state) for key, text in _FORMATTERS.items()}}


def affects_ssconf(edits: Iterable[RecordEdit]) -> bool:
    """Return whether a change with these edits may have changed a file."""
    return any(map(_affects, edits))


def _affects(edited: RecordEdit) -> bool:
    fields = _SOURCE_FIELDS.get(edited.kind, ())
    if not fields or edited.old is None or edited.record is None:
        return bool(fields)
    return any(getattr(edited.old, name) != getattr(edited.record, name) for name in fields)


@lru_cache(maxsize=1 << 16)
def _natural_sort_key(name: str) -> tuple[tuple[int, str], ...]:
    """Return a sort key that puts node2 before node10."""
    # Cached: during bulk creation the instance list is sorted several times a second.
    parts = re.split(r"(\d+)", name)
    return tuple((int(part), "") if number % 2 else (-1, part) for number, part in enumerate(parts))


def _node_list(chosen: Callable[[Node], bool]) -> Callable[[ClusterState], str]:
    return lambda state: _format_lines(node.name for node in _sorted_nodes(state) if chosen(node))


def _node_values(fact: Callable[[Node], str]) -> Callable[[ClusterState], str]:
    return lambda state: _format_lines(map(fact, _sorted_nodes(state)))


def _cluster_value(field: str) -> Callable[[ClusterState], str]:
    return lambda state: _check_line(str(getattr(state.cluster, field)))


def _cluster_list(field: str) -> Callable[[ClusterState], str]:
    return lambda state: _format_lines(getattr(state.cluster, field))


def _hypervisor_parameters(name: str) -> Callable[[ClusterState], str]:
    return lambda state: _format_assignments(hv_defaults(state.cluster, name))


_FORMATTERS: Mapping[str, Callable[[ClusterState], str]] = MappingProxyType(
    {
        **{field: _cluster_value(field) for field in _PLAIN_FIELDS},
        **{f"hvparams_{name}": _hypervisor_parameters(name) for name in _HYPERVISORS},
        "cluster_tags": _cluster_list("tags"),
        "hypervisor_list": _cluster_list("enabled_hypervisors"),
        "instance_list": lambda state: _format_lines(
            sorted((each.name for each in state.instances.values()), key=_natural_sort_key)
        ),
        "master_candidates": _node_list(lambda node: node.master_candidate),
        "master_candidates_certs": lambda state: _format_assignments(state.cluster.candidate_certs),
        "master_candidates_ips": lambda state: _format_lines(
            node.primary_ip for node in _sorted_nodes(state) if node.master_candidate
        ),
        "master_node": lambda state: _check_line(state.master.name),
        "networks": lambda state: _format_named(state.networks.values()),
        "node_list": _node_list(lambda node: True),
        "node_primary_ips": _node_values(lambda node: f"{node.name} {node.primary_ip}"),
        "node_secondary_ips": _node_values(lambda node: f"{node.name} {node.secondary_ip}"),
        "node_vm_capable": _node_values(lambda node: f"{node.name}={node.vm_capable}"),
        "nodegroups": lambda state: _format_named(state.groups.values()),
        "offline_nodes": _node_list(lambda node: node.offline),
        "online_nodes": _node_list(lambda node: not node.offline),
        "ssh_ports": lambda state: _format_lines(
            f"{node.name}={_ssh_port(state, node)}" for node in _sorted_nodes(state)
        ),
        "uid_pool": lambda state: _format_lines(
            f"{low}-{high}" if low != high else f"{low}" for low, high in state.cluster.uid_pool
        ),
    }
)

KEYS = tuple(sorted(("release_version", *_FORMATTERS)))

_SOURCE_FIELDS: Mapping[RecordKind, Sequence[str]] = MappingProxyType(
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
            *_PLAIN_FIELDS,
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
"""The fields that the files depend on."""


def _sorted_nodes(state: ClusterState) -> list[Node]:
    return sorted(state.nodes.values(), key=lambda node: _natural_sort_key(node.name))


def _ssh_port(state: ClusterState, node: Node) -> int:
    return int(fill_node(state.cluster, state.groups[node.group], node)["ssh_port"])


def _format_named(objects: Iterable[Any]) -> str:
    ordered = sorted(objects, key=lambda each: _natural_sort_key(each.name))
    return _format_lines(f"{each.uuid} {each.name}" for each in ordered)


def _format_assignments(values: Mapping[str, Any]) -> str:
    return _format_lines(f"{name}={values[name]}" for name in sorted(values))


def _format_lines(items: Iterable[str]) -> str:
    return "\n".join(map(_check_line, items))


def _check_line(item: str) -> str:
    """Return ``item`` after a check that it is a single line for every reader of the file.

    Field types already reject control characters; this is a second line of defence, as a line break
    would inject a line into a file that scripts trust.

    :raises Failed: it contains control characters.
    """
    if not _IS_LINE(item):
        raise Failed(
            f"{item!r} in the configuration contains control characters and cannot be written to"
            " ssconf files; rename the object, or correct its parameters",
            Code.INTERNAL,
        )
    return item


_IS_LINE = re.compile(ONE_LINE).match
