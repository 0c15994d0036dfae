# SPDX-License-Identifier: BSD-2-Clause
"""Who sends a request, by any of the ways to log in, and whether that one may send it at all.

This is decided by the head of a request. What it is about, and whether the caller may do that to
it, is decided by the master with each request.
"""

from __future__ import annotations

import hmac
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.web.http_headers import Headers

from ganeti.access.display_text import printable
from ganeti.access.tokens import digest_of, read_token
from ganeti.errors import AccessDenied, GanetiError, Unauthenticated
from ganeti.luxi.caller import Caller
from ganeti.luxi.interfaces import IMaster
from ganeti.luxi.methods import QueryCaller, RecordDenial
from ganeti.model.users import Role
from ganeti.rapi.authentication import AccessLevel, Authenticator
from ganeti.rapi.cookies import CSRF_HEADER, Cookie, session_cookie
from ganeti.rapi.login_limits import source_network
from ganeti.rapi.method_roles import Permission, permission
from ganeti.rapi.problems import HttpProblem, status_of
from ganeti.rapi.rate_limits import RateLimit
from ganeti.rapi.same_origin import is_origin_of
from ganeti.rapi.users_file import User
from ganeti.rapi.verbs import Admitted, Verb

RECORDED_BURST, RECORDED_PER_SECOND = 100, 2.0
"""How many denials of one source are noted at once, and in the long run."""

SAFE = frozenset(("GET", "HEAD", "OPTIONS"))
"""Methods that change nothing (RFC 9110, section 9.2.1)."""


@dataclass(frozen=True)
class RequestCredentials:
    """What a request shows of who sends it; ``source`` is the address of the client."""

    authorization: bytes | None = None
    cookie: Cookie | None = None
    csrf: str = ""
    same_origin: bool = True
    source: str = ""
    path: str = ""

    @property
    def anything(self) -> bool:
        """Whether anything is shown at all."""
        return self.authorization is not None or self.cookie is not None

    @property
    def claimed(self) -> str:
        """Whose credentials these claim to be, for the audit trail; without the secrets."""
        if self.authorization is None:
            return f"session {self.cookie.session_id}" if self.cookie else ""
        scheme, _, coded = self.authorization.partition(b" ")
        if scheme.lower() == b"bearer":
            presented = read_token(coded.strip().decode("latin-1"))
            return f"token {presented.token_id}" if presented else "an unreadable token"
        try:
            return b64decode(coded.strip()).partition(b":")[0].decode("utf-8")
        except ValueError:
            return "unreadable credentials"


def credentials_of(headers: Headers, source: str, path: str = "") -> RequestCredentials:
    """Return what the headers of a request show."""
    authorization = headers.getRawHeaders(b"authorization")
    origin = headers.getRawHeaders(b"origin")
    host = (headers.getRawHeaders(b"host") or [b""])[0].lower()
    csrf = (headers.getRawHeaders(CSRF_HEADER) or [b""])[0]
    return RequestCredentials(
        authorization=authorization[0] if authorization else None,
        cookie=session_cookie(headers.getRawHeaders(b"cookie") or ()),
        csrf=csrf.decode("latin-1"),
        same_origin=origin is None or is_origin_of(origin[0].lower(), host),
        source=source,
        path=path,
    )


def client_address(peer: str, headers: Headers, proxies: frozenset[str]) -> str:
    """Return the address of the client: that of the connection, or what a known proxy says.

    The last address that is none of the proxies counts: what comes before it, the client may have
    made up.
    """
    if peer not in proxies:
        return peer
    lines = headers.getRawHeaders(b"x-forwarded-for") or []
    said = [each.strip() for line in lines for each in line.decode("latin-1").split(",")]
    others = [each for each in said if each and each not in proxies]
    return others[-1][:64] if others else peer


