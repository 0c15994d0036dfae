# SPDX-License-Identifier: BSD-2-Clause
"""Events by the names that they are about, for many readers that select a few names each."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ganeti.events.event import Event, EventFilter


class EventIndex:
    """An index of some events, which is made when the first reader selects by names.

    A thousand readers, each with the name of an instance, would otherwise compare each event a
    thousand times.
    """

    def __init__(self, events: Sequence[Event]) -> None:
        self._events = events
        self._by_name: dict[str, list[int]] | None = None
        self._nameless: list[int] = []

    @property
    def names(self) -> Collection[str]:
        """The names that events are about."""
        return self._index().keys()

    @property
    def any_nameless(self) -> bool:
        """Whether the names of some event are unknown, so that each reader selects it."""
        self._index()
        return bool(self._nameless)

    def choose(self, selection: EventFilter) -> Sequence[Event]:
        """Return the selected events in their order, as ``EventFilter.choose`` does."""
        if not selection.names:
            return selection.choose(self._events)
        by_name = self._index()
        found = {index for name in selection.names for index in by_name.get(name, ())}
        if not found and not self._nameless:
            return ()
        candidates = (self._events[index] for index in sorted(found.union(self._nameless)))
        return [event for event in candidates if selection.matches(event)]

    def _index(self) -> dict[str, list[int]]:
        if self._by_name is not None:
            return self._by_name
        by_name = self._by_name = {}
        for index, event in enumerate(self._events):
            for name in event.names:
                by_name.setdefault(name, []).append(index)
            if not event.names:
                self._nameless.append(index)
        return by_name
