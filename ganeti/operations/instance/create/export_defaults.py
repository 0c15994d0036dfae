# SPDX-License-Identifier: BSD-2-Clause
"""Completion of a request for an instance by the description of an export."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ganeti.errors import Invalid, Problem
from ganeti.model.cluster import Cluster
from ganeti.model.disk import Template
from ganeti.model.parameters.backend import Backend
from ganeti.model.parameters.filling import be_defaults, hv_defaults, nic_defaults
from ganeti.model.parameters.hypervisors import HYPERVISORS
from ganeti.model.parameters.parsing import checked
from ganeti.opcodes.choices import Hypervisor
from ganeti.opcodes.instance.create import CreateInstance
from ganeti.operations.backup.description import ExportDescription
from ganeti.schema.parameters import parameters
from ganeti.schema.records import replace
from ganeti.schema.types import Value

_NIC_PARAMETERS = ("mode", "link", "vlan")


def apply_export(op: CreateInstance, export: ExportDescription, cluster: Cluster) -> CreateInstance:
    """Return ``op`` with missing values taken from the export.

    ``identify_defaults`` drops values that equal the cluster's defaults.

    :raises Invalid: the export has values that this cluster does not know.
    """
    hypervisor = op.hypervisor or _parse_choice(Hypervisor, export.hypervisor, "hypervisor")
    template = op.disk_template or _parse_choice(Template, export.disk_template, "disk_template")
    os = op.os_type or export.os
    hvparams = _select_known(export.hvparams, HYPERVISORS.get(hypervisor.value))
    beparams = _select_known(export.beparams, Backend)
    if op.identify_defaults and hypervisor.value in HYPERVISORS:
        defaults = hv_defaults(cluster, hypervisor.value, os or "")
        hvparams = _drop_defaults(hvparams, HYPERVISORS[hypervisor.value], defaults, "hvparams")
    if op.identify_defaults:
        beparams = _drop_defaults(beparams, Backend, be_defaults(cluster), "beparams")
    return replace(
        op,
        no_install=True,
        hypervisor=hypervisor,
        disk_template=template,
        os_type=os,
        hvparams={**hvparams, **op.hvparams},
        beparams={**beparams, **op.beparams},
        osparams={**_drop_nulls(export.osparams), **op.osparams},
        osparams_private={**_drop_nulls(export.osparams_private), **(op.osparams_private or {})},
        tags=op.tags or export.tags,
        disks=op.disks or tuple(_make_disks(export)),
        nics=op.nics or tuple(_make_nics(op, export, cluster)),
    )


def _parse_choice(kind: Any, value: str, what: str) -> Any:
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(kind)
        message = f"the export has the unknown value {value}; give one of {known}"
        raise Invalid([Problem(what, message)]) from None


def _select_known(given: Mapping[str, str | None], kind: Any) -> dict[str, object]:
    """Return the parameters that an instance can have here, with ``none`` for no value."""
    if kind is None:
        return {}
    names = {each.name for each in parameters(kind) if not each.extra.get("shared")}
    return {
        name: "none" if value is None else value for name, value in given.items() if name in names
    }


def _drop_defaults(
    given: Mapping[str, Value], kind: Any, defaults: Mapping[str, Value], path: str
) -> dict[str, object]:
    values = checked(kind, given, path=path)
    return {name: value for name, value in values.items() if value != defaults.get(name)}


def _drop_nulls(given: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in given.items() if value is not None}


def _make_disks(export: ExportDescription) -> Iterator[dict[str, object]]:
    for disk in export.disks:
        yield {"size": disk.size} | ({"name": disk.name} if disk.name else {})


def _make_nics(
    op: CreateInstance, export: ExportDescription, cluster: Cluster
) -> Iterator[dict[str, Any]]:
    """Yield the network cards; MAC addresses are only kept if the instance keeps its name."""
    defaults = nic_defaults(cluster) if op.identify_defaults else {}
    for nic in export.nics:
        values = {name: value for name, value in nic.items() if value}
        if op.instance_name != export.name:
            values.pop("mac", None)
        for name in _NIC_PARAMETERS:
            if name in values and values[name] == defaults.get(name):
                del values[name]
        yield values
