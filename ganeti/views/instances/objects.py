# SPDX-License-Identifier: BSD-2-Clause
"""Lists of instances for the remote API, joined from JSON objects that are cached."""

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

_GuestSummary: TypeAlias = FieldStatus | bool | tuple[int, int]
"""The part of a guest's state that objects show: unknown; absent, or on another node; or its memory
and processors. The CPU time is not shown, as it changes all the time."""


@dataclass(slots=True)
class _CachedObject:
    """The JSON object of an instance, and the inputs that it was encoded from."""

    instance: Instance
    disks: list[Disk]
    shown: _GuestSummary
    encoded: bytes


class InstanceObjects:
    """Instances as JSON objects with a fixed set of fields.

    An instance is encoded again only if it, its disks, the state of its guest, or what all
    instances share has changed. If nothing has changed, the same list is returned.
    """

    def __init__(self, fields: Sequence[str]) -> None:
        """:raises Invalid: if ``fields`` contains an unknown field."""
        self._encode = object_encoder(INSTANCES, fields)
        self._pieces: dict[str, _CachedObject] = {}
        self._around: tuple[Any, ...] = ()
        self._instances: Map[str, Instance] | None = None
        self._ordered: list[Instance] = []
        self._basis: tuple[Any, Any] = (None, None)
        self._list = b"[]"

    def everything(self, moment: ClusterSnapshot) -> bytes:
        """Return all instances sorted by name, as a JSON list of objects."""
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
        self._list = self._join(moment, self._ordered)
        self._basis = moment.state.objects, moment.present
        return self._list

    def some(self, moment: ClusterSnapshot, names: Iterable[str]) -> bytes:
        """Return the instances with these names or UUIDs in the given order, as a JSON list of
        objects.

        :raises Refused: if one of the instances does not exist.
        """
        return self._join(moment, [moment.state.instance(name) for name in names])

    def _join(self, moment: ClusterSnapshot, instances: Iterable[Instance]) -> bytes:
        self._clear_if_stale(moment)
        # Compare what all instances share once, not for each.
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
                or not (same_said or known.shown == _summarize_guest(moment, instance))
            ):
                known = self._pieces[instance.uuid] = self._encode_instance(moment, instance)
            pieces.append(known.encoded)
        return b"[" + b",".join(pieces) + b"]"

    def _encode_instance(self, moment: ClusterSnapshot, instance: Instance) -> _CachedObject:
        encoded = self._encode(InstanceRow(moment, instance))
        return _CachedObject(
            instance, _disks(moment, instance), _summarize_guest(moment, instance), encoded
        )

    def _clear_if_stale(self, moment: ClusterSnapshot) -> None:
        """Clear the cache if an input that many objects depend on has changed."""
        around = _around(moment)
        if around != self._around:
            self._pieces.clear()
            self._around = around


def _around(moment: ClusterSnapshot) -> tuple[Any, ...]:
    """Return the inputs that many objects share; they change rarely.

    Of the cluster and of networks, only parts are compared; others change with each new instance.
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


def _summarize_guest(moment: ClusterSnapshot, instance: Instance) -> _GuestSummary:
    said = moment.present.said.get(instance.primary_node, FieldStatus.NODATA)
    if isinstance(said, FieldStatus):
        return said
    guest = said.guests.get(instance.name)
    if guest is None:
        return instance.name in moment.present.homes
    return guest.memory, guest.vcpus
