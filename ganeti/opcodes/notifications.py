# SPDX-License-Identifier: BSD-2-Clause
"""Requests about notifications: receivers of events outside of the cluster."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from ganeti.model.notifications import NotificationName, NotificationUrl
from ganeti.opcodes.opcode import Opcode
from ganeti.schema.records import doc
from ganeti.schema.types import Line, Lines, Text

Name: TypeAlias = Annotated[NotificationName, doc("The name of the notification.")]
Kinds: TypeAlias = Annotated[
    tuple[Text, ...], doc("Send only events of these kinds; by default of all kinds.")
]
Names: TypeAlias = Annotated[tuple[Text, ...], doc("Send only events about these objects.")]
Tags: TypeAlias = Annotated[
    tuple[Text, ...], doc("Send only events about objects with one of these tags.")
]
Secret: TypeAlias = Annotated[
    Line | None,
    doc(
        "The secret that signs requests to a webhook: 24 or more characters, or whsec_ and base64.",
        private=True,
    ),
]
CA_CERTIFICATES = (
    "PEM text with the CA certificates that the webhook's certificate is verified with, in place of"
    " those that the master's host trusts."
)


class AddNotification(Opcode, tag="OP_NOTIFICATION_ADD"):
    """Send the events of the cluster to a webhook, or by mail."""

    summary_field = "notification_name"

    notification_name: Name
    url: Annotated[NotificationUrl, doc("The receiver: https://…, http://…, or mailto:ADDRESS,….")]
    kinds: Kinds = ()
    names: Names = ()
    tags: Tags = ()
    secret: Secret = None
    authority: Annotated[Lines, doc(CA_CERTIFICATES)] = ""
    enabled: Annotated[bool, doc("Send events from now on.")] = True
    note: Annotated[Line, doc("Free text, shown in lists.")] = ""


class ModifyNotification(Opcode, tag="OP_NOTIFICATION_SET_PARAMS"):
    """Change a notification; parameters that are not given stay as they are."""

    summary_field = "notification_name"

    notification_name: Name
    url: Annotated[NotificationUrl | None, doc("The receiver: https://…, http://…, mailto:….")] = (
        None
    )
    kinds: Annotated[
        tuple[Text, ...] | None, doc("Send only events of these kinds; empty for all kinds.")
    ] = None
    names: Annotated[
        tuple[Text, ...] | None, doc("Send only events about these objects; empty for all objects.")
    ] = None
    tags: Annotated[
        tuple[Text, ...] | None,
        doc("Send only events about objects with one of these tags; empty for all objects."),
    ] = None
    secret: Secret = None
    authority: Annotated[
        Lines | None, doc(CA_CERTIFICATES + " Empty text restores the default.")
    ] = None
    enabled: Annotated[
        bool | None,
        doc("Send events; one that was disabled continues with the events since then."),
    ] = None
    skip_pending: Annotated[
        bool, doc("Discard the events that were not delivered yet, and continue with new ones.")
    ] = False
    note: Annotated[Line | None, doc("Free text, shown in lists.")] = None


class RemoveNotification(Opcode, tag="OP_NOTIFICATION_REMOVE"):
    """Send no more events to the receiver of a notification, and remove it."""

    summary_field = "notification_name"

    notification_name: Name
