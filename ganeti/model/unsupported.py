# SPDX-License-Identifier: BSD-2-Clause
"""Cluster settings that this version does not implement, which imported configurations may have.

They accept only their present value or the value that turns them off: any other would have no
effect.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from ganeti.errors import Problem
from ganeti.model.cluster import Cluster
from ganeti.model.disk import SUPPORTED_TEMPLATES, Template
from ganeti.schema.types import Value

_NO_HELPER = "helper guests are not available; the OS definition's create script runs on the node"
_NO_MONITORING = "there is no monitoring daemon; query the remote API instead"
_NO_RESERVE = "limit instances by the instance policy, or mark the node as drained"

UNSUPPORTED: Mapping[str, tuple[object, str]] = MappingProxyType(
    {
        "compression_tools": (("none",), "data between nodes are sent uncompressed over TLS"),
        "data_collectors": ({}, _NO_MONITORING),
        "disk_state_static": ({}, _NO_RESERVE),
        "enabled_user_shutdown": (False, "a guest that is shut down from inside is started again"),
        "gluster_storage_dir": (
            "",
            "gluster disks are not available; mount the volume and use sharedfile",
        ),
        "hv_state_static": ({}, _NO_RESERVE),
        "install_image": ("", _NO_HELPER),
        "instance_communication_network": ("", "connect instances to an ordinary network instead"),
        "maintain_node_health": (False, "use gnt-cluster verify and gnt-node evacuate"),
        "modify_etc_hosts": (False, "each node resolves names by its system configuration"),
        "zeroing_image": ("", _NO_HELPER),
    }
)
"""The fields of ``Cluster``, each with the value that turns it off, and the alternative."""

_PARAMETER_NAMES = {"hv_state_static": "hv_state", "disk_state_static": "disk_state"}


def unsupported(given: Mapping[str, Value], before: Cluster | None = None) -> Iterator[Problem]:
    """Yield a problem for each of the fields ``given`` that would change an unsupported setting."""
    for name, value in given.items():
        if name not in UNSUPPORTED:
            continue
        off, instead = UNSUPPORTED[name]
        if value not in (off, None) and (before is None or value != getattr(before, name)):
            yield Problem(
                _PARAMETER_NAMES.get(name, name), f"is not supported by this version: {instead}"
            )


def format_unsupported_template(template: Template) -> str:
    """Return the message that a template is not supported, with those that are."""
    known = ", ".join(sorted(SUPPORTED_TEMPLATES))
    return f"{template.value} disks are not supported by this version; supported are {known}"
