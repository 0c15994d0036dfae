# SPDX-License-Identifier: BSD-2-Clause
"""What holds for an object in the end: defaults, then the cluster's settings, then finer ones.

What a level sets wins over the levels before it. Names that no declaration knows (from a
configuration made by other software) are passed on.
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
from ganeti.model.parameters.declaration import defaults
from ganeti.model.parameters.disk import DISKS
from ganeti.model.parameters.hypervisors import HYPERVISORS
from ganeti.model.parameters.nic import NicParameters
from ganeti.model.parameters.node import NodeParameters
from ganeti.model.parameters.policy import Policy
from ganeti.schema.types import Parameters

_NONE: Mapping[str, Any] = {}


def be_filled(cluster: Cluster, instance: Instance) -> Parameters:
    """The backend parameters of ``instance``."""
    return be_defaults(cluster) | instance.beparams


def be_defaults(cluster: Cluster) -> Parameters:
    """The backend parameters of instances that set none."""
    return {**defaults(Backend), **cluster.beparams.get("default", _NONE)}


def hv_filled(cluster: Cluster, instance: Instance) -> Parameters:
    """The hypervisor parameters of ``instance``."""
    return hv_defaults(cluster, instance.hypervisor, instance.os) | instance.hvparams


def hv_defaults(cluster: Cluster, hypervisor: str, os: str = "") -> Parameters:
    """The hypervisor parameters of instances with this OS that set none."""
    kind = HYPERVISORS.get(hypervisor)
    filled = {
        **(defaults(kind) if kind else _NONE),
        **cluster.hvparams.get(hypervisor, _NONE),
    }
    for name in _os_names(os):
        filled.update(cluster.os_hvp.get(name, {}).get(hypervisor, {}))
    return filled


def nic_filled(cluster: Cluster, nic: Nic) -> Parameters:
    """The parameters of a network card."""
    return nic_defaults(cluster) | nic.nicparams


def nic_defaults(cluster: Cluster) -> Parameters:
    """The parameters of network cards that set none."""
    return {**defaults(NicParameters), **cluster.nicparams.get("default", _NONE)}


def nd_filled(cluster: Cluster, group: Group, node: Node | None = None) -> Parameters:
    """The parameters of ``node``, or those of nodes in ``group`` that set none."""
    own = node.ndparams if node else _NONE
    return {**defaults(NodeParameters), **cluster.ndparams, **group.ndparams, **own}


def disk_filled(cluster: Cluster, group: Group, template: Template) -> Parameters:
    """The parameters of disks of this template on nodes of ``group``."""
    return {
        **defaults(DISKS[template]),
        **cluster.diskparams.get(template.value, _NONE),
        **group.diskparams.get(template.value, _NONE),
    }


def policy_filled(cluster: Cluster, group: Group | None = None) -> Parameters:
    """The instance policy of ``group``, or of the cluster; a group's ranges replace all others."""
    return {**defaults(Policy), **cluster.ipolicy, **(group.ipolicy if group else _NONE)}


def os_filled(cluster: Cluster, instance: Instance) -> Parameters:
    """The OS parameters of ``instance``, private ones included."""
    filled: Parameters = {}
    for known in (cluster.osparams, cluster.osparams_private_cluster):
        for name in _os_names(instance.os):
            filled.update(known.get(name, {}))
    return {**filled, **instance.osparams, **instance.osparams_private}


def _os_names(os: str) -> tuple[str, ...]:
    """The names under which something may be set for an OS, the most general first."""
    plain, plus, _ = os.partition("+")
    return (plain, os) if plus else (plain,)
