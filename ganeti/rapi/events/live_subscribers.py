# SPDX-License-Identifier: BSD-2-Clause
"""Subscribers that have been sent all events, by what they select.

They share one cursor, so that those of which an event selects none cost nothing when it comes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, Protocol, TypeAlias, TypeVar

from ganeti.events.event import Event, EventFilter
from ganeti.events.index import EventIndex
from ganeti.events.stream_position import STREAM_START, StreamPosition

Encode: TypeAlias = Callable[[Sequence[Event]], bytes]
"""Encodes events for a subscriber."""


class Selecting(Protocol):
    """A reader of some events in some encoding."""

    @property
    def selection(self) -> EventFilter: ...
    @property
    def encode(self) -> Encode: ...


Member = TypeVar("Member", bound=Selecting)
_Key: TypeAlias = tuple[Encode, EventFilter]


class LiveSubscribers(Generic[Member]):
    """Subscribers at the same ``cursor``; the order in which they came is kept in each group."""

    def __init__(self) -> None:
        self.cursor: StreamPosition = STREAM_START
        self._count = 0
        self._groups: dict[_Key, dict[Member, None]] = {}
        self._by_name: dict[str, dict[_Key, None]] = {}
        """The groups that select by names."""
        self._any_name: dict[_Key, None] = {}
        """The groups that do not."""

    def __len__(self) -> int:
        return self._count

    def __contains__(self, subscriber: Member) -> bool:
        return subscriber in self._groups.get(_key(subscriber), ())

    def add(self, subscriber: Member, cursor: StreamPosition) -> bool:
        """Add ``subscriber`` if the others are at its ``cursor``, too; return whether they are."""
        if self._count and self.cursor != cursor:
            return False
        self.cursor = cursor
        key = _key(subscriber)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = {}
            for name in key[1].names:
                self._by_name.setdefault(name, {})[key] = None
            if not key[1].names:
                self._any_name[key] = None
        if subscriber not in group:
            group[subscriber] = None
            self._count += 1
        return True

    def discard(self, subscriber: Member) -> None:
        """Remove ``subscriber`` if it is here."""
        key = _key(subscriber)
        group = self._groups.get(key, {})
        if subscriber not in group:
            return
        del group[subscriber]
        self._count -= 1
        if group:
            return
        del self._groups[key]
        self._any_name.pop(key, None)
        for name in key[1].names:
            del self._by_name[name][key]
            if not self._by_name[name]:
                del self._by_name[name]

    def clear(self) -> list[Member]:
        """Remove and return all subscribers."""
        members = [each for group in self._groups.values() for each in group]
        self._count = 0
        for table in (self._groups, self._by_name, self._any_name):
            table.clear()
        return members

    def select(self, index: EventIndex) -> Iterator[tuple[Sequence[Member], int, bytes]]:
        """Yield the members of each group that selects events, and these: their number and bytes.

        Members may be removed meanwhile.
        """
        for key in self._candidates(index):
            encode, selection = key
            if chosen := index.choose(selection):
                yield list(self._groups.get(key, ())), len(chosen), encode(chosen)

    def _candidates(self, index: EventIndex) -> Sequence[_Key]:
        """Return the groups that may select some of the events."""
        if not self._by_name:
            return list(self._any_name)
        if index.any_nameless:
            return list(self._groups)
        named = {key: None for name in index.names for key in self._by_name.get(name, ())}
        return [*self._any_name, *named]


def _key(subscriber: Selecting) -> _Key:
    return subscriber.encode, subscriber.selection
