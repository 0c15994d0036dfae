# SPDX-License-Identifier: BSD-2-Clause
"""Sessions of browsers: all processes of the remote API ask for them here.

A session stands for what was shown to sign in, so it ends with that: when the token is revoked, the
password changed, or the user disabled. A restarted master daemon knows them still; a master on
another node knows none, and people sign in again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from twisted.logger import Logger

from ganeti.access import tokens
from ganeti.luxi.caller import Caller
from ganeti.schema.documents import UNREADABLE
from ganeti.schema.records import Record
from ganeti.system.interfaces import IStateFiles

LIFETIME = 12 * 3600.0
"""Seconds after which one has to sign in again in any case."""

IDLE = 1800.0
"""Seconds without a request after which a session ends; event streams do not count."""

MAX_SESSIONS = 10_000
MAX_OF_USER = 50
"""How many sessions there are, of all users and of one; the one that was not used longest ends."""

NOTE_SECONDS = 60.0
"""How often it is noted that a session is in use."""


class SessionNote(Record):
    """What the next master daemon knows of a session; times in seconds since the epoch."""

    digest: str
    caller: Caller
    user: str
    begun: float
    used: float


@dataclass
class _Session:
    """Who has signed in, and when; ``digest`` is that of the secret in the cookie."""

    digest: str
    caller: Caller
    user: str
    begun: float
    used: float
    noted: float
    """When it was noted last that it is in use."""


class Sessions:
    """The users that have signed in. ``seconds`` is a monotonic clock, ``now`` the time of day;
    ``notes`` survive this daemon.
    """

    _log = Logger()

    def __init__(
        self, seconds: Callable[[], float], now: Callable[[], float], notes: IStateFiles
    ) -> None:
        self._seconds = seconds
        self._now = now
        self._notes = notes
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self.ended: Callable[[], None] = lambda: None
        """Called when a user has ended a session."""
        self._recover()

    def __len__(self) -> int:
        return len(self._sessions)

    def open(self, session: str, digest: str, caller: Caller, user: str) -> None:
        """Begin a session, given by its id and the digest of its secret, of who has signed in."""
        now = self._seconds()
        own = [key for key, each in self._sessions.items() if each.user == user]
        for key in own[: max(0, len(own) + 1 - MAX_OF_USER)]:
            self._remove(key)
        while len(self._sessions) >= MAX_SESSIONS:
            self._remove(next(iter(self._sessions)))
        self._sessions[session] = opened = _Session(digest, caller, user, now, now, now)
        self._note(session, opened)

    def close(self, session: str) -> None:
        """End a session."""
        self._remove(session)
        self.ended()

    def clear(self) -> None:
        """End all sessions."""
        for session in list(self._sessions):
            self._remove(session)

    def find_caller(self, session: str, digest: str) -> Caller | None:
        """Return who has signed in; see ``ganeti.master.access.caller_identity.SessionTable``."""
        found = self._sessions.get(session)
        # Compared also for an unknown session, which takes as long.
        expected = "" if found is None else found.digest
        if not tokens.same(expected or tokens.digest_of(""), digest) or found is None:
            return None
        if self._is_over(found):
            self._remove(session)
            return None
        return found.caller

    def touch(self, session: str) -> None:
        """Note that a session is in use."""
        found = self._sessions.get(session)
        if found is not None:
            found.used = self._seconds()
            self._sessions.move_to_end(session)
            if found.used >= found.noted + NOTE_SECONDS:
                self._note(session, found)

    def owner(self, session: str) -> str | None:
        """Return the user of a session; None if there is no such session."""
        found = self._sessions.get(session)
        return None if found is None or self._is_over(found) else found.user

    def listed(self, only: str | None = None) -> list[dict[str, Any]]:
        """Return the sessions of all users, or ``only`` of one, without their secrets."""
        since_boot = self._now() - self._seconds()
        return [
            {
                "id": key,
                "user": each.user,
                "source": each.caller.source,
                "token": each.caller.token or None,
                "created": int(since_boot + each.begun),
                "used": int(since_boot + each.used),
                "expires": int(since_boot + min(each.begun + LIFETIME, each.used + IDLE)),
            }
            for key, each in sorted(self._sessions.items(), key=lambda item: item[1].begun)
            if only in (None, each.user) and not self._is_over(each)
        ]

    def _is_over(self, session: _Session) -> bool:
        now = self._seconds()
        return now >= session.begun + LIFETIME or now >= session.used + IDLE

    def _remove(self, key: str) -> None:
        if self._sessions.pop(key, None) is not None:
            self._forget(key)

    # --- what survives this daemon

    def _recover(self) -> None:
        try:
            notes = self._notes.read_all()
        except OSError as e:
            self._log.warn("browsers have to sign in again: {error}", error=e)
            return
        now, since_boot = self._now(), self._now() - self._seconds()
        found = {}
        for key, content in notes.items():
            try:
                found[key] = msgspec.json.decode(content, type=SessionNote)
            except UNREADABLE:  # of another version
                self._forget(key)
        for key, note in sorted(found.items(), key=lambda item: item[1].used):
            begun, used = note.begun - since_boot, note.used - since_boot
            session = _Session(note.digest, note.caller, note.user, begun, used, used)
            # With a clock that was set back meanwhile, it would last too long.
            if note.used > now or self._is_over(session):
                self._forget(key)
            else:
                self._sessions[key] = session

    def _note(self, key: str, session: _Session) -> None:
        session.noted = session.used
        since_boot = self._now() - self._seconds()
        note = SessionNote(
            digest=session.digest,
            caller=session.caller,
            user=session.user,
            begun=since_boot + session.begun,
            used=since_boot + session.used,
        )
        try:
            self._notes.put(key, msgspec.json.encode(note))
        except OSError as e:
            self._log.warn("session {key} will not survive a restart: {error}", key=key, error=e)

    def _forget(self, key: str) -> None:
        try:
            self._notes.remove(key)
        except OSError as e:
            self._log.error("the note of session {key} stays: {error}", key=key, error=e)
