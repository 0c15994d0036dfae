# SPDX-License-Identifier: BSD-2-Clause
"""Lists of instances, joined from JSON texts that are cached."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, compress
from operator import is_, is_not
from typing import TypeAlias

from ganeti.model.disk import Disk
from ganeti.model.instance import Instance
from ganeti.query.fields import FieldStatus, Source
from ganeti.views.instances.instance_fields import INSTANCES
from ganeti.views.instances.order import InstanceOrder
from ganeti.views.instances.row import InstanceRow
from ganeti.views.json_rows import cell_encoder, object_encoder
from ganeti.views.node_status import NodeStatuses, Said
from ganeti.views.snapshot import ClusterSnapshot

_GuestSummary: TypeAlias = FieldStatus | bool | tuple[int, int]
"""The part of a guest's state that objects show: unknown; absent, or on another node; or its memory
and processors. The CPU time is not shown, as it changes all the time."""


MAX_SEPARATE_SEARCHES = 50
"""Number of guests from which on the nodes of all guests are listed, and not searched for each."""


@dataclass(slots=True)
class _CachedText:
    """The JSON text of an instance, and the inputs that it was encoded from.

    ``said`` is what the primary node has said, of which only ``shown`` is shown.
    """

    instance: Instance
    disks: list[Disk]
    said: Said
    shown: _GuestSummary
    encoded: bytes


class InstanceTexts:
    """Instances as JSON texts with a fixed set of fields.

    An instance is encoded again only if it, its disks, the state of its guest, or what all
    instances share has changed. If nothing has changed, the same list is returned. Only instances
    that may have changed are looked at: a list of thousands is compared with the last one as a
    whole, and nodes that have said nothing new are left out.
    """

    def __init__(
        self,
        encode: Callable[[InstanceRow], bytes],
        *,
        live: bool = True,
        order: InstanceOrder | None = None,
    ) -> None:
        """Without ``live``, no field depends on what nodes say."""
        self._encode = encode
        self._live = live
        self._order = order or InstanceOrder()
        self._pieces: dict[str, _CachedText] = {}
        self._absent: set[str] = set()  # the UUIDs of those that do not run on their primary node
        self._changed: set[str] = set()  # the UUIDs of those that were encoded since the last list
        self._around: tuple[object, ...] = ()
        # The last list, and what all pieces were valid for when it was made.
        self._basis: tuple[object, object] = (None, None)
        self._shape: object = None
        self._ordered: Sequence[Instance] = ()
        self._disks: Mapping[str, Disk] | None = None
        self._said: Mapping[str, Said] = {}
        self._texts: list[bytes] = []
        self._list: bytes | None = None

    def stale(self, moment: ClusterSnapshot) -> list[Instance]:
        """Return the instances whose text is missing or outdated.

        To encode many of them in time slices, call ``update`` with each, and then ``join``.
        """
        if self._is_current(moment):
            return []
        self._clear_if_stale(moment)
        ordered, known = self._order.sort_instances(moment.state.instances), self._pieces.get
        if len(ordered) == len(self._ordered):
            others: Iterable[Instance] = compress(ordered, map(is_not, ordered, self._ordered))
        else:
            others = ordered
        found = {
            each.uuid: each
            for each in others
            if (piece := known(each.uuid)) is None or piece.instance is not each
        }
        suspects: list[Iterable[Instance]] = []
        if self._live and moment.present is not self._basis[1]:
            suspects.append(self._list_reported(moment))
        if moment.disks is not self._disks:
            suspects.append(each for each in ordered if each.disks and known(each.uuid))
        for each in chain.from_iterable(suspects):
            if each.uuid not in found and not self._is_valid(moment, each):
                found[each.uuid] = each
        return list(found.values())

    def _list_reported(self, moment: ClusterSnapshot) -> list[Instance]:
        """Return the instances whose guests may be in another state than in the last list."""
        state, present, before = moment.state, moment.present, self._said
        nodes = [
            node
            for uuid, node in state.nodes.items()
            if present.status_of(uuid) is not before.get(uuid, FieldStatus.NODATA)
        ]
        primaries = [each for node in nodes for each in state.list_primary_instances(node)]
        # An absent guest may run on any node that has said something new.
        absent = [state.instances[uuid] for uuid in self._absent if uuid in state.instances]
        if len(primaries) + len(absent) > MAX_SEPARATE_SEARCHES:
            _ = present.homes  # list all guests once, and do not look for each of them
        return primaries + absent

    def update(self, moment: ClusterSnapshot, instance: Instance) -> None:
        """Encode an instance."""
        encoded = self._encode(InstanceRow(moment, instance))
        said = moment.present.status_of(instance.primary_node)
        shown = _summarize_guest(said, instance, moment.present)
        (self._absent.add if isinstance(shown, bool) else self._absent.discard)(instance.uuid)
        self._changed.add(instance.uuid)
        self._pieces[instance.uuid] = _CachedText(
            instance, _disks(moment, instance), said, shown, encoded
        )

    def everything(self, moment: ClusterSnapshot) -> bytes:
        """Return all instances sorted by name, as a JSON list."""
        for instance in self.stale(moment):
            self.update(moment, instance)
        return self.join(moment)

    def join(self, moment: ClusterSnapshot) -> bytes:
        """Return the list when all stale instances have been updated."""
        texts = self.texts(moment)
        if self._list is None:
            self._list = b"[" + b",".join(texts) + b"]"
        return self._list

    def texts(self, moment: ClusterSnapshot) -> Sequence[bytes]:
        """Return the objects of the list one by one; see :meth:`join`."""
        if self._is_current(moment):
            return self._texts
        instances = moment.state.instances
        ordered = self._order.sort_instances(instances)
        if self._order.shape is not self._shape:
            self._texts = self._collect(moment, ordered)
        elif self._changed:
            texts = self._texts.copy()  # clients may still be reading the last one
            for uuid in self._changed:
                place, piece = self._order.index_of(uuid), self._pieces.get(uuid)
                if place is not None and piece is not None:
                    texts[place] = piece.encoded
            self._texts = texts
        self._list = None
        self._changed.clear()
        self._shape, self._ordered = self._order.shape, ordered
        self._basis, self._disks = (moment.state.objects, moment.present), moment.disks
        self._said = moment.present.said
        return self._texts

    def _collect(self, moment: ClusterSnapshot, ordered: Sequence[Instance]) -> list[bytes]:
        """Return the texts of all instances, and forget those that are gone."""
        pieces, instances = self._pieces, moment.state.instances
        if len(pieces) > len(instances):
            for gone in pieces.keys() - instances.keys():
                del pieces[gone]
                self._absent.discard(gone)
        # Some may have been forgotten for a list of a later state meanwhile.
        for instance in [each for each in ordered if each.uuid not in pieces]:
            self.update(moment, instance)
        return [pieces[each.uuid].encoded for each in ordered]

    def some(self, moment: ClusterSnapshot, names: Iterable[str]) -> bytes:
        """Return the instances with these names or UUIDs in the given order, as a JSON list.

        :raises Refused: if one of the instances does not exist.
        """
        self._clear_if_stale(moment)
        texts = []
        for instance in [moment.state.instance(name) for name in names]:
            if not self._is_valid(moment, instance):
                self.update(moment, instance)
            texts.append(self._pieces[instance.uuid].encoded)
        return b"[" + b",".join(texts) + b"]"

    def _is_current(self, moment: ClusterSnapshot) -> bool:
        objects, present = self._basis
        return moment.state.objects is objects and moment.present is present

    def _is_valid(self, moment: ClusterSnapshot, instance: Instance) -> bool:
        """Return whether the text of an instance is that of the moment."""
        known = self._pieces.get(instance.uuid)
        if known is None or known.instance is not instance:
            return False
        same_disks = not known.disks or moment.disks is self._disks
        if not same_disks and not all(map(is_, known.disks, _disks(moment, instance))):
            return False
        present = moment.present
        said = present.status_of(instance.primary_node)
        if known.said is said and not isinstance(known.shown, bool):
            return True
        # An absent guest may run on another node, which has said something new.
        if known.shown != _summarize_guest(said, instance, present):
            return False
        # So that the next comparison is one of identity.
        known.said = said
        return True

    def _clear_if_stale(self, moment: ClusterSnapshot) -> None:
        """Clear the cache if an input that many texts depend on has changed."""
        around = _around(moment)
        if around != self._around:
            self._pieces.clear()
            self._absent.clear()
            self._ordered, self._shape = (), None
            self._around = around


class InstanceObjects(InstanceTexts):
    """Instances as JSON objects, as in the remote API."""

    def __init__(self, fields: Sequence[str], order: InstanceOrder | None = None) -> None:
        """:raises Invalid: if ``fields`` contains an unknown field."""
        live = _depends_on_nodes(fields)
        super().__init__(object_encoder(INSTANCES, fields), live=live, order=order)


class InstanceCells(InstanceTexts):
    """Instances as lists of cells with a status, as queries with filters answer."""

    def __init__(self, fields: Sequence[str], order: InstanceOrder | None = None) -> None:
        live = _depends_on_nodes(fields)
        super().__init__(cell_encoder(INSTANCES, fields), live=live, order=order)


def _depends_on_nodes(fields: Sequence[str]) -> bool:
    return Source.NODES in INSTANCES.sources(fields)


def _around(moment: ClusterSnapshot) -> tuple[object, ...]:
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


def _summarize_guest(said: Said, instance: Instance, present: NodeStatuses) -> _GuestSummary:
    if isinstance(said, FieldStatus):
        return said
    guest = said.guests.get(instance.name)
    if guest is None:
        return present.runs(instance.name)
    return guest.memory, guest.vcpus
