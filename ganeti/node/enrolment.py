# SPDX-License-Identifier: BSD-2-Clause
"""Letting new nodes in: the two calls that are answered to strangers, where the authority's key is.

A stranger first asks for the authority's certificate, compares it with the fingerprint in its
token, and then, sure of whom it talks to, sends the token and a certificate signing request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import msgspec
from twisted.internet.defer import DeferredLock
from twisted.logger import Logger

from ganeti.errors import Code, Invalid, Refused
from ganeti.pki.enrolment import (
    AUTHORITY_CALL,
    ENROL_CALL,
    Application,
    Invitation,
    Membership,
    check_token,
    digest,
    secret_of,
)
from ganeti.pki.issuing import Issue
from ganeti.rpc.members import Members
from ganeti.rpc.wire import success
from ganeti.system.interfaces import IFiles

T = TypeVar("T")


class Spent(msgspec.Struct, frozen=True):
    """A token that was used, until when it would be valid, and a digest of what it was used for."""

    nonce: str
    until: int
    request: str


class Enrolment:
    """Gets certificates to nodes that bring a token. ``now`` in seconds since the epoch.

    ``certificate`` and ``key`` are the paths of the authority's, with which ``issue`` works;
    ``spent`` is that where used tokens are kept until they expire.
    """

    _log = Logger()

    def __init__(
        self,
        files: IFiles,
        now: Callable[[], float],
        issue: Issue,
        *,
        certificate: str,
        key: str,
        spent: str,
        members: Callable[[], Members | None],
    ) -> None:
        self._files = files
        self._now = now
        self._issue = issue
        self._certificate = certificate
        self._key = key
        self._spent = spent
        self._members = members
        self._turn = DeferredLock()

    def open(self) -> Mapping[str, Callable[[bytes], Awaitable[bytes]]]:
        """What strangers may call."""
        return {AUTHORITY_CALL: self.authority, ENROL_CALL: self.enrol}

    async def authority(self, _: bytes) -> bytes:
        """The authority's certificate, which is no secret."""
        return success(self._files.read(self._certificate).decode("ascii"))

    async def enrol(self, body: bytes) -> bytes:
        """A certificate for the node that a token invites.

        The same application sent again is granted again: its answer may have been lost.
        """
        application = _read(body, Application)
        if self._files.stat(self._key) is None:
            raise Refused(
                "this node does not keep the authority's key; make the token on the master, or"
                " on a master candidate"
            )
        key = self._files.read(self._key)
        async with self._turn:
            invitation = check_token(application.token, secret_of(key), self._now())
            request = application.request
            issued = await self._issue(request.encode(), invitation.names)
            await self._spend(invitation, digest(request))
        self._log.info("node {node} has its certificate", node=invitation.node)
        authority = self._files.read(self._certificate)
        return success(
            Membership(
                certificate=issued.decode("ascii"),
                authority=authority.decode("ascii"),
                members=msgspec.to_builtins(self._members()),
            )
        )

    async def _spend(self, invitation: Invitation, request: str) -> None:
        known = []
        if self._files.stat(self._spent) is not None:
            known = msgspec.json.decode(self._files.read(self._spent), type=list[Spent])
        for spent in known:
            if spent.nonce == invitation.nonce:
                if spent.request == request:
                    return
                text = "the token was used already; make a new one with gnt-node add on the master"
                raise Refused(text, Code.STATE)
        left = [spent for spent in known if spent.until > self._now()]
        left.append(Spent(invitation.nonce, invitation.until, request))
        await self._files.replace(self._spent, msgspec.json.encode(left), mode=0o600)


def _read(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, RecursionError) as e:
        raise Invalid(f"this is no application for a certificate: {e}") from None
