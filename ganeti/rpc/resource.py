# SPDX-License-Identifier: BSD-2-Clause
"""The resource of a node daemon that answers calls, and decides who may make which.

What a caller may do follows from its role, which is looked up when the head of a request has
arrived, and again when its body has: see ``callers``. A caller whose certificate is not one of the
cluster's configuration is only answered the calls that are open to callers without one.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, NoReturn, TypeAlias

import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from ganeti.errors import GanetiError
from ganeti.rpc.body_limits import MAX_BODY, body_limit
from ganeti.rpc.callers import Caller, CallerRole, Forbidden, Peer
from ganeti.rpc.server import CallHandlers, UnknownCall
from ganeti.rpc.wire import CallRequest, OldTerm, UnclaimedTerm, failure

if TYPE_CHECKING:
    from ganeti.rpc.site import RpcRequest

TERM_HEADER = b"X-Ganeti-Term"
JSON = b"application/json"

_TERM = re.compile(rb"[0-9]{1,16}")

BODY_LIMITS: Mapping[CallerRole, int] = MappingProxyType(
    {
        CallerRole.STRANGER: 16 * 1024,
        CallerRole.NODE: 64 * 1024,
        CallerRole.CANDIDATE: 64 * 1024,
        CallerRole.MASTER: MAX_BODY,
    }
)
"""Bytes by role; for a master, a checkpoint of a very large cluster, in base64, fits."""

Unauthenticated: TypeAlias = Mapping[str, Callable[[bytes], Awaitable[bytes]]]
"""What is answered without a certificate, by name: from the body to the body of the answer."""


class NotServed(Exception):
    """A request is no call, or the caller may make none; its connection is closed."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        super().__init__(why)
        self.status = status


class CallResource(Resource):
    """Answers ``answers`` to those whose role they are for, ``unauthenticated`` to everybody."""

    isLeaf = True
    _log = Logger()

    def __init__(self, answers: CallHandlers, unauthenticated: Unauthenticated) -> None:
        super().__init__()
        self._answers = answers
        self._unauthenticated = unauthenticated

    def authorize(self, request: RpcRequest, caller: Caller) -> tuple[str, int]:
        """Return the name of the call and its term, if the caller may make it.

        This needs the head of the request only.

        :raises NotServed: this is no call, or the caller has no role and the call needs one.
        :raises GanetiError: a member may not make the call, or not in this term.
        """
        method, name = request.call
        is_open = name in self._unauthenticated
        if caller.role is CallerRole.STRANGER and not is_open:
            assert request.channel is not None
            refuse_unknown(request.channel.identity)
        if method != b"POST":
            raise NotServed(HTTPStatus.METHOD_NOT_ALLOWED, "calls are made by POST")
        terms = request.requestHeaders.getRawHeaders(TERM_HEADER, [b"0"])
        if len(terms) != 1 or not _TERM.fullmatch(terms[0]):
            raise NotServed(HTTPStatus.BAD_REQUEST, "X-Ganeti-Term is not a number")
        term = int(terms[0])
        if not is_open:
            self._answers.authorize(name, term, caller)
        return name, term

    def body_limit(self, request: RpcRequest, caller: Caller) -> int | None:
        """Return how long the body may be, in bytes; None if it is not kept at all.

        :raises NotServed: see ``authorize``.
        """
        try:
            name, _ = self.authorize(request, caller)
        except GanetiError:
            # Answered when the body has gone by: the caller would lose an answer that comes with
            # the end of the connection before it has sent all.
            return None
        return min(BODY_LIMITS[caller.role], body_limit(name))

    def finishes(self, name: str) -> bool:
        """Whether an answer under way is carried to its end although nobody waits for it."""
        return self._answers.finishes(name)

    def render(self, request: RpcRequest) -> int:
        """Begin to answer; what ends with its asker is cancelled by a caller that hangs up."""
        channel = request.channel
        assert channel is not None
        caller = channel.caller()
        try:
            name, term = self.authorize(request, caller)
            if request.limit is None:
                raise Forbidden("the caller's role has changed meanwhile; make the call again")
        except NotServed as e:
            channel.warn(str(e))
            channel.persistent = False
            send(request, e.status, explained(e.status, str(e)))
        except GanetiError as e:
            send(request, *self._negative(request, e))
        else:
            body = request.take_body()
            work = Deferred.fromCoroutine(self._respond(request, name, term, body, caller))
            if not work.called:
                channel.works_on(work, len(body), finishes=self.finishes(name))
        return NOT_DONE_YET

    async def _respond(
        self, request: RpcRequest, name: str, term: int, body: bytes, caller: Caller
    ) -> None:
        status = HTTPStatus.OK
        try:
            if (unauthenticated := self._unauthenticated.get(name)) is not None:
                answer = await unauthenticated(body)
            else:
                answer = await self._answers.answer(CallRequest(name, term, body), caller)
        except (UnknownCall, Forbidden) as e:
            status, answer = self._negative(request, e)
        except GanetiError as e:
            answer = failure(e)
        except CancelledError:
            self._log.info("{call} of {peer} was given up", peer=caller.name, call=name)
            if request.channel is not None:
                request.channel.loseConnection()
            return
        except Exception:
            self._log.failure("{call} broke", call=name)
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            answer = explained(status, f"{name} broke; the log of this node says more")
        send(request, status, answer)

    def _negative(self, request: RpcRequest, error: GanetiError) -> tuple[HTTPStatus, bytes]:
        """Return how it is answered that a request is not carried out."""
        match error:
            case OldTerm() | UnclaimedTerm():
                return HTTPStatus.OK, failure(error)
            case UnknownCall():
                status = HTTPStatus.NOT_FOUND
            case _:
                status = HTTPStatus.FORBIDDEN
                if request.channel is not None:
                    request.channel.warn(str(error))
        return status, explained(status, str(error))


def send(request: RpcRequest, status: HTTPStatus, body: bytes) -> None:
    """Answer ``request``, if its caller is still there."""
    channel = request.channel
    if channel is None or channel.closing:
        return
    request.setResponseCode(status)
    headers = request.responseHeaders
    headers.removeHeader(b"Server")  # which software this is, strangers need not know
    headers.setRawHeaders(b"Content-Type", [JSON])
    headers.setRawHeaders(b"Content-Length", [b"%d" % len(body)])
    if not channel.persistent:
        headers.setRawHeaders(b"Connection", [b"close"])
    request.write(body)
    request.finish()


def explained(status: HTTPStatus, why: str) -> bytes:
    """Return the body of an answer that is no success."""
    return msgspec.json.encode({"code": status, "message": status.phrase, "explain": why})


def refuse_unknown(peer: Peer | None) -> NoReturn:
    """:raises NotServed: the peer is no member of the cluster."""
    if peer is None:
        why = "calls need a certificate that the authority of this cluster has issued"
    else:
        why = (
            f"the certificate of {peer.name} (SHA-256 {peer.fingerprint[:16]}...) is not that of a"
            " member of this cluster, as far as this node knows; if it should be one, add it on"
            " the master: gnt-node add --readd"
        )
    raise NotServed(HTTPStatus.FORBIDDEN, why)
