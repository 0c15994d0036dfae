# SPDX-License-Identifier: BSD-2-Clause
"""Requests to webhooks, signed as the Standard Webhooks specification 1.0 has it.

The signature covers the ID of the message, the time of the attempt and the body, so that a receiver
can reject forged and replayed requests, and drop duplicates by the ID.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from ganeti import __version__
from ganeti.master.notifications.senders import WebhookRequest
from ganeti.model.notifications import Notification, decode_secret

ID_HEADER = "webhook-id"
TIMESTAMP_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"


def build_request(
    notification: Notification, message_id: str, body: bytes, *, now: float, cluster: str
) -> WebhookRequest:
    """Return the request that sends ``body`` at ``now``, in seconds since the epoch."""
    timestamp = int(now)
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"ganeti/{__version__}",
        "X-Ganeti-Cluster": cluster,
        ID_HEADER: message_id,
        TIMESTAMP_HEADER: str(timestamp),
        SIGNATURE_HEADER: sign(decode_secret(notification.secret), message_id, timestamp, body),
    }
    return WebhookRequest(notification.url, headers, body, notification.authority)


def sign(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """Return the signature of a message: HMAC-SHA256, in base64, after its version."""
    signed = b"%b.%d.%b" % (message_id.encode("ascii"), timestamp, body)
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode("ascii")
