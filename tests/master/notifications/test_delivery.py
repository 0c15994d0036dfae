# SPDX-License-Identifier: BSD-2-Clause
"""A delivery retries at a rate that suits its receiver, and limits the number of mails."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed
from ganeti.events.event import EventFilter
from ganeti.events.log import EncodedEntry, EventLog
from ganeti.events.stream_position import StreamPosition
from ganeti.master.event_feed import EventBatch
from ganeti.master.notifications.delivery import (
    COLLECT_SECONDS,
    FIRST_RETRY,
    HOUR,
    MAX_MAILS_PER_HOUR,
    MAX_RETRY,
    MAX_UNRECORDED_COMMITS,
    Delivery,
    DeliveryTools,
    MailDelivery,
    WebhookDelivery,
)
from ganeti.model.notifications import Notification
from ganeti.testing.events import a_change
from ganeti.testing.senders import MemorySenders

SECRET = "a secret of enough characters"


class MemoryStream:
    """Events that a test makes; ``attached`` counts attached readers."""

    def __init__(self) -> None:
        self._log = EventLog(StreamPosition(0))
        self.attached = 0

    @property
    def newest_position(self) -> StreamPosition:
        return self._log.end

    def change(self, *names: str) -> None:
        position = self.newest_position.position + 1
        events = [a_change(position, name, n) for n, name in enumerate(names, 1)]
        self._log.append(EncodedEntry.of(events, StreamPosition(position)))

    async def read(
        self, cursor: StreamPosition, selection: EventFilter, *, wait: bool = True
    ) -> EventBatch:
        while True:
            page = self._log.page(cursor)
            if page.events or page.next > cursor or not wait:
                return EventBatch(selection.choose(page.events), page.next)
            await self._log.wait()

    def attach(self) -> None:
        self.attached += 1

    def detach(self) -> None:
        self.attached -= 1


class DeliveryCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.stream = MemoryStream()
        self.senders = MemorySenders()
        self.outcomes: list[bool] = []
        self.positions: list[StreamPosition] = []
        self.chance = 0.5

    def attempted(self, delivery: Delivery, *, accepted: bool) -> None:
        self.outcomes.append(accepted)

    def progressed(self, delivery: Delivery) -> None:
        self.positions.append(delivery.position)

    def start(self, kind: type[Delivery], **over: Any) -> Delivery:
        url = "mailto:root" if kind is MailDelivery else "https://hooks.example/"
        secret = "" if kind is MailDelivery else SECRET
        notification = Notification(uuid="chat", url=url, created=1, secret=secret, **over)
        tools = DeliveryTools(
            stream=self.stream,
            senders=self.senders,
            clock=self.clock,
            now=self.clock.seconds,
            random=lambda: self.chance,
            cluster=lambda: "alpha",
            master="node1",
        )
        delivery = kind(notification, self.stream.newest_position, tools, self)
        running = Deferred.fromCoroutine(delivery.run())
        running.addErrback(lambda failure: failure.trap(CancelledError))
        self.addCleanup(self.assertEqual, self.clock.getDelayedCalls(), [])
        self.addCleanup(running.cancel)
        return delivery

    def pass_time(self, seconds: float, step: float = 0.5) -> None:
        self.clock.pump([step] * int(seconds / step))


class WebhookTests(DeliveryCase):
    def test_delays_double_up_to_the_maximum(self) -> None:
        self.senders.status = Failed("connection refused")
        self.start(WebhookDelivery)
        self.stream.change("web1")
        times: list[float] = []
        while len(times) < 12:
            times += [self.clock.seconds()] * (len(self.senders.posts) - len(times))
            self.clock.advance(0.25)
        delays = [round(b - a) for a, b in pairwise(times)]
        expected = [min(FIRST_RETRY * 2**n, MAX_RETRY) for n in range(len(delays))]
        self.assertEqual(delays, expected)

    def test_delays_vary_by_a_quarter(self) -> None:
        self.senders.status = 500
        self.chance = 1.0
        self.start(WebhookDelivery)
        self.stream.change("web1")
        self.clock.advance(1.2 * FIRST_RETRY)
        self.assertEqual(len(self.senders.posts), 1)
        self.clock.advance(0.1 * FIRST_RETRY)
        self.assertEqual(len(self.senders.posts), 2)

    def test_after_a_success_delays_are_short_again(self) -> None:
        self.senders.status = 500
        self.start(WebhookDelivery)
        self.stream.change("web1", "web2")
        self.pass_time(60)
        self.senders.status = 200
        self.pass_time(60)
        self.assertEqual(self.senders.accepted, ["1.1", "1.2"])
        self.senders.status = 500
        self.stream.change("web3")
        sent = len(self.senders.posts)
        self.pass_time(FIRST_RETRY + 0.5)
        self.assertEqual(len(self.senders.posts), sent + 1)

    def test_each_attempt_has_the_time_of_its_own(self) -> None:
        self.senders.status = 500
        self.start(WebhookDelivery)
        self.stream.change("web1")
        self.pass_time(5)
        stamps = [each.headers["webhook-timestamp"] for each in self.senders.posts]
        self.assertEqual(len(set(stamps)), len(stamps))
        self.assertEqual(len({each.headers["webhook-id"] for each in self.senders.posts}), 1)

    def test_the_position_follows_accepted_events_and_those_that_are_not_selected(self) -> None:
        delivery = self.start(WebhookDelivery, names=("web1",))
        self.stream.change("web1", "web2")
        self.stream.change("web2")
        self.assertEqual(delivery.position, self.stream.newest_position)
        self.assertEqual(self.positions, [StreamPosition(1, 1)])
        self.assertEqual(self.outcomes, [True])

    def test_commits_without_a_selected_event_are_reported_rarely(self) -> None:
        self.start(WebhookDelivery, names=("web1",))
        for _ in range(2 * MAX_UNRECORDED_COMMITS):
            self.stream.change("web2")
        self.assertEqual(
            [each.position for each in self.positions],
            [MAX_UNRECORDED_COMMITS, 2 * MAX_UNRECORDED_COMMITS],
        )

    def test_nodes_are_polled_while_it_runs_if_it_selects_their_events(self) -> None:
        for kinds, attached in (((), 1), (("job",), 1), (("job", "disk"), 2)):
            self.start(WebhookDelivery, kinds=kinds)
            self.assertEqual(self.stream.attached, attached, kinds)


class MailTests(DeliveryCase):
    def test_events_of_some_seconds_are_one_mail(self) -> None:
        self.start(MailDelivery)
        self.stream.change("web1")
        self.pass_time(COLLECT_SECONDS - 1)
        self.stream.change("web2")
        self.assertEqual(self.senders.mails, [])
        self.pass_time(2)
        [mail] = self.senders.mails
        self.assertEqual(mail.get_content().count("instance web"), 2)

    def test_the_number_of_mails_is_limited_and_the_next_one_has_the_rest(self) -> None:
        self.start(MailDelivery)
        for number in range(MAX_MAILS_PER_HOUR + 5):
            self.stream.change(f"web{number}")
            self.pass_time(20)
        self.assertEqual(len(self.senders.mails), MAX_MAILS_PER_HOUR)
        self.pass_time(HOUR)
        self.assertEqual(len(self.senders.mails), MAX_MAILS_PER_HOUR + 1)
        self.assertEqual(self.senders.mails[-1].get_content().count("instance web"), 5)

    def test_a_mail_that_is_not_accepted_is_sent_again(self) -> None:
        self.senders.mail_error = Failed("exit code 75")
        delivery = self.start(MailDelivery)
        self.stream.change("web1")
        self.pass_time(COLLECT_SECONDS + 5)
        self.assertEqual(delivery.error, "exit code 75")
        self.assertLess(delivery.position, self.stream.newest_position)
        self.senders.mail_error = None
        self.pass_time(30)
        self.assertEqual((len(self.senders.mails), delivery.error), (1, ""))
        self.assertEqual(delivery.position, self.stream.newest_position)
