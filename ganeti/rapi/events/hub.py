# SPDX-License-Identifier: BSD-2-Clause
"""A reader of the master's events for all subscribers of this process.

Events are decoded and encoded once and kept in a log of bounded size. A subscriber is a cursor in
that log: events that it has not been sent yet take no memory of their own. If its cursor falls out
of the log, it is notified and disconnected.
"""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from itertools import takewhile
from typing import Protocol

import msgspec
from twisted.internet.defer import CancelledError, Deferred, DeferredList, DeferredLock
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from ganeti.errors import AccessDenied, GanetiError, Unauthenticated
from ganeti.events.event import EventFilter, EventKind, read_event
from ganeti.events.index import EventIndex
from ganeti.events.log import MAX_PAGE_EVENTS, EncodedEntry, EventLog, EventPage, StreamEntry
from ganeti.events.stream_position import StreamPosition
from ganeti.luxi.interfaces import IMaster
from ganeti.luxi.methods import WaitForEvents
from ganeti.metrics.family import Counter, MetricFamily
from ganeti.rapi.events.live_subscribers import Encode, LiveSubscribers
from ganeti.rapi.problems import HttpProblem

MAX_SUBSCRIBERS = 2000

MAX_BYTES = 16 << 20
"""Approximate limit for the bytes of the events that are kept."""

MAX_FILL = 0.5
"""Which share of what is kept may wait for subscribers who read."""

INTERVAL = 0.01
"""Minimum time between two deliveries, in seconds: events in between are sent in one write."""

LOAD, LOAD_BEHIND = 2.0, 0.5
"""The pause after a delivery is at least this multiple of its duration, to leave time for requests.

It is shorter while more events wait: subscribers that fall out of what is kept read everything
again, which costs more.
"""

CHUNK_EVENTS, CHUNK_BYTES = 1000, 128 << 10
"""Limit of one delivery for one subscriber: more is sent when it has read these."""

HEARTBEAT = 15.0
"""Time between two heartbeats, in seconds; they show a client that the connection still works."""

MIN_BEAT_INTERVAL = 0.1
"""Heartbeats that are due within this time are sent together, in seconds."""

FOLLOW_TIMEOUT = 60.0
"""How long one request waits for events of the master, in seconds."""

RETRY_DELAY = 0.5
"""Delay before the next request if the master does not answer, in seconds."""

LINGER = 60.0
"""How long the master is followed without subscribers, in seconds; a client may reconnect."""


