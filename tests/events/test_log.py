# SPDX-License-Identifier: BSD-2-Clause
"""The log of events has bounded memory, and never leaves out anything in silence."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from ganeti.events.event import Event, EventAction, EventKind, make_event
from ganeti.events.log import MAX_PAGE_EVENTS, EncodedEntry, EventLog
from ganeti.events.stream_position import StreamPosition


def an_event(position: int, number: int = 1) -> Event:
    cursor = StreamPosition(position, number)
    return make_event(
        cursor, at=0.0, kind=EventKind.JOB, action=EventAction.CHANGED, name=str(position)
    )


def an_entry(position: int, count: int = 1) -> EncodedEntry:
    events = [an_event(position, number) for number in range(1, count + 1)]
    return EncodedEntry.of(events, StreamPosition(position, count))


class EventLogTests(SynchronousTestCase):
    def log(self, *positions: int, max_bytes: int = 1 << 20) -> EventLog:
        log = EventLog(StreamPosition(positions[0] - 1), max_bytes=max_bytes)
        for position in positions:
            log.append(an_entry(position))
        return log

    def ids(self, log: EventLog, cursor: StreamPosition) -> list[str]:
        found: list[str] = []
        while cursor < log.end:
            page = log.page(cursor)
            found += [str(event.cursor) for event in page.events]
            self.assertGreater(page.next, cursor)
            cursor = page.next
        return found

    def test_a_page_has_what_comes_after_a_cursor(self) -> None:
        log = self.log(5, 6, 7)
        self.assertEqual(self.ids(log, StreamPosition(4)), ["5.1", "6.1", "7.1"])
        self.assertEqual(self.ids(log, StreamPosition(6, 1)), ["7.1"])
        self.assertEqual(self.ids(log, StreamPosition(7)), [])

    def test_a_long_entry_is_given_in_pages(self) -> None:
        log = EventLog(StreamPosition(0))
        count = 2 * MAX_PAGE_EVENTS + 3
        log.append(an_entry(1, count))
        log.append(an_entry(2))
        self.assertEqual(len(log.page(StreamPosition(0)).events), MAX_PAGE_EVENTS)
        expected = [f"1.{number}" for number in range(1, count + 1)]
        self.assertEqual(self.ids(log, StreamPosition(0)), [*expected, "2.1"])
        self.assertEqual(self.ids(log, StreamPosition(1, 4)), [*expected[4:], "2.1"])

    def test_an_entry_without_events_is_passed_over(self) -> None:
        log = self.log(1)
        log.append(EncodedEntry(StreamPosition(2), 1, ()))
        page = log.page(StreamPosition(1))
        self.assertEqual((page.events, page.next), ([], StreamPosition(2)))

    def test_the_oldest_go_when_there_are_too_many_bytes(self) -> None:
        log = self.log(*range(1, 200), max_bytes=20_000)
        self.assertLessEqual(log.size, 20_000)
        self.assertFalse(log.holds(StreamPosition(1)))
        self.assertTrue(log.holds(log.floor))
        self.assertEqual(self.ids(log, log.floor)[-1], "199.1")

    def test_what_comes_before_can_be_added(self) -> None:
        log = self.log(3, 4)
        self.assertFalse(log.holds(StreamPosition(0)))
        log.prepend([an_entry(1), an_entry(2)], StreamPosition(0))
        self.assertEqual(self.ids(log, StreamPosition(0)), ["1.1", "2.1", "3.1", "4.1"])

    def test_what_lies_ahead_is_not_held(self) -> None:
        self.assertFalse(self.log(1).holds(StreamPosition(2, 1)))

    def test_those_who_wait_are_woken_once(self) -> None:
        log = self.log(1)
        waiting = Deferred.fromCoroutine(log.wait())
        self.assertNoResult(waiting)
        log.append(an_entry(2))
        self.successResultOf(waiting)
        log.append(an_entry(3))

    def test_one_who_gives_up_waiting_is_forgotten(self) -> None:
        log = self.log(1)
        waiting = Deferred.fromCoroutine(log.wait())
        waiting.cancel()
        self.failureResultOf(waiting)
        log.append(an_entry(2))
