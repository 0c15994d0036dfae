# SPDX-License-Identifier: BSD-2-Clause
"""The description of an export, ``config.ini``, in the format of Ganeti.

Sections are export, instance, hypervisor, backend, os and os_private. Values are plain text;
``None``, ``True`` and ``False`` have their Python form.
"""

from __future__ import annotations

import configparser
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ganeti.config.state import ClusterState
from ganeti.errors import Invalid
from ganeti.model.disk import Disk, Template
from ganeti.model.guest import Guest, GuestNic
from ganeti.model.instance import Instance
from ganeti.model.parameters.filling import private_os_parameters
from ganeti.model.parameters.hypervisors import HYPERVISORS
from ganeti.operations.guest_conversion import make_guest
from ganeti.schema.parameters import parameters
from ganeti.schema.types import Value

VERSION = 0
_NIC = ("mac", "ip", "network", "name", "mode", "link", "vlan")
_NIC_KEYS = {"bridge": "link", **dict(zip(_NIC, _NIC, strict=True))}
"""Fields of a network card by their name in the file; exports of Ganeti 2.0 have ``bridge``."""
_SIZES = ("maxmem", "minmem", "vcpus")
_MAX_DEVICES = 1000
"""Maximum number of disks or network cards, a bound for damaged descriptions."""


@dataclass(frozen=True)
class DumpedDisk:
    """A disk in an export: its size in MiB, and the name of its dump."""

    size: int
    dump: str
    name: str | None = None


@dataclass(frozen=True)
class ExportDescription:
    """The description of an exported instance; values are text, or None for no value."""

    name: str
    os: str | None
    disk_template: str
    hypervisor: str
    tags: tuple[str, ...] = ()
    nics: tuple[Mapping[str, str | None], ...] = ()
    disks: tuple[DumpedDisk, ...] = ()
    hvparams: Mapping[str, str | None] = field(default_factory=dict)
    beparams: Mapping[str, str | None] = field(default_factory=dict)
    osparams: Mapping[str, str | None] = field(default_factory=dict)
    osparams_private: Mapping[str, str | None] = field(default_factory=dict)


def described(
    state: ClusterState, instance: Instance, dumps: Sequence[tuple[Disk, str]], now: float
) -> str:
    """Return the description of an export of ``instance``, with all parameters filled in.

    ``dumps`` are its disks with the names of their dumps; ``now`` is in seconds since the epoch.
    """
    disks = tuple(disk for disk, _ in dumps)
    guest, private = make_guest(state, instance, disks), instance.osparams_private
    hidden = private_os_parameters(state.cluster, instance)
    values: dict[str, object] = {
        "name": guest.name,
        "maxmem": guest.memory,
        "minmem": guest.minmem,
        "memory": guest.memory,
        "vcpus": guest.vcpus,
        "disk_template": (disks[0].dev_type if disks else Template.DISKLESS).value,
        "hypervisor": guest.hypervisor,
        "tags": " ".join(guest.tags),
        "nic_count": len(guest.nics),
        "disk_count": len(dumps),
    }
    for number, nic in enumerate(guest.nics):
        values |= {f"nic{number}_{key}": value for key, value in _nic_values(nic)}
    for number, (disk, dump) in enumerate(dumps):
        values |= {
            f"disk{number}_ivname": disk.iv_name,
            f"disk{number}_dump": dump,
            f"disk{number}_size": disk.size,
            f"disk{number}_name": disk.name,
        }
    export = {
        "version": VERSION,
        "timestamp": int(now),
        "source": guest.primary,
        "os": guest.os or None,
        "compression": "none",
    }
    # Those of the cluster are not part of the instance, and belong into no file of an export.
    public = {name: value for name, value in guest.osparams.items() if name not in hidden}
    return "\n".join(
        section(name, values)
        for name, values in (
            ("export", export),
            ("instance", values),
            ("hypervisor", {key: guest.hvparams[key] for key in own(guest)}),
            ("backend", guest.beparams),
            ("os", public),
            ("os_private", private),
        )
    )


