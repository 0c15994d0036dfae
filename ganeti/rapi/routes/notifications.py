# SPDX-License-Identifier: BSD-2-Clause
"""Notifications: receivers of events outside of the cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypedDict

from ganeti.errors import Code, Refused
from ganeti.luxi.methods import QueryNotifications, SubmitJob, TestNotification
from ganeti.model.notifications import NotificationName, NotificationUrl, generate_secret, is_mail
from ganeti.opcodes.notifications import (
    CA_CERTIFICATES,
    AddNotification,
    Kinds,
    ModifyNotification,
    Names,
    RemoveNotification,
    Tags,
)
from ganeti.rapi.authentication import AccessLevel
from ganeti.rapi.request_arguments import REASON
from ganeti.rapi.routes.route import Route
from ganeti.rapi.verbs import ApiCall, asks, reason_trail, submits
from ganeti.schema.records import Record, doc
from ganeti.schema.types import Line, Lines


class NewNotification(Record):
    """A notification to add."""

    name: Annotated[NotificationName, doc("The name of the notification.")]
    url: Annotated[NotificationUrl, doc("The receiver: https://…, http://…, or mailto:ADDRESS,….")]
    kinds: Kinds = ()
    names: Names = ()
    tags: Tags = ()
    secret: Annotated[
        Line | None,
        doc("The secret that signs requests to a webhook; if null, a new one is generated."),
    ] = None
    authority: Annotated[Lines, doc(CA_CERTIFICATES)] = ""
    enabled: Annotated[bool, doc("Send events from now on.")] = True
    note: Annotated[Line, doc("Free text, shown in lists.")] = ""


class AddedNotification(TypedDict):
    """The job that adds a notification, and the secret if it was generated."""

    job_id: int
    secret: str | None


class NotificationRow(TypedDict):
    """A notification and its progress; the secret is never shown."""

    name: str
    url: str
    enabled: bool
    kinds: list[str]
    names: list[str]
    tags: list[str]
    ca_certificates: bool
    created: int
    comment: str
    position: str
    lag: int
    failing_since: int | None
    error: str


async def _list(call: ApiCall, _: object, __: object) -> object:
    """Return all notifications with the progress of their deliveries."""
    return await call.master.ask_raw(QueryNotifications())


async def _show(call: ApiCall, _: object, __: object) -> object:
    """Return a notification with the progress of its deliveries."""
    name = call.path["notification_name"]
    for each in await call.master.ask(QueryNotifications()):
        if each["name"] == name:
            return each
    raise Refused(f"notification {name} does not exist", Code.UNKNOWN)


async def _add(call: ApiCall, values: Mapping[str, Any], wanted: NewNotification) -> Any:
    """Add a notification; the answer has the generated secret, which is shown only once."""
    generated = wanted.secret is None and not is_mail(wanted.url)
    secret = generate_secret(call.services.random) if generated else wanted.secret
    opcode = AddNotification(
        notification_name=wanted.name,
        url=wanted.url,
        kinds=wanted.kinds,
        names=wanted.names,
        tags=wanted.tags,
        secret=secret,
        authority=wanted.authority,
        enabled=wanted.enabled,
        note=wanted.note,
        reason=tuple(map(tuple, reason_trail(call, values.get("reason")))),
    )
    job_id = await call.master.ask(SubmitJob(ops=(opcode,)))
    return {"job_id": job_id, "secret": secret if generated else None}


async def _test(call: ApiCall, _: object, __: object) -> object:
    """Send a test event to the receiver; the answer is sent when it has accepted it."""
    return await call.master.ask(TestNotification(name=call.path["notification_name"]))


_ADMIN = AccessLevel.ADMIN
_BASE = "/2/notifications"
_ONE = _BASE + "/{notification_name}"

ROUTES = (
    Route(
        _BASE,
        {
            "GET": asks(_list, access=_ADMIN, result=list[NotificationRow], unlimited=True),
            "POST": asks(
                _add,
                parameters=(REASON,),
                access=_ADMIN,
                body=NewNotification,
                result=AddedNotification,
                unlimited=True,
            ),
        },
    ),
    Route(
        _ONE,
        {
            "GET": asks(_show, access=_ADMIN, result=NotificationRow, unlimited=True),
            "PUT": submits(ModifyNotification, access=_ADMIN),
            "DELETE": submits(RemoveNotification, access=_ADMIN),
        },
    ),
    Route(
        _ONE + "/test",
        {"POST": asks(_test, access=_ADMIN, result=None, unlimited=True)},
    ),
)
