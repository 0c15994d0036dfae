# SPDX-License-Identifier: BSD-2-Clause
"""The spec of a new instance: a validated request with the cluster's defaults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ganeti.config.changes.tags import validate_tags
from ganeti.errors import Invalid, Problem, Refused
from ganeti.model.cluster import Cluster
from ganeti.model.cluster_settings import NO_USER_POOL, lacks_user_pool
from ganeti.model.disk import Template
from ganeti.model.parameters.backend import Backend
from ganeti.model.parameters.filling import be_defaults, hv_defaults
from ganeti.model.parameters.hypervisors import get_parameter_set
from ganeti.model.parameters.parsing import validate_with_defaults
from ganeti.opcodes.instance.create import CreateInstance
from ganeti.operations.instance.create.disk_adoption import adopts
from ganeti.operations.instance.device_specs import (
    DiskSpec,
    NicSpec,
    check_nic_parameters,
    check_pool_addresses,
    read_disks,
    read_nics,
)
from ganeti.operations.instance.disks.disk_layout import check_template
from ganeti.schema.host_names import RULE, is_host_name
from ganeti.schema.types import Parameters


@dataclass(frozen=True)
class InstanceSpec:
    """The properties of a new instance that do not depend on its nodes."""

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


def make_spec(op: CreateInstance, cluster: Cluster) -> InstanceSpec:
    """Return the spec of the instance that ``op`` requests.

    :raises Invalid: with every problem of its parameters.
    :raises Refused: hypervisor or disk template are not enabled.
    """
    hypervisor = op.hypervisor.value if op.hypervisor else cluster.enabled_hypervisors[0]
    if hypervisor not in cluster.enabled_hypervisors:
        enabled = ", ".join(cluster.enabled_hypervisors)
        raise Refused(f"hypervisor {hypervisor} is not enabled; enabled are: {enabled}")
    kind = get_parameter_set(hypervisor)
    template = op.disk_template or Template(cluster.enabled_disk_templates[0])
    check_template(template, cluster)
    problems: list[Problem] = []
    disks = _collect(problems, (), lambda: read_disks(op.disks, template))
    nics = _collect(problems, (), lambda: read_nics(op.nics))
    above = hv_defaults(cluster, hypervisor, op.os_type or "")
    hvparams = _collect(
        problems,
        {},
        lambda: validate_with_defaults(kind, op.hvparams, above, path="hvparams", for_one=True),
    )
    beparams = _collect(
        problems,
        {},
        lambda: validate_with_defaults(Backend, op.beparams, be_defaults(cluster), path="beparams"),
    )
    _collect(problems, None, lambda: check_nic_parameters(nics, cluster))
    if lacks_user_pool({**above, **hvparams}, cluster.uid_pool):
        problems.append(Problem("hvparams/security_model", NO_USER_POOL))
    if not is_host_name(op.instance_name):
        problems.append(Problem("instance_name", RULE))
    tags = _collect(problems, (), lambda: validate_tags(op.tags))
    installs = not op.no_install and not adopts(op)
    if installs and not op.os_type:
        problems.append(Problem("os_type", "is required unless no_install is set"))
    if problems:
        raise Invalid(problems)
    check_pool_addresses(nics)
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


def _collect(problems: list[Problem], nothing: Any, read: Callable[[], Any]) -> Any:
    """Return the result of ``read``, or ``nothing`` after adding its problems to ``problems``."""
    try:
        return read()
    except Invalid as e:
        problems += e.problems
        return nothing
