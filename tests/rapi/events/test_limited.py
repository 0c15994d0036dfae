# SPDX-License-Identifier: BSD-2-Clause
"""Callers with limited roles read events that the master chooses for them, each by one reader."""

from __future__ import annotations

from http import HTTPStatus

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.events.event import EventFilter
from ganeti.events.stream_position import STREAM_START, StreamPosition
from ganeti.luxi.caller import Caller
from ganeti.model.users import Role
from ganeti.rapi.events.hub import EventHub
from ganeti.rapi.events.limited import MAX_HUBS, LimitedHubs
from ganeti.rapi.events.server_sent import encode_events
from ganeti.rapi.problems import HttpProblem
from ganeti.rapi.verbs import Admitted
from ganeti.testing.events import MemoryEvents


def limited(user: str, source: str = "192.0.2.7", digest: str = "") -> Admitted:
    caller = Caller(user=user, source=source, digest=digest)
    return Admitted(caller, user, Role.VIEWER, limited=True)


class MemorySubscriber:
    """Receives events, and does nothing with them."""

    selection = EventFilter.of((), (), ())
    encode = staticmethod(encode_events)
    paused = False

    def __init__(self) -> None:
        self.cursor = STREAM_START

    def open(self, position: StreamPosition, *, ready: bool, reset: bool) -> None: ...
    def send(self, chunk: bytes) -> None: ...
    def reset(self, position: StreamPosition) -> None: ...
    def heartbeat(self, position: StreamPosition) -> None: ...
    def lag(self) -> None: ...
    async def confirm(self) -> None: ...
    def refuse(self) -> None: ...


class LimitedHubTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.master = MemoryEvents(self.clock)
        self.everything = EventHub(self.master, self.clock)
        self.hubs = LimitedHubs(self.master, self.everything)
        self.addCleanup(self.everything.stop)
        self.addCleanup(self.hubs.stop)

    def read(self, hub: EventHub) -> MemorySubscriber:
        subscriber = MemorySubscriber()
        self.successResultOf(hub.subscribe(subscriber, None))
        return subscriber

    def test_a_caller_that_sees_all_shares_the_reader_of_all(self) -> None:
        for user in ("vic", "root"):
            found = self.hubs.hub(Admitted(Caller(user=user), user, Role.VIEWER))
            self.assertIs(found, self.everything)

    def test_a_limited_caller_has_one_reader_from_wherever_it_asks(self) -> None:
        first = self.hubs.hub(limited("ann"))
        self.assertIsNot(first, self.everything)
        self.assertIs(self.hubs.hub(limited("ann", "198.51.100.9")), first)

    def test_two_callers_share_none(self) -> None:
        first = self.hubs.hub(limited("ann"))
        self.assertIsNot(self.hubs.hub(limited("bea")), first)
        self.assertIsNot(self.hubs.hub(limited("ann", digest="another password")), first)

    def test_a_reader_without_streams_makes_room_for_another(self) -> None:
        first = self.hubs.hub(limited("user0"))
        second = self.hubs.hub(limited("user1"))
        for number in range(1, MAX_HUBS):
            self.read(self.hubs.hub(limited(f"user{number}")))
        self.hubs.hub(limited("ann"))
        self.assertIs(self.hubs.hub(limited("user1")), second)
        self.assertIsNot(self.hubs.hub(limited("user0")), first)

    def test_while_all_read_one_more_is_told_to_come_back(self) -> None:
        readers = {}
        for number in range(MAX_HUBS):
            hub = self.hubs.hub(limited(f"user{number}"))
            readers[hub] = self.read(hub)
        error = self.assertRaises(HttpProblem, self.hubs.hub, limited("ann"))
        self.assertEqual(error.status, HTTPStatus.SERVICE_UNAVAILABLE)
        self.assertEqual(error.headers, (("Retry-After", "30"),))
        for number in (0, MAX_HUBS - 1):
            self.assertIn(self.hubs.hub(limited(f"user{number}")), readers)
        hub, subscriber = next(iter(readers.items()))
        hub.unsubscribe(subscriber)
        self.assertNotIn(self.hubs.hub(limited("ann")), readers)

    def test_at_the_end_nothing_is_read_any_more(self) -> None:
        hub = self.hubs.hub(limited("ann"))
        self.read(hub)
        self.hubs.stop()
        self.assertEqual(len(hub), 0)
        self.everything.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
