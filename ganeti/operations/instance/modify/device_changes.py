# SPDX-License-Identifier: BSD-2-Clause
"""Changes of the lists of an instance's network cards and disks, worked out without doing them.

They are made one after the other, so that an index means a place in the list as it is by then.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Invalid, Problem, Refused
from ganeti.model.disk import Disk, DiskMode, Template
from ganeti.model.instance import Instance, Nic
from ganeti.opcodes.instance.device_changes import LAST, ChangeAction, DeviceChange
from ganeti.operations.instance.device_specs import (
    MAX_DISKS,
    MAX_NICS,
    DiskSpec,
    NicSpec,
    disk_wanted,
    nics_wanted,
    unusable_names,
)
from ganeti.schema.records import replace

_AUTOMATIC = ""
"""The MAC address of a card that gets one when it is added."""


@dataclass(frozen=True)
class Nics:
    """The network cards as they will be, and what that changes, in the words that clients know.

    Cards without a MAC address, or without a UUID, get one when the change is made.
    """

    cards: tuple[Nic, ...]
    changed: tuple[tuple[str, Any], ...] = ()


def nics_after(instance: Instance, changes: Sequence[DeviceChange], state: ClusterState) -> Nics:
    """The cards of an instance once ``changes`` are made.

    :raises Invalid: a change cannot mean anything.
    :raises Refused: it is about a card that is not there, or a MAC address that is in use.
    """
    cards = list(instance.nics)
    changed: list[tuple[str, Any]] = []
    for change in changes:
        match change.action:
            case ChangeAction.ADD:
                place = _place(change, cards)
                card = _card(_wish(change.parameters))
                cards.insert(place, card)
                changed.append((f"nic.{place}", f"add:{_described(card)}"))
            case ChangeAction.REMOVE:
                place = _found(change, cards, "network card", instance)
                del cards[place]
                changed.append((f"nic.{place}", "remove"))
            case ChangeAction.MODIFY:
                place = _found(change, cards, "network card", instance)
                cards[place] = _altered(cards[place], change.parameters)
                changed += [(f"nic.{key}/{place}", v) for key, v in change.parameters.items()]
            case _:
                raise _no_such_action(change)
    if problems := list(unusable_names([card.name for card in cards], "nics")):
        raise Invalid(problems)
    if len(cards) > MAX_NICS:
        raise Refused(f"an instance has at most {MAX_NICS} network cards", Code.INPUT)
    _require_own_macs(instance, cards, state)
    return Nics(tuple(cards), tuple(changed))


def _wish(parameters: Mapping[str, Any]) -> NicSpec:
    [wish] = nics_wanted([parameters])
    return wish


def _card(wish: NicSpec) -> Nic:
    return Nic(
        mac=wish.mac or _AUTOMATIC,
        ip=wish.ip,
        nicparams=dict(wish.nicparams),
        network=wish.network,
        name=wish.name,
        uuid="",
    )


def _altered(card: Nic, parameters: Mapping[str, Any]) -> Nic:
    wish = _wish(parameters)
    fields: dict[str, Any] = {
        name: getattr(wish, name) for name in ("ip", "name", "network") if name in parameters
    }
    if "mac" in parameters:
        fields["mac"] = wish.mac or _AUTOMATIC
    return replace(card, **fields, nicparams={**card.nicparams, **wish.nicparams})


def _described(card: Nic) -> str:
    known = {"mac": card.mac or "auto", "ip": card.ip, **card.nicparams}
    return ",".join(f"{name}={value}" for name, value in known.items())


def _require_own_macs(instance: Instance, cards: Sequence[Nic], state: ClusterState) -> None:
    seen = set()
    for card in cards:
        owner = state.macs.get(card.mac)
        if card.mac and (owner not in (None, instance.uuid) or card.mac in seen):
            name = state.instances[owner].name if owner else instance.name
            raise Refused(f"the MAC address {card.mac} belongs to {name}", Code.NOT_UNIQUE)
        seen.add(card.mac)


@dataclass(frozen=True)
class DiskStep:
    """A change of one disk, at ``place`` in the list as it is by then.

    ``wish`` is for a new disk; ``disk`` goes, if there are no ``fields`` that change in it.
    """

    place: int
    wish: DiskSpec | None = None
    disk: Disk | None = None
    fields: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class DiskChanges:
    """The steps that change an instance's disks, their sizes afterwards, and the words for it."""

    steps: tuple[DiskStep, ...]
    sizes: tuple[int, ...]
    changed: tuple[tuple[str, Any], ...] = ()

    @property
    def removes(self) -> bool:
        return bool(self.removed)

    @property
    def removed(self) -> tuple[str, ...]:
        """The UUIDs of disks that go."""
        return tuple(
            step.disk.uuid for step in self.steps if step.disk is not None and step.fields is None
        )

    @property
    def added(self) -> tuple[DiskSpec, ...]:
        return tuple(step.wish for step in self.steps if step.wish is not None)


