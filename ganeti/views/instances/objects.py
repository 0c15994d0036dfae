# SPDX-License-Identifier: BSD-2-Clause
"""Lists of instances as the remote API answers them, from pieces that are already encoded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import is_
from typing import Any, TypeAlias

from immutables import Map

from ganeti.config.state import Kind
from ganeti.model.instance import Instance
from ganeti.query.fields import Status
from ganeti.views.instances.row import InstanceRow
from ganeti.views.instances.table import INSTANCES
from ganeti.views.moment import Moment, in_order
from ganeti.views.objects import object_encoder

_AROUND = (Kind.CLUSTER, Kind.NODE, Kind.GROUP, Kind.NETWORK)
"""What many instances depend on, and what seldom changes."""

_Shown: TypeAlias = Status | bool | tuple[int, int]
"""What objects show of what nodes say: nothing is known; no guest, or one elsewhere; its memory
and processors. The time that a guest has used is not shown, and always changes."""


@dataclass(slots=True)
class _Piece:
    """An instance's object as JSON, and everything of its own that it was made from."""

    instance: Instance
    disks: list[Any]
    shown: _Shown
    encoded: bytes


class InstanceObjects:
    """Instances as JSON objects with always the same fields.

    An instance is encoded again only when it, its disks, what its nodes say of it, or the
    cluster around it has changed. A list of which nothing has changed is the same bytes again.
    """

    def __init__(self, fields: Sequence[str]) -> None:
        """:raises Invalid: some of ``fields`` are no fields of instances."""
        self._encode = object_encoder(INSTANCES, fields)
        self._pieces: dict[str, _Piece] = {}
        self._around: tuple[Any, ...] = (None,) * len(_AROUND)
        self._instances: Map[str, Instance] | None = None
        self._ordered: list[Instance] = []
        self._basis: tuple[Any, Any] = (None, None)
        self._list = b"[]"

    def everything(self, moment: Moment) -> bytes:
        """All instances, as people sort them, as a JSON list of objects."""
        objects, present = self._basis
        if moment.state.objects is objects and moment.present is present:
            return self._list
        instances = moment.state.instances
        if instances is not self._instances:
            self._ordered = in_order(instances.values(), lambda instance: instance.name)
            for gone in self._pieces.keys() - instances.keys():
                del self._pieces[gone]
            self._instances = instances
        self._list = self._joined(moment, self._ordered)
        self._basis = moment.state.objects, moment.present
        return self._list

    def some(self, moment: Moment, names: Iterable[str]) -> bytes:
        """The instances of these names or UUIDs in the order given, as a JSON list of objects.

        :raises Refused: there is no instance of one of the names.
        """
        return self._joined(moment, [moment.state.instance(name) for name in names])

    def _joined(self, moment: Moment, instances: Iterable[Instance]) -> bytes:
        around = tuple(moment.state.objects.get(kind) for kind in _AROUND)
        if any(now is not before for now, before in zip(around, self._around, strict=True)):
            self._pieces.clear()
            self._around = around
        return b"[" + b",".join([self._piece(moment, each) for each in instances]) + b"]"

    def _piece(self, moment: Moment, instance: Instance) -> bytes:
        every_disk = moment.disks
        disks = [every_disk[uuid] for uuid in instance.disks]
        shown = _shown(moment, instance)
        known = self._pieces.get(instance.uuid)
        if (
            known is not None
            and known.instance is instance
            and known.shown == shown
            and all(map(is_, known.disks, disks))
        ):
            return known.encoded
        encoded = self._encode(InstanceRow(moment, instance))
        self._pieces[instance.uuid] = _Piece(instance, disks, shown, encoded)
        return encoded


def _shown(moment: Moment, instance: Instance) -> _Shown:
    said = moment.present.said.get(instance.primary_node, Status.NODATA)
    if isinstance(said, Status):
        return said
    guest = said.guests.get(instance.name)
    if guest is None:
        return instance.name in moment.present.homes
    return guest.memory, guest.vcpus
