# SPDX-License-Identifier: BSD-2-Clause
"""Specs of requested disks and network cards, and their validation."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ganeti.config.changes.macs import parse_mac
from ganeti.errors import Code, Invalid, Problem, Refused
from ganeti.model.cluster import Cluster
from ganeti.model.disk import (
    ADOPTABLE_FOLDER,
    FORMAT,
    POOL,
    DiskFormat,
    DiskMode,
    Template,
    is_adoptable,
)
from ganeti.model.instance import Nic
from ganeti.model.parameters.filling import nic_defaults
from ganeti.model.parameters.nic import NicParameters
from ganeti.model.parameters.parsing import check_consistency, checked
from ganeti.schema.size_units import mebibytes
from ganeti.schema.types import JsonValue, Value

MAX_DISKS = 16
MAX_NICS = 8

_NUMBER = re.compile(r"[+-]?\d+")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_TEXT_PARAMETERS = ("mac", "ip", "name", "network", "bridge", "link")


_DISK_PARAMETERS = ("size", "mode", "name", "spindles")
_TEMPLATE_PARAMETERS: Mapping[Template, tuple[str, ...]] = {
    Template.FILE: (FORMAT,),
    Template.SHAREDFILE: (FORMAT,),
    Template.PLAIN: ("vg", "adopt", POOL),
    Template.DRBD: ("vg", "metavg"),
    Template.EXT: ("provider",),
    Template.BLOCKDEV: ("adopt",),
}
"""Parameters of new disks: of all templates, and of some."""
_RESERVED = frozenset({"access", "adopt", "dev_type", "metavg", "vg"})
"""Parameters of disks of other kinds, which no provider of external storage can have."""
# As lvm2 has it, but for a hyphen at its beginning, which would make it an option.
_POOL = re.compile(r"[a-zA-Z0-9+_.][a-zA-Z0-9+_.-]*")
_PROVIDER = re.compile(r"[a-zA-Z0-9_-]+")
_PROVIDER_PARAMETER = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


@dataclass(frozen=True)
class DiskSpec:
    """A requested disk; ``size`` in MiB, 0 until that of the volume to ``adopt`` is known.

    ``params`` are those of the ``provider`` of external storage. ``format`` is that of a file, and
    ``pool`` a thin pool: empty for none, and None for the usual one.
    """

    size: int
    mode: DiskMode = DiskMode.READ_WRITE
    name: str | None = None
    vg: str | None = None
    metavg: str | None = None
    spindles: int | None = None
    adopt: str | None = None
    provider: str | None = None
    format: DiskFormat = DiskFormat.RAW
    pool: str | None = None
    params: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class NicSpec:
    """A requested network card; ``mac`` is None to generate an address."""

    mac: str | None = None
    ip: str | None = None
    name: str | None = None
    network: str | None = None
    nicparams: Mapping[str, Value] = field(default_factory=dict)


def read_disks(disks: Sequence[Mapping[str, Value]], template: Template) -> tuple[DiskSpec, ...]:
    """Return the specs of the requested disks.

    :raises Invalid: with every problem of each disk.
    """
    if template is Template.DISKLESS and disks:
        raise Invalid([Problem("disks", "must be empty for disk template diskless")])
    if template is not Template.DISKLESS and not disks:
        message = f"must not be empty for disk template {template.value}"
        raise Invalid([Problem("disks", message)])
    if len(disks) > MAX_DISKS:
        raise Invalid([Problem("disks", f"must have at most {MAX_DISKS} entries")])
    problems: list[Problem] = []
    wishes = [
        _read_disk(disk, f"disks[{index}]", problems, template) for index, disk in enumerate(disks)
    ]
    problems += check_names([wish.name for wish in wishes], "disks")
    if template is Template.BLOCKDEV:
        problems += _check_devices(wishes)
    if 0 < sum(wish.adopt is not None for wish in wishes) < len(wishes):
        problems.append(Problem("disks", "must either all adopt a volume, or none"))
    if problems:
        raise Invalid(problems)
    return tuple(wishes)


def _check_devices(wishes: Sequence[DiskSpec]) -> Iterator[Problem]:
    for index, wish in enumerate(wishes):
        if not is_adoptable(wish.adopt or ""):
            words = f"must be the path of an existing block device below {ADOPTABLE_FOLDER}"
            yield Problem(f"disks[{index}]/adopt", f"{words}, such as {ADOPTABLE_FOLDER}by-id/NAME")


def _read_disk(
    given: Mapping[str, Value], path: str, problems: list[Problem], template: Template
) -> DiskSpec:
    rest = dict(given)
    known = (*_DISK_PARAMETERS, *_TEMPLATE_PARAMETERS.get(template, ()))
    params = _take_provider_parameters(rest, known, path, problems, template)
    for key in rest:
        if key not in known:
            words = f"is not a parameter of {template.value} disks; known are {', '.join(known)}"
            problems.append(Problem(f"{path}/{key}", words))
    if wrong := list(
        _check_text(rest, ("name", "vg", "metavg", "adopt", "provider", FORMAT, POOL), path)
    ):
        problems += wrong
        return DiskSpec(size=0)
    adopts = "adopt" in rest or template is Template.BLOCKDEV
    size = _read_size(rest.pop("size", None), f"{path}/size", problems, adopts=adopts)
    mode = rest.pop("mode", None) or DiskMode.READ_WRITE.value
    if mode not in set(DiskMode):
        problems.append(Problem(f"{path}/mode", "must be rw or ro"))
        mode = DiskMode.READ_WRITE.value
    known_formats = ", ".join(DiskFormat)
    if (file_format := rest.pop(FORMAT, None) or DiskFormat.RAW) not in set(DiskFormat):
        problems.append(Problem(f"{path}/{FORMAT}", f"must be one of {known_formats}"))
        file_format = DiskFormat.RAW
    pool = _read_pool(rest.pop(POOL, None), adopts, f"{path}/{POOL}", problems)
    spindles = rest.pop("spindles", None)
    if spindles is not None and not str(spindles).isdecimal():
        problems.append(Problem(f"{path}/spindles", "must be a number"))
        spindles = None
    return DiskSpec(
        size=size,
        mode=DiskMode(mode),
        name=_parse_nullable(rest.pop("name", None)),
        vg=rest.pop("vg", None),
        metavg=rest.pop("metavg", None),
        spindles=None if spindles is None else int(spindles),
        adopt=rest.pop("adopt", None),
        provider=_read_provider(rest.pop("provider", None), f"{path}/provider", problems, template),
        format=DiskFormat(file_format),
        pool=pool,
        params=params,
    )


def _take_provider_parameters(
    rest: dict[str, Value],
    known: Sequence[str],
    path: str,
    problems: list[Problem],
    template: Template,
) -> dict[str, Value]:
    """Take the parameters of a provider of external storage out of ``rest``.

    Whether the provider has them is only known on nodes, which check them before they create the
    disk.
    """
    if template is not Template.EXT:
        return {}
    names = [name for name in rest if name not in known and name not in _RESERVED]
    taken: dict[str, Value] = {}
    for name in names:
        value = rest.pop(name)
        if not _PROVIDER_PARAMETER.fullmatch(name):
            words = "is no name of a provider's parameter: letters, digits and underscores"
            problems.append(Problem(f"{path}/{name}", words))
        elif name.upper() in map(str.upper, taken):
            problems.append(Problem(f"{path}/{name}", "is given twice, as case does not matter"))
        elif isinstance(value, str | int) and str(value).isprintable():
            taken[name] = str(value)
        else:
            problems.append(Problem(f"{path}/{name}", "must be text in one line, or a number"))
    return taken


def _read_provider(
    name: str | None, path: str, problems: list[Problem], template: Template
) -> str | None:
    if template is Template.EXT and not _PROVIDER.fullmatch(name or ""):
        words = "must be the name of a provider for ext disks; see gnt-storage diagnose"
        problems.append(Problem(path, words))
    return name


def _read_pool(name: str | None, adopts: bool, path: str, problems: list[Problem]) -> str | None:
    if name is not None and adopts:
        problems.append(Problem(path, "cannot be given for a volume that is adopted where it is"))
    if name in (None, "none"):
        return None if name is None else ""
    if not _POOL.fullmatch(name or ""):
        words = "must be the name of a thin pool in the volume group of the disk, or none"
        problems.append(Problem(path, words))
    return name


def _check_text(given: Mapping[str, object], keys: Sequence[str], path: str) -> Iterator[Problem]:
    for key in keys:
        if not isinstance(given.get(key), str | None):
            yield Problem(f"{path}/{key}", "must be text")


def check_names(names: Sequence[str | None], path: str) -> Iterator[Problem]:
    """Yield the problems of the names of an instance's disks or network cards.

    Devices are addressed by name, index or UUID, so a name must not look like the others.
    """
    for index, name in enumerate(names):
        if name is None:
            continue
        if _NUMBER.fullmatch(name):
            yield Problem(f"{path}[{index}]/name", f"{name} must not be a number")
        elif _UUID.fullmatch(name):
            yield Problem(f"{path}[{index}]/name", f"{name} must not be a UUID")
        elif name in names[:index]:
            yield Problem(f"{path}[{index}]/name", f"{name} is not unique")


def _read_size(size: Any, path: str, problems: list[Problem], *, adopts: bool) -> int:
    try:
        amount = mebibytes(size) if isinstance(size, str) else size
    except Invalid as e:
        problems += [Problem(path, each.message) for each in e.problems]
        return 0
    if amount is None and adopts:
        return 0
    if not isinstance(amount, int) or amount <= 0:
        what = "is required" if amount is None else "must be greater than 0 MiB"
        problems.append(Problem(path, what))
        return 0
    return amount


# Opcodes declare the names as literals, and Mapping is invariant in its keys.
_GivenNic: TypeAlias = Mapping[Any, JsonValue]


def read_nics(nics: Sequence[_GivenNic]) -> tuple[NicSpec, ...]:
    """Return the specs of the requested network cards.

    :raises Invalid: with every problem of each card.
    """
    if len(nics) > MAX_NICS:
        raise Invalid([Problem("nics", f"must have at most {MAX_NICS} entries")])
    problems: list[Problem] = []
    wishes = [_read_nic(nic, f"nics[{index}]", problems) for index, nic in enumerate(nics)]
    problems += check_names([wish.name for wish in wishes], "nics")
    macs = [wish.mac for wish in wishes if wish.mac is not None]
    problems += [
        Problem("nics", f"two network cards have the MAC address {mac}")
        for mac in sorted({mac for mac in macs if macs.count(mac) > 1})
    ]
    if problems:
        raise Invalid(problems)
    return tuple(wishes)


def _read_nic(given: _GivenNic, path: str, problems: list[Problem]) -> NicSpec:
    rest = {name: value for name, value in given.items() if value is not None}
    if wrong := list(_check_text(rest, _TEXT_PARAMETERS, path)):
        problems += wrong
        return NicSpec()
    mac = rest.pop("mac", "auto").lower()
    if mac in ("auto", "generate"):
        mac = None
    else:
        try:
            mac = parse_mac(mac)
        except Invalid as e:
            problems += [Problem(f"{path}/mac", each.message) for each in e.problems]
    ip = _parse_nullable(rest.pop("ip", None))
    if ip not in (None, "pool"):
        try:
            ipaddress.ip_address(str(ip))
        except ValueError:
            problems.append(Problem(f"{path}/ip", f"'{ip}' is not an IP address"))
    if (bridge := rest.pop("bridge", None)) is not None:
        if rest.get("link", bridge) != bridge:
            problems.append(Problem(f"{path}/bridge", "differs from link; give one of them"))
        rest["link"] = bridge
    name, network = (
        _parse_nullable(rest.pop("name", None)),
        _parse_nullable(rest.pop("network", None)),
    )
    try:
        parameters = checked(NicParameters, rest, path=path)
    except Invalid as e:
        problems += e.problems
        parameters = {}
    return NicSpec(mac, ip, name, network, parameters)


def read_disk(disk: Mapping[str, Value], path: str, template: Template) -> DiskSpec:
    """Return the spec of an additional disk.

    :raises Invalid: with every problem of the disk.
    """
    problems: list[Problem] = []
    wish = _read_disk(disk, path, problems, template)
    if wish.adopt is not None or template is Template.BLOCKDEV:
        problems.append(Problem(f"{path}/adopt", "is only possible when an instance is created"))
    if problems:
        raise Invalid(problems)
    return wish


def _parse_nullable(text: Any) -> Any:
    return None if text in (None, "none", "") else text


_SOME_CONNECTION: Mapping[str, Value] = {"mode": "bridged", "link": "br0", "vlan": ""}
"""Stands for that of a network, which all other parameters of a card go with."""


def check_nic_parameters(nics: Sequence[NicSpec | Nic], cluster: Cluster) -> None:
    """Check the effective parameters of network cards.

    The mode, link and VLANs of cards in a network may still be missing: they are those of its
    connection.

    :raises Invalid: with every problem of each card.
    """
    problems: list[Problem] = []
    for index, nic in enumerate(nics):
        connection = {} if nic.network is None else _SOME_CONNECTION
        try:
            filled = {**nic_defaults(cluster), **connection, **nic.nicparams}
            check_consistency(NicParameters, filled, path=f"nics[{index}]")
        except Invalid as e:
            problems += e.problems
    if problems:
        raise Invalid(problems)


def check_pool_addresses(nics: Sequence[NicSpec | Nic]) -> None:
    """Check that cards that request an address from a pool have a network.

    :raises Refused: a card has none.
    """
    for index, nic in enumerate(nics):
        if nic.ip == "pool" and nic.network is None:
            raise Refused(
                f"network card {index} requests an address from a pool but has no network; set its "
                "network, or give an address",
                Code.INPUT,
            )
