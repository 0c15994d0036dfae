# SPDX-License-Identifier: BSD-2-Clause
"""One reader of the master's events for all subscribers of this process.

Events are decoded and encoded once, and kept in memory of a bounded size. A subscriber is a cursor
in them: what it has not been sent yet costs nothing of its own, and if its cursor falls out of what
is kept, it is told so and disconnected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from typing import Protocol, TypeAlias

import msgspec
from twisted.internet.defer import CancelledError, Deferred, DeferredList, DeferredLock
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from ganeti.errors import AccessDenied, GanetiError, Unauthenticated
from ganeti.events.event import Event, EventFilter, EventKind, read_event
from ganeti.events.log import Encoded, Entry, EventLog, EventPage
from ganeti.events.stream_position import StreamPosition
from ganeti.luxi.interfaces import IMaster
from ganeti.luxi.methods import WaitForEvents
from ganeti.metrics.family import Counter, MetricFamily
from ganeti.rapi.problems import HttpProblem

MAX_SUBSCRIBERS = 2000

MAX_BYTES = 16 << 20
"""How many bytes of events are kept, about."""

INTERVAL = 0.01
"""Seconds between two deliveries, at least: what happens meanwhile leaves in one write."""

LOAD = 2.0
"""A delivery is followed by a pause of at least so many times what it took, in which requests are
answered."""

CHUNK_EVENTS, CHUNK_BYTES = 1000, 128 << 10
"""How much one delivery has for one subscriber: more are left until it has read these."""

HEARTBEAT = 15.0
"""Seconds between two heartbeats, from which a client sees that the connection still works."""

FOLLOW_TIMEOUT = 60.0
"""Seconds for which one request waits for events of the master."""

RETRY_DELAY = 0.5
"""Seconds before the master is asked again after it did not answer."""

LINGER = 60.0
"""Seconds for which the master is still followed without subscribers, who may come back."""

Encode: TypeAlias = Callable[[Sequence[Event]], bytes]
"""Makes of events what a subscriber is sent."""


class Subscriber(Protocol):
    """A client that is sent events."""

    cursor: StreamPosition
    """Up to where it was sent events."""

    @property
    def selection(self) -> EventFilter: ...
    @property
    def encode(self) -> Encode: ...
    @property
    def paused(self) -> bool:
        """Whether it has not read what it was sent."""

    def open(self, position: StreamPosition, *, ready: bool, reset: bool) -> None:
        """Begin: events after ``position`` follow.

        With ``ready`` the client did not say where to begin; with ``reset`` what it asked for is
        not there any more.
        """

    def send(self, chunk: bytes) -> None:
        """Send encoded events."""

    def reset(self, position: StreamPosition) -> None:
        """Tell that events before ``position`` were lost."""

    def heartbeat(self, position: StreamPosition) -> None:
        """Tell that all up to ``position`` was sent."""

    def lag(self) -> None:
        """Tell the cursor, and disconnect: it reads too slowly."""

    async def confirm(self) -> None:
        """Disconnect if the client may not read events any more."""

    def refuse(self) -> None:
        """Disconnect, as the client may not read events any more."""


class _Answer(msgspec.Struct):
    """The master's answer to a request for events."""

    events: list[msgspec.Raw]
    position: str
    reset: bool


_decode = msgspec.json.Decoder(_Answer).decode