_SETTABLE = ("mode", "name")


def disks_after(
    instance: Instance, disks: Sequence[Disk], changes: Sequence[DeviceChange]
) -> DiskChanges:
    """What ``changes`` do with the disks of an instance.

    :raises Invalid: a change cannot mean anything.
    :raises Refused: it is about a disk that is not there, or for which there is no place.
    """
    now: list[Disk | DiskSpec] = list(disks)
    steps: list[DiskStep] = []
    changed: list[tuple[str, Any]] = []
    for number, change in enumerate(changes):
        match change.action:
            case ChangeAction.ADD:
                place = _place(change, now)
                template = disks[0].dev_type if disks else Template.DISKLESS
                wish = disk_wanted(change.parameters, f"disks[{number}]", template)
                now.insert(place, wish)
                steps.append(DiskStep(place, wish=wish))
                words = f"add:size={wish.size},mode={wish.mode.value}"
                changed.append((f"disk/{place}", words))
            case ChangeAction.REMOVE:
                place = _found(change, now, "disk", instance)
                steps.append(DiskStep(place, disk=_existing(now.pop(place))))
                changed.append((f"disk/{place}", "remove"))
            case ChangeAction.MODIFY:
                place = _found(change, now, "disk", instance)
                fields = _fields(change.parameters, number)
                disk = _existing(now[place])
                now[place] = replace(disk, **fields)
                steps.append(DiskStep(place, disk=disk, fields=fields))
                changed += [(f"disk.{key}/{place}", v) for key, v in change.parameters.items()]
            case _:
                raise _no_such_action(change)
    if problems := list(unusable_names([each.name for each in now], "disks")):
        raise Invalid(problems)
    if len(now) > MAX_DISKS:
        raise Refused(f"an instance has at most {MAX_DISKS} disks", Code.INPUT)
    return DiskChanges(tuple(steps), tuple(each.size for each in now), tuple(changed))


def _existing(disk: Disk | DiskSpec) -> Disk:
    if isinstance(disk, DiskSpec):
        raise Refused("a disk that is added by the same request cannot be changed", Code.INPUT)
    return disk


def _fields(parameters: Mapping[str, Any], number: int) -> dict[str, Any]:
    if unknown := [key for key in parameters if key not in _SETTABLE]:
        can = " and ".join(_SETTABLE)
        raise Invalid([Problem(f"disks[{number}]/{unknown[0]}", f"only {can} can be changed")])
    fields = dict(parameters)
    if "mode" in fields:
        if fields["mode"] not in set(DiskMode):
            raise Invalid([Problem(f"disks[{number}]/mode", "must be rw or ro")])
        fields["mode"] = DiskMode(fields["mode"])
    if not isinstance(fields.get("name"), str | None):
        raise Invalid([Problem(f"disks[{number}]/name", "must be text")])
    if fields.get("name") in ("none", ""):
        fields["name"] = None
    return fields


def _place(change: DeviceChange, entries: Sequence[object]) -> int:
    """Where a new entry goes."""
    if change.where == LAST:
        return len(entries)
    if not isinstance(change.where, int) or not 0 <= change.where <= len(entries):
        raise Refused(
            f"{change.where} is no place for something new; there are 0 to {len(entries)}",
            Code.INPUT,
        )
    return change.where


def _found(change: DeviceChange, entries: Sequence[Any], what: str, instance: Instance) -> int:
    """Which entry a change is about: an index, a name or a UUID."""
    where = change.where
    if isinstance(where, int):
        place = where + len(entries) if where == LAST else where
        if 0 <= place < len(entries):
            return place
    else:
        names: list[Collection[Any]] = [
            (getattr(each, "uuid", None), getattr(each, "name", None)) for each in entries
        ]
        places = [place for place, known in enumerate(names) if where in known]
        if len(places) == 1:
            return places[0]
    raise Refused(
        f"instance {instance.name} has no {what} {change.where}; it has {len(entries)}, counted "
        "from 0",
        Code.UNKNOWN,
    )


def _no_such_action(change: DeviceChange) -> Refused:
    return Refused(
        f"this version does not {change.action.value} disks and network cards; add and remove them"
        " (add, remove), or move disks with their instance (gnt-backup export and import)",
        Code.INPUT,
    )
