# SPDX-License-Identifier: BSD-2-Clause
"""Mails about events: many events become one mail of bounded size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any

import msgspec

from ganeti.events.event import Event
from ganeti.model.notifications import Notification, mail_addresses

MAX_LINES = 100
"""Maximum number of events that a mail lists; it counts the further ones."""

MAX_LINE = 300
"""Maximum length of a line about an event, in characters."""

MAX_SUBJECT = 120

RESET_TEXT = (
    "Some events before these are missing, because they are no longer kept. Look at the state of"
    " the cluster itself."
)


class Digest:
    """Collects events for one mail: the first ones as lines, the others as counts."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.others: Counter[tuple[str, str]] = Counter()
        self.reset = False

    def __bool__(self) -> bool:
        return bool(self.lines or self.reset)

    def add_events(self, events: Sequence[Event]) -> None:
        """Add events."""
        for event in events:
            document = msgspec.json.decode(event.data)
            if len(self.lines) < MAX_LINES:
                self.lines.append(describe(document))
            else:
                self.others[document["kind"], document["action"]] += 1

    def subject(self) -> str:
        """Return the first event, and how many more there are."""
        if not self.lines:
            return "events are missing"
        more = len(self.lines) - 1 + self.others.total()
        # Without the time, which the mail has itself.
        first = self.lines[0].split(" ", 2)[2]
        return f"{first}, and {more} more" if more else first

    def text(self) -> str:
        """Return the body of the mail."""
        parts = [RESET_TEXT, ""] if self.reset else []
        parts += self.lines
        if self.others:
            parts += ["", f"{self.others.total()} more events:"]
            parts += [f"{count} {kind} {action}" for (kind, action), count in self._sorted()]
        return "\n".join(parts) + "\n"

    def _sorted(self) -> Sequence[tuple[tuple[str, str], int]]:
        return sorted(self.others.items())


def describe(event: Mapping[str, Any]) -> str:
    """Return an event as one line of printable text, beginning with its date and time in UTC."""
    when = datetime.fromtimestamp(event["at"], UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    words = [when, event["kind"], event["name"] or event.get("uuid") or "-", event["action"]]
    match event:
        case {"kind": "job", "value": {"message": message}}:
            words.append(str(message))
        case {"kind": "job", "value": {"status": status, "summary": summary}}:
            words += [status, ", ".join(summary)]
        case {"source": source, "node": node}:
            words.append(f"from {source} to {node}")
        case {"node": str(node)}:
            words.append(f"on {node}")
        case {"reason": reason}:
            words.append(reason)
        case {"job": job, "why": why}:
            words.append(f"by job {job}: {why}")
        case {"who": who, "why": why}:
            words.append(f"by {who}: {why}")
    return _printable(" ".join(words), MAX_LINE)


def build_mail(
    notification: Notification, digest: Digest, *, cluster: str, now: float, master: str
) -> bytes:
    """Return the mail about the events in ``digest``, for ``sendmail -t -i``.

    Its headers are built from checked addresses and printable text of one line only.
    """
    return _build(notification, digest.subject(), digest.text(), cluster, now, master)


def build_test_mail(notification: Notification, *, cluster: str, now: float, master: str) -> bytes:
    """Return a mail that tests the delivery."""
    text = f"This mail tests notification {notification.name} of cluster {cluster}.\n"
    return _build(notification, "test of notifications", text, cluster, now, master)


def _build(
    notification: Notification, subject: str, text: str, cluster: str, now: float, master: str
) -> bytes:
    message = EmailMessage()
    message["To"] = ", ".join(mail_addresses(notification.url))
    message["Subject"] = _printable(f"[{cluster}] {subject}", MAX_SUBJECT)
    message["Date"] = format_datetime(datetime.fromtimestamp(now, UTC))
    # So that no vacation program answers (RFC 3834).
    message["Auto-Submitted"] = "auto-generated"
    message["X-Ganeti-Cluster"] = _printable(cluster, MAX_SUBJECT)
    message["X-Ganeti-Notification"] = notification.name
    # Mail programs recognize a signature by the two dashes and the space.
    message.set_content(f"{text}\n-- \nnotification {notification.name}, from {master}\n")
    return message.as_bytes()


def _printable(text: str, limit: int) -> str:
    """Return text of one line; other characters would control terminals, or end a header."""
    shown = "".join(each if each.isprintable() else "?" for each in text)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"
