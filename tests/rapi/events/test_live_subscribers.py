# SPDX-License-Identifier: BSD-2-Clause
"""Subscribers at the same position are found by what they select."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.events.event import Event, EventFilter
from ganeti.events.index import EventIndex
from ganeti.events.stream_position import StreamPosition
from ganeti.rapi.events.live_subscribers import LiveSubscribers
from ganeti.rapi.events.server_sent import encode_events

NOW, LATER = StreamPosition(5), StreamPosition(6)


@dataclass(frozen=True, eq=False)
class Client:
    """What one client selects."""

    selection: EventFilter
    encode = staticmethod(encode_events)


def a_client(*names: str, kinds: tuple[str, ...] = ()) -> Client:
    return Client(EventFilter.of(kinds, names, ()))


def an_event(number: int, *names: str, kind: str = "instance") -> Event:
    return Event(StreamPosition(6, number), kind, names, (), b'{"number":%d}' % number)


def received(live: LiveSubscribers[Client], events: list[Event]) -> dict[Client, bytes]:
    return {
        member: chunk for members, _, chunk in live.select(EventIndex(events)) for member in members
    }


names = st.lists(st.sampled_from(["web1", "web2", "db"]), max_size=2, unique=True)
kinds = st.lists(st.sampled_from(["instance", "job"]), max_size=1)


class LiveSubscriberTests(SynchronousTestCase):
    def test_only_who_selects_an_event_is_found(self) -> None:
        live: LiveSubscribers[Client] = LiveSubscribers()
        web, db, everything = a_client("web1"), a_client("db"), a_client()
        for each in (web, db, everything):
            self.assertTrue(live.add(each, NOW))
        events = [an_event(1, "web1")]
        chunk = encode_events(events)
        self.assertEqual(received(live, events), {web: chunk, everything: chunk})

    def test_an_event_with_unknown_names_is_for_all(self) -> None:
        live: LiveSubscribers[Client] = LiveSubscribers()
        web = a_client("web1")
        live.add(web, NOW)
        self.assertEqual(list(received(live, [an_event(1)])), [web])

    def test_one_at_another_position_is_not_taken(self) -> None:
        live: LiveSubscribers[Client] = LiveSubscribers()
        first, second = a_client("web1"), a_client("web1")
        self.assertTrue(live.add(first, NOW))
        self.assertFalse(live.add(second, LATER))
        self.assertEqual((first in live, second in live, len(live)), (True, False, 1))
        live.discard(first)
        self.assertTrue(live.add(second, LATER))

    def test_one_that_leaves_is_found_no_more(self) -> None:
        live: LiveSubscribers[Client] = LiveSubscribers()
        first, second = a_client("web1", "db"), a_client("web1", "db")
        for each in (first, second):
            live.add(each, NOW)
        for each in (first, first):
            live.discard(each)
        self.assertEqual(list(received(live, [an_event(1, "db")])), [second])
        self.assertEqual(live.clear(), [second])
        self.assertEqual((len(live), received(live, [an_event(1, "db")])), (0, {}))

    @given(
        st.lists(st.tuples(names, kinds), max_size=6),
        st.lists(st.tuples(names, st.sampled_from(["instance", "job"])), max_size=6),
    )
    def test_each_gets_what_its_selection_matches(
        self, chosen: list[tuple[list[str], list[str]]], made: list[tuple[list[str], str]]
    ) -> None:
        live: LiveSubscribers[Client] = LiveSubscribers()
        clients = [a_client(*names, kinds=tuple(kinds)) for names, kinds in chosen]
        for each in clients:
            live.add(each, NOW)
        events = [an_event(n, *names, kind=kind) for n, (names, kind) in enumerate(made, 1)]
        expected = {
            each: encode_events(matching)
            for each in clients
            if (matching := [event for event in events if each.selection.matches(event)])
        }
        self.assertEqual(received(live, events), expected)
