# SPDX-License-Identifier: BSD-2-Clause
"""Upgrade of configurations from older formats, step by step.

Each step takes a decoded document of one version and returns one of a later version:
``names_to_uuids`` from 2.2, ``upgrade_steps`` from 2.7 on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from ganeti.config.initial_state import (
    COLLECTORS,
    SETTINGS,
    default_hvparams,
    default_parameters,
)
from ganeti.config.names_to_uuids import upgrade_from_2_2
from ganeti.config.reservations import is_complete
from ganeti.config.upgrade_steps import CHAIN
from ganeti.errors import Invalid, Problem
from ganeti.model.cluster import CONFIG_VERSION
from ganeti.model.parameters.backend import Backend
from ganeti.model.parameters.declaration import ParameterSet, defaults, plain
from ganeti.model.parameters.nic import first_nic_parameters
from ganeti.model.parameters.node import NodeParameters
from ganeti.model.parameters.policy import Policy
from ganeti.schema.documents import Document
from ganeti.schema.types import Value

Ids: TypeAlias = Callable[[], str]


def upgraded(document: object, ids: Ids) -> Document:
    """Return ``document``, decoded from JSON, in the present format with defaults filled in.

    :raises Invalid: its version cannot be read, or it does not have the form of its version.
    """
    if not isinstance(document, dict) or not isinstance(document.get("version"), int):
        raise Invalid("not a config.data file: it has no version number")
    while (version := document["version"]) != CONFIG_VERSION:
        if version not in STEPS:
            raise Invalid(
                f"config.data has version {_format_version(version)}; this software reads "
                f"{', '.join(map(_format_version, sorted({*STEPS, CONFIG_VERSION})))}; "
                "upgrade it to "
                f"{_format_version(CONFIG_VERSION)} with the software that wrote it"
            )
        following, step = STEPS[version]
        try:
            document = {**step(document, ids), "version": following}
        except (AttributeError, KeyError, TypeError, ValueError) as e:
            # Steps assume the old form; a document of another form fails with one of these.
            raise Invalid(
                f"config.data does not have the form of version {_format_version(version)}: {e!r}; "
                "restore it from a backup"
            ) from e
    complete: Document = _convert_integers(_fill_in(document))
    return complete


_FLOAT_FIELDS = frozenset({"cpu_speed", "spindle-ratio", "vcpu-ratio", "ctime", "mtime"})
"""Fields of floats, which are written as such even if the value is an integer."""


def _convert_integers(value: object) -> Any:
    """Return the document with integers for values that some versions write like 5000000.0."""
    match value:
        case float() if value.is_integer():
            return int(value)
        case dict():
            return {
                name: held if name in _FLOAT_FIELDS else _convert_integers(held)
                for name, held in value.items()
            }
        case list():
            return [_convert_integers(held) for held in value]
    return value


def _format_version(version: int) -> str:
    return f"{version // 1_000_000}.{version // 10_000 % 100}"


_FLAT_PARAMETERS: Mapping[str, type[ParameterSet]] = MappingProxyType(
    {"ndparams": NodeParameters, "ipolicy": Policy}
)
_DEFAULT_PROFILES: Mapping[str, Callable[[], Mapping[str, Value]]] = MappingProxyType(
    {"beparams": lambda: defaults(Backend), "nicparams": first_nic_parameters}
)
_STAMP: Mapping[str, object] = MappingProxyType({"serial_no": 1, "ctime": 0.0, "mtime": 0.0})
_SECTION_DEFAULTS: Mapping[str, Mapping[str, object]] = MappingProxyType(
    {
        "nodes": {
            **_STAMP,
            "master_capable": True,
            "vm_capable": True,
            "ndparams": {},
            "powered": True,
            "tags": [],
        },
        "nodegroups": {
            **_STAMP,
            "ndparams": {},
            "diskparams": {},
            "ipolicy": {},
            "alloc_policy": "preferred",
            "networks": {},
            "tags": [],
        },
        "instances": {
            **_STAMP,
            "hvparams": {},
            "beparams": {},
            "osparams": {},
            "osparams_private": {},
            "admin_state_source": "admin",
            "nics": [],
            "disks": [],
            "tags": [],
        },
        "disks": {
            **_STAMP,
            "children": [],
            "nodes": [],
            "iv_name": "",
            "mode": "rw",
            "params": {},
        },
        "networks": {**_STAMP, "tags": []},
        "filters": {},
    }
)


_OF_RESERVED: Mapping[str, Mapping[str, object]] = MappingProxyType(
    {"instances": {"os": "", "admin_state": "down"}}
)
"""What reserved instances may lack in Ganeti, besides what others may."""


def _reject_incomplete(document: Document) -> None:
    """Reject reserved instances (*forthcoming*) without a node or disks, as Ganeti may have them.

    :raises Invalid: with a problem for each of them.
    """
    found = [
        Problem(
            f"instances/{key}",
            f"{held.get('name') or key} is only reserved (forthcoming), without all that it needs"
            " here: a name, a hypervisor, a primary node, and the layout of its disks; with Ganeti,"
            " create it (gnt-instance add --commit) or remove it first",
        )
        for key, held in (document.get("instances") or {}).items()
        if isinstance(held, dict) and held.get("forthcoming") and not is_complete(held, document)
    ]
    if found:
        raise Invalid(found)


def _fill_in(document: Document) -> Document:
    _reject_incomplete(document)
    cluster = _add_missing(document.get("cluster"), {**_cluster_defaults(), "tags": []})
    for name, kind in _FLAT_PARAMETERS.items():
        cluster[name] = {**defaults(kind), **(cluster.get(name) or {})}
    for name, first in _DEFAULT_PROFILES.items():
        given = cluster.get(name) or {}
        cluster[name] = {**given, "default": {**first(), **given.get("default", {})}}
    sections = {
        section: {
            key: _fill_in_object(section, held, missing)
            for key, held in (document.get(section) or {}).items()
        }
        for section, missing in _SECTION_DEFAULTS.items()
    }
    return {**document, "cluster": cluster, **sections}


def _fill_in_object(section: str, held: object, missing: Mapping[str, object]) -> object:
    if not isinstance(held, dict):
        return held
    complete = _add_missing(held, missing)
    if complete.get("forthcoming"):
        complete = {**_OF_RESERVED.get(section, {}), **complete}
    else:
        # The default, which some versions of Ganeti write.
        complete.pop("forthcoming", None)
    if section == "instances":
        complete.setdefault("disks_active", complete.get("admin_state") == "up")
    if section == "disks":
        complete["children"] = [
            _fill_in_object("disks", {**child, "uuid": child.get("uuid", "")}, missing)
            for child in complete["children"]
        ]
    return complete


def _add_missing(held: object, missing: Mapping[str, object]) -> Document:
    """Return the fields of ``held`` with defaults for missing ones; null counts as missing."""
    given = held if isinstance(held, dict) else {}
    return {**missing, **{n: v for n, v in given.items() if v is not None or n not in missing}}


def _cluster_defaults() -> Document:
    return {
        **plain(dict(SETTINGS)),
        "modify_etc_hosts": True,
        "modify_ssh_setup": True,
        "file_storage_dir": "",
        "shared_file_storage_dir": "",
        "gluster_storage_dir": "",
        "candidate_certs": {},
        "data_collectors": {name: {"active": True, "interval": 5_000_000} for name in COLLECTORS},
        "hvparams": default_hvparams(),
        "diskparams": default_parameters()["diskparams"],
    }


STEPS: Mapping[int, tuple[int, Callable[[Document, Ids], Document]]] = MappingProxyType(
    {2_020_000: (CONFIG_VERSION, upgrade_from_2_2), **CHAIN}
)
"""The upgrade steps: by version, the version that the step leads to, and the step."""
