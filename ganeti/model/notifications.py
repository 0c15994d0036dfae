# SPDX-License-Identifier: BSD-2-Clause
"""Notifications: receivers of events outside of the cluster, and how far each has got."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from typing import Annotated, TypeAlias
from urllib.parse import urlsplit

from msgspec import Meta

from ganeti.schema.records import Record
from ganeti.schema.types import LABEL, PRINTABLE_ASCII, Count, Line, Lines, Text

NotificationName: TypeAlias = Annotated[str, Meta(pattern=LABEL, max_length=64)]
"""The name of a notification, which is also a label of metrics."""

NotificationUrl: TypeAlias = Annotated[str, Meta(pattern=PRINTABLE_ASCII, max_length=2048)]
"""The address of a receiver, without spaces and characters outside of ASCII (RFC 3986)."""

MAIL = "mailto"
SECRET_PREFIX = "whsec_"
"""Begins a secret that is encoded in base64, as the Standard Webhooks specification has it."""

SECRET_BYTES = 32
MIN_SECRET = 24
"""Minimum length of a secret in characters."""

MAX_MAIL_ADDRESSES = 20

# A subset of RFC 5322: no quotes, comments and control characters, and nothing that a program
# could take for an option. A name without domain is a user of the host.
_MAIL_ADDRESS = re.compile(
    r"[A-Za-z0-9_][A-Za-z0-9._+=-]{0,63}(?:@[A-Za-z0-9][A-Za-z0-9.-]{0,254})?"
)


class Notification(Record):
    """A receiver of events; ``uuid`` is its name.

    ``url`` is the address of a webhook, or ``mailto:`` with mail addresses. ``kinds``, ``names``
    and ``tags`` select events as those of the event stream do. ``secret`` signs what is sent to a
    webhook. ``authority`` has certificates (PEM) of the authorities that may have issued the
    certificate of the webhook; if it is empty, those that the master's host trusts.
    """

    uuid: NotificationName
    url: NotificationUrl
    created: Count
    kinds: tuple[Line, ...] = ()
    names: tuple[Line, ...] = ()
    tags: tuple[Line, ...] = ()
    secret: Line = ""
    authority: Lines = ""
    enabled: bool = True
    comment: Line = ""

    @property
    def name(self) -> str:
        return self.uuid

    @property
    def by_mail(self) -> bool:
        """Whether events are sent by mail."""
        return is_mail(self.url)

    def __repr__(self) -> str:
        return f"Notification({self.name})"  # without its secret


class NotificationProgress(Record):
    """How far a notification has got; ``uuid`` is its name.

    ``position`` is the last one in the event stream up to which everything was accepted by the
    receiver. It may be some events behind. While attempts fail, ``error`` is the reason of the last
    one, and ``failing_since`` the time of the first one in seconds since the epoch.
    """

    uuid: NotificationName
    position: Text
    failing_since: Count = 0
    error: Line = ""


def is_mail(url: str) -> bool:
    """Return whether a receiver is reached by mail."""
    return url.partition(":")[0].lower() == MAIL


def mail_addresses(url: str) -> tuple[str, ...]:
    """Return the addresses in a ``mailto:`` URL (RFC 6068, without header fields)."""
    return tuple(url.partition(":")[2].split(","))


def find_url_problem(url: str) -> str | None:
    """Return what is wrong with the address of a receiver, or None."""
    if is_mail(url):
        return _find_mail_problem(mail_addresses(url))
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as e:
        return f"is not a URL: {e}"
    if parts.scheme not in ("https", "http") or not host:
        return "must begin with https://, http:// or mailto:"
    if parts.username is not None:
        return "must not contain a user name; requests are signed instead"
    if parts.fragment:
        return "must not contain a fragment (#)"
    return None


def _find_mail_problem(addresses: tuple[str, ...]) -> str | None:
    if len(addresses) > MAX_MAIL_ADDRESSES:
        return f"can have at most {MAX_MAIL_ADDRESSES} mail addresses; use an alias for more"
    for each in addresses:
        if _MAIL_ADDRESS.fullmatch(each) is None:
            return (
                f"has the mail address {each!r}, which is not supported; use name@domain, or the"
                " name of a user of the host"
            )
    return None


def generate_secret(random: Callable[[int], bytes]) -> str:
    """Return a new secret; ``random`` returns so many unpredictable bytes."""
    return SECRET_PREFIX + base64.b64encode(random(SECRET_BYTES)).decode("ascii")


def decode_secret(secret: str) -> bytes:
    """Return the key that a secret stands for.

    :raises ValueError: the secret is malformed, or too short.
    """
    if len(secret) < MIN_SECRET:
        raise ValueError(f"must have at least {MIN_SECRET} characters")
    if not secret.startswith(SECRET_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError(f"must be base64 after {SECRET_PREFIX}") from None
