# SPDX-License-Identifier: BSD-2-Clause
"""The delivery of events to one receiver, in order, from a position in the event stream on.

Nothing is queued: events are read from the stream when the receiver is ready for them, so that the
memory for a receiver that is down for days is a position.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol

import msgspec
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from ganeti.errors import Failed
from ganeti.events.event import EventFilter, EventKind
from ganeti.events.stream_position import StreamPosition
from ganeti.master.event_feed import EventBatch
from ganeti.master.notifications.mail import Digest, build_mail, build_test_mail
from ganeti.master.notifications.senders import Senders
from ganeti.master.notifications.webhook import build_request
from ganeti.model.notifications import Notification

FIRST_RETRY, MAX_RETRY = 1.0, 300.0
"""Delay in seconds before the first retry; it doubles with each failure in a row up to the
maximum, and varies by a quarter, so that receivers are not retried all at once."""

COLLECT_SECONDS = 10.0
"""Seconds for which events are collected for a mail, from the first one on."""

MAX_UNRECORDED_COMMITS = 1000
"""Number of commits without a selected event after which a position is recorded.

Otherwise a notification that selects few events would fall behind what the journal keeps. It is
large, because a record of progress is a commit itself.
"""

OBSERVED_KINDS = frozenset({EventKind.INSTANCE, EventKind.NODE, EventKind.DISK})
"""The kinds of events that may be observed on nodes, for which they are polled."""

MAX_MAILS_PER_HOUR = 12
HOUR = 3600.0


class Stream(Protocol):
    """The event stream; ``newest_position`` is the position of the newest event.

    Nodes are polled for events while readers are attached.
    """

    @property
    def newest_position(self) -> StreamPosition: ...

    async def read(
        self, cursor: StreamPosition, selection: EventFilter, *, wait: bool = True
    ) -> EventBatch: ...

    def attach(self) -> None: ...

    def detach(self) -> None: ...


@dataclass(frozen=True)
class DeliveryTools:
    """What a delivery uses: ``now`` in seconds since the epoch, ``random`` from 0 to 1.

    ``cluster`` returns the name of the cluster, ``master`` is the name of this node.
    """

    stream: Stream
    senders: Senders
    clock: IReactorTime
    now: Callable[[], float]
    random: Callable[[], float]
    cluster: Callable[[], str]
    master: str


class DeliveryObserver(Protocol):
    """Notices what happens to deliveries."""

    def attempted(self, delivery: Delivery, *, accepted: bool) -> None:
        """Notice an attempt to send something."""

    def progressed(self, delivery: Delivery) -> None:
        """Notice that a delivery has sent something, has failed, or has advanced a lot."""


class Delivery:
    """Sends the selected events to a receiver; a subclass knows how.

    ``position`` is the end of what the receiver has accepted. While attempts fail, ``error`` is the
    reason of the last one, and ``failing_since`` the time of the first one in seconds since the
    epoch.
    """

    _log = Logger()

    def __init__(
        self,
        notification: Notification,
        position: StreamPosition,
        tools: DeliveryTools,
        observer: DeliveryObserver,
    ) -> None:
        self.notification = notification
        self.position = position
        self.failing_since = 0
        self.error = ""
        self._tools = tools
        self._observer = observer
        self._has_sent = False
        self._reported = position
        # Without a check: a kind of a newer version selects nothing.
        self._selection = EventFilter(
            frozenset(notification.kinds),
            frozenset(notification.names),
            frozenset(notification.tags),
        )

    async def run(self) -> None:
        """Deliver events until canceled."""
        polls = not self._selection.kinds or not OBSERVED_KINDS.isdisjoint(self._selection.kinds)
        if polls:
            self._tools.stream.attach()
        try:
            while True:
                await self._deliver_next()
        finally:
            if polls:
                self._tools.stream.detach()

    async def _deliver_next(self) -> None:
        """Deliver the next events, when there are any."""
        raise NotImplementedError

    async def test(self) -> None:
        """Send a message that is no event, now and once.

        :raises Failed: it was not accepted.
        """
        raise NotImplementedError

    async def _send_with_retries(self, send: Callable[[], Awaitable[None]]) -> None:
        """Call ``send`` until it succeeds."""
        delay = FIRST_RETRY
        while True:
            try:
                await send()
            except Failed as e:
                self.report_failure(str(e))
            else:
                self._report_success()
                return
            await self._sleep(delay * (0.75 + self._tools.random() / 2))
            delay = min(2 * delay, MAX_RETRY)

    def report_failure(self, why: str) -> None:
        """Record a failed attempt."""
        name = self.notification.name
        if not self.failing_since:
            self.failing_since = int(self._tools.now())
            self._log.warn("notification {name} fails; retrying: {why}", name=name, why=why)
        self.error = why
        self._observer.attempted(self, accepted=False)
        self._observer.progressed(self)

    def _report_success(self) -> None:
        self._has_sent = True
        self._observer.attempted(self, accepted=True)
        if self.failing_since:
            self._log.info("notification {name} works again", name=self.notification.name)
            self.failing_since, self.error = 0, ""

    def _advance(self, position: StreamPosition) -> None:
        """Continue after ``position``; without a selected event, report that now and then only.

        Otherwise each commit of the cluster would cost something for each notification.
        """
        self.position = position
        if self._has_sent or position.position >= self._reported.position + MAX_UNRECORDED_COMMITS:
            self._has_sent, self._reported = False, position
            self._observer.progressed(self)

    async def _sleep(self, seconds: float) -> None:
        await deferLater(self._tools.clock, seconds)


class WebhookDelivery(Delivery):
    """Sends one request for each event, and the next one when the receiver has accepted it."""

    async def _deliver_next(self) -> None:
        batch = await self._tools.stream.read(self.position, self._selection)
        if batch.reset:
            await self._deliver(f"reset-{batch.position}", _make_reset(batch.position))
        for event in batch.events:
            await self._deliver(str(event.cursor), event.data)
            self._advance(event.cursor)
        self._advance(batch.position)

    async def test(self) -> None:
        now = self._tools.now()
        body = msgspec.json.encode({"kind": "test", "at": now, "name": self.notification.name})
        # Another ID each time, as receivers drop messages with one that they know.
        await self._post(f"test-{int(now * 1000)}", body)

    async def _deliver(self, message_id: str, body: bytes) -> None:
        await self._send_with_retries(lambda: self._post(message_id, body))

    async def _post(self, message_id: str, body: bytes) -> None:
        # With each attempt again, as receivers reject old timestamps.
        request = build_request(
            self.notification,
            message_id,
            body,
            now=self._tools.now(),
            cluster=self._tools.cluster(),
        )
        status = await self._tools.senders.post(request)
        if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            raise Failed(f"the receiver answered with HTTP status {status}")


class MailDelivery(Delivery):
    """Collects events for some seconds, and sends them in one mail.

    When the limit of mails per hour is reached, events stay in the stream until it allows the next
    mail, which then has all of them: the first ones as lines, the others as counts.
    """

    def __init__(
        self,
        notification: Notification,
        position: StreamPosition,
        tools: DeliveryTools,
        observer: DeliveryObserver,
    ) -> None:
        super().__init__(notification, position, tools, observer)
        self._sent: deque[float] = deque(maxlen=MAX_MAILS_PER_HOUR)

    async def _deliver_next(self) -> None:
        await self._wait_for_event()
        await self._sleep(max(COLLECT_SECONDS, self._seconds_until_allowed()))
        digest = Digest()
        position = await self._collect(digest)
        if digest:
            await self._deliver(digest)
        self._advance(position)

    async def test(self) -> None:
        tools = self._tools
        message = build_test_mail(
            self.notification, cluster=tools.cluster(), now=tools.now(), master=tools.master
        )
        await tools.senders.mail(message)

    async def _wait_for_event(self) -> None:
        while True:
            batch = await self._tools.stream.read(self.position, self._selection)
            if batch.events or batch.reset:
                return
            self._advance(batch.position)

    def _seconds_until_allowed(self) -> float:
        if len(self._sent) < MAX_MAILS_PER_HOUR:
            return 0.0
        return self._sent[0] + HOUR - self._tools.clock.seconds()

    async def _collect(self, digest: Digest) -> StreamPosition:
        """Add everything that is in the stream by now; return the position after it."""
        position, end = self.position, self._tools.stream.newest_position
        while True:
            batch = await self._tools.stream.read(position, self._selection, wait=False)
            digest.reset |= batch.reset
            digest.add_events(batch.events)
            if batch.position == position or batch.position >= end:
                return batch.position
            position = batch.position

    async def _deliver(self, digest: Digest) -> None:
        await self._send_with_retries(lambda: self._mail(digest))
        self._sent.append(self._tools.clock.seconds())

    async def _mail(self, digest: Digest) -> None:
        tools = self._tools
        message = build_mail(
            self.notification,
            digest,
            cluster=tools.cluster(),
            now=tools.now(),
            master=tools.master,
        )
        await tools.senders.mail(message)


def _make_reset(position: StreamPosition) -> bytes:
    """Return the message that events before ``position`` are missing."""
    return msgspec.json.encode({"kind": "reset", "position": str(position)})