class Subscriber(Protocol):
    """A client that receives events."""

    cursor: StreamPosition
    """The position up to which events were sent; see ``EventHub.position``."""

    @property
    def selection(self) -> EventFilter: ...
    @property
    def encode(self) -> Encode: ...
    @property
    def paused(self) -> bool:
        """Whether the client has not read what was sent."""

    def open(self, position: StreamPosition, *, ready: bool, reset: bool) -> None:
        """Start the answer: events after ``position`` follow.

        ``ready`` means that the client gave no position; ``reset`` that the one it gave is no
        longer available.
        """

    def send(self, chunk: bytes) -> None:
        """Send encoded events."""

    def reset(self, position: StreamPosition) -> None:
        """Send the notice that events before ``position`` were lost."""

    def heartbeat(self, position: StreamPosition) -> None:
        """Send the notice that all events up to ``position`` were sent."""

    def lag(self) -> None:
        """Send the cursor and disconnect, as the client reads too slowly."""

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
    """Follows the master while there are subscribers, and delivers its events to them."""

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
        self._subscribers: dict[Subscriber, float] = {}
        """When each gets its next heartbeat, in this order."""
        self._live: LiveSubscribers[Subscriber] = LiveSubscribers()
        """Subscribers that had all events once, and have read what they were sent since."""
        self._behind: dict[Subscriber, None] = {}
        """The other ones, each at its own cursor."""
        self._events: EventLog | None = None
        self._beginning = DeferredLock()
        self._filling = DeferredLock()
        self._following: Deferred[None] | None = None
        self._left = clock.seconds()
        self._delivery: IDelayedCall | None = None
        self._not_before = 0.0
        self._beat: IDelayedCall | None = None
        self._sent = Counter("ganeti_event_sent", "Events sent, summed over subscribers.")
        self._lagged = Counter(
            "ganeti_event_lagged", "Subscribers disconnected because they read too slowly."
        )

    def another(self, master: IMaster, *, max_bytes: int) -> EventHub:
        """Return one that follows another master, or the same on behalf of another caller."""
        most = self._max_subscribers
        return EventHub(master, self._clock, max_bytes=max_bytes, max_subscribers=most)

    def __len__(self) -> int:
        return len(self._subscribers)

    def position(self, subscriber: Subscriber) -> StreamPosition:
        """Return the position up to which ``subscriber`` was sent all that it selects.

        That is after its own cursor if it selected nothing of the events in between.
        """
        return self._live.cursor if subscriber in self._live else subscriber.cursor

    def families(self) -> Iterable[MetricFamily]:
        """Return the metrics of the hub."""
        return self._sent.family(), self._lagged.family()

    async def subscribe(self, subscriber: Subscriber, since: StreamPosition | None) -> None:
        """Open ``subscriber``, and deliver the events after ``since``, or from now on.

        :raises HttpProblem: 503 if there are too many subscribers.
        :raises GanetiError: if the master does not answer.
        """
        if len(self._subscribers) >= self._max_subscribers:
            raise HttpProblem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"{self._max_subscribers} clients read the event stream already; try again later",
                (("Retry-After", "30"),),
            )
        events = await self._start_following()
        reset = since is not None and await self._is_lost(events, since)
        cursor = events.end if since is None or reset else since
        subscriber.cursor = cursor
        subscriber.open(cursor, ready=since is None, reset=reset)
        self._behind[subscriber] = None
        self._subscribers[subscriber] = self._clock.seconds() + HEARTBEAT
        if self._beat is None:
            self._beat = self._clock.callLater(HEARTBEAT, self._heartbeat)
        self._schedule()

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Deliver nothing more to ``subscriber``."""
        self._leave_live(subscriber)
        self._behind.pop(subscriber, None)
        if subscriber in self._subscribers:
            del self._subscribers[subscriber]
            self._left = self._clock.seconds()

    def resumed(self) -> None:
        """Schedule a delivery, as a subscriber has read what it was sent."""
        self._schedule()

    def stop(self) -> None:
        """Stop following the master and delivering events."""
        self._subscribers.clear()
        self._behind.clear()
        self._live.clear()
        for timer in (self._delivery, self._beat):
            if timer is not None:
                timer.cancel()
        self._delivery = self._beat = None
        if self._following is not None:
            self._following.cancel()

    # --- following the master

    async def _start_following(self) -> EventLog:
        await self._beginning.acquire()
        try:
            # Keep following the master until this client has subscribed.
            self._left = self._clock.seconds()
            if self._events is None:
                answer = await self._query_events(None, 5.0)
                self._events = EventLog(
                    StreamPosition.parse(answer.position), max_bytes=self._max_bytes
                )
                self._following = Deferred.fromCoroutine(self._follow(self._events))
                self._following.addErrback(self._follow_failed)
            return self._events
        finally:
            self._beginning.release()

    async def _follow(self, events: EventLog) -> None:
        while self._subscribers or self._clock.seconds() < self._left + LINGER:
            while self._must_deliver_first(events):
                await deferLater(self._clock, INTERVAL)
            try:
                answer = await self._query_events(events.end, FOLLOW_TIMEOUT)
            except (AccessDenied, Unauthenticated):
                # A copy, as each unsubscribes.
                for subscriber in list(self._subscribers):
                    subscriber.refuse()
                break
            except GanetiError as e:
                # The master daemon restarts, or a failover happens, which ends this daemon.
                self._log.debug("no events for now: {why}", why=str(e))
                await deferLater(self._clock, RETRY_DELAY)
                continue
            position = StreamPosition.parse(answer.position)
            if answer.reset:
                self._restart(events, position)
            elif answer.events or position > events.end:
                entry = _build_entry(answer, position)
                if any(event.kind == EventKind.ACCESS for event in entry.encoded):
                    # Nothing that happened after a revocation is sent to whom it is about.
                    await self._confirm()
                events.append(entry)
                self._schedule()
                if len(answer.events) < MAX_PAGE_EVENTS // 2:
                    # Events that come sooner are delivered no sooner; asking for each group of
                    # commits would take time of the master.
                    await deferLater(self._clock, INTERVAL)
        self._events = None
        self._following = None

    def _must_deliver_first(self, events: EventLog) -> bool:
        """Return whether further events could push out some that were not delivered yet.

        The master keeps them meanwhile. Subscribers that read slowly, or come back from far, do not
        hold up others.
        """
        if not self._live or events.size < self._max_bytes * MAX_FILL:
            return False
        return events.fill(self._live.cursor) > MAX_FILL

    async def _confirm(self) -> None:
        asked = [Deferred.fromCoroutine(each.confirm()) for each in list(self._subscribers)]
        await DeferredList(asked, consumeErrors=True)

    def _follow_failed(self, failure: Failure) -> None:
        self._events = self._following = None
        if not failure.check(CancelledError):
            self._log.failure("following the events of the master failed", failure)
            for subscriber in list(self._subscribers):
                self._disconnect_slow(subscriber)

    def _restart(self, events: EventLog, position: StreamPosition) -> None:
        events.restart(position)
        self._behind.update(dict.fromkeys(self._live.clear()))
        for subscriber in list(self._subscribers):
            subscriber.cursor = position
            subscriber.reset(position)

    async def _is_lost(self, events: EventLog, since: StreamPosition) -> bool:
        """Return whether the events after ``since`` are lost; first fetch those that the master
        has."""
        if since > events.end:
            # The client got this position from another process, or the events up to it have not
            # been fetched yet.
            return (await self._query_events(since, 0)).reset
        if since < events.floor:
            await self._backfill(events, since)
        return since < events.floor

    async def _backfill(self, events: EventLog, since: StreamPosition) -> None:
        """Prepend the master's events after ``since`` to the log, as far as they fit."""
        await self._filling.acquire()
        try:
            entries: list[StreamEntry] = []
            cursor, size = since, 0
            while cursor < events.floor and size + events.size < self._max_bytes:
                answer = await self._query_events(cursor, 0)
                position = StreamPosition.parse(answer.position)
                if answer.reset or position <= cursor:
                    return
                entry = _build_entry(answer, position, before=events.floor)
                entries.append(entry)
                size += entry.size
                cursor = entry.cursor
            # With a gap, clients would miss events without knowing.
            if cursor == events.floor:
                events.prepend(entries, since)
        finally:
            self._filling.release()

    async def _query_events(self, since: StreamPosition | None, timeout: float) -> _Answer:
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
        behind = self._deliver_to_live(events)
        behind = self._deliver_to_behind(events) or behind
        now = self._clock.seconds()
        load = LOAD_BEHIND if behind else LOAD
        self._not_before = now + max(INTERVAL, load * (now - begun))
        if behind:
            self._schedule()

    def _deliver_to_live(self, events: EventLog) -> bool:
        """Deliver a page to those that share a cursor; return whether there is more for them."""
        live = self._live
        if not live or live.cursor >= events.end:
            return False
        if live.cursor < events.floor:
            for subscriber in list(self._subscribers):
                self._leave_live(subscriber)
            return False
        page = events.page(live.cursor, CHUNK_EVENTS, CHUNK_BYTES)
        for members, count, chunk in live.select(EventIndex(page.events)):
            for subscriber in members:
                if subscriber.paused:
                    self._leave_live(subscriber)
                else:
                    subscriber.cursor = page.next
                    self._sent.count(by=count)
                    subscriber.send(chunk)
        live.cursor = page.next
        return page.next < events.end

    def _deliver_to_behind(self, events: EventLog) -> bool:
        """Deliver a page to each of the others; return whether there is more for one of them."""
        pages: dict[StreamPosition, tuple[EventPage, EventIndex]] = {}
        chunks: dict[tuple[Encode, EventFilter, StreamPosition], tuple[int, bytes]] = {}
        more = False
        for subscriber in list(self._behind):
            cursor = subscriber.cursor
            if cursor < events.floor:
                self._disconnect_slow(subscriber)
                continue
            if subscriber.paused:
                continue
            if cursor < events.end:
                known = pages.get(cursor)
                if known is None:
                    page = events.page(cursor, CHUNK_EVENTS, CHUNK_BYTES)
                    known = pages[cursor] = page, EventIndex(page.events)
                page, index = known
                key = subscriber.encode, subscriber.selection, cursor
                chunk = chunks.get(key)
                if chunk is None:
                    chosen = index.choose(subscriber.selection)
                    chunk = chunks[key] = len(chosen), subscriber.encode(chosen)
                subscriber.cursor = page.next
                if chunk[0]:
                    self._sent.count(by=chunk[0])
                    subscriber.send(chunk[1])
            if subscriber.cursor < events.end:
                more = True
            # The write may have disconnected it.
            elif subscriber.cursor == events.end and subscriber in self._behind:
                self._join_live(subscriber)
        return more

    def _join_live(self, subscriber: Subscriber) -> None:
        """Move a subscriber that has all events to the others, unless they are not so far."""
        if self._live.add(subscriber, subscriber.cursor):
            del self._behind[subscriber]

    def _leave_live(self, subscriber: Subscriber) -> None:
        """Give a subscriber a cursor of its own."""
        if subscriber in self._live:
            subscriber.cursor = self._live.cursor
            self._live.discard(subscriber)
            self._behind[subscriber] = None

    def _disconnect_slow(self, subscriber: Subscriber) -> None:
        self.unsubscribe(subscriber)
        self._lagged.count()
        subscriber.lag()

    def _heartbeat(self) -> None:
        self._beat = None
        now = self._clock.seconds()
        due = list(takewhile(lambda each: each[1] <= now, self._subscribers.items()))
        for subscriber, _ in due:
            if self._subscribers.pop(subscriber, None) is None:
                continue  # disconnected meanwhile
            # At the end again, so that the order stays that of the next heartbeats.
            self._subscribers[subscriber] = now + HEARTBEAT
            if not subscriber.paused:
                subscriber.heartbeat(self.position(subscriber))
        if self._subscribers:
            first = next(iter(self._subscribers.values()))
            self._beat = self._clock.callLater(max(MIN_BEAT_INTERVAL, first - now), self._heartbeat)


def _build_entry(
    answer: _Answer, position: StreamPosition, before: StreamPosition | None = None
) -> EncodedEntry:
    """Return the log entry of an answer, only with events up to ``before`` if that is given."""
    # Copies, as each slice would otherwise keep the whole answer in memory.
    events = [read_event(bytes(raw)) for raw in answer.events]
    if before is not None and position > before:
        events = [event for event in events if event.cursor <= before]
        position = before
    return EncodedEntry.of(events, position)
