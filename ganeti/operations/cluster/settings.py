# SPDX-License-Identifier: BSD-2-Clause
"""Validation of changed cluster settings; all problems are reported at once."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence

from ganeti.config.state import ClusterState
from ganeti.errors import Invalid, Problem
from ganeti.model.cluster import Cluster
from ganeti.model.cluster_settings import setting_problems
from ganeti.model.disk import SUPPORTED_TEMPLATES, Template
from ganeti.model.parameters.backend import Backend
from ganeti.model.parameters.declaration import ParameterSet, defaults
from ganeti.model.parameters.disk import DISKS
from ganeti.model.parameters.filling import fill_policy
from ganeti.model.parameters.hypervisors import HYPERVISORS
from ganeti.model.parameters.nic import NicParameters
from ganeti.model.parameters.node import NodeParameters
from ganeti.model.parameters.parsing import DEFAULT, check_consistency, checked
from ganeti.model.parameters.policy import Policy, complete_std
from ganeti.model.unsupported import format_unsupported_template, unsupported
from ganeti.opcodes.cluster import ListAction, ModifyCluster
from ganeti.schema.records import FieldValues, replace
from ganeti.schema.types import Parameters, Value

_PLAIN_SETTINGS = (
    "candidate_pool_size",
    "max_running_jobs",
    "max_tracked_jobs",
    "maintain_node_health",
    "prealloc_wipe_disks",
    "default_iallocator",
    "default_iallocator_params",
    "master_netdev",
    "master_netmask",
    "use_external_mip_script",
    "modify_etc_hosts",
    "install_image",
    "zeroing_image",
    "compression_tools",
    "enabled_user_shutdown",
    "instance_communication_network",
)
"""Settings that are stored as given."""
_DIRECTORY_SETTINGS = ("file_storage_dir", "shared_file_storage_dir", "gluster_storage_dir")
_UNSETTABLE_SETTINGS = {"vg_name": "volume_group_name", "drbd_helper": "drbd_usermode_helper"}
"""Settings that an empty string unsets, with their field names."""

Step = Callable[[ModifyCluster, Cluster], FieldValues]


def settings(op: ModifyCluster, state: ClusterState) -> FieldValues:
    """Return the fields of the cluster's record that ``op`` changes, with their new values.

    :raises Invalid: with every problem of the request.
    """
    cluster = state.cluster
    fields: FieldValues = {}
    problems: list[Problem] = []
    for step in _STEPS:
        try:
            # Each step sees what those before it have changed.
            fields.update(step(op, replace(cluster, **fields)))
        except Invalid as e:
            problems += e.problems
    problems += unsupported(fields, cluster)
    ipv6 = cluster.primary_ip_family == socket.AF_INET6
    given_as = {kept: name for name, kept in _UNSETTABLE_SETTINGS.items()}
    problems += [
        Problem(given_as.get(each.path, each.path), each.message)
        for each in setting_problems(fields, ipv6=ipv6)
    ]
    if problems:
        raise Invalid(problems)
    return fields


def _read_plain(op: ModifyCluster, cluster: Cluster) -> FieldValues:
    return {name: value for name in _PLAIN_SETTINGS if (value := getattr(op, name)) is not None}


def _read_unsettable(op: ModifyCluster, cluster: Cluster) -> FieldValues:
    given = {kept: getattr(op, name) for name, kept in _UNSETTABLE_SETTINGS.items()}
    return {name: value or None for name, value in given.items() if value is not None}


def _read_directories(op: ModifyCluster, cluster: Cluster) -> FieldValues:
    return {name: value for name in _DIRECTORY_SETTINGS if (value := getattr(op, name)) is not None}


def _prefix(op: ModifyCluster, cluster: Cluster) -> FieldValues:
    return {} if op.mac_prefix is None else {"mac_prefix": op.mac_prefix.lower()}


def _read_patterns(op: ModifyCluster, cluster: Cluster) -> FieldValues:
    fields: FieldValues = {}
    if op.reserved_lvs is not None:
        fields["reserved_lvs"] = op.reserved_lvs
    return fields


def _read_enabled(op: ModifyCluster, cluster: Cluster) -> FieldValues:
    fields: FieldValues = {}
    for name in ("enabled_hypervisors", "enabled_disk_templates"):
        if (given := getattr(op, name)) is not None:
            if not given:
                raise Invalid([Problem(name, "must not be empty")])
            fields[name] = tuple(dict.fromkeys(each.value for each in given))
    for number, template in enumerate(op.enabled_disk_templates or ()):
        if (
            template not in SUPPORTED_TEMPLATES
            and template.value not in cluster.enabled_disk_templates
        ):
            where = f"enabled_disk_templates[{number}]"
            raise Invalid([Problem(where, format_unsupported_template(template))])
    for number, hypervisor in enumerate(op.enabled_hypervisors or ()):
        _get_parameter_set(hypervisor.value, "enabled_hypervisors", f"[{number}]")
    return fields


def _read_parameters(op: ModifyCluster, cluster: Cluster) -> FieldValues:
    fields: FieldValues = {}
    if op.beparams is not None:
        before = cluster.beparams.get("default", {})
        fields["beparams"] = {"default": _validate_level(Backend, op.beparams, before, "beparams")}
    if op.nicparams is not None:
        given: Mapping[str, Value] = {k: v for k, v in op.nicparams.items() if v is not None}
        before = cluster.nicparams.get("default", {})
        fields["nicparams"] = {
            "default": _validate_level(NicParameters, given, before, "nicparams")
        }
    if op.ndparams is not None:
        fields["ndparams"] = _validate_level(
            NodeParameters, op.ndparams, cluster.ndparams, "ndparams"
        )
    if op.ipolicy is not None:
        policy = complete_std(op.ipolicy, fill_policy(cluster))
        fields["ipolicy"] = _validate_level(Policy, policy, cluster.ipolicy, "ipolicy")
    return fields


def _validate_level(
    kind: type[ParameterSet], given: Mapping[str, Value], onto: Mapping[str, Value], path: str
) -> Parameters:
    """Validate parameters of a level whose only upper level are the built-in defaults."""
    found = checked(kind, given, path=path, onto=onto)
    check_consistency(kind, {**defaults(kind), **found}, path=path)
    return found


def _read_hvparams(op: ModifyCluster, cluster: Cluster) -> FieldValues:
    if op.hvparams is None:
        return {}
    found = dict(cluster.hvparams)
    for name, given in op.hvparams.items():
        before = found.get(name, {})
        found[name] = _validate_level(
            _get_parameter_set(name, "hvparams"), given, before, f"hvparams/{name}"
        )
    return {"hvparams": found}


def _get_parameter_set(name: str, path: str, place: str = "") -> type[ParameterSet]:
    if name not in HYPERVISORS:
        known = ", ".join(HYPERVISORS)
        where = f"{path}{place or f'/{name}'}"
        raise Invalid(
            [Problem(where, f"hypervisor {name} is not supported; supported are {known}")]
        )
    return HYPERVISORS[name]


def _read_os_hvp(op: ModifyCluster, cluster: Cluster) -> FieldValues:
    if op.os_hvp is None:
        return {}
    found = {os: dict(by_name) for os, by_name in cluster.os_hvp.items()}
    for os, by_name in op.os_hvp.items():
        for name, given in by_name.items():
            path = f"os_hvp/{os}/{name}"
            kind, of_os = _get_parameter_set(name, f"os_hvp/{os}"), found.setdefault(os, {})
            if not isinstance(given, dict):
                raise Invalid([Problem(path, "must be an object of parameters by name")])
            of_os[name] = checked(kind, given, path=path, onto=of_os.get(name, {}), for_one=True)
    return {"os_hvp": {os: by_name for os, by_name in found.items() if any(by_name.values())}}


def _read_os_settings(op: ModifyCluster, cluster: Cluster) -> FieldValues:
    fields: FieldValues = {}
    for name in ("osparams", "osparams_private_cluster"):
        given = getattr(op, name)
        if given is None:
            continue
        found = {os: dict(values) for os, values in getattr(cluster, name).items()}
        for os, values in given.items():
            merged = {**found.get(os, {}), **values}
            found[os] = {key: value for key, value in merged.items() if value != DEFAULT}
        fields[name] = {os: values for os, values in found.items() if values}
    for name in ("hidden_os", "blacklisted_os"):
        if (changes := getattr(op, name)) is not None:
            fields[name] = _apply_list_changes(getattr(cluster, name), changes, name)
    return fields


def _apply_list_changes(
    before: Sequence[str], changes: Sequence[tuple[ListAction, str]], path: str
) -> tuple[str, ...]:
    found = list(before)
    for action, name in changes:
        if action is ListAction.ADD and name not in found:
            found.append(name)
        elif action is ListAction.REMOVE and name in found:
            found.remove(name)
        elif action not in (ListAction.ADD, ListAction.REMOVE):
            raise Invalid([Problem(path, "supports only the actions add and remove")])
    return tuple(found)


def _read_diskparams(op: ModifyCluster, cluster: Cluster) -> FieldValues:
    if op.diskparams is None:
        return {}
    return {"diskparams": validate_diskparams(op.diskparams, cluster.diskparams)}


def validate_diskparams(
    given: Mapping[Template, Parameters], before: Mapping[str, Parameters]
) -> dict[str, Parameters]:
    """Validate ``given`` and return it merged into ``before``, by template.

    :raises Invalid: with every problem of ``given``.
    """
    found, problems = dict(before), list[Problem]()
    for template, values in given.items():
        path, onto = f"diskparams/{template.value}", found.get(template.value, {})
        try:
            found[template.value] = checked(DISKS[template], values, path=path, onto=onto)
        except Invalid as e:
            problems += e.problems
    if problems:
        raise Invalid(problems)
    return {name: values for name, values in found.items() if values}


def _read_uid_pool(op: ModifyCluster, cluster: Cluster) -> FieldValues:
    if op.uid_pool is None and op.add_uids is None and op.remove_uids is None:
        return {}
    ranges = [*(cluster.uid_pool if op.uid_pool is None else op.uid_pool), *(op.add_uids or ())]
    for first, last in (*ranges, *(op.remove_uids or ())):
        if not 0 <= first <= last:
            raise Invalid([Problem("uid_pool", f"{first}-{last} is not a valid range of user IDs")])
    for gone in op.remove_uids or ():
        if gone not in ranges:
            raise Invalid(
                [Problem("remove_uids", f"{gone[0]}-{gone[1]} is not a range of the pool")]
            )
        ranges.remove(gone)
    return {"uid_pool": tuple(sorted(set(ranges)))}


def _read_collectors(op: ModifyCluster, cluster: Cluster) -> FieldValues:
    changes: Mapping[str, Mapping[str, Value]] = {
        "active": op.enabled_data_collectors or {},
        "interval": op.data_collector_interval or {},
    }
    found = dict(cluster.data_collectors)
    for field, by_name in changes.items():
        for name, value in by_name.items():
            if name not in found:
                known = ", ".join(found) or "none"
                raise Invalid([Problem(name, f"is not a data collector; known are {known}")])
            found[name] = replace(found[name], **{field: value})
    return {"data_collectors": found} if found != cluster.data_collectors else {}


_STEPS: Sequence[Step] = (
    _read_plain,
    _read_unsettable,
    _read_directories,
    _prefix,
    _read_patterns,
    _read_enabled,
    _read_parameters,
    _read_hvparams,
    _read_os_hvp,
    _read_os_settings,
    _read_diskparams,
    _read_uid_pool,
    _read_collectors,
)