def own(guest: Guest) -> list[str]:
    """Return the names of hypervisor parameters that are not cluster-wide."""
    kind = HYPERVISORS.get(guest.hypervisor)
    shared = [each.name for each in parameters(kind) if each.extra.get("shared")] if kind else []
    return [name for name in guest.hvparams if name not in shared]


def section(name: str, values: Mapping[str, Value]) -> str:
    """Format a section; continuation lines of a value are indented."""
    lines = [f"[{name}]"]
    for key, value in values.items():
        text = "\n\t".join(line for line in str(value).splitlines() if line.strip())
        lines.append(f"{key.lower()} = {text}".rstrip())
    return "\n".join(lines) + "\n"


def _nic_values(nic: GuestNic) -> Iterator[tuple[str, object]]:
    for key in _NIC:
        value = getattr(nic, key)
        yield key, nic.network.uuid if key == "network" and nic.network else value


def read(text: str) -> ExportDescription:
    """Parse a description.

    :raises Invalid: it is malformed, or has another version.
    """
    parser = configparser.RawConfigParser(
        strict=False, delimiters=("=",), comment_prefixes=("#", ";"), empty_lines_in_values=False
    )
    try:
        parser.read_string(text)
        return _parse(parser)
    except (configparser.Error, KeyError, ValueError) as e:
        why = f"{e} is missing" if isinstance(e, KeyError) else str(e)
        raise Invalid(f"invalid description of the export: {why}") from None


def _parse(parser: configparser.RawConfigParser) -> ExportDescription:
    export, instance = parser["export"], parser["instance"]
    if int(export["version"]) != VERSION:
        raise ValueError(f"unsupported version {export['version']}; supported is {VERSION}")
    if export.get("compression", "none") != "none":
        raise ValueError(
            f"its dumps are compressed by {export['compression']}, which is not supported"
        )
    nics, disks = (_parse_count(instance, f"{kind}_count") for kind in ("nic", "disk"))
    return ExportDescription(
        name=instance["name"],
        os=_parse_value(export.get("os", "")) or None,
        disk_template=instance["disk_template"],
        hypervisor=instance.get("hypervisor", ""),
        tags=tuple(instance.get("tags", "").split()),
        nics=tuple(
            {
                key: _parse_value(instance[f"nic{number}_{written}"])
                for written, key in _NIC_KEYS.items()
                if f"nic{number}_{written}" in instance
            }
            for number in range(nics)
        ),
        disks=tuple(
            DumpedDisk(
                size=int(instance[f"disk{number}_size"]),
                dump=instance[f"disk{number}_dump"],
                name=_parse_value(instance.get(f"disk{number}_name", "")) or None,
            )
            for number in range(disks)
        ),
        hvparams=_parse_section(parser, "hypervisor"),
        beparams=_parse_backend(parser),
        osparams=_parse_section(parser, "os"),
        osparams_private=_parse_section(parser, "os_private"),
    )


def _parse_backend(parser: configparser.RawConfigParser) -> dict[str, str | None]:
    """Parse the backend parameters, also of old exports without this section or ``minmem``."""
    instance = {key: _parse_value(value) for key, value in parser["instance"].items()}
    found = {key: instance[key] for key in ("memory", *_SIZES) if key in instance}
    found |= _parse_section(parser, "backend")
    memory = found.pop("memory", None)
    if memory is not None:
        found.setdefault("minmem", memory)
        found.setdefault("maxmem", memory)
    return found


def _parse_count(instance: configparser.SectionProxy, key: str) -> int:
    count = int(instance.get(key, "0"))
    if not 0 <= count <= _MAX_DEVICES:
        raise ValueError(f"{key} is {count}, which is outside the range 0 to {_MAX_DEVICES}")
    return count


def _parse_section(parser: configparser.RawConfigParser, name: str) -> dict[str, str | None]:
    if not parser.has_section(name):
        return {}
    return {key: _parse_value(value) for key, value in parser[name].items()}


def _parse_value(text: str) -> str | None:
    return None if text.lower() == "none" else text