class Admission:
    """Admits requests. ``master`` is asked about users of the cluster."""

    def __init__(self, authenticator: Authenticator, master: IMaster) -> None:
        self._authenticator = authenticator
        self._master = master
        self._recording: set[Deferred[None]] = set()
        self._recorded = RateLimit(
            "denials", authenticator.seconds, burst=RECORDED_BURST, per_second=RECORDED_PER_SECOND
        )

    async def admit(self, verb: Verb, method: str, shown: RequestCredentials) -> Admitted:
        """Return who sends a request, if that one may use a method of a route.

        :raises HttpProblem: 401 for wrong or missing credentials, 403 for a caller without the
            role, 429 for one who asks too often or fails too often.
        :raises GanetiError: the master refuses the caller, or cannot be asked.
        """
        try:
            return await self._admit(verb, method, shown)
        except GanetiError as e:
            # Without credentials, the answer is only a request to log in.
            if shown.anything and status_of(e) in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
                self._record(method, shown, str(e))
            raise

    def _record(self, method: str, shown: RequestCredentials, why: str) -> None:
        """Have the master note a denial, unless one source is denied very often."""
        try:
            self._recorded.reject_or_count(source_network(shown.source))
        # The limit protects the master from a flood; the client is denied in any case.
        except HttpProblem:
            return
        entry = RecordDenial(
            who=printable(shown.claimed, 100),
            how=printable(f"from {shown.source}" if shown.source else "", 100),
            what=printable(f"{method} {shown.path}", 300),
            why=printable(why, 300),
        )
        recording = Deferred.fromCoroutine(self._master.ask(entry))
        self._recording.add(recording)
        recording.addErrback(lambda failure: failure.trap(GanetiError, CancelledError) and None)
        recording.addBoth(lambda _: self._recording.discard(recording))

    def stop(self) -> None:
        """Give up what is still being noted."""
        # A copy, as each removes itself.
        for recording in list(self._recording):
            recording.cancel()

    async def _admit(self, verb: Verb, method: str, shown: RequestCredentials) -> Admitted:
        authenticator = self._authenticator
        if verb.access in (AccessLevel.PUBLIC, AccessLevel.TICKET) or (
            shown.authorization is None and shown.cookie is None
        ):
            if authenticator.anonymous(verb.access):
                return Admitted(Caller(role=Role.VIEWER, source=shown.source), role=Role.VIEWER)
            raise Unauthenticated("log in with a user of this cluster")
        if shown.authorization is None:
            assert shown.cookie is not None
            admitted = await self._by_session(shown.cookie, method, shown)
        elif shown.authorization.partition(b" ")[0].lower() == b"bearer":
            admitted = await self._by_token(shown.authorization, shown.source)
        else:
            admitted = await self._by_password(shown.authorization, verb, shown.source)
        _require(admitted, permission(verb))
        if verb.access is AccessLevel.METERED:
            authenticator.meter(admitted.user)
        return admitted

    async def _by_password(self, header: bytes, verb: Verb, source: str) -> Admitted:
        user = await self._authenticator.user_of(header, source)
        if not user.account:
            if verb.access in (AccessLevel.WRITE, AccessLevel.ADMIN) and not user.writes:
                raise HttpProblem(
                    HTTPStatus.FORBIDDEN,
                    f"user {user.name} may only read; the option write in the users file allows"
                    " more",
                )
            caller = Caller(user=user.name, role=file_role(user), digest=user.proof, source=source)
            return Admitted(caller, user.name, file_role(user))
        caller = Caller(user=user.name, digest=user.proof, source=source)
        try:
            return await self._described(caller)
        except Unauthenticated:
            # Another password was set since this one was checked, perhaps the same again.
            self._authenticator.forget_credentials(header)
        user = await self._authenticator.user_of(header, source)
        return await self._described(Caller(user=user.name, digest=user.proof, source=source))

    async def _by_token(self, header: bytes, source: str) -> Admitted:
        presented = read_token(header.partition(b" ")[2].strip().decode("latin-1"))
        self._authenticator.require_patience(source, _name_of(presented))
        try:
            if presented is None:
                raise Unauthenticated("the token is malformed; check that it is complete")
            token_id, digest = presented
            return await self._described(Caller(token=token_id, digest=digest, source=source))
        except Unauthenticated:
            self._authenticator.count_failure(source, _name_of(presented))
            raise

    async def _by_session(self, cookie: Cookie, method: str, shown: RequestCredentials) -> Admitted:
        if method not in SAFE:
            # Browsers send the cookie with whatever a page asks them to; another site's page can
            # neither read the token nor set the header.
            right = hmac.compare_digest(cookie.csrf.encode(), shown.csrf.encode("latin-1"))
            if not right or not shown.same_origin:
                raise HttpProblem(
                    HTTPStatus.FORBIDDEN,
                    "a change in a session needs the header X-CSRF-Token with the token that"
                    " signing in has answered, and must come from a page of this server",
                )
        caller = Caller(
            session=cookie.session_id, digest=digest_of(cookie.secret), source=shown.source
        )
        return replace(await self._described(caller), csrf=cookie.csrf)

    async def _described(self, caller: Caller) -> Admitted:
        told = await describe(self._authenticator, self._master, caller)
        role = None if told["role"] is None else Role(told["role"])
        return Admitted(caller, told["user"], role, told["limited"])


async def describe(authenticator: Authenticator, master: IMaster, caller: Caller) -> dict[str, Any]:
    """Return who a caller is, as the master answers ``QueryCaller``.

    :raises GanetiError: the caller is refused, by the master or by the users file.
    """
    told: dict[str, Any] = await master.ask(QueryCaller(), caller)
    if told.get("file_proof") is not None:
        authenticator.require_unchanged(told["user"], told["file_proof"])
    return told


def _require(admitted: Admitted, needs: Permission) -> None:
    """Refuse a caller whose role does not include what is needed."""
    if admitted.role is None:
        raise AccessDenied(
            f"user {admitted.user} has no role; an administrator can grant one: gnt-access role"
            " grant"
        )
    if not admitted.role.includes(needs.role):
        raise AccessDenied(
            f"this needs the role {needs.role.value}; user {admitted.user} has the role"
            f" {admitted.role.value}"
        )
    if admitted.limited and not needs.limited:
        raise AccessDenied(
            f"this is about the whole cluster; the role of user {admitted.user} is limited to some"
            " instances"
        )


def file_role(user: User) -> Role:
    """Return the role of a user of the users file."""
    return Role.ADMIN if user.writes else Role.VIEWER


def _name_of(presented: Sequence[str] | None) -> str:
    """Return under which name failures of a token are counted: apart from names of users."""
    return "token:" + (presented[0] if presented else "")
