# SPDX-License-Identifier: BSD-2-Clause
"""The newest events, in memory of a bounded size."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Protocol

from twisted.internet.defer import Deferred

from ganeti.events.event import Event
from ganeti.events.stream_position import StreamPosition

MAX_BYTES = 32 << 20
"""How many bytes of events are kept, about; as many as the segments of the journal that stay behind
a checkpoint."""

PAGE_EVENTS = 200
"""How many events one page has at most: encoding them takes some milliseconds."""

PAGE_BYTES = 256 << 10
"""A page of so many bytes has no further entries."""

_cursor = attrgetter("cursor")


class Entry(Protocol):
    """Something that was appended at once, such as a commit, and the events that it is."""

    @property
    def cursor(self) -> StreamPosition:
        """The place behind its last event; it may have none."""

    @property
    def size(self) -> int:
        """About how many bytes of memory it takes."""

    def events(self, after: StreamPosition, limit: int) -> Sequence[Event]:
        """Return the first events after a cursor, at most ``limit``; fewer if there are no more."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """An entry of events that are encoded already."""

    cursor: StreamPosition
    size: int
    encoded: tuple[Event, ...]

    @classmethod
    def of(cls, events: Sequence[Event], cursor: StreamPosition) -> Encoded:
        """Return the entry of ``events``, which reaches to ``cursor``."""
        return cls(cursor, sum(len(each.data) + 300 for each in events), tuple(events))

    def events(self, after: StreamPosition, limit: int) -> Sequence[Event]:
        if self.encoded and after < self.encoded[0].cursor:
            return self.encoded[:limit]
        return [event for event in self.encoded if event.cursor > after][:limit]


@dataclass(frozen=True, slots=True)
class EventPage:
    """Some events, and the cursor to go on from."""

    events: Sequence[Event]
    next: StreamPosition


class EventLog:
    """Keeps entries in order; the oldest go when there are too many bytes of them.

    ``floor`` is the cursor after which everything is here, ``end`` that of the last entry.
    """

    def __init__(self, floor: StreamPosition, *, max_bytes: int = MAX_BYTES) -> None:
        self.floor = self.end = floor
        self.size = 0
        self._max_bytes = max_bytes
        self._entries: list[Entry] = []
        self._waiting: list[Deferred[None]] = []

    def append(self, entry: Entry) -> None:
        """Add an entry that follows all that are here, and wake those who wait for one."""
        self._entries.append(entry)
        self.end = entry.cursor
        self.size += entry.size
        if self.size > self._max_bytes:
            self._trim()
        self.wake()

    def prepend(self, entries: Sequence[Entry], floor: StreamPosition) -> None:
        """Add entries that come before all that are here, and follow ``floor`` without a gap.

        The oldest of them are left out if there is no room for all.
        """
        self._entries[:0] = entries
        self.size += sum(each.size for each in entries)
        self.floor = floor
        if self.size > self._max_bytes:
            self._trim()

    def restart(self, floor: StreamPosition) -> None:
        """Begin again after ``floor`` with nothing."""
        self._entries.clear()
        self.size = 0
        self.floor = self.end = floor
        self.wake()

    def holds(self, cursor: StreamPosition) -> bool:
        """Return whether everything after ``cursor`` is here."""
        return self.floor <= cursor <= self.end

    def page(
        self, cursor: StreamPosition, max_events: int = PAGE_EVENTS, max_bytes: int = PAGE_BYTES
    ) -> EventPage:
        """Return the next events after ``cursor``, which must be held.

        They are at most ``max_events``, and no further entries are looked at when they have
        ``max_bytes``. They are none only if there are no more, or if ``next`` is further on.
        """
        chosen: list[Event] = []
        size = 0
        for index in range(bisect_right(self._entries, cursor, key=_cursor), len(self._entries)):
            entry = self._entries[index]
            limit = max_events - len(chosen)
            events = entry.events(cursor, limit)
            chosen += events
            size += sum(len(event.data) for event in events)
            cursor = entry.cursor if len(events) < limit else events[-1].cursor
            if len(chosen) >= max_events or size >= max_bytes:
                break
        return EventPage(chosen, cursor)

    async def wait(self) -> None:
        """Return when something was appended, or ``wake`` was called."""
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        try:
            await waiting
        finally:
            if waiting in self._waiting:
                self._waiting.remove(waiting)

    def wake(self) -> None:
        """Let all who wait look at the log."""
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(None)

    def _trim(self) -> None:
        # Some more than needed, as removing from the front of a list moves all the others.
        keep = self._max_bytes * 7 // 8
        count = 0
        while self.size > keep and count < len(self._entries) - 1:
            self.size -= self._entries[count].size
            self.floor = self._entries[count].cursor
            count += 1
        del self._entries[:count]
