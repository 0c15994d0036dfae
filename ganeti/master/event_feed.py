# SPDX-License-Identifier: BSD-2-Clause
"""The event stream of the master: acknowledged commits as events, in the order of the journal.

The stream starts with the first commit of this master's term: earlier commits at the end of a
journal may never have been acknowledged, and may be cut off.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import msgspec
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from ganeti.config.state import ClusterState
from ganeti.errors import Code, Refused
from ganeti.events.event import Event, EventAction, EventFilter, EventKind, make_event
from ganeti.events.log import MAX_BYTES, MAX_PAGE_EVENTS, EncodedEntry, EventLog, StreamEntry
from ganeti.events.stream_position import LAST_EDIT, StreamPosition
from ganeti.journal.file_journal import FileJournal
from ganeti.journal.interfaces import Commit, JournalDamaged, Position
from ganeti.journal.segments import PositionNotFound
from ganeti.master.change_events import CommitEntry, find_previous_objects, make_owner_lookup

MAX_WAIT = 89.0
"""Maximum wait of one request in seconds; clients then send another one."""

SLICE = 100
"""Number of commits that are read from the journal in one reactor turn."""

Visible: TypeAlias = Callable[[Sequence[Event]], Sequence[Event]]
"""Returns what a reader may see of events."""


@dataclass(frozen=True)
class EventBatch:
    """Events after a cursor, and ``position``, the cursor to continue from.

    With ``reset``, events are missing: the cursor is older than the retained events, or belongs to
    a history that was discarded. The client must read the whole state again, then continue from
    ``position``.
    """

    events: Sequence[Event]
    position: StreamPosition
    reset: bool = False

    def encoded(self) -> msgspec.Raw:
        """Return the answer as JSON; the events are already encoded."""
        return msgspec.Raw(
            b'{"events":[%b],"position":"%b","reset":%b}'
            % (
                b",".join(event.data for event in self.events),
                str(self.position).encode("ascii"),
                b"true" if self.reset else b"false",
            )
        )


class EventFeed:
    """Makes events from acknowledged commits and from observations on nodes."""

    def __init__(
        self,
        journal: FileJournal,
        state: Callable[[], ClusterState],
        clock: IReactorTime,
        now: Callable[[], float],
        *,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._journal = journal
        self._state = state
        self._clock = clock
        self._now = now
        self._max_bytes = max_bytes
        self._log = EventLog(StreamPosition(journal.last_commit()), max_bytes=max_bytes)
        self._open = False
        self._filling = False
        self.readers = 0
        """The number of requests that wait for events now, and of attached readers."""
        self.last_read = -1e9
        """The time of the last request for events, in seconds of the clock."""
        self._on_read: Callable[[], None] = lambda: None
        journal.observe(self._on_commit)

    def set_read_callback(self, begun: Callable[[], None]) -> None:
        """Call ``begun`` at every request for events."""
        self._on_read = begun

    @property
    def newest_position(self) -> StreamPosition:
        """The cursor of the newest event."""
        return self._log.end

    def touch(self) -> None:
        """Poll nodes as if a client had requested events now."""
        if self._open:
            self.last_read = self._clock.seconds()
            self._on_read()

    def attach(self) -> None:
        """Poll nodes until ``detach``, for a reader in the master that is not always waiting."""
        self.readers += 1
        if self._open:
            self._on_read()

    def detach(self) -> None:
        """Remove a reader."""
        self.readers -= 1
        self.last_read = self._clock.seconds()

    def start(self, master: str) -> None:
        """Serve events from now on; the first commit of the term of ``master`` is acknowledged."""
        self._open = True
        self.observed(EventKind.CLUSTER, EventAction.MASTER_STARTED, master)

    def stop(self) -> None:
        """Stop making events, and answer all waiting requests."""
        self._journal.unobserve(self._on_commit)
        self._open = False
        self._log.wake()

    def observed(
        self,
        kind: EventKind,
        action: EventAction,
        name: str,
        *,
        names: tuple[str, ...] = (),
        tags: tuple[str, ...] = (),
        **details: object,
    ) -> None:
        """Add an event that belongs to no commit, after all existing events."""
        position, number = self._log.end
        event = make_event(
            StreamPosition(position, number + 1),
            at=self._now(),
            kind=kind,
            action=action,
            name=name,
            names=names,
            tags=tags,
            **details,
        )
        self._log.append(EncodedEntry.of([event], event.cursor))

    async def wait_for_events(
        self,
        since: str | None = None,
        timeout: float = MAX_WAIT,
        kinds: Sequence[str] = (),
        names: Sequence[str] = (),
        tags: Sequence[str] = (),
        visible: Visible | None = None,
    ) -> msgspec.Raw:
        """Return events after ``since`` when there are any, or after ``timeout`` seconds.

        Without ``since`` the answer is the position of now, at once. Of events that are selected,
        ``visible`` returns what the reader may see.

        :raises Invalid: ``since`` is not a cursor, or a kind is unknown.
        :raises Refused: the term of this master has not begun.
        """
        selection = EventFilter.of(kinds, names, tags)
        cursor = None if since is None else StreamPosition.parse(since)
        # It only wakes the loop below, which then finds that the time is over.
        timer = self._clock.callLater(max(0.0, min(timeout, MAX_WAIT)), self._wake)
        self.readers += 1
        self.last_read = self._clock.seconds()
        try:
            while not self._open:
                if not timer.active():
                    raise Refused(
                        "no events are available before a majority of the nodes has accepted this"
                        " master; try again later",
                        Code.TEMPORARY,
                    )
                await self._log.wait()
            self._on_read()
            if cursor is None:
                return EventBatch((), self._log.end).encoded()
            answer = await self._read_next(cursor, selection, visible)
            while not answer.events and not answer.reset and timer.active() and self._open:
                if answer.position >= self._log.end:
                    await self._log.wait()
                answer = await self._read_next(answer.position, selection, visible)
            return answer.encoded()
        finally:
            self.readers -= 1
            self.last_read = self._clock.seconds()
            if timer.active():
                timer.cancel()

    async def read(
        self, cursor: StreamPosition, selection: EventFilter, *, wait: bool = True
    ) -> EventBatch:
        """Return the next events after ``cursor`` for a reader in the master.

        Wait until there is something after ``cursor``, unless ``wait`` is false; the events may be
        none, if nothing is selected until the position of the answer. Where the events in memory do
        not reach back, they are read from the journal.
        """
        while True:
            if self._open:
                answer = await self._read_next(cursor, selection, None)
                if answer.reset:
                    answer = await self._read_journal(cursor, selection) or answer
                if answer.events or answer.reset or answer.position > cursor or not wait:
                    return answer
            await self._log.wait()

    async def _read_next(
        self, cursor: StreamPosition, selection: EventFilter, visible: Visible | None
    ) -> EventBatch:
        if visible is not None:
            # An event is here before the state is the one after its commit, by which it is judged.
            await self._yield_to_reactor()
        if not self._log.holds(cursor):
            await self._fill_log(cursor)
        while self._log.holds(cursor):
            page = self._log.page(cursor)
            chosen = selection.choose(page.events)
            if visible is not None:
                chosen = visible(chosen)
            if chosen or page.next >= self._log.end:
                return EventBatch(chosen, page.next)
            cursor = page.next
            await self._yield_to_reactor()
        return EventBatch((), self._log.end, reset=True)

    def _wake(self) -> None:
        self._log.wake()

    async def _yield_to_reactor(self) -> None:
        """Let other work run in the reactor."""
        await deferLater(self._clock, 0)

    # --- new events

    def _on_commit(self, position: Position, commit: Commit) -> None:
        state = self._state()
        self._log.append(
            CommitEntry(
                position,
                commit,
                find_previous_objects(commit, state),
                self._find_owner,
            )
        )

    def _find_owner(self, disk: str) -> str | None:
        return make_owner_lookup(self._state())(disk)

    # --- older events

    async def _fill_log(self, cursor: StreamPosition) -> None:
        """Prepend the commits after ``cursor`` that the journal still has, as far as they fit."""
        # One reader at a time, as the others can use what it reads.
        while self._filling:
            await self._yield_to_reactor()
        if self._log.holds(cursor) or cursor > self._log.end:
            return
        self._filling = True
        try:
            await self._read_back(cursor)
        finally:
            self._filling = False

    async def _read_journal(
        self, cursor: StreamPosition, selection: EventFilter
    ) -> EventBatch | None:
        """Return the next events from the journal, up to where those in memory begin.

        Return None if the journal does not have them, or not any more.
        """
        after = _find_previous_commit(cursor)
        if cursor > self._log.end or self._journal.base_position() > after:
            return None
        chosen: list[Event] = []
        try:
            for count, (position, commit) in enumerate(self._journal.replay(after), 1):
                entry = CommitEntry(position, commit, {}, self._find_owner)
                chosen += selection.choose(entry.events(cursor, LAST_EDIT))
                cursor = max(cursor, entry.cursor)
                if len(chosen) >= MAX_PAGE_EVENTS or cursor >= self._log.floor:
                    break
                if count % SLICE == 0:
                    await self._yield_to_reactor()
        except (JournalDamaged, PositionNotFound):
            return None  # a checkpoint has removed the segment meanwhile
        return EventBatch(chosen, cursor)

    async def _read_back(self, cursor: StreamPosition) -> None:
        floor, begins = self._log.floor, self._journal.base_position()
        after = _find_previous_commit(cursor)
        # In a nearly full log, what is added in front would soon be dropped again.
        if begins > after or self._log.size > self._max_bytes * 3 // 4:
            return
        entries: list[StreamEntry] = []
        try:
            for position, commit in self._journal.replay(after):
                if position > floor.position:
                    break
                entries.append(CommitEntry(position, commit, {}, self._find_owner))
                if len(entries) % SLICE == 0:
                    await self._yield_to_reactor()
        except (JournalDamaged, PositionNotFound):
            return  # a checkpoint has removed the segment meanwhile
        if self._log.floor == floor:  # otherwise newer events have displaced older ones meanwhile
            self._log.prepend(entries, StreamPosition(after))


def _find_previous_commit(cursor: StreamPosition) -> Position:
    """Return the position of the last commit of which no event is needed after ``cursor``."""
    # If the cursor is inside a commit, its remaining events are needed.
    return max(0, cursor.position - (cursor.number < LAST_EDIT))
