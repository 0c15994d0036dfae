# SPDX-License-Identifier: BSD-2-Clause
"""What is asked about users, and when their tokens were used last."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ganeti.config.changes.access import note_uses
from ganeti.config.writer import ChangeCause, ConfigWriter
from ganeti.errors import Code, CommitFailed, Refused
from ganeti.master.access.access_lists import listed
from ganeti.master.access.caller_identity import Callers
from ganeti.master.access.sessions import Sessions
from ganeti.system.interfaces import IStateFiles

KEEP_USES = 600.0
"""Seconds after which the last uses of tokens are kept, all in one commit."""


def no_session(session: str) -> Refused:
    """Return the refusal for a session that has ended, or never was."""
    return Refused(f"there is no session {session}; it may have ended", Code.UNKNOWN)


class Accounts:
    """Answers about users of the remote API; ``now`` in seconds since the epoch."""

    _log = Logger()

    def __init__(
        self,
        config: ConfigWriter,
        now: Callable[[], float],
        clock: IReactorTime,
        sessions: IStateFiles,
    ) -> None:
        self._config = config
        self._clock = clock
        self._timer: IDelayedCall | None = None
        self._keeping: Deferred[None] | None = None
        self._uses: dict[str, int] = {}
        self._key = secrets.token_bytes(32)
        self.sessions = Sessions(clock.seconds, now, sessions)
        self.callers = Callers(config.state, now, self.sessions, self._used)

    async def query_accounts(self, what: str) -> list[dict[str, object]]:
        """Users, roles, tokens or sessions, without their secrets."""
        return self.listed(what)

    def listed(self, what: str, only: str | None = None) -> list[dict[str, object]]:
        """Return users, roles, tokens or sessions without their secrets; ``only`` of one user.

        :raises Refused: there is nothing of the kind ``what``.
        """
        if what == "sessions":
            return self.sessions.listed(only)
        return listed(self._config.state(), what, only=only)

    async def end_session(self, session: str) -> None:
        """End a session.

        :raises Refused: there is no such session.
        """
        if self.sessions.owner(session) is None:
            raise no_session(session)
        self.sessions.close(session)

    async def password(self, user: str) -> dict[str, object]:
        """The hash of a user's password, or for one who may not log in by one another's."""
        users = self._config.state().users
        found = users.get(user)
        if found is not None and found.password is not None and not found.disabled:
            return {"known": True, "hash": found.password}
        others = sorted(each.password for each in users.values() if each.password is not None)
        if not others:
            return {"known": False, "hash": None}
        # Always the same for a name, and not predictable from outside.
        digest = hashlib.blake2b(user.encode(), key=self._key, digest_size=8).digest()
        return {"known": False, "hash": others[int.from_bytes(digest) % len(others)]}

    async def openid(self) -> dict[str, object] | None:
        """The OpenID provider, if there is one."""
        found = self._config.state().openid
        return None if found is None else dict(msgspec.to_builtins(found))

    def stop(self) -> None:
        """Keep no uses any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._keeping is not None:
            self._keeping.cancel()

    def _used(self, token_id: str, when: int) -> None:
        self._uses[token_id] = when
        if self._timer is None:
            self._timer = self._clock.callLater(KEEP_USES, self._keep)

    def _keep(self) -> None:
        self._timer = None
        uses, self._uses = self._uses, {}
        why = ChangeCause("ganeti-masterd", "the last uses of tokens")
        self._keeping = Deferred.fromCoroutine(self._change(uses, why)).addErrback(self._not_kept)

    async def _change(self, uses: dict[str, int], because: ChangeCause) -> None:
        await self._config.change(note_uses(uses), because=because)

    def _not_kept(self, failure: Failure) -> None:
        if not failure.check(CommitFailed):  # what was lost is known within minutes again
            self._log.failure("the last uses of tokens could not be kept", failure)
