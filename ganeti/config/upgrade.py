# SPDX-License-Identifier: BSD-2-Clause
"""Configurations of older formats, brought to the present one step by step.

A step takes a decoded document of the version that it is listed under and makes one of the next:
``names_to_uuids`` from 2.2, ``upgrade_steps`` from 2.7 on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from ganeti.config.initial_state import (
    COLLECTORS,
    SETTINGS,
    first_parameters,
    hypervisor_settings,
)
from ganeti.config.names_to_uuids import from_2_2
from ganeti.config.upgrade_steps import CHAIN
from ganeti.errors import Invalid, Problem
from ganeti.model.cluster import CONFIG_VERSION
from ganeti.model.parameters.backend import Backend
from ganeti.model.parameters.declaration import ParameterSet, defaults, plain
from ganeti.model.parameters.nic import NicParameters
from ganeti.model.parameters.node import NodeParameters
from ganeti.model.parameters.policy import Policy

Document: TypeAlias = dict[str, Any]
Ids: TypeAlias = Callable[[], str]


def upgraded(document: Any, ids: Ids) -> Document:
    """``document``, decoded from JSON, in the present format, with what may be missing filled in.

    :raises Invalid: it is not of a version that can be read.
    """
    if not isinstance(document, dict) or not isinstance(document.get("version"), int):
        raise Invalid("this is no config.data: it does not say which version it has")
    while (version := document["version"]) != CONFIG_VERSION:
        if version not in STEPS:
            raise Invalid(
                f"config.data has version {_spelt(version)}, and this software reads "
                f"{', '.join(map(_spelt, sorted({*STEPS, CONFIG_VERSION})))}; bring it to "
                f"{_spelt(CONFIG_VERSION)} with the software that wrote it"
            )
        following, step = STEPS[version]
        try:
            document = {**step(document, ids), "version": following}
        except (AttributeError, KeyError, TypeError, ValueError) as e:
            # A step takes the old form for granted; that it does not fit shows as one of these.
            raise Invalid(
                f"config.data is not what version {_spelt(version)} writes: {e!r}; restore it "
                "from a backup"
            ) from e
    complete: Document = _with_whole_numbers(_completed(document))
    return complete


_FRACTIONS = frozenset({"cpu_speed", "spindle-ratio", "vcpu-ratio", "ctime", "mtime"})
"""What may be a fraction, and is written as one even if it is none."""


def _with_whole_numbers(value: Any) -> Any:
    """The document with whole numbers for what some versions write like 5000000.0."""
    match value:
        case float() if value.is_integer():
            return int(value)
        case dict():
            return {
                name: held if name in _FRACTIONS else _with_whole_numbers(held)
                for name, held in value.items()
            }
        case list():
            return [_with_whole_numbers(held) for held in value]
    return value


def _spelt(version: int) -> str:
    return f"{version // 1_000_000}.{version // 10_000 % 100}"


_COMPLETE: Mapping[str, type[ParameterSet]] = MappingProxyType(
    {"ndparams": NodeParameters, "ipolicy": Policy}
)
_BY_DEFAULT: Mapping[str, type[ParameterSet]] = MappingProxyType(
    {"beparams": Backend, "nicparams": NicParameters}
)
_STAMP: Mapping[str, Any] = MappingProxyType({"serial_no": 1, "ctime": 0.0, "mtime": 0.0})
_MISSING: Mapping[str, Mapping[str, Any]] = MappingProxyType(
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


def _require_real(document: Document) -> None:
    """Refuse instances and disks that are only reserved, which nothing here keeps.

    :raises Invalid: with each of them.
    """
    found = [
        Problem(
            f"{section}/{key}",
            f"{held.get('name') or key} is only reserved (forthcoming), which this version does not"
            " keep; with Ganeti, create it (gnt-instance add --commit) or remove it first",
        )
        for section in _MISSING
        for key, held in (document.get(section) or {}).items()
        if isinstance(held, dict) and held.get("forthcoming")
    ]
    if found:
        raise Invalid(found)


def _completed(document: Document) -> Document:
    _require_real(document)
    cluster = _with(document.get("cluster"), {**_cluster_defaults(), "tags": []})
    for name, kind in _COMPLETE.items():
        cluster[name] = {**defaults(kind), **(cluster.get(name) or {})}
    for name, kind in _BY_DEFAULT.items():
        given = cluster.get(name) or {}
        cluster[name] = {**given, "default": {**defaults(kind), **given.get("default", {})}}
    sections = {
        section: {
            key: _object(section, held, missing)
            for key, held in (document.get(section) or {}).items()
        }
        for section, missing in _MISSING.items()
    }
    return {**document, "cluster": cluster, **sections}


def _object(section: str, held: Any, missing: Mapping[str, Any]) -> Any:
    if not isinstance(held, dict):
        return held
    complete = _with(held, missing)
    complete.pop("forthcoming", None)
    if section == "instances":
        complete.setdefault("disks_active", complete.get("admin_state") == "up")
    if section == "disks":
        complete["children"] = [
            _object("disks", {**child, "uuid": child.get("uuid", "")}, missing)
            for child in complete["children"]
        ]
    return complete


def _with(held: Any, missing: Mapping[str, Any]) -> Document:
    """What is held, with what is missing; null counts as missing where there is a default."""
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
        "hvparams": hypervisor_settings(),
        "diskparams": first_parameters()["diskparams"],
    }


STEPS: Mapping[int, tuple[int, Callable[[Document, Ids], Document]]] = MappingProxyType(
    {2_020_000: (CONFIG_VERSION, from_2_2), **CHAIN}
)
"""By version, a later one and what makes a document of that."""
