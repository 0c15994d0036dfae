# SPDX-License-Identifier: BSD-2-Clause
"""What a request for a new instance says, read, checked, and with the cluster's defaults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ganeti.config.changes.tags import tags_checked
from ganeti.errors import Invalid, Problem, Refused
from ganeti.model.cluster import Cluster
from ganeti.model.disk import Template
from ganeti.model.parameters.backend import Backend
from ganeti.model.parameters.filling import be_defaults, hv_defaults
from ganeti.model.parameters.hypervisors import driven
from ganeti.model.parameters.parsing import with_defaults
from ganeti.opcodes.instance.create import CreateInstance
from ganeti.operations.instance.create.disk_adoption import adopts
from ganeti.operations.instance.device_specs import (
    DiskSpec,
    NicSpec,
    disks_wanted,
    nics_wanted,
    require_connectable,
    require_no_pool,
)
from ganeti.operations.instance.disks.layout import require_layout
from ganeti.schema.host_names import RULE, is_host_name
from ganeti.schema.types import Parameters


@dataclass(frozen=True)
class InstanceSpec:
    """A new instance in all that does not depend on where it goes."""

    hypervisor: str
    template: Template
    disks: tuple[DiskSpec, ...]
    nics: tuple[NicSpec, ...]
    os: str
    installs: bool
    hvparams: Parameters
    beparams: Parameters
    osparams: Parameters
    osparams_private: Parameters
    tags: tuple[str, ...]


def order_of(op: CreateInstance, cluster: Cluster) -> InstanceSpec:
    """What ``op`` asks for.

    :raises Invalid: with every problem of its parameters.
    :raises Refused: the cluster is not set up for it.
    """
    hypervisor = op.hypervisor.value if op.hypervisor else cluster.enabled_hypervisors[0]
    if hypervisor not in cluster.enabled_hypervisors:
        enabled = ", ".join(cluster.enabled_hypervisors)
        raise Refused(f"the hypervisor {hypervisor} is not enabled; enabled are: {enabled}")
    kind = driven(hypervisor)
    template = op.disk_template or Template(cluster.enabled_disk_templates[0])
    require_layout(template, cluster)
    problems: list[Problem] = []
    disks = _collected(problems, (), lambda: disks_wanted(op.disks, template))
    nics = _collected(problems, (), lambda: nics_wanted(op.nics))
    above = hv_defaults(cluster, hypervisor, op.os_type or "")
    hvparams = _collected(
        problems,
        {},
        lambda: with_defaults(kind, op.hvparams, above, path="hvparams", for_one=True),
    )
    beparams = _collected(
        problems,
        {},
        lambda: with_defaults(Backend, op.beparams, be_defaults(cluster), path="beparams"),
    )
    _collected(problems, None, lambda: require_connectable(nics, cluster))
    if not is_host_name(op.instance_name):
        problems.append(Problem("instance_name", RULE))
    tags = _collected(problems, (), lambda: tags_checked(op.tags))
    installs = not op.no_install and not adopts(op)
    if installs and not op.os_type:
        problems.append(Problem("os_type", "is required, unless no_install is set"))
    if problems:
        raise Invalid(problems)
    require_no_pool(nics)
    return InstanceSpec(
        hypervisor=hypervisor,
        template=template,
        disks=disks,
        nics=nics,
        os=op.os_type or "",
        installs=installs,
        hvparams=hvparams,
        beparams=beparams,
        osparams=dict(op.osparams),
        osparams_private=dict(op.osparams_private or {}),
        tags=tags,
    )


def _collected(problems: list[Problem], nothing: Any, read: Callable[[], Any]) -> Any:
    """What ``read`` reads, or else ``nothing``, with its problems added to the others."""
    try:
        return read()
    except Invalid as e:
        problems += e.problems
        return nothing
