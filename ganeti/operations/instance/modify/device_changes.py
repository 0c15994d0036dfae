# SPDX-License-Identifier: BSD-2-Clause
"""Planned changes of an instance's network cards and disks.

Changes apply one after the other; an index refers to the list after the changes before.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ganeti.config.changes.macs import mac_in_use
from ganeti.config.state import ClusterState
from ganeti.errors import Code, Invalid, Problem, Refused
from ganeti.model.disk import Disk, DiskMode, Template
from ganeti.model.instance import Instance, Nic
from ganeti.model.parameters.nic import without_connection
from ganeti.opcodes.instance.device_changes import LAST, ChangeAction, DeviceChange
from ganeti.operations.instance.device_specs import (
    MAX_DISKS,
    MAX_NICS,
    DiskSpec,
    NicSpec,
    check_names,
    check_pool_addresses,
    read_disk,
    read_nics,
)
from ganeti.schema.records import FieldValues, replace
from ganeti.schema.types import Value

_AUTOMATIC = ""
"""Placeholder for a MAC address that is generated when the card is added."""


@dataclass(frozen=True)
class Nics:
    """The changed network cards, and the changes in the form of the opcode's result.

    Missing MAC addresses and UUIDs are generated when the change is made.
    """

    cards: tuple[Nic, ...]
    changed: tuple[tuple[str, object], ...] = ()


def apply_nic_changes(
    instance: Instance, changes: Sequence[DeviceChange], state: ClusterState
) -> Nics:
    """Return the network cards of an instance after ``changes``.

    :raises Invalid: a change is malformed.
    :raises Refused: a card does not exist, a MAC address is in use, or a card without a network
        requests an address from a pool.
    """
    cards = list(instance.nics)
    changed: list[tuple[str, object]] = []
    for change in changes:
        match change.action:
            case ChangeAction.ADD:
                place = _insert_position(change, cards)
                card = _make_nic(_read_nic(change.parameters))
                cards.insert(place, card)
                changed.append((f"nic.{place}", f"add:{_format_nic(card)}"))
            case ChangeAction.REMOVE:
                place = _find_entry(change, cards, "network card", instance)
                del cards[place]
                changed.append((f"nic.{place}", "remove"))
            case ChangeAction.MODIFY:
                place = _find_entry(change, cards, "network card", instance)
                cards[place] = _modify_nic(cards[place], change.parameters)
                changed += [(f"nic.{key}/{place}", v) for key, v in change.parameters.items()]
            case _:
                raise _unsupported_action(change)
    if problems := list(check_names([card.name for card in cards], "nics")):
        raise Invalid(problems)
    if len(cards) > MAX_NICS:
        raise Refused(f"an instance can have at most {MAX_NICS} network cards", Code.INPUT)
    check_pool_addresses(cards)
    _check_macs(instance, cards, state)
    return Nics(tuple(cards), tuple(changed))


def _read_nic(parameters: Mapping[str, Value]) -> NicSpec:
    [wish] = read_nics([parameters])
    return wish


def _make_nic(wish: NicSpec) -> Nic:
    return Nic(
        mac=wish.mac or _AUTOMATIC,
        ip=wish.ip,
        nicparams=dict(wish.nicparams),
        network=wish.network,
        name=wish.name,
        uuid="",
    )


def _modify_nic(card: Nic, parameters: Mapping[str, Value]) -> Nic:
    wish = _read_nic(parameters)
    fields: FieldValues = {
        name: getattr(wish, name) for name in ("ip", "name", "network") if name in parameters
    }
    if "mac" in parameters:
        fields["mac"] = wish.mac or _AUTOMATIC
    # The connection of a network replaces that of the network before, except for what is given.
    before = card.nicparams if wish.network is None else without_connection(card.nicparams)
    # One that is given as the default is not among those of the wish.
    kept = {name: value for name, value in before.items() if name not in parameters}
    return replace(card, **fields, nicparams={**kept, **wish.nicparams})


def _format_nic(card: Nic) -> str:
    known = {"mac": card.mac or "auto", "ip": card.ip, **card.nicparams}
    return ",".join(f"{name}={value}" for name, value in known.items())


def _check_macs(instance: Instance, cards: Sequence[Nic], state: ClusterState) -> None:
    seen = set()
    for card in cards:
        owner = state.macs.get(card.mac)
        if card.mac and (owner not in (None, instance.uuid) or card.mac in seen):
            name = state.instances[owner].name if owner else instance.name
            raise mac_in_use(card.mac, name)
        seen.add(card.mac)


@dataclass(frozen=True)
class DiskStep:
    """A change of one disk, at index ``place`` of the list at this step.

    ``wish`` adds a disk; ``disk`` is modified by ``fields``, or removed if these are None.
    """

    place: int
    wish: DiskSpec | None = None
    disk: Disk | None = None
    fields: FieldValues | None = None


@dataclass(frozen=True)
class DiskChanges:
    """The steps that change disks, their final sizes, and the changes for the opcode's result."""

    steps: tuple[DiskStep, ...]
    sizes: tuple[int, ...]
    changed: tuple[tuple[str, object], ...] = ()

    @property
    def removes(self) -> bool:
        return bool(self.removed)

    @property
    def removed(self) -> tuple[str, ...]:
        """The UUIDs of removed disks."""
        return tuple(
            step.disk.uuid for step in self.steps if step.disk is not None and step.fields is None
        )

    @property
    def added(self) -> tuple[DiskSpec, ...]:
        return tuple(step.wish for step in self.steps if step.wish is not None)


