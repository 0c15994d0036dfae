# SPDX-License-Identifier: BSD-2-Clause
"""Changes of notifications and of their progress."""

from __future__ import annotations

from collections.abc import Iterable

from ganeti.config.state import ClusterState
from ganeti.config.writer import Change
from ganeti.errors import Code, Refused
from ganeti.model.notifications import Notification, NotificationProgress
from ganeti.schema.records import replace


def find_notification(state: ClusterState, name: str) -> Notification:
    """Return the notification with this name.

    :raises Refused: it does not exist.
    """
    found = state.notifications.get(name)
    if found is None:
        raise Refused(
            f"notification {name} does not exist; see gnt-cluster notify list", Code.UNKNOWN
        )
    return found


def add_notification(notification: Notification, position: str) -> Change:
    """Add a notification, which begins after ``position`` in the event stream."""

    def change(state: ClusterState) -> ClusterState:
        if notification.name in state.notifications:
            raise Refused(
                f"notification {notification.name} already exists; choose another name, or use"
                " gnt-cluster notify modify",
                Code.EXISTS,
            )
        progress = NotificationProgress(uuid=notification.name, position=position)
        return state.put(notification).put(progress)

    return change


def update_notification(name: str, position: str | None = None, **fields: object) -> Change:
    """Set fields of a notification; with ``position``, let it continue there."""

    def change(state: ClusterState) -> ClusterState:
        state = state.put(replace(find_notification(state, name), **fields))
        if position is not None:
            state = state.put(NotificationProgress(uuid=name, position=position))
        return state

    return change


def remove_notification(name: str) -> Change:
    """Remove a notification and its progress."""

    def change(state: ClusterState) -> ClusterState:
        state = state.remove(find_notification(state, name))
        progress = state.notification_progress.get(name)
        return state if progress is None else state.remove(progress)

    return change


def record_progress(progress: Iterable[NotificationProgress]) -> Change:
    """Record the progress of notifications that still exist."""

    def change(state: ClusterState) -> ClusterState:
        for each in progress:
            if each.uuid in state.notifications:
                state = state.put(each)
        return state

    return change
