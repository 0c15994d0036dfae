# SPDX-License-Identifier: BSD-2-Clause
"""Settings of clusters that nothing here does; a cluster that was taken over may have them.

They can be given the value that they have, or the one that turns them off, and no other, so that
nobody believes that it had an effect.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from ganeti.errors import Problem
from ganeti.model.cluster import Cluster
from ganeti.model.disk import SUPPORTED, Template

_NO_ADDRESS = "the system of the master's host puts the cluster's address on a network device"
_NO_HELPER = "there are no helper guests; an OS definition's script create installs on the node"
_NO_MONITORING = "there is no monitoring daemon; let a monitoring system ask the remote API"
_NO_ISOLATION = "guests have no user ids of their own (see the parameter security_model)"
_NO_RESERVE = "keep memory and disk free by the instance policy, or mark the node as drained"

UNSUPPORTED: Mapping[str, tuple[Any, str]] = MappingProxyType(
    {
        "compression_tools": (("none",), "data between nodes are sent as they are, over TLS"),
        "data_collectors": ({}, _NO_MONITORING),
        "disk_state_static": ({}, _NO_RESERVE),
        "enabled_user_shutdown": (False, "a guest that was stopped from inside is started again"),
        "gluster_storage_dir": ("", "there are no gluster disks; mount it, and use sharedfile"),
        "hv_state_static": ({}, _NO_RESERVE),
        "install_image": ("", _NO_HELPER),
        "instance_communication_network": ("", "connect instances to a network of yours instead"),
        "maintain_node_health": (False, "see gnt-cluster verify, and gnt-node evacuate"),
        "modify_etc_hosts": (False, "names are looked up as the system of each node does it"),
        "uid_pool": ((), _NO_ISOLATION),
        "use_external_mip_script": (False, _NO_ADDRESS),
        "zeroing_image": ("", _NO_HELPER),
    }
)
"""The fields of the cluster's record, each with the value that turns it off, and what to do
instead."""

_GIVEN_AS = {"hv_state_static": "hv_state", "disk_state_static": "disk_state"}


def unsupported(given: Mapping[str, Any], before: Cluster | None = None) -> Iterator[Problem]:
    """What of the fields ``given`` of a cluster that was as ``before`` has no effect here."""
    for name, value in given.items():
        if name not in UNSUPPORTED:
            continue
        off, instead = UNSUPPORTED[name]
        if value not in (off, None) and (before is None or value != getattr(before, name)):
            yield Problem(_GIVEN_AS.get(name, name), f"is not supported by this version: {instead}")


def unsupported_template(template: Template) -> str:
    """Say that no disks of a template can be made, and of which they can."""
    known = ", ".join(sorted(SUPPORTED))
    return f"{template.value} disks are not supported by this version; it has {known}"
