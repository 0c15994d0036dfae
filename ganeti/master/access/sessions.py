# SPDX-License-Identifier: BSD-2-Clause
"""Sessions of browsers, in memory: all processes of the remote API ask for them here.

A session stands for what was shown to sign in, so it ends with that: when the token is revoked, the
password changed, or the user disabled. A new master knows none, and people sign in again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from ganeti.access import tokens
from ganeti.luxi.caller import Caller

LIFETIME = 12 * 3600.0
"""Seconds after which one has to sign in again in any case."""

IDLE = 1800.0
"""Seconds without a request after which a session ends; event streams do not count."""

MAX_SESSIONS = 10_000
MAX_OF_USER = 50
"""How many sessions there are, of all users and of one; the one that was not used longest ends."""


@dataclass
class _Session:
    digest: str
    caller: Caller
    user: str
    begun: float
    used: float


class Sessions:
    """Who has signed in. ``seconds`` tells the time by a clock that nobody sets."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._sessions: OrderedDict[str, _Session] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sessions)

    def open(self, session: str, digest: str, caller: Caller, user: str) -> None:
        """Begin a session, given by its id and the digest of its secret, of who has signed in."""
        now = self._seconds()
        own = [key for key, each in self._sessions.items() if each.user == user]
        for key in own[: max(0, len(own) + 1 - MAX_OF_USER)]:
            del self._sessions[key]
        while len(self._sessions) >= MAX_SESSIONS:
            self._sessions.popitem(last=False)
        self._sessions[session] = _Session(digest, caller, user, now, now)

    def close(self, session: str) -> None:
        """End a session."""
        self._sessions.pop(session, None)

    def find(self, session: str, digest: str) -> Caller | None:
        """Return who has signed in; see ``ganeti.master.access.callers.SessionTable``."""
        found = self._sessions.get(session)
        expected = "" if found is None else found.digest
        if not tokens.same(expected or tokens.digest_of(""), digest) or found is None:
            return None
        now = self._seconds()
        if now >= found.begun + LIFETIME or now >= found.used + IDLE:
            del self._sessions[session]
            return None
        return found.caller

    def touch(self, session: str) -> None:
        """Note that a session is in use."""
        found = self._sessions.get(session)
        if found is not None:
            found.used = self._seconds()
            self._sessions.move_to_end(session)
