# SPDX-License-Identifier: BSD-2-Clause
"""Effective parameters: built-in defaults, overridden by cluster, group or OS, and object.

Functions named ``fill_…`` return them in JSON types, for lists and for other software; those named
``…_of`` return the declared record, for code that acts by a parameter.

Unknown names, from a configuration of other software, are passed on unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ganeti.model.cluster import Cluster
from ganeti.model.disk import Template
from ganeti.model.group import Group
from ganeti.model.instance import Instance, Nic
from ganeti.model.node import Node
from ganeti.model.parameters.backend import Backend
from ganeti.model.parameters.declaration import defaults, to_record
from ganeti.model.parameters.disk import DISKS
from ganeti.model.parameters.hypervisors import HYPERVISORS
from ganeti.model.parameters.nic import NicParameters
from ganeti.model.parameters.node import NodeParameters
from ganeti.model.parameters.policy import Policy
from ganeti.schema.types import Parameters

_NONE: Mapping[str, Any] = {}


def fill_backend(cluster: Cluster, instance: Instance) -> Parameters:
    """Return the effective backend parameters of ``instance``."""
    return be_defaults(cluster) | instance.beparams


def backend_of(cluster: Cluster, instance: Instance) -> Backend:
    """Return the effective backend parameters of ``instance``, as a record."""
    return to_record(Backend, fill_backend(cluster, instance), f"instance {instance.name}")


def be_defaults(cluster: Cluster) -> Parameters:
    """Return the backend parameters of instances that set none."""
    return {**defaults(Backend), **cluster.beparams.get("default", _NONE)}


def default_backend_of(cluster: Cluster) -> Backend:
    """Return the backend parameters of instances that set none, as a record."""
    return to_record(Backend, be_defaults(cluster), f"cluster {cluster.cluster_name}")


def fill_hypervisor(cluster: Cluster, instance: Instance) -> Parameters:
    """Return the effective hypervisor parameters of ``instance``."""
    return hv_defaults(cluster, instance.hypervisor, instance.os) | instance.hvparams


def hv_defaults(cluster: Cluster, hypervisor: str, os: str = "") -> Parameters:
    """Return the hypervisor parameters of instances with this OS that set none."""
    kind = HYPERVISORS.get(hypervisor)
    filled = {
        **(defaults(kind) if kind else _NONE),
        **cluster.hvparams.get(hypervisor, _NONE),
    }
    for name in _os_names(os):
        filled.update(cluster.os_hvp.get(name, {}).get(hypervisor, {}))
    return filled


def fill_nic(cluster: Cluster, nic: Nic) -> Parameters:
    """Return the effective parameters of a network card."""
    return nic_defaults(cluster) | nic.nicparams


def nic_parameters_of(cluster: Cluster, nic: Nic) -> NicParameters:
    """Return the effective parameters of a network card, as a record."""
    return to_record(NicParameters, fill_nic(cluster, nic), f"network card {nic.name or nic.uuid}")


def nic_defaults(cluster: Cluster) -> Parameters:
    """Return the parameters of network cards that set none."""
    return {**defaults(NicParameters), **cluster.nicparams.get("default", _NONE)}


def fill_node(cluster: Cluster, group: Group, node: Node | None = None) -> Parameters:
    """Return the parameters of ``node``, or those of nodes in ``group`` that set none."""
    own = node.ndparams if node else _NONE
    return {**defaults(NodeParameters), **cluster.ndparams, **group.ndparams, **own}


def node_parameters_of(cluster: Cluster, group: Group, node: Node) -> NodeParameters:
    """Return the effective parameters of ``node``, as a record."""
    return to_record(NodeParameters, fill_node(cluster, group, node), f"node {node.name}")


def fill_disk(cluster: Cluster, group: Group, template: Template) -> Parameters:
    """Return the parameters of disks of this template on nodes of ``group``."""
    return {
        **defaults(DISKS[template]),
        **cluster.diskparams.get(template.value, _NONE),
        **group.diskparams.get(template.value, _NONE),
    }


def fill_policy(cluster: Cluster, group: Group | None = None) -> Parameters:
    """Return the instance policy of ``group``, or of the cluster.

    The group's ``minmax`` replaces the cluster's as a whole; ranges are not merged.
    """
    return {**defaults(Policy), **cluster.ipolicy, **(group.ipolicy if group else _NONE)}


def policy_of(cluster: Cluster, group: Group) -> Policy:
    """Return the effective instance policy of ``group``, as a record."""
    return to_record(Policy, fill_policy(cluster, group), f"node group {group.name}")


def fill_os(cluster: Cluster, instance: Instance) -> Parameters:
    """Return the OS parameters of ``instance``, including private ones."""
    filled: Parameters = {}
    for known in (cluster.osparams, cluster.osparams_private_cluster):
        for name in _os_names(instance.os):
            filled.update(known.get(name, {}))
    return {**filled, **instance.osparams, **instance.osparams_private}


def private_os_parameters(cluster: Cluster, instance: Instance) -> Parameters:
    """Return the OS parameters of ``instance`` that are not shown: its own, and the cluster's."""
    filled: Parameters = {}
    for name in _os_names(instance.os):
        filled.update(cluster.osparams_private_cluster.get(name, {}))
    return {**filled, **instance.osparams_private}


def _os_names(os: str) -> tuple[str, ...]:
    """Return the names under which an OS may have settings: without its variant, then with it."""
    plain, plus, _ = os.partition("+")
    return (plain, os) if plus else (plain,)
