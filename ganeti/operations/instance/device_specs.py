# SPDX-License-Identifier: BSD-2-Clause
"""The disks and network cards that a request asks for, read and checked."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ganeti.config.changes.macs import mac_checked
from ganeti.errors import Code, Invalid, Problem, Refused
from ganeti.model.cluster import Cluster
from ganeti.model.disk import DiskMode, Template
from ganeti.model.instance import Nic
from ganeti.model.parameters.filling import nic_defaults
from ganeti.model.parameters.nic import NicParameters
from ganeti.model.parameters.parsing import checked, consistent
from ganeti.schema.units import mebibytes

MAX_DISKS = 16
MAX_NICS = 8

_NUMBER = re.compile(r"[+-]?\d+")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_TEXTS = ("mac", "ip", "name", "network", "bridge", "link")


_OF_ANY_DISK = ("size", "mode", "name", "spindles")
_OF_TEMPLATE: Mapping[Template, tuple[str, ...]] = {
    Template.PLAIN: ("vg", "adopt"),
    Template.DRBD: ("vg", "metavg"),
}
"""What can be said of a new disk: of any one, and of one of a template."""


@dataclass(frozen=True)
class DiskSpec:
    """A disk as asked for; ``size`` in MiB, 0 as long as that of the volume to ``adopt`` is not
    known.
    """

    size: int
    mode: DiskMode = DiskMode.READ_WRITE
    name: str | None = None
    vg: str | None = None
    metavg: str | None = None
    spindles: int | None = None
    adopt: str | None = None


@dataclass(frozen=True)
class NicSpec:
    """A network card as asked for; ``mac`` is None where one is to be made up."""

    mac: str | None = None
    ip: str | None = None
    name: str | None = None
    network: str | None = None
    nicparams: Mapping[str, Any] = field(default_factory=dict)


def disks_wanted(disks: Sequence[Mapping[str, Any]], template: Template) -> tuple[DiskSpec, ...]:
    """The disks that are asked for.

    :raises Invalid: with every problem of each of them.
    """
    if template is Template.DISKLESS and disks:
        raise Invalid([Problem("disks", "must be empty for the disk template diskless")])
    if template is not Template.DISKLESS and not disks:
        message = f"must name at least one disk for the disk template {template.value}"
        raise Invalid([Problem("disks", message)])
    if len(disks) > MAX_DISKS:
        raise Invalid([Problem("disks", f"must be at most {MAX_DISKS}")])
    problems: list[Problem] = []
    wishes = [
        _disk(disk, f"disks[{index}]", problems, template) for index, disk in enumerate(disks)
    ]
    problems += unusable_names([wish.name for wish in wishes], "disks")
    if 0 < sum(wish.adopt is not None for wish in wishes) < len(wishes):
        problems.append(Problem("disks", "must adopt a volume each, or none of them"))
    if problems:
        raise Invalid(problems)
    return tuple(wishes)


def _disk(
    given: Mapping[str, Any], path: str, problems: list[Problem], template: Template
) -> DiskSpec:
    rest = dict(given)
    known = (*_OF_ANY_DISK, *_OF_TEMPLATE.get(template, ()))
    for key in rest:
        if key not in known:
            words = f"means nothing for {template.value} disks; known are {', '.join(known)}"
            problems.append(Problem(f"{path}/{key}", words))
    if wrong := list(_not_text(rest, ("name", "vg", "metavg", "adopt"), path)):
        problems += wrong
        return DiskSpec(size=0)
    size = _size(rest.pop("size", None), f"{path}/size", problems, adopts="adopt" in rest)
    mode = rest.pop("mode", None) or DiskMode.READ_WRITE.value
    if mode not in set(DiskMode):
        problems.append(Problem(f"{path}/mode", "must be rw or ro"))
        mode = DiskMode.READ_WRITE.value
    spindles = rest.pop("spindles", None)
    if spindles is not None and not str(spindles).isdigit():
        problems.append(Problem(f"{path}/spindles", "must be a number"))
        spindles = None
    return DiskSpec(
        size=size,
        mode=DiskMode(mode),
        name=_nullable(rest.pop("name", None)),
        vg=rest.pop("vg", None),
        metavg=rest.pop("metavg", None),
        spindles=None if spindles is None else int(spindles),
        adopt=rest.pop("adopt", None),
    )


def _not_text(given: Mapping[Any, Any], keys: Sequence[str], path: str) -> Iterator[Problem]:
    for key in keys:
        if not isinstance(given.get(key), str | None):
            yield Problem(f"{path}/{key}", "must be text")


def unusable_names(names: Sequence[str | None], path: str) -> Iterator[Problem]:
    """What is wrong with the names of an instance's disks, or of its network cards.

    A device is named by its name, its number or its UUID, so that a name must be none of the
    others.
    """
    for index, name in enumerate(names):
        if name is None:
            continue
        if _NUMBER.fullmatch(name):
            yield Problem(f"{path}[{index}]/name", f"{name} would be taken for a number")
        elif _UUID.fullmatch(name):
            yield Problem(f"{path}[{index}]/name", f"{name} would be taken for a UUID")
        elif name in names[:index]:
            yield Problem(f"{path}[{index}]/name", f"{name} is that of another one, too")


def _size(size: Any, path: str, problems: list[Problem], *, adopts: bool) -> int:
    try:
        amount = mebibytes(size) if isinstance(size, str) else size
    except Invalid as e:
        problems += [Problem(path, each.message) for each in e.problems]
        return 0
    if amount is None and adopts:
        return 0
    if not isinstance(amount, int) or amount <= 0:
        what = "is required" if amount is None else "must be more than 0 MiB"
        problems.append(Problem(path, what))
        return 0
    return amount


def nics_wanted(nics: Sequence[Mapping[Any, Any]]) -> tuple[NicSpec, ...]:
    """The network cards that are asked for.

    :raises Invalid: with every problem of each of them.
    """
    if len(nics) > MAX_NICS:
        raise Invalid([Problem("nics", f"must be at most {MAX_NICS}")])
    problems: list[Problem] = []
    wishes = [_nic(nic, f"nics[{index}]", problems) for index, nic in enumerate(nics)]
    problems += unusable_names([wish.name for wish in wishes], "nics")
    macs = [wish.mac for wish in wishes if wish.mac is not None]
    problems += [
        Problem("nics", f"two network cards have the MAC address {mac}")
        for mac in sorted({mac for mac in macs if macs.count(mac) > 1})
    ]
    if problems:
        raise Invalid(problems)
    return tuple(wishes)


def _nic(given: Mapping[Any, Any], path: str, problems: list[Problem]) -> NicSpec:
    rest = {name: value for name, value in given.items() if value is not None}
    if wrong := list(_not_text(rest, _TEXTS, path)):
        problems += wrong
        return NicSpec()
    mac = rest.pop("mac", "auto").lower()
    if mac in ("auto", "generate"):
        mac = None
    else:
        try:
            mac_checked(mac)
        except Invalid as e:
            problems += [Problem(f"{path}/mac", each.message) for each in e.problems]
    ip = _nullable(rest.pop("ip", None))
    if ip not in (None, "pool"):
        try:
            ipaddress.ip_address(str(ip))
        except ValueError:
            problems.append(Problem(f"{path}/ip", f"'{ip}' is no IP address"))
    if (bridge := rest.pop("bridge", None)) is not None:
        if rest.get("link", bridge) != bridge:
            problems.append(Problem(f"{path}/bridge", "says another link than link does"))
        rest["link"] = bridge
    name, network = _nullable(rest.pop("name", None)), _nullable(rest.pop("network", None))
    try:
        parameters = checked(NicParameters, rest, path=path)
    except Invalid as e:
        problems += e.problems
        parameters = {}
    return NicSpec(mac, ip, name, network, parameters)


def disk_wanted(disk: Mapping[str, Any], path: str, template: Template) -> DiskSpec:
    """One more disk that is asked for.

    :raises Invalid: with every problem of it.
    """
    problems: list[Problem] = []
    wish = _disk(disk, path, problems, template)
    if wish.adopt is not None:
        problems.append(Problem(f"{path}/adopt", "is possible only when an instance is created"))
    if problems:
        raise Invalid(problems)
    return wish


def _nullable(text: Any) -> Any:
    return None if text in (None, "none", "") else text


def require_connectable(nics: Sequence[NicSpec | Nic], cluster: Cluster) -> None:
    """Refuse cards whose parameters do not go together.

    A card in a network gets those of its network's connection first, which is looked at there.

    :raises Invalid: with every problem of each of them.
    """
    problems: list[Problem] = []
    for index, nic in enumerate(nics):
        if nic.network is None:
            try:
                filled = {**nic_defaults(cluster), **nic.nicparams}
                consistent(NicParameters, filled, path=f"nics[{index}]")
            except Invalid as e:
                problems += e.problems
    if problems:
        raise Invalid(problems)


def require_no_pool(nics: Sequence[NicSpec]) -> None:
    """Refuse addresses out of a network's pool where there is no network to take them from.

    :raises Refused: a card asks for one.
    """
    for index, nic in enumerate(nics):
        if nic.ip == "pool" and nic.network is None:
            raise Refused(
                f"network card {index} asks for an address out of a pool but names no network",
                Code.INPUT,
            )
