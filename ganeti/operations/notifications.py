# SPDX-License-Identifier: BSD-2-Clause
"""Operations for notifications."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cryptography import x509

from ganeti.config.changes.notifications import (
    add_notification,
    find_notification,
    remove_notification,
    update_notification,
)
from ganeti.config.state import ClusterState
from ganeti.errors import Code, Invalid, Problem, Refused
from ganeti.events.event import EventFilter
from ganeti.locking.names import LockRequest
from ganeti.model.notifications import Notification, decode_secret, find_url_problem
from ganeti.opcodes.notifications import AddNotification, ModifyNotification, RemoveNotification
from ganeti.operations.operation import (
    AnyOperation,
    NodeAnswers,
    Operation,
    ResultWithCommit,
    Tools,
)
from ganeti.schema.records import replace

MAX_NOTIFICATIONS = 100
"""Each is a reader of the event stream, and a label of metrics."""

MAX_SELECTED = 100
"""Maximum number of kinds, of names and of tags in the filter of a notification."""


@dataclass(frozen=True)
class _NoLocks:
    """A plan that needs no locks, as no other operation depends on notifications."""

    @property
    def locks(self) -> LockRequest:
        return {}


@dataclass(frozen=True)
class Addition(_NoLocks):
    """A notification to add."""

    notification: Notification


@dataclass(frozen=True)
class Update(_NoLocks):
    """Fields to set; with ``skip``, pending events are discarded."""

    name: str
    fields: dict[str, Any]
    skip: bool


@dataclass(frozen=True)
class Removal(_NoLocks):
    """A notification to remove."""

    name: str


def plan_add(op: AddNotification, state: ClusterState, facts: NodeAnswers) -> Addition:
    """Plan to add a notification, whose name must be unused."""
    if len(state.notifications) >= MAX_NOTIFICATIONS:
        raise Refused(
            f"there are {MAX_NOTIFICATIONS} notifications, which is the maximum; remove some first",
            Code.RESOURCES,
        )
    notification = Notification(
        uuid=op.notification_name,
        url=op.url,
        created=int(facts.since or 0),
        kinds=_sorted(op.kinds),
        names=_sorted(op.names),
        tags=_sorted(op.tags),
        secret=op.secret or "",
        authority=op.authority,
        enabled=op.enabled,
        comment=op.note,
    )
    _check(notification)
    # Refuses a name that is in use; the position is set when the job runs.
    add_notification(notification, "0")(state)
    return Addition(notification)


def plan_modify(op: ModifyNotification, state: ClusterState, facts: NodeAnswers) -> Update:
    """Plan to change a notification."""
    fields: dict[str, Any] = {
        "url": op.url,
        "kinds": None if op.kinds is None else _sorted(op.kinds),
        "names": None if op.names is None else _sorted(op.names),
        "tags": None if op.tags is None else _sorted(op.tags),
        "secret": op.secret,
        "authority": op.authority,
        "enabled": op.enabled,
        "comment": op.note,
    }
    fields = {name: value for name, value in fields.items() if value is not None}
    if not fields and not op.skip_pending:
        raise Refused("no changes requested; give at least one parameter", Code.INPUT)
    _check(replace(find_notification(state, op.notification_name), **fields))
    return Update(op.notification_name, fields, op.skip_pending)


def plan_remove(op: RemoveNotification, state: ClusterState, facts: NodeAnswers) -> Removal:
    """Plan to remove a notification."""
    find_notification(state, op.notification_name)
    return Removal(op.notification_name)


async def run_add(plan: Addition, tools: Tools) -> ResultWithCommit:
    change = add_notification(plan.notification, tools.event_position())
    return ResultWithCommit(None, change)


async def run_modify(plan: Update, tools: Tools) -> ResultWithCommit:
    position = tools.event_position() if plan.skip else None
    return ResultWithCommit(None, update_notification(plan.name, position, **plan.fields))


async def run_remove(plan: Removal, tools: Tools) -> ResultWithCommit:
    return ResultWithCommit(None, remove_notification(plan.name))


def _check(notification: Notification) -> None:
    """Check the values that types cannot check, and their combinations.

    :raises Invalid: with all problems.
    """
    problems = []
    if (wrong := find_url_problem(notification.url)) is not None:
        problems.append(Problem("url", wrong))
    for name in ("kinds", "names", "tags"):
        if len(getattr(notification, name)) > MAX_SELECTED:
            problems.append(Problem(name, f"can have at most {MAX_SELECTED} values"))
    try:
        EventFilter.of(notification.kinds)
    except Invalid as e:
        problems.append(Problem("kinds", str(e)))
    problems += _check_signature(notification)
    if problems:
        raise Invalid(problems)


def _check_signature(notification: Notification) -> list[Problem]:
    if notification.by_mail:
        return [
            Problem(name, "is for webhooks only, not for mail")
            for name in ("secret", "authority")
            if getattr(notification, name)
        ]
    problems = []
    if not notification.secret:
        problems.append(Problem("secret", "is required, because requests to webhooks are signed"))
    else:
        try:
            decode_secret(notification.secret)
        except ValueError as e:
            problems.append(Problem("secret", str(e)))
    if notification.authority:
        try:
            x509.load_pem_x509_certificates(notification.authority.encode())
        except ValueError:
            problems.append(Problem("authority", "must be certificates in PEM format"))
    return problems


def _sorted(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(set(words)))


OPERATIONS: tuple[AnyOperation, ...] = (
    Operation(AddNotification, plan_add, run_add),
    Operation(ModifyNotification, plan_modify, run_modify),
    Operation(RemoveNotification, plan_remove, run_remove),
)
