# SPDX-License-Identifier: BSD-2-Clause
"""The cookie of a browser's session, and the token that goes with it in a header."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import NamedTuple

# Browsers take a name with this prefix only with Secure and Path=/, and without a domain, so that
# neither plain HTTP nor a neighbouring host can set it (RFC 6265bis, section 4.1.3.2).
NAME = "__Host-ganeti-session"
CSRF_HEADER = b"x-csrf-token"

_VALUE = re.compile(r"([0-9a-f]{16})_([A-Za-z0-9_-]{43})\Z")


class Cookie(NamedTuple):
    """A session as a browser shows it."""

    session_id: str
    secret: str

    @property
    def csrf(self) -> str:
        """What a change must have in its header; it follows from the secret, not the reverse."""
        return hashlib.sha256(b"csrf:" + self.secret.encode()).hexdigest()


def read_cookie(value: str) -> Cookie | None:
    """Return the session that the value of a cookie names."""
    found = _VALUE.match(value)
    return None if found is None else Cookie(found[1], found[2])


def cookie_value(headers: Iterable[bytes], wanted: str) -> str | None:
    """Return a value in ``Cookie`` headers; None if there is none, or more than one."""
    values = []
    for header in headers:
        for pair in header.decode("latin-1").split(";"):
            name, _, value = pair.strip().partition("=")
            if name == wanted:
                values.append(value)
    return values[0] if len(values) == 1 else None


def session_cookie(headers: Iterable[bytes]) -> Cookie | None:
    """Return the session in ``Cookie`` headers; None if there is none, or more than one."""
    value = cookie_value(headers, NAME)
    return None if value is None else read_cookie(value)


def set_cookie(cookie: Cookie | None, max_age: int) -> str:
    """Return the header that gives a browser a session, or takes it away."""
    value = "" if cookie is None else f"{cookie.session_id}_{cookie.secret}"
    return f"{NAME}={value}; Max-Age={max_age}; Path=/; Secure; HttpOnly; SameSite=Strict"
