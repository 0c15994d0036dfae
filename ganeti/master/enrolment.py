# SPDX-License-Identifier: BSD-2-Clause
"""Issuing certificates to new nodes: each token once, by a commit that every later master has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from ganeti.config.state import ClusterState
from ganeti.config.writer import Change, ChangeCause, Config
from ganeti.errors import Code, Refused
from ganeti.master.state_paths import StatePaths
from ganeti.model.access import SpentToken
from ganeti.operations.member_list import members_of
from ganeti.pki.enrolment import Membership, check_token, digest, fingerprint, secret_of
from ganeti.pki.issuing import Issue
from ganeti.system.interfaces import IFiles

RETENTION = 24 * 3600
"""Seconds for which a node that has got its certificate may be made a member."""


class Enrolment:
    """Gets certificates to nodes that bring a token. ``now`` in seconds since the epoch."""

    _log = Logger()

    def __init__(
        self,
        config: Config,
        files: IFiles,
        places: StatePaths,
        issue: Issue,
        now: Callable[[], float],
        clock: IReactorTime,
    ) -> None:
        self._config = config
        self._files = files
        self._places = places
        self._issue = issue
        self._now = now
        self._clock = clock
        self._turn = DeferredLock()
        self._timer: IDelayedCall | None = None

    async def enrol(self, token: str, request: str) -> dict[str, Any]:
        """Spend a token on the certificate for a signing request, and return a ``Membership``.

        The same request by the same token gets the same answer, as the first may have been lost.

        :raises Invalid: the token or the request is none.
        :raises Refused: the token is not of this cluster, has expired, or was spent already.
        """
        async with self._turn:
            secret = secret_of(
                self._files.read(self._places.authority_key),
                self._files.read(self._places.domain_secret),
            )
            invitation = check_token(token, secret, self._now())
            application = digest(request)
            spent = self._config.state().spent_tokens.get(invitation.nonce)
            if spent is None:
                issued = await self._issue(request.encode(), invitation.names)
                spent = SpentToken(
                    uuid=invitation.nonce,
                    node=invitation.node,
                    until=max(invitation.until, int(self._now()) + RETENTION),
                    application=application,
                    certificate=issued.decode("ascii"),
                    fingerprint=fingerprint(issued),
                )
                because = ChangeCause("ganeti-noded", f"{invitation.node} has joined by a token")
                await self._config.change(spend(spent, self._now()), because=because)
                self._log.info("node {node} has its certificate", node=invitation.node)
            elif spent.application != application:
                text = "the token was used already; make a new one with gnt-node add on the master"
                raise Refused(text, Code.STATE)
        self.schedule_expiry()
        members = members_of(self._config.state())
        membership = Membership(
            certificate=spent.certificate,
            authority=self._files.read(self._places.authority).decode("ascii"),
            members=msgspec.to_builtins(members, str_keys=True),
        )
        return dict(msgspec.to_builtins(membership))

    def schedule_expiry(self) -> None:
        """See to it that spent tokens are forgotten when they would not be valid any more."""
        self.stop()
        if ends := [token.until for token in self._config.state().spent_tokens.values()]:
            pause = max(0.0, min(ends) - self._now()) + 1.0
            self._timer = self._clock.callLater(pause, self._expire)

    def stop(self) -> None:
        """Forget none any more."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def _expire(self) -> None:
        forgetting = Deferred.fromCoroutine(self._forget_expired())
        forgetting.addErrback(lambda failure: self._log.failure("tokens do not expire", failure))

    async def _forget_expired(self) -> None:
        because = ChangeCause("ganeti-masterd", "tokens have expired")
        await self._config.change(forget_expired(self._now()), because=because)
        self.schedule_expiry()


def spend(token: SpentToken, now: float) -> Change:
    """Record a token as spent, and forget those that have expired."""

    def change(state: ClusterState) -> ClusterState:
        return forget_expired(now)(state).put(token)

    return change


def forget_expired(now: float) -> Change:
    """Forget the spent tokens that would not be valid any more."""

    def change(state: ClusterState) -> ClusterState:
        for token in state.spent_tokens.values():
            if token.until <= now:
                state = state.remove(token)
        return state

    return change
