# SPDX-License-Identifier: BSD-2-Clause
"""The ``ssconf_*`` files: values of the configuration that every node has as text files."""

from __future__ import annotations

import re
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from ganeti.config.state import ClusterState, RecordEdit, RecordKind
from ganeti.errors import Code, Failed
from ganeti.model.instance import Instance
from ganeti.model.natural_order import natural_sort_key
from ganeti.model.node import Node
from ganeti.model.parameters.filling import hv_defaults, node_parameters_of
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


def ssconf(
    state: ClusterState, *, release: str, instance_list: str | None = None
) -> dict[str, str]:
    """Return the content of the files by key; lists have one item per line, in natural order.

    Keys are without the prefix ``ssconf_``, and texts without the final newline of the files.
    ``instance_list`` is the value of the list of instances, if it is known.
    """
    if instance_list is None:
        instance_list = _format_lines(sort_names(state))
    fixed = {"release_version": release, INSTANCE_LIST: instance_list}
    return {**fixed, **{key: text(state) for key, text in _FORMATTERS.items()}}


INSTANCE_LIST = "instance_list"
"""The key of the list of instances, which is by far the longest value and changes most often."""


NAMES_PER_STEP = 500
"""Number of names whose sort keys are made between two points where other work has a turn."""


def sort_names(state: ClusterState) -> list[str]:
    """Return the names of all instances in natural order."""
    return sorted((each.name for each in state.instances.values()), key=natural_sort_key)


class InstanceNames:
    """The names of all instances in natural order, updated by each change."""

    def __init__(self) -> None:
        self._instances: object = None
        self._names: list[str] = []
        self._text: str | None = None

    def prepare(self, state: ClusterState) -> Iterator[None]:
        """Make the sort keys of all names if they are needed, which are kept, and pause in between.

        Without this, the first list of 20,000 names takes a tenth of a second at once.
        """
        if self._instances is None:
            for number, instance in enumerate(state.instances.values(), start=1):
                natural_sort_key(instance.name)
                if number % NAMES_PER_STEP == 0:
                    yield

    def config_changed(self, state: ClusterState, edits: Iterable[RecordEdit]) -> None:
        """Apply a change that led to ``state``; all changes must be reported in order."""
        if self._instances is None:
            return  # not needed so far
        for edited in edits:
            if edited.kind is RecordKind.INSTANCE:
                self._replace(_name_of(edited.old), _name_of(edited.record))
        self._instances = state.instances

    def _replace(self, old: str | None, new: str | None) -> None:
        if old == new:
            return
        self._text = None
        if old is not None:
            del self._names[bisect_left(self._names, natural_sort_key(old), key=natural_sort_key)]
        if new is not None:
            insort(self._names, new, key=natural_sort_key)

    def sorted_names(self, state: ClusterState) -> Sequence[str]:
        """Return the names in ``state``; they are sorted again only if it was not reported."""
        if state.instances is not self._instances:
            self._names, self._instances = sort_names(state), state.instances
            self._text = None
        return self._names

    def text(self, state: ClusterState) -> str:
        """Return the value of the list of instances; the same object as long as it is the same.

        Comparing equal texts of thousands of names for each node would take long.
        """
        names = self.sorted_names(state)
        if self._text is None:
            self._text = _format_lines(names)
        return self._text


def _name_of(record: object) -> str | None:
    return record.name if isinstance(record, Instance) else None


def affects_ssconf(edits: Iterable[RecordEdit]) -> bool:
    """Return whether a change with these edits may have changed a file."""
    return any(map(_affects, edits))


def affects_only_lists(edits: Iterable[RecordEdit]) -> bool:
    """Return whether a change with these edits has changed at most lists that change all the time.

    These are the list of instances, and that of the cluster's tags.
    """
    return not any(
        _affects(each, besides="tags") for each in edits if each.kind is not RecordKind.INSTANCE
    )


def _affects(edited: RecordEdit, besides: str = "") -> bool:
    fields = _SOURCE_FIELDS.get(edited.kind, ())
    if not fields or edited.old is None or edited.record is None:
        return bool(fields)
    return any(
        getattr(edited.old, name) != getattr(edited.record, name)
        for name in fields
        if name != besides
    )


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

KEYS = tuple(sorted(("release_version", INSTANCE_LIST, *_FORMATTERS)))

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
    return sorted(state.nodes.values(), key=lambda node: natural_sort_key(node.name))


def _ssh_port(state: ClusterState, node: Node) -> int:
    return node_parameters_of(state.cluster, state.groups[node.group], node).ssh_port


def _format_named(objects: Iterable[Any]) -> str:
    ordered = sorted(objects, key=lambda each: natural_sort_key(each.name))
    return _format_lines(f"{each.uuid} {each.name}" for each in ordered)


def _format_assignments(values: Mapping[str, object]) -> str:
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
