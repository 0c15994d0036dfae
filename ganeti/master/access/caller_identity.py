# SPDX-License-Identifier: BSD-2-Clause
"""Who a caller is, and what rights that gives, by the state as it is now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from ganeti.access import tokens
from ganeti.access.rights import Rights, rights_of
from ganeti.config.state import ClusterState
from ganeti.errors import Unauthenticated
from ganeti.luxi.caller import Caller

INVALID_TOKEN = "the token is not valid: it was revoked, has expired, or never was"
"""One text for all reasons, so that it tells nothing to those who guess."""


@dataclass(frozen=True)
class Identity:
    """A caller that is known; ``user`` is empty for one that has not logged in."""

    user: str
    rights: Rights
    token: str = ""
    session: str = ""
    source: str = ""
    file_proof: str | None = None
    """Of a user of the users file, what the remote API knows its line there by."""

    @property
    def local(self) -> bool:
        """Whether the user is one of the users file."""
        return self.file_proof is not None

    @property
    def called(self) -> str:
        """The caller as the audit trail names it."""
        return self.user or "anonymous"

    @property
    def means(self) -> str:
        """From where, and by what besides a password."""
        parts = [f"from {self.source}" if self.source else ""]
        parts += [f"by token {self.token}" if self.token else ""]
        parts += ["in a session" if self.session else ""]
        return " ".join(part for part in parts if part)


class SessionTable(Protocol):
    """The sessions of browsers."""

    def find_caller(self, session: str, digest: str) -> Caller | None:
        """Return who has signed in for a session, by its id and the digest of its secret.

        None if there is no such session, or if it has ended.
        """
        ...


class Callers:
    """Tells who callers are. ``now`` in seconds since the epoch.

    ``used`` is called with the id of a token that was used, and when.
    """

    def __init__(
        self,
        state: Callable[[], ClusterState],
        now: Callable[[], float],
        sessions: SessionTable,
        used: Callable[[str, int], None],
    ) -> None:
        self._state = state
        self._now = now
        self._sessions = sessions
        self._used = used

    def identify(self, caller: Caller) -> Identity:
        """Return who a caller is.

        :raises Unauthenticated: the credentials are unknown or have expired.
        """
        if caller.token:
            return self._by_token(caller)
        if caller.session:
            return self._by_session(caller)
        if caller.anonymous:
            return self._anonymous(caller)
        if caller.role is not None:
            rights = Rights.everywhere(caller.role)
            return Identity(caller.user, rights, source=caller.source, file_proof=caller.digest)
        return Identity(caller.user, self._by_account(caller), source=caller.source)

    def _by_token(self, caller: Caller) -> Identity:
        token = self._state().api_tokens.get(caller.token)
        # Compared also for an id that there is not, which takes as long.
        expected = "" if token is None else token.digest
        right = tokens.same(expected or tokens.digest_of(""), caller.digest)
        now = self._now()
        if token is None or not right or token.expires <= now:
            raise Unauthenticated(INVALID_TOKEN)
        rights = self._rights(token.user).within(token)
        self._used(token.uuid, int(now))
        return Identity(token.user, rights, token=token.uuid, source=caller.source)

    def _by_session(self, caller: Caller) -> Identity:
        signed_in = self._sessions.find_caller(caller.session, caller.digest)
        if signed_in is None:
            raise Unauthenticated("the session has ended; sign in again")
        # By what was shown to sign in, which may have been revoked since.
        who = self.identify(signed_in)
        return replace(who, session=caller.session, source=caller.source)

    def _anonymous(self, caller: Caller) -> Identity:
        state = self._state()
        if caller.role is None or state.users or state.role_grants or state.openid:
            # With users there are scopes, which must not be evaded by not logging in.
            raise Unauthenticated("log in with a user of this cluster")
        return Identity("", Rights.everywhere(caller.role), source=caller.source)

    def _by_account(self, caller: Caller) -> Rights:
        if caller.external:
            if self._state().openid is None:
                raise _unknown(caller.user)
            # Not what is granted to a user of that name: providers let people choose their names.
            return rights_of(self._state(), "", caller.groups)
        user = self._state().users.get(caller.user)
        proof = "" if user is None or user.password is None else tokens.digest_of(user.password)
        if not proof or not tokens.same(proof, caller.digest):
            raise _unknown(caller.user)
        return self._rights(caller.user)

    def _rights(self, name: str) -> Rights:
        user = self._state().users.get(name)
        if user is None or user.disabled:
            raise _unknown(name)
        return rights_of(self._state(), name)


def _unknown(name: str) -> Unauthenticated:
    return Unauthenticated(f"user {name} may not log in any more, or has another password")
