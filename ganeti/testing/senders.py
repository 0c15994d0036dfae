# SPDX-License-Identifier: BSD-2-Clause
"""Receivers of notifications in memory."""

from __future__ import annotations

from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

import msgspec
from twisted.internet.defer import Deferred

from ganeti.errors import Failed
from ganeti.master.notifications.senders import WebhookRequest
from ganeti.master.notifications.webhook import ID_HEADER


class MemorySenders:
    """Records what is sent; implements ``Senders``.

    ``status`` is the HTTP status of all answers, or why there is none; ``hangs`` lets requests
    wait without an answer. ``mail_error`` is why mail is not accepted. ``posts`` and ``mails`` are
    all attempts, ``accepted`` the IDs of the requests that were accepted.
    """

    def __init__(self) -> None:
        self.status: int | Failed = 200
        self.hangs = False
        self.mail_error: Failed | None = None
        self.posts: list[WebhookRequest] = []
        self.mails: list[EmailMessage] = []
        self.accepted: list[str] = []

    async def post(self, request: WebhookRequest) -> int:
        self.posts.append(request)
        if self.hangs:
            await Deferred[None]()
        if isinstance(self.status, Failed):
            raise self.status
        if self.status == 200:
            self.accepted.append(request.headers[ID_HEADER])
        return self.status

    async def mail(self, message: bytes) -> None:
        if self.mail_error is not None:
            raise self.mail_error
        found = message_from_bytes(message, policy=default)
        assert isinstance(found, EmailMessage)
        self.mails.append(found)

    def documents(self) -> list[Any]:
        """Return the bodies of all requests."""
        return [msgspec.json.decode(each.body) for each in self.posts]
