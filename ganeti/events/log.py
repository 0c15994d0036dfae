# SPDX-License-Identifier: BSD-2-Clause
"""The log of recent events in bounded memory."""

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
"""Approximate limit of the size of retained events in bytes.

As large as the segments of the journal that remain after a checkpoint.
"""

MAX_PAGE_EVENTS = 200
"""Maximum number of events on a page; encoding them takes some milliseconds."""

MAX_PAGE_BYTES = 256 << 10
"""Size in bytes from which on no further entries are added to a page."""

_cursor = attrgetter("cursor")


class StreamEntry(Protocol):
    """A unit that is appended at once, such as a commit, and its events."""

    @property
    def cursor(self) -> StreamPosition:
        """The cursor after its last event; it may have no events."""

    @property
    def size(self) -> int:
        """Its approximate memory in bytes."""

    def events(self, after: StreamPosition, limit: int) -> Sequence[Event]:
        """Return the first ``limit`` events after a cursor; fewer only if there are no more."""


@dataclass(frozen=True, slots=True)
class EncodedEntry:
    """An entry whose events are already encoded."""

    cursor: StreamPosition
    size: int
    encoded: tuple[Event, ...]

    @classmethod
    def of(cls, events: Sequence[Event], cursor: StreamPosition) -> EncodedEntry:
        """Return the entry of ``events``, which ends at ``cursor``."""
        return cls(cursor, sum(len(each.data) + 300 for each in events), tuple(events))

    def events(self, after: StreamPosition, limit: int) -> Sequence[Event]:
        # Most readers want the whole entry, without a comparison of each event.
        if self.encoded and after < self.encoded[0].cursor:
            return self.encoded[:limit]
        return [event for event in self.encoded if event.cursor > after][:limit]


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events, and the cursor to continue from."""

    events: Sequence[Event]
    next: StreamPosition


class EventLog:
    """Retains entries in order; drops the oldest ones above a total size.

    The log has all events after the cursor ``floor``; ``end`` is the cursor of the last entry.
    """

    def __init__(self, floor: StreamPosition, *, max_bytes: int = MAX_BYTES) -> None:
        self.floor = self.end = floor
        self.size = 0
        self._max_bytes = max_bytes
        self._entries: list[StreamEntry] = []
        self._waiting: list[Deferred[None]] = []

    def append(self, entry: StreamEntry) -> None:
        """Append an entry, and wake the waiters."""
        self._entries.append(entry)
        self.end = entry.cursor
        self.size += entry.size
        if self.size > self._max_bytes:
            self._trim()
        self.wake()

    def prepend(self, entries: Sequence[StreamEntry], floor: StreamPosition) -> None:
        """Add older entries, which follow ``floor`` without a gap.

        The oldest ones are dropped if there is no room for all.
        """
        self._entries[:0] = entries
        self.size += sum(each.size for each in entries)
        self.floor = floor
        if self.size > self._max_bytes:
            self._trim()

    def restart(self, floor: StreamPosition) -> None:
        """Reset to an empty log that starts after ``floor``."""
        self._entries.clear()
        self.size = 0
        self.floor = self.end = floor
        self.wake()

    def holds(self, cursor: StreamPosition) -> bool:
        """Return whether the log has everything after ``cursor``."""
        return self.floor <= cursor <= self.end

    def fill(self, cursor: StreamPosition) -> float:
        """Return about which share of the maximum size the entries after ``cursor`` take."""
        count = len(self._entries)
        if not count:
            return 0.0
        after = count - bisect_right(self._entries, cursor, key=_cursor)
        return self.size / self._max_bytes * after / count

    def page(
        self,
        cursor: StreamPosition,
        max_events: int = MAX_PAGE_EVENTS,
        max_bytes: int = MAX_PAGE_BYTES,
    ) -> EventPage:
        """Return the next events after ``cursor``, which the log must contain.

        Return at most ``max_events``, and stop after the entry that reaches ``max_bytes``. A page
        is empty only if there are no more events, or if its ``next`` cursor is further on.
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
        """Return after the next append, or when ``wake`` is called."""
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        try:
            await waiting
        finally:
            if waiting in self._waiting:
                self._waiting.remove(waiting)

    def wake(self) -> None:
        """Wake all waiters."""
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(None)

    def _trim(self) -> None:
        # More than necessary, because removing from the front of a list moves all other items.
        keep = self._max_bytes * 7 // 8
        count = 0
        # The newest entry stays, however large it is.
        while self.size > keep and count < len(self._entries) - 1:
            self.size -= self._entries[count].size
            self.floor = self._entries[count].cursor
            count += 1
        del self._entries[:count]
