# SPDX-License-Identifier: BSD-2-Clause
"""Lists of instances as the remote API answers them, from pieces that are already encoded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import is_
from typing import Any, TypeAlias

from immutables import Map

from ganeti.config.state import RecordKind
from ganeti.model.disk import Disk
from ganeti.model.instance import Instance
from ganeti.query.fields import FieldStatus
from ganeti.views.instances.row import InstanceRow
from ganeti.views.instances.table import INSTANCES
from ganeti.views.objects import object_encoder
from ganeti.views.snapshot import ClusterSnapshot, in_order

_Shown: TypeAlias = FieldStatus | bool | tuple[int, int]
"""What objects show of what nodes say: nothing is known; no guest, or one elsewhere; its memory
and processors. The time that a guest has used is not shown, and always changes."""


@dataclass(slots=True)
class _Piece:
    """An instance's object as JSON, and everything of its own that it was made from."""

    instance: Instance
    disks: list[Disk]
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
        self._around: tuple[Any, ...] = ()
        self._instances: Map[str, Instance] | None = None
        self._ordered: list[Instance] = []
        self._basis: tuple[Any, Any] = (None, None)
        self._list = b"[]"

    def everything(self, moment: ClusterSnapshot) -> bytes:
        """All instances, as people sort them, as a JSON list of objects."""
        objects, present = self._basis
        if moment.state.objects is objects and moment.present is present:
            return self._list
        instances = moment.state.instances
        if instances is not self._instances:
            self._ordered = in_order(instances.values(), lambda instance: instance.name)
            self._instances = instances
            if len(self._pieces) > len(instances):
                for gone in self._pieces.keys() - instances.keys():
                    del self._pieces[gone]
        self._list = self._joined(moment, self._ordered)
        self._basis = moment.state.objects, moment.present
        return self._list

    def some(self, moment: ClusterSnapshot, names: Iterable[str]) -> bytes:
        """The instances of these names or UUIDs in the order given, as a JSON list of objects.

        :raises Refused: there is no instance of one of the names.
        """
        return self._joined(moment, [moment.state.instance(name) for name in names])

    def _joined(self, moment: ClusterSnapshot, instances: Iterable[Instance]) -> bytes:
        self._forget_if_moved(moment)
        # What is the same for all need not be looked at for each.
        objects, present = self._basis
        same_disks = bool(objects) and moment.disks is objects.get(RecordKind.DISK)
        same_said = moment.present is present
        pieces = []
        for instance in instances:
            known = self._pieces.get(instance.uuid)
            if (
                known is None
                or known.instance is not instance
                or not (same_disks or all(map(is_, known.disks, _disks(moment, instance))))
                or not (same_said or known.shown == _shown(moment, instance))
            ):
                known = self._pieces[instance.uuid] = self._made(moment, instance)
            pieces.append(known.encoded)
        return b"[" + b",".join(pieces) + b"]"

    def _made(self, moment: ClusterSnapshot, instance: Instance) -> _Piece:
        encoded = self._encode(InstanceRow(moment, instance))
        return _Piece(instance, _disks(moment, instance), _shown(moment, instance), encoded)

    def _forget_if_moved(self, moment: ClusterSnapshot) -> None:
        """Drop every piece if something that many depend on has changed."""
        around = _around(moment)
        if around != self._around:
            self._pieces.clear()
            self._around = around


def _around(moment: ClusterSnapshot) -> tuple[Any, ...]:
    """What many instances depend on, and what seldom changes.

    Of the cluster and of networks only parts are shown; others change with each new instance.
    """
    cluster = moment.cluster
    return (
        cluster.hvparams,
        cluster.os_hvp,
        cluster.beparams,
        cluster.nicparams,
        cluster.osparams,
        moment.nodes,
        moment.groups,
        {network.uuid: network.name for network in moment.networks.values()},
    )


def _disks(moment: ClusterSnapshot, instance: Instance) -> list[Disk]:
    every_disk = moment.disks
    return [every_disk[uuid] for uuid in instance.disks]


def _shown(moment: ClusterSnapshot, instance: Instance) -> _Shown:
    said = moment.present.said.get(instance.primary_node, FieldStatus.NODATA)
    if isinstance(said, FieldStatus):
        return said
    guest = said.guests.get(instance.name)
    if guest is None:
        return instance.name in moment.present.homes
    return guest.memory, guest.vcpus