class EventHub:
    """Follows the master while there are subscribers, and delivers to them."""

    _log = Logger()

    def __init__(
        self,
        master: IMaster,
        clock: IReactorTime,
        *,
        max_bytes: int = MAX_BYTES,
        max_subscribers: int = MAX_SUBSCRIBERS,
    ) -> None:
        self._master = master
        self._clock = clock
        self._max_bytes = max_bytes
        self._max_subscribers = max_subscribers
        self._subscribers: dict[Subscriber, None] = {}
        self._events: EventLog | None = None
        self._beginning = DeferredLock()
        self._filling = DeferredLock()
        self._following: Deferred[None] | None = None
        self._left = clock.seconds()
        self._delivery: IDelayedCall | None = None
        self._not_before = 0.0
        self._beat: IDelayedCall | None = None
        self._sent = Counter("ganeti_event_sent", "Events that were sent, for each subscriber.")
        self._lagged = Counter(
            "ganeti_event_lagged", "Subscribers that were disconnected as they read too slowly."
        )

    def another(self, master: IMaster, *, max_bytes: int) -> EventHub:
        """Return one that follows another master, or the same on behalf of another caller."""
        most = self._max_subscribers
        return EventHub(master, self._clock, max_bytes=max_bytes, max_subscribers=most)

    def __len__(self) -> int:
        return len(self._subscribers)

    def families(self) -> Iterable[MetricFamily]:
        """Return what was counted."""
        return self._sent.family(), self._lagged.family()

    async def subscribe(self, subscriber: Subscriber, since: StreamPosition | None) -> None:
        """Open ``subscriber``, and send it what comes after ``since``, or from now on.

        :raises Problematic: there are too many subscribers.
        :raises GanetiError: the master cannot be asked.
        """
        if len(self._subscribers) >= self._max_subscribers:
            raise HttpProblem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"{self._max_subscribers} clients read the event stream already; try again later",
                (("Retry-After", "30"),),
            )
        events = await self._begin()
        reset = since is not None and await self._is_lost(events, since)
        cursor = events.end if since is None or reset else since
        subscriber.cursor = cursor
        subscriber.open(cursor, ready=since is None, reset=reset)
        self._subscribers[subscriber] = None
        if self._beat is None:
            self._beat = self._clock.callLater(HEARTBEAT, self._heartbeat)
        self._schedule()

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Send nothing more to ``subscriber``."""
        if subscriber in self._subscribers:
            del self._subscribers[subscriber]
            self._left = self._clock.seconds()

    def resumed(self) -> None:
        """A subscriber has read what it was sent."""
        self._schedule()

    def stop(self) -> None:
        """Stop following the master, and deliver nothing more."""
        self._subscribers.clear()
        for timer in (self._delivery, self._beat):
            if timer is not None:
                timer.cancel()
        self._delivery = self._beat = None
        if self._following is not None:
            self._following.cancel()

    # --- following the master

    async def _begin(self) -> EventLog:
        await self._beginning.acquire()
        try:
            # Until this client subscribes, the master is followed for it, too.
            self._left = self._clock.seconds()
            if self._events is None:
                answer = await self._ask(None, 5.0)
                self._events = EventLog(
                    StreamPosition.parse(answer.position), max_bytes=self._max_bytes
                )
                self._following = Deferred.fromCoroutine(self._follow(self._events))
                self._following.addErrback(self._broke)
            return self._events
        finally:
            self._beginning.release()

    async def _follow(self, events: EventLog) -> None:
        while self._subscribers or self._clock.seconds() < self._left + LINGER:
            try:
                answer = await self._ask(events.end, FOLLOW_TIMEOUT)
            except (AccessDenied, Unauthenticated):
                for subscriber in list(self._subscribers):
                    subscriber.refuse()
                break
            except GanetiError as e:
                # It restarts, or another node becomes the master and ends this daemon.
                self._log.debug("no events for now: {why}", why=str(e))
                await deferLater(self._clock, RETRY_DELAY)
                continue
            position = StreamPosition.parse(answer.position)
            if answer.reset:
                self._restart(events, position)
            elif answer.events or position > events.end:
                entry = _entry(answer, position)
                if any(event.kind == EventKind.ACCESS for event in entry.encoded):
                    # Nothing that happened after a revocation is sent to whom it is about.
                    await self._confirm()
                events.append(entry)
                self._schedule()
        self._events = None
        self._following = None

    async def _confirm(self) -> None:
        asked = [Deferred.fromCoroutine(each.confirm()) for each in list(self._subscribers)]
        await DeferredList(asked, consumeErrors=True)

    def _broke(self, failure: Failure) -> None:
        self._events = self._following = None
        if not failure.check(CancelledError):
            self._log.failure("following the events of the master broke", failure)
            for subscriber in list(self._subscribers):
                self._lag(subscriber)

    def _restart(self, events: EventLog, position: StreamPosition) -> None:
        events.restart(position)
        for subscriber in self._subscribers:
            subscriber.cursor = position
            subscriber.reset(position)

    async def _is_lost(self, events: EventLog, since: StreamPosition) -> bool:
        """Return whether the events after ``since`` cannot be sent; first gets those it can."""
        if since > events.end:
            # The client was told by another process, or a master that this one has yet to follow.
            return (await self._ask(since, 0)).reset
        if since < events.floor:
            await self._fill(events, since)
        return since < events.floor

    async def _fill(self, events: EventLog, since: StreamPosition) -> None:
        """Complete what is kept with what the master has after ``since``, as far as it fits."""
        await self._filling.acquire()
        try:
            entries: list[Entry] = []
            cursor, size = since, 0
            while cursor < events.floor and size + events.size < self._max_bytes:
                answer = await self._ask(cursor, 0)
                position = StreamPosition.parse(answer.position)
                if answer.reset or position <= cursor:
                    return
                entry = _entry(answer, position, before=events.floor)
                entries.append(entry)
                size += entry.size
                cursor = entry.cursor
            if cursor == events.floor:
                events.prepend(entries, since)
        finally:
            self._filling.release()

    async def _ask(self, since: StreamPosition | None, timeout: float) -> _Answer:
        text = None if since is None else str(since)
        return _decode(await self._master.ask_raw(WaitForEvents(since=text, timeout=timeout)))

    # --- delivering

    def _schedule(self) -> None:
        if self._delivery is None and self._subscribers:
            delay = max(0.0, self._not_before - self._clock.seconds())
            self._delivery = self._clock.callLater(delay, self._deliver)

    def _deliver(self) -> None:
        self._delivery = None
        events = self._events
        if events is None:
            return
        begun = self._clock.seconds()
        pages: dict[StreamPosition, EventPage] = {}
        chunks: dict[tuple[Encode, EventFilter, StreamPosition], tuple[int, bytes]] = {}
        behind = False
        for subscriber in list(self._subscribers):
            cursor = subscriber.cursor
            if cursor < events.floor:
                self._lag(subscriber)
                continue
            if subscriber.paused or cursor >= events.end:
                continue
            page = pages.get(cursor)
            if page is None:
                page = pages[cursor] = events.page(cursor, CHUNK_EVENTS, CHUNK_BYTES)
            key = subscriber.encode, subscriber.selection, cursor
            chunk = chunks.get(key)
            if chunk is None:
                chosen = subscriber.selection.choose(page.events)
                chunk = chunks[key] = len(chosen), subscriber.encode(chosen)
            subscriber.cursor = page.next
            if chunk[0]:
                self._sent.count(by=chunk[0])
                subscriber.send(chunk[1])
            behind = behind or page.next < events.end
        now = self._clock.seconds()
        self._not_before = now + max(INTERVAL, LOAD * (now - begun))
        if behind:
            self._schedule()

    def _lag(self, subscriber: Subscriber) -> None:
        self.unsubscribe(subscriber)
        self._lagged.count()
        subscriber.lag()

    def _heartbeat(self) -> None:
        self._beat = None
        for subscriber in list(self._subscribers):
            if not subscriber.paused:
                subscriber.heartbeat(subscriber.cursor)
        if self._subscribers:
            self._beat = self._clock.callLater(HEARTBEAT, self._heartbeat)


def _entry(
    answer: _Answer, position: StreamPosition, before: StreamPosition | None = None
) -> Encoded:
    """Return the entry of an answer, as far as it comes before a cursor."""
    # Copies, as each would otherwise keep the whole answer.
    events = [read_event(bytes(raw)) for raw in answer.events]
    if before is not None and position > before:
        events = [event for event in events if event.cursor <= before]
        position = before
    return Encoded.of(events, position)
