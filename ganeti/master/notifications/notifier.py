# SPDX-License-Identifier: BSD-2-Clause
"""All notifications of the cluster: one delivery for each, and their progress in the journal.

Progress is recorded rarely, for all notifications in one commit. After the end of a master daemon,
events since the last record are sent again, with the same IDs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from ganeti.config.changes.notifications import find_notification, record_progress
from ganeti.config.state import ClusterState, RecordEdit, RecordKind
from ganeti.config.writer import ChangeCause, ConfigWriter
from ganeti.errors import CommitFailed, Failed, Invalid
from ganeti.events.stream_position import STREAM_START, StreamPosition
from ganeti.master.notifications.delivery import (
    MAX_UNRECORDED_COMMITS,
    Delivery,
    DeliveryTools,
    MailDelivery,
    WebhookDelivery,
)
from ganeti.metrics.family import Counter, MetricFamily, make_gauges
from ganeti.model.notifications import Notification, NotificationProgress

RECORD_INTERVAL = 30.0
"""Minimum time between two records of progress, in seconds."""

RECORD_CAUSE = ChangeCause("ganeti-masterd", "the progress of notifications")


class Notifier:
    """Runs the deliveries of all enabled notifications from ``start`` to ``stop``."""

    _log = Logger()

    def __init__(self, config: ConfigWriter, tools: DeliveryTools) -> None:
        self._config = config
        self._tools = tools
        self._running = False
        self._deliveries: dict[str, tuple[Delivery, Deferred[None]]] = {}
        self._unrecorded: set[str] = set()  # those that have sent something since the last record
        self._recorded: dict[str, NotificationProgress] = {}  # the last records made here
        self._timer: IDelayedCall | None = None
        self._recording: Deferred[None] | None = None
        self._attempts = Counter(
            "ganeti_notification_attempts",
            "Requests to webhooks and mails, by outcome.",
            ("notification", "outcome"),
        )

    def start(self) -> None:
        """Begin to deliver events; the term of the master has begun."""
        self._running = True
        for notification in self._config.state().notifications.values():
            self._start_delivery(notification)

    async def stop(self, *, record: bool = True) -> None:
        """End all deliveries; record their progress, unless the files belong to another master."""
        self._running = False
        for name in list(self._deliveries):
            self._cancel(name)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if record and (progress := list(self._list_unrecorded())):
            with suppress(CommitFailed):  # otherwise the next master sends some events again
                await self._commit(progress)
        self._deliveries.clear()

    def config_changed(self, state: ClusterState, edits: Sequence[RecordEdit]) -> None:
        """Apply changes of notifications; an observer of the configuration."""
        if not self._running:
            return
        changed = {edit.key for edit in edits if edit.kind is RecordKind.NOTIFICATION}
        # Records that are made here move nothing; others are positions set by an administrator.
        moved = {
            edit.key
            for edit in edits
            if edit.kind is RecordKind.NOTIFICATION_PROGRESS
            and edit.record != self._recorded.get(edit.key)
        }
        for name in sorted(changed | moved):
            found = self._deliveries.get(name)
            # With other settings, it continues from where it is now.
            position = None if found is None or name in moved else found[0].position
            self._end_delivery(name)
            notification = state.notifications.get(name)
            if notification is None:
                self._recorded.pop(name, None)
            else:
                self._start_delivery(notification, position)

    # --- queries

    async def query_notifications(self) -> list[dict[str, Any]]:
        """Return the notifications without secrets, and their progress."""
        state = self._config.state()
        return [
            self._describe(state.notifications[name], state) for name in sorted(state.notifications)
        ]

    async def test(self, name: str) -> None:
        """Send a test message to the receiver of a notification.

        If it is accepted, a delivery that waits for its next attempt tries again at once.

        :raises Refused: there is no such notification.
        :raises Failed: the receiver did not accept it.
        """
        notification = find_notification(self._config.state(), name)
        try:
            await self._make_delivery(notification, self._tools.stream.newest_position).test()
        except Failed as e:
            raise Failed(f"notification {name} could not be delivered: {e}") from None
        found = self._deliveries.get(name)
        if found is not None and found[0].failing_since:
            self._end_delivery(name)
            self._start_delivery(notification, found[0].position)

    def families(self) -> Iterator[MetricFamily]:
        """Yield the metrics of notifications."""
        yield self._attempts.family()
        found = [(name, delivery) for name, (delivery, _) in sorted(self._deliveries.items())]
        end = self._tools.stream.newest_position.position
        yield make_gauges(
            "ganeti_notification_lag_commits",
            "Commits whose events were not accepted yet.",
            ("notification",),
            [((name,), end - each.position.position) for name, each in found],
        )
        now = self._tools.now()
        yield make_gauges(
            "ganeti_notification_failing_seconds",
            "Seconds since the first of the failures in a row; 0 if the last attempt succeeded.",
            ("notification",),
            [
                ((name,), max(0.0, now - each.failing_since) if each.failing_since else 0)
                for name, each in found
            ],
        )

    def _describe(self, notification: Notification, state: ClusterState) -> dict[str, Any]:
        progress = self._find_progress(notification.name, state)
        position = _parse(progress.position)
        return {
            "name": notification.name,
            "url": notification.url,
            "enabled": notification.enabled,
            "kinds": list(notification.kinds),
            "names": list(notification.names),
            "tags": list(notification.tags),
            "ca_certificates": bool(notification.authority),
            "created": notification.created,
            "comment": notification.comment,
            "position": progress.position,
            "lag": max(0, self._tools.stream.newest_position.position - position.position),
            "failing_since": progress.failing_since or None,
            "error": progress.error,
        }

    def _find_progress(self, name: str, state: ClusterState) -> NotificationProgress:
        """Return the current progress of a notification, or the recorded one if it is disabled."""
        if (found := self._deliveries.get(name)) is not None:
            return _make_progress(found[0])
        recorded = state.notification_progress.get(name)
        return recorded or NotificationProgress(
            uuid=name, position=str(self._tools.stream.newest_position)
        )

    # --- deliveries

    def _start_delivery(
        self, notification: Notification, position: StreamPosition | None = None
    ) -> None:
        """Start to deliver from ``position`` on, or from the recorded position."""
        if not notification.enabled:
            return
        recorded = self._config.state().notification_progress.get(notification.name)
        if position is None:
            # All have a record, unless an administrator has edited the file by hand.
            position = (
                self._tools.stream.newest_position
                if recorded is None
                else _parse(recorded.position)
            )
        delivery = self._make_delivery(notification, position)
        if recorded is not None:
            delivery.failing_since, delivery.error = recorded.failing_since, recorded.error
        running = Deferred.fromCoroutine(delivery.run())
        self._deliveries[notification.name] = delivery, running
        running.addErrback(self._on_delivery_failed, notification.name)

    def _make_delivery(self, notification: Notification, position: StreamPosition) -> Delivery:
        kind = MailDelivery if notification.by_mail else WebhookDelivery
        return kind(notification, position, self._tools, self)

    def _end_delivery(self, name: str) -> None:
        self._cancel(name)
        self._deliveries.pop(name, None)

    def _cancel(self, name: str) -> None:
        if name in self._deliveries:
            self._deliveries[name][1].cancel()

    def _on_delivery_failed(self, failure: Failure, name: str) -> None:
        if failure.check(CancelledError):
            return
        self._log.failure("internal error in notification {name}", failure, name=name)
        self._deliveries[name][0].report_failure(
            "internal error; see the log of the master daemon, and restart it"
        )

    # --- as DeliveryObserver

    def attempted(self, delivery: Delivery, *, accepted: bool) -> None:
        name = delivery.notification.name
        self._attempts.count(name, "accepted" if accepted else "failed")
        if accepted:
            self._unrecorded.add(name)

    def progressed(self, delivery: Delivery) -> None:
        if self._timer is None and self._running and self._must_be_recorded(delivery):
            self._timer = self._tools.clock.callLater(RECORD_INTERVAL, self._record)

    # --- progress

    def _must_be_recorded(self, delivery: Delivery) -> bool:
        name = delivery.notification.name
        recorded = self._config.state().notification_progress.get(name)
        if recorded is None or recorded.error != delivery.error:
            return True
        commits = delivery.position.position - _parse(recorded.position).position
        return name in self._unrecorded or commits >= MAX_UNRECORDED_COMMITS

    def _list_unrecorded(self) -> Iterator[NotificationProgress]:
        for delivery, _ in self._deliveries.values():
            if self._must_be_recorded(delivery):
                yield _make_progress(delivery)

    def _record(self) -> None:
        self._timer = None
        self._recording = Deferred.fromCoroutine(self._commit(list(self._list_unrecorded())))
        self._recording.addErrback(self._on_record_failed)

    async def _commit(self, progress: Sequence[NotificationProgress]) -> None:
        # Before the commit, whose observer compares with these records.
        self._recorded.update({each.uuid: each for each in progress})
        self._unrecorded.clear()
        await self._config.change(record_progress(progress), because=RECORD_CAUSE)

    def _on_record_failed(self, failure: Failure) -> None:
        if not failure.check(CommitFailed, CancelledError):
            self._log.failure("the progress of notifications could not be recorded", failure)


def _make_progress(delivery: Delivery) -> NotificationProgress:
    return NotificationProgress(
        uuid=delivery.notification.name,
        position=str(delivery.position),
        failing_since=delivery.failing_since,
        error=delivery.error,
    )


def _parse(position: str) -> StreamPosition:
    """Return the position in a record; a malformed one is before all events."""
    try:
        return StreamPosition.parse(position)
    except Invalid:
        return STREAM_START
