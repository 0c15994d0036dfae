# SPDX-License-Identifier: BSD-2-Clause
"""A master in memory that serves events which a test makes."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from ganeti.events.event import Event, EventAction, EventFilter, EventKind, make_event
from ganeti.events.log import EncodedEntry, EventLog
from ganeti.events.stream_position import StreamPosition
from ganeti.luxi.caller import Caller
from ganeti.luxi.interfaces import IMaster
from ganeti.luxi.methods import RecordDenial, Request, WaitForEvents
from ganeti.luxi.unreachable import MasterNotRunning
from ganeti.schema.records import FieldValues

R = TypeVar("R")


def a_change(position: int, name: str = "web1", number: int = 1, **over: object) -> Event:
    """An event: a change of the instance ``name``; ``over`` are arguments of ``make_event``."""
    fields: FieldValues = {
        "at": 0.0,
        "kind": EventKind.INSTANCE,
        "action": EventAction.CHANGED,
        **over,
    }
    return make_event(StreamPosition(position, number), name=name, **fields)


@implementer(IMaster)
class MemoryEvents:
    """Answers requests for events; ``asked`` are all of them, and ``away`` refuses further ones.

    An answer has at most ``page_events`` events.
    """

    def __init__(self, clock: IReactorTime, page_events: int = 3) -> None:
        self._clock = clock
        self.page_events = page_events
        self.log = EventLog(StreamPosition(0))
        self.asked: list[WaitForEvents] = []
        self.away = False

    def commit_change(self, *names: str, **over: object) -> None:
        """Commit a change of these instances."""
        position = self.log.end.position + 1
        events = [a_change(position, name, n, **over) for n, name in enumerate(names, 1)]
        self.log.append(EncodedEntry.of(events, StreamPosition(position)))

    async def ask(self, request: Request[R], caller: Caller | None = None) -> R:
        answer: R = msgspec.json.decode(await self.ask_raw(request, caller))
        return answer

    async def ask_raw(self, request: Request[object], caller: Caller | None = None) -> msgspec.Raw:
        if isinstance(request, RecordDenial):
            return msgspec.Raw(b"null")
        assert isinstance(request, WaitForEvents), request
        self.asked.append(request)
        cursor = None if request.since is None else StreamPosition.parse(request.since)
        timer = self._clock.callLater(request.timeout, self.log.wake)
        try:
            while True:
                if self.away:
                    raise MasterNotRunning("the master daemon is not running")
                if cursor is None:
                    return _answer([], self.log.end)
                if not self.log.holds(cursor):
                    return _answer([], self.log.end, reset=True)
                page = self.log.page(cursor, self.page_events)
                selection = EventFilter.of(request.kinds, request.names, request.tags)
                chosen = list(selection.choose(page.events))
                if chosen or not timer.active():
                    return _answer(chosen, page.next)
                await self.log.wait()
        finally:
            if timer.active():
                timer.cancel()

    def go_away(self) -> None:
        """Refuse what waits, and all that comes."""
        self.away = True
        self.log.wake()


def _answer(events: list[Event], position: StreamPosition, *, reset: bool = False) -> msgspec.Raw:
    answer = {
        "events": [msgspec.Raw(event.data) for event in events],
        "position": str(position),
        "reset": reset,
    }
    return msgspec.Raw(msgspec.json.encode(answer))
