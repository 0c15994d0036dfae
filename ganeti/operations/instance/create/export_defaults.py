# SPDX-License-Identifier: BSD-2-Clause
"""A request for an instance, completed by what an export says of the one that it is of."""

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

_NIC_PARAMETERS = ("mode", "link", "vlan")


def restored(op: CreateInstance, export: ExportDescription, cluster: Cluster) -> CreateInstance:
    """``op`` with the values of the export where it says nothing itself.

    With ``identify_defaults`` values that are the cluster's defaults are left to these.

    :raises Invalid: the export names what does not exist here.
    """
    hypervisor = op.hypervisor or _choice(Hypervisor, export.hypervisor, "hypervisor")
    template = op.disk_template or _choice(Template, export.disk_template, "disk_template")
    os = op.os_type or export.os
    hvparams = _known(export.hvparams, HYPERVISORS.get(hypervisor.value))
    beparams = _known(export.beparams, Backend)
    if op.identify_defaults and hypervisor.value in HYPERVISORS:
        defaults = hv_defaults(cluster, hypervisor.value, os or "")
        hvparams = _different(hvparams, HYPERVISORS[hypervisor.value], defaults, "hvparams")
    if op.identify_defaults:
        beparams = _different(beparams, Backend, be_defaults(cluster), "beparams")
    return replace(
        op,
        no_install=True,
        hypervisor=hypervisor,
        disk_template=template,
        os_type=os,
        hvparams={**hvparams, **op.hvparams},
        beparams={**beparams, **op.beparams},
        osparams={**_texts(export.osparams), **op.osparams},
        osparams_private={**_texts(export.osparams_private), **(op.osparams_private or {})},
        tags=op.tags or export.tags,
        disks=op.disks or tuple(_disks(export)),
        nics=op.nics or tuple(_nics(op, export, cluster)),
    )


def _choice(kind: Any, value: str, what: str) -> Any:
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(kind)
        message = f"is {value} in the export, which is not known here: name one of {known}"
        raise Invalid([Problem(what, message)]) from None


def _known(given: Mapping[str, str | None], kind: Any) -> dict[str, Any]:
    """Those parameters that an instance can have here; the text ``none`` for no value."""
    if kind is None:
        return {}
    names = {each.name for each in parameters(kind) if not each.extra.get("shared")}
    return {
        name: "none" if value is None else value for name, value in given.items() if name in names
    }


def _different(
    given: Mapping[str, Any], kind: Any, defaults: Mapping[str, Any], path: str
) -> dict[str, Any]:
    values = checked(kind, given, path=path)
    return {name: value for name, value in values.items() if value != defaults.get(name)}


def _texts(given: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in given.items() if value is not None}


def _disks(export: ExportDescription) -> Iterator[dict[str, Any]]:
    for disk in export.disks:
        yield {"size": disk.size} | ({"name": disk.name} if disk.name else {})


def _nics(
    op: CreateInstance, export: ExportDescription, cluster: Cluster
) -> Iterator[dict[str, Any]]:
    """The network cards; addresses of their own are kept only by an instance of the same name."""
    defaults = nic_defaults(cluster) if op.identify_defaults else {}
    for nic in export.nics:
        values = {name: value for name, value in nic.items() if value}
        if op.instance_name != export.name:
            values.pop("mac", None)
        for name in _NIC_PARAMETERS:
            if name in values and values[name] == defaults.get(name):
                del values[name]
        yield values
