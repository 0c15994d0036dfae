# SPDX-License-Identifier: BSD-2-Clause
"""The boundaries of notifications: an HTTP client and a mail program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from ganeti.errors import Failed


@dataclass(frozen=True)
class WebhookRequest:
    """A POST request to a webhook.

    ``authority`` has the CA certificates (PEM) for its certificate; if it is empty, those that the
    host trusts apply.
    """

    url: str
    headers: Mapping[str, str]
    body: bytes
    authority: str = field(default="", repr=False)


class Senders(Protocol):
    """Sends requests to webhooks, and mail."""

    async def post(self, request: WebhookRequest) -> int:
        """Send a request and return the status of the answer; redirects are not followed.

        :raises Failed: there is no answer; the message has the reason, and no part of the URL.
        """
        ...

    async def mail(self, message: bytes) -> None:
        """Hand a mail over to the mail system of this host.

        The recipients are those in its header.

        :raises Failed: it was not accepted.
        """
        ...


class NoSenders:
    """An implementation of ``Senders`` for masters without a network."""

    async def post(self, request: WebhookRequest) -> int:
        raise Failed("this master cannot send requests")

    async def mail(self, message: bytes) -> None:
        raise Failed("this master cannot send mail")


NO_SENDERS = NoSenders()
