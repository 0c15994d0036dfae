# SPDX-License-Identifier: BSD-2-Clause
"""Certificates for new nodes: each token works once, because a commit records its use."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ganeti.config.state import ClusterState
from ganeti.config.writer import Change, ChangeCause, ConfigWriter
from ganeti.errors import Code, CommitFailed, Refused
from ganeti.master.state_paths import StatePaths
from ganeti.model.access import SpentToken
from ganeti.operations.member_list import make_member_list
from ganeti.pki.enrolment import Membership, check_token, derive_secret, digest, fingerprint
from ganeti.pki.issuing import CertificateIssuer
from ganeti.system.interfaces import IFiles

RETENTION = 24 * 3600
"""Seconds for which a node with a new certificate may still be added as a member."""


class Enrolment:
    """Issues certificates to nodes that present a token; ``now`` in seconds since the epoch."""

    _log = Logger()

    def __init__(
        self,
        config: ConfigWriter,
        files: IFiles,
        places: StatePaths,
        issue: CertificateIssuer,
        now: Callable[[], float],
        clock: IReactorTime,
    ) -> None:
        self._config = config
        self._files = files
        self._places = places
        self._issue = issue
        self._now = now
        self._clock = clock
        self._lock = DeferredLock()
        self._timer: IDelayedCall | None = None

    async def enrol(self, token: str, request: str) -> dict[str, object]:
        """Spend a token on the certificate for a signing request, and return a ``Membership``.

        The same request with the same token gets the same answer, because the first answer may have
        been lost.

        :raises Invalid: the token or the request is malformed.
        :raises Refused: the token is of another cluster, has expired, or was already used.
        """
        # Two requests with the same token must not both find it unspent.
        async with self._lock:
            # Read each time, as both are replaced while the master runs.
            secret = derive_secret(
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
                because = ChangeCause("ganeti-noded", f"{invitation.node} joined with a token")
                # Before the certificate leaves the master, so that a token works once, with any
                # master.
                await self._config.change(spend_token(spent, self._now()), because=because)
                self._log.info("certificate issued to node {node}", node=invitation.node)
            elif spent.application != application:
                text = (
                    "the token was already used; create a new one with gnt-node add on the master"
                )
                raise Refused(text, Code.STATE)
        self.schedule_expiry()
        members = make_member_list(self._config.state())
        membership = Membership(
            certificate=spent.certificate,
            authority=self._files.read(self._places.authority).decode("ascii"),
            members=msgspec.to_builtins(members, str_keys=True),
        )
        return dict(msgspec.to_builtins(membership))

    def schedule_expiry(self) -> None:
        """Schedule the removal of spent tokens for the time when they expire."""
        self.stop()
        if ends := [token.until for token in self._config.state().spent_tokens.values()]:
            pause = max(0.0, min(ends) - self._now()) + 1.0
            self._timer = self._clock.callLater(pause, self._expire)

    def stop(self) -> None:
        """Cancel the scheduled removal."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def _expire(self) -> None:
        Deferred.fromCoroutine(self._remove_expired()).addErrback(self._log_failure)

    def _log_failure(self, failure: Failure) -> None:
        if not failure.check(CommitFailed):  # the next use of a token removes them
            self._log.failure("expired tokens were not removed", failure)

    async def _remove_expired(self) -> None:
        because = ChangeCause("ganeti-masterd", "tokens have expired")
        await self._config.change(forget_expired(self._now()), because=because)
        self.schedule_expiry()


def spend_token(token: SpentToken, now: float) -> Change:
    """Return the change that records a token as spent and removes expired ones."""

    def change(state: ClusterState) -> ClusterState:
        return forget_expired(now)(state).put(token)

    return change


def forget_expired(now: float) -> Change:
    """Return the change that removes spent tokens which have expired."""

    def change(state: ClusterState) -> ClusterState:
        for token in state.spent_tokens.values():
            if token.until <= now:
                state = state.remove(token)
        return state

    return change
