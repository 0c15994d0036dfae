# SPDX-License-Identifier: BSD-2-Clause
"""An index selects what a filter selects by looking at each event."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.events.event import Event, EventFilter
from ganeti.events.index import EventIndex
from ganeti.events.stream_position import StreamPosition

words = st.sampled_from(["web1", "web2", "db1", "7"])
some = st.lists(words, max_size=3)
kinds = st.sampled_from(["instance", "job"])


@st.composite
def sequences(draw: st.DrawFn) -> list[Event]:
    made = draw(st.lists(st.tuples(kinds, some, st.none() | some), max_size=8))
    return [
        Event(StreamPosition(n), kind, tuple(names), None if tags is None else tuple(tags), b"{}")
        for n, (kind, names, tags) in enumerate(made, 1)
    ]


class EventIndexTests(SynchronousTestCase):
    @given(sequences(), st.lists(st.tuples(st.lists(kinds), some, some), max_size=4))
    def test_it_selects_what_the_filter_does(
        self, events: list[Event], asked: list[tuple[list[str], list[str], list[str]]]
    ) -> None:
        index = EventIndex(events)
        for selection in (EventFilter.of(*each) for each in asked):
            self.assertEqual(list(index.choose(selection)), list(selection.choose(events)))
