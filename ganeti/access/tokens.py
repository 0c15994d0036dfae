# SPDX-License-Identifier: BSD-2-Clause
"""API tokens as text: ``gnt_ID_SECRET``, of which the cluster keeps the id and a digest.

The secret has 256 random bits, so one round of SHA-256 protects it as well as a slow hash would.
The prefix lets scanners of repositories and logs recognize a token that has leaked.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable
from typing import NamedTuple

PREFIX = "gnt"
ID_BYTES, SECRET_BYTES = 8, 32
DAY = 24 * 3600
DEFAULT_LIFETIME = 90 * DAY
MAX_LIFETIME = 3660 * DAY

_TOKEN = re.compile(r"gnt_([0-9a-f]{16})_([A-Za-z0-9_-]{43})\Z")


class NewToken(NamedTuple):
    """A token that was just made: its text is shown once, and kept nowhere."""

    text: str
    token_id: str
    digest: str


class PresentedToken(NamedTuple):
    """What a client has shown."""

    token_id: str
    digest: str


def new_token(random: Callable[[int], bytes]) -> NewToken:
    """Return a new token; ``random`` gives so many unpredictable bytes."""
    token_id = random(ID_BYTES).hex()
    secret = base64.urlsafe_b64encode(random(SECRET_BYTES)).rstrip(b"=").decode("ascii")
    return NewToken(f"{PREFIX}_{token_id}_{secret}", token_id, digest_of(secret))


def read_token(text: str) -> PresentedToken | None:
    """Return what the text of a token says, or None if it is none."""
    found = _TOKEN.match(text)
    return None if found is None else PresentedToken(found[1], digest_of(found[2]))


def digest_of(secret: str) -> str:
    """Return the SHA-256 digest of a secret in hex."""
    return hashlib.sha256(secret.encode()).hexdigest()


def same(one: str, other: str) -> bool:
    """Whether two digests are equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(one, other)
