# SPDX-License-Identifier: BSD-2-Clause
"""Events go through JSON unchanged, and readers get what they have selected."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Invalid
from ganeti.events.event import Event, EventAction, EventFilter, EventKind, make_event, read_event
from ganeti.events.stream_position import StreamPosition

words = st.text(max_size=8)


def an_event(
    kind: str = EventKind.INSTANCE,
    name: str | None = "web1",
    names: tuple[str, ...] = (),
    tags: tuple[str, ...] | None = (),
) -> Event:
    return make_event(
        StreamPosition(3, 1),
        at=1.5,
        kind=kind,
        action=EventAction.CHANGED,
        name=name,
        names=names,
        tags=tags,
    )


class EventTests(SynchronousTestCase):
    @given(
        st.sampled_from(EventKind),
        st.none() | words,
        st.lists(words, max_size=3),
        st.none() | st.lists(words, max_size=3),
    )
    def test_what_is_encoded_can_be_read(
        self, kind: EventKind, name: str | None, names: list[str], tags: list[str] | None
    ) -> None:
        event = an_event(kind, name, tuple(names), None if tags is None else tuple(tags))
        self.assertEqual(read_event(event.data), event)

    def test_an_event_is_one_line_whatever_names_there_are(self) -> None:
        event = an_event(name="a\nid: 9\r\n\ndata: x")
        self.assertNotRegex(event.data.decode(), "[\r\n]")


class SelectionTests(SynchronousTestCase):
    def test_what_is_empty_selects_all(self) -> None:
        self.assertTrue(EventFilter().matches(an_event()))

    def test_any_of_the_words_will_do(self) -> None:
        self.assertTrue(EventFilter.of(["node", "instance"]).matches(an_event()))
        self.assertTrue(EventFilter.of(names=["web1", "web2"]).matches(an_event()))
        self.assertTrue(EventFilter.of(tags=["a", "b"]).matches(an_event(tags=("b", "c"))))

    def test_all_conditions_must_hold(self) -> None:
        event = an_event(tags=("a",))
        self.assertFalse(EventFilter.of(["node"], ["web1"], ["a"]).matches(event))
        self.assertFalse(EventFilter.of(["instance"], ["web2"], ["a"]).matches(event))
        self.assertFalse(EventFilter.of(["instance"], ["web1"], ["b"]).matches(event))

    def test_an_object_goes_by_all_its_names(self) -> None:
        self.assertTrue(EventFilter.of(names=["old"]).matches(an_event(names=("old",))))

    def test_what_is_not_known_may_be_what_is_wanted(self) -> None:
        event = an_event(name=None, tags=None)
        self.assertTrue(EventFilter.of(names=["web9"], tags=["x"]).matches(event))

    def test_a_kind_that_there_is_not_is_refused(self) -> None:
        self.assertRaisesRegex(Invalid, "vm; the kinds are cluster, node", EventFilter.of, ["vm"])
