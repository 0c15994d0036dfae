# SPDX-License-Identifier: BSD-2-Clause
"""The keys and values of options such as ``-B memory=512`` or ``-H kvm:acpi=false``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import msgspec
from msgspec import inspect

from ganeti.model.disk import SUPPORTED_TEMPLATES, DiskFormat, DiskMode
from ganeti.model.parameters.backend import Backend
from ganeti.model.parameters.disk import DISKS
from ganeti.model.parameters.hypervisors import HYPERVISORS
from ganeti.model.parameters.nic import NicParameters
from ganeti.model.parameters.node import DiskState, HypervisorState, NodeParameters
from ganeti.model.parameters.policy import Specs
from ganeti.schema.parameters import parameters

Keys = Mapping[str, tuple[str, ...]]
"""Allowed values by key; empty if any value is possible."""


def key_words(keys: str, text: str, idents: bool) -> list[tuple[str, bool]]:
    """Return what ``text`` may become, and whether more of the word may follow.

    ``keys`` is a name in ``PARAMETERS``; ``idents`` says that a name and a colon come first.
    """
    named, find = PARAMETERS[keys]
    ident, colon, rest = text.partition(":")
    if idents and not colon:
        return [(f"{each}:", True) for each in named()] or [(f"{ident}:", True)]
    front = f"{ident}:" if idents else ""
    found = find(ident if idents else "")
    before, comma, last = (rest if idents else text).rpartition(",")
    front += before + comma
    key, assigned, _ = last.partition("=")
    if assigned:
        return [(f"{front}{key}={value}", True) for value in found.get(key, ())]
    given = {part.partition("=")[0] for part in before.split(",")}
    return [(f"{front}{each}=", True) for each in found if each not in given]


def _keys_of(*records: type[msgspec.Struct]) -> Keys:
    return {
        each.name: _values(each.type)
        for record in records
        for each in parameters(record)
        if "instead" not in each.extra
    }


def _values(kind: inspect.Type) -> tuple[str, ...]:
    """Return the allowed values of a parameter, if they can be listed."""
    if isinstance(kind, inspect.Metadata):
        return _values(kind.type)
    if isinstance(kind, inspect.UnionType):
        return tuple(value for each in kind.types for value in _values(each))
    if isinstance(kind, inspect.BoolType):
        return ("true", "false")
    if isinstance(kind, inspect.EnumType):
        return tuple(str(member.value) for member in kind.cls)
    if isinstance(kind, inspect.LiteralType):
        return tuple(map(str, kind.values))
    return ()


def _hypervisor_keys(name: str) -> Keys:
    """Return the parameters of a hypervisor; without its name, those of all."""
    return _keys_of(*([HYPERVISORS[name]] if name in HYPERVISORS else HYPERVISORS.values()))


def _disk_keys(template: str) -> Keys:
    return _keys_of(*(kind for name, kind in DISKS.items() if template == name))


def _hypervisors() -> Iterator[str]:
    yield from HYPERVISORS


def _templates() -> Iterator[str]:
    yield from (str(each.value) for each in DISKS if each in SUPPORTED_TEMPLATES)


_CHANGES = ("add", "remove")
"""Changes of devices that need no number, see gnt-instance(8)."""

_DISK_KEYS: Keys = {
    **dict.fromkeys(("size", "name", "spindles", "vg", "metavg", "adopt", "provider"), ()),
    "format": tuple(each.value for each in DiskFormat),
    "mode": tuple(each.value for each in DiskMode),
}
_NIC_KEYS: Keys = {
    **dict.fromkeys(("mac", "ip", "network", "name"), ()),
    **_keys_of(NicParameters),
}
"""The settings of a disk and of a network card, see gnt-instance(8)."""


def _numbers() -> Iterator[str]:
    yield from ("0", "1")


def _device_changes() -> Iterator[str]:
    yield from (*_CHANGES, *_numbers())


def _none() -> Iterator[str]:
    yield from ()


PARAMETERS: Mapping[str, tuple[Callable[[], Iterator[str]], Callable[[str], Keys]]] = {
    "backend": (_none, lambda _: _keys_of(Backend)),
    "disk": (_templates, _disk_keys),
    "disk-change": (_device_changes, lambda _: _DISK_KEYS),
    "disk-device": (_numbers, lambda _: _DISK_KEYS),
    "disk-state": (_none, lambda _: _keys_of(DiskState)),
    "hypervisor": (_hypervisors, _hypervisor_keys),
    "hypervisor-state": (_hypervisors, lambda _: _keys_of(HypervisorState)),
    "nic": (_none, lambda _: _keys_of(NicParameters)),
    "nic-change": (_device_changes, lambda _: _NIC_KEYS),
    "nic-device": (_numbers, lambda _: _NIC_KEYS),
    "node": (_none, lambda _: _keys_of(NodeParameters)),
    "specs": (_none, lambda _: _keys_of(Specs)),
}
"""Sets of parameters by name: the names that a value may begin with, and the keys of each."""