_SETTABLE = ("mode", "name")


def apply_disk_changes(
    instance: Instance, disks: Sequence[Disk], changes: Sequence[DeviceChange]
) -> DiskChanges:
    """Return the steps that apply ``changes`` to the disks of an instance.

    :raises Invalid: a change is malformed.
    :raises Refused: a disk does not exist, or there are too many.
    """
    now: list[Disk | DiskSpec] = list(disks)
    steps: list[DiskStep] = []
    changed: list[tuple[str, object]] = []
    for number, change in enumerate(changes):
        match change.action:
            case ChangeAction.ADD:
                place = _insert_position(change, now)
                template = disks[0].dev_type if disks else Template.DISKLESS
                wish = read_disk(change.parameters, f"disks[{number}]", template)
                now.insert(place, wish)
                steps.append(DiskStep(place, wish=wish))
                words = f"add:size={wish.size},mode={wish.mode.value}"
                changed.append((f"disk/{place}", words))
            case ChangeAction.REMOVE:
                place = _find_entry(change, now, "disk", instance)
                steps.append(DiskStep(place, disk=_check_existing(now.pop(place))))
                changed.append((f"disk/{place}", "remove"))
            case ChangeAction.MODIFY:
                place = _find_entry(change, now, "disk", instance)
                fields = _read_fields(change.parameters, number)
                disk = _check_existing(now[place])
                now[place] = replace(disk, **fields)
                steps.append(DiskStep(place, disk=disk, fields=fields))
                changed += [(f"disk.{key}/{place}", v) for key, v in change.parameters.items()]
            case _:
                raise _unsupported_action(change)
    if problems := list(check_names([each.name for each in now], "disks")):
        raise Invalid(problems)
    if len(now) > MAX_DISKS:
        raise Refused(f"an instance can have at most {MAX_DISKS} disks", Code.INPUT)
    return DiskChanges(tuple(steps), tuple(each.size for each in now), tuple(changed))


def _check_existing(disk: Disk | DiskSpec) -> Disk:
    if isinstance(disk, DiskSpec):
        raise Refused("cannot change a disk that the same request adds", Code.INPUT)
    return disk


def _read_fields(parameters: Mapping[str, Value], number: int) -> dict[str, object]:
    if unknown := [key for key in parameters if key not in _SETTABLE]:
        can = " and ".join(_SETTABLE)
        raise Invalid(
            [Problem(f"disks[{number}]/{unknown[0]}", f"cannot be changed; only {can} can")]
        )
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


def _insert_position(change: DeviceChange, entries: Sequence[object]) -> int:
    """Return the index of a new entry."""
    if change.where == LAST:
        return len(entries)
    if not isinstance(change.where, int) or not 0 <= change.where <= len(entries):
        raise Refused(
            f"{change.where} is not a valid index for a new entry; use 0 to {len(entries)}",
            Code.INPUT,
        )
    return change.where


def _find_entry(
    change: DeviceChange, entries: Sequence[object], what: str, instance: Instance
) -> int:
    """Return the index of the entry of a change, given by index, name or UUID."""
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
        f"{what} {change.where} does not exist; instance {instance.name} has {len(entries)}, "
        "from 0",
        Code.UNKNOWN,
    )


def _unsupported_action(change: DeviceChange) -> Refused:
    return Refused(
        f"the action {change.action.value} is not supported by this version; use add and remove,"
        " or move disks with their instance (gnt-backup export and import)",
        Code.INPUT,
    )
