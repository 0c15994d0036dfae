# SPDX-License-Identifier: BSD-2-Clause
"""The instances of a state sorted by name, where most are the same as in the state before."""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from itertools import compress
from operator import is_not

from immutables import Map

from ganeti.model.instance import Instance
from ganeti.views.snapshot import in_order, natural_key

MAX_INSERTED = 100
"""Number of new instances beyond which all are sorted again."""


class InstanceOrder:
    """Sorts instances by name in natural order; only new names have to find their place.

    ``shape`` is another object whenever instances have come, gone, or changed their places.
    """

    def __init__(self) -> None:
        self.shape = object()
        self._instances: Map[str, Instance] = Map()
        self._values: list[Instance] = []
        self._ordered: list[Instance] = []
        self._places: dict[str, int] = {}

    def sort_instances(self, instances: Map[str, Instance]) -> Sequence[Instance]:
        """Return these instances sorted by name; the sequence does not change afterwards."""
        if instances is not self._instances:
            values = list(instances.values())
            ordered = self._replace_changed(values)
            if ordered is None:
                ordered = self._reorder(instances)
                self.shape = object()
                self._places = {each.uuid: place for place, each in enumerate(ordered)}
            self._values, self._ordered, self._instances = values, ordered, instances
        return self._ordered

    def index_of(self, uuid: str) -> int | None:
        """Return the index of an instance in the order that was asked for last."""
        return self._places.get(uuid)

    def _replace_changed(self, values: list[Instance]) -> list[Instance] | None:
        """Return the order with new values of some instances; None if there is another order.

        The values of a map with the same keys come in the same order nearly always; if not, they
        all look changed.
        """
        if len(values) != len(self._values):
            return None
        changed = list(compress(values, map(is_not, values, self._values)))
        if len(changed) > MAX_INSERTED:
            return None
        ordered = self._ordered.copy()
        for new in changed:
            place = self._places.get(new.uuid)
            if place is None or ordered[place].name != new.name:
                return None
            ordered[place] = new
        return ordered

    def _reorder(self, instances: Map[str, Instance]) -> list[Instance]:
        get, kept = instances.get, []
        for old in self._ordered:
            new = get(old.uuid)
            if new is old:
                kept.append(new)
            elif new is not None:
                if new.name != old.name:
                    # Its new name belongs to another place in the order.
                    return in_order(instances.values(), _name)
                kept.append(new)
        if (missing := len(instances) - len(kept)) > MAX_INSERTED:
            return in_order(instances.values(), _name)
        if missing:
            known = {each.uuid for each in kept}
            for uuid, instance in instances.items():
                if uuid not in known:
                    insort(kept, instance, key=_key)
        return kept


def _name(instance: Instance) -> str:
    return instance.name


def _key(instance: Instance) -> tuple[str | int, ...]:
    return natural_key(instance.name)
