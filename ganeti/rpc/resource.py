# SPDX-License-Identifier: BSD-2-Clause
"""The ``twisted.web`` resource of a node daemon, which authorizes and answers calls.

Permissions follow from the caller's role (see ``callers``), which is looked up when the headers of
a request have arrived, and again after its body. A caller whose certificate is not recorded in the
configuration may only make calls that need no certificate.
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

from ganeti.errors import GanetiError, ProtocolError
from ganeti.rpc.body_limits import MAX_BODY, body_limit
from ganeti.rpc.callers import CANDIDATES, CallerRole, Forbidden, Peer, RpcCaller
from ganeti.rpc.protocol_version import (
    FIRST,
    PROTOCOL_HEADER,
    IncompatibleProtocol,
    ProtocolVersions,
    parse_versions,
    require_common,
)
from ganeti.rpc.server import CallHandlers, UnknownCall
from ganeti.rpc.wire import CallRequest, OldTerm, UnclaimedTerm, failure
from ganeti.web.web_socket import BadHandshake, ServerWebSocket

if TYPE_CHECKING:
    from ganeti.rpc.site import RpcRequest

TERM_HEADER = b"X-Ganeti-Term"
JSON = b"application/json"

_TERM = re.compile(rb"[0-9]{1,16}")

BODY_LIMITS: Mapping[CallerRole, int] = MappingProxyType(
    {
        CallerRole.UNAUTHENTICATED: 16 * 1024,
        CallerRole.NODE: 64 * 1024,
        CallerRole.CANDIDATE: 64 * 1024,
        CallerRole.MASTER: MAX_BODY,
    }
)
"""Maximum body size in bytes by role; a master sends checkpoints of a whole cluster in base64."""

TICKET_HEADER = b"X-Ganeti-Ticket"

Streams: TypeAlias = Mapping[str, Callable[[str, ServerWebSocket], Awaitable[None]]]
"""What is opened as a WebSocket by who brings a ticket, by name: it accepts, or raises."""

Tunnels: TypeAlias = Mapping[str, Callable[["RpcRequest"], Awaitable[None]]]
"""What a connection is upgraded to, by name: the request is answered, or an error is raised."""

Unauthenticated: TypeAlias = Mapping[str, Callable[[bytes], Awaitable[bytes]]]
"""Handlers of calls that need no certificate, by name: from request body to answer body."""


class RequestRejected(Exception):
    """The request is not a call, or the caller may make no calls; its connection is closed."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        super().__init__(why)
        self.status = status


class CallResource(Resource):
    """The resource for ``answers``, which depend on roles, and ``unauthenticated`` for all.

    ``streams`` and ``tunnels`` are opened for master candidates, whose remote API relays what its
    users may open.
    """

    isLeaf = True
    _log = Logger()

    def __init__(
        self,
        answers: CallHandlers,
        unauthenticated: Unauthenticated,
        streams: Streams,
        tunnels: Tunnels,
    ) -> None:
        super().__init__()
        self._answers = answers
        self._unauthenticated = unauthenticated
        self._streams = streams
        self._tunnels = tunnels

    def authorize(self, request: RpcRequest, caller: RpcCaller) -> tuple[str, int]:
        """Return the name and term of the call, if the caller may make it.

        Only the headers of the request are used.

        :raises RequestRejected: the request is not a call, or the call requires membership.
        :raises GanetiError: the caller is a member but may not make the call, or not in this term.
        """
        method, name = request.call
        is_open = name in self._unauthenticated
        if caller.role is CallerRole.UNAUTHENTICATED and not is_open:
            assert request.channel is not None
            reject_unauthenticated(request.channel.identity)
        if method == b"GET" and (name in self._streams or name in self._tunnels):
            if caller.role not in CANDIDATES:
                raise Forbidden(
                    f"{caller.name} is not a master candidate; only those may open {name}"
                )
            return name, 0
        if method != b"POST":
            raise RequestRejected(HTTPStatus.METHOD_NOT_ALLOWED, "calls require the method POST")
        terms = request.requestHeaders.getRawHeaders(TERM_HEADER, [b"0"])
        if len(terms) != 1 or not _TERM.fullmatch(terms[0]):
            raise RequestRejected(
                HTTPStatus.BAD_REQUEST, "the header X-Ganeti-Term is not a number"
            )
        term = int(terms[0])
        if not is_open:
            require_common(caller.name, _read_versions(request))
            self._answers.authorize(name, term, caller)
        return name, term

    def body_limit(self, request: RpcRequest, caller: RpcCaller) -> int | None:
        """Return the maximum body size in bytes, or None to discard the body.

        :raises RequestRejected: see ``authorize``.
        """
        try:
            name, _ = self.authorize(request, caller)
        except GanetiError:
            # The error is sent after the body has been read: a client that is still sending would
            # lose an answer that is followed by a close of the connection (RFC 9112 section 9.6).
            return None
        return min(BODY_LIMITS[caller.role], body_limit(name))

    def finishes(self, name: str) -> bool:
        """Return whether a running call is completed after its caller has disconnected."""
        return self._answers.finishes(name)

    def render(self, request: RpcRequest) -> int:
        """Start to answer; calls with ``ends_with_asker`` are cancelled on a disconnect."""
        channel = request.channel
        assert channel is not None
        caller = channel.caller()
        try:
            name, term = self.authorize(request, caller)
            # The body was discarded, as the headers alone did not permit the call then.
            if request.limit is None:
                raise Forbidden("the caller's role changed during the request; retry the call")
        except RequestRejected as e:
            channel.warn(str(e))
            channel.persistent = False
            send(request, e.status, explained(e.status, str(e)))
        except GanetiError as e:
            send(request, *self._error_response(request, e))
        else:
            if request.call[0] == b"GET":
                work = Deferred.fromCoroutine(self._open(request, name))
                if not work.called:
                    channel.track_answer(work, 0, finishes=False)
                return NOT_DONE_YET
            body = request.take_body()
            work = Deferred.fromCoroutine(self._respond(request, name, term, body, caller))
            if not work.called:
                channel.track_answer(work, len(body), finishes=self.finishes(name))
        return NOT_DONE_YET

    async def _open(self, request: RpcRequest, name: str) -> None:
        """Open a stream or a tunnel, which goes on when this returns; a refusal is answered."""
        ticket = request.requestHeaders.getRawHeaders(TICKET_HEADER, [b""])[0]
        try:
            if (tunnel := self._tunnels.get(name)) is not None:
                await tunnel(request)
            else:
                socket = ServerWebSocket(request)
                await self._streams[name](ticket.decode("latin-1"), socket)
        except BadHandshake as e:
            send(request, HTTPStatus.BAD_REQUEST, explained(HTTPStatus.BAD_REQUEST, str(e)))
        except GanetiError as e:
            send(request, HTTPStatus.CONFLICT, explained(HTTPStatus.CONFLICT, str(e)))
        except CancelledError:
            if request.channel is not None:
                request.channel.loseConnection()
        except Exception:
            self._log.failure("{stream} broke", stream=name)
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            why = f"{name} broke; the log of this node says more"
            send(request, status, explained(status, why))

    async def _respond(
        self, request: RpcRequest, name: str, term: int, body: bytes, caller: RpcCaller
    ) -> None:
        status = HTTPStatus.OK
        try:
            if (unauthenticated := self._unauthenticated.get(name)) is not None:
                answer = await unauthenticated(body)
            else:
                answer = await self._answers.answer_call(CallRequest(name, term, body), caller)
        except (UnknownCall, Forbidden) as e:
            status, answer = self._error_response(request, e)
        except GanetiError as e:
            answer = failure(e)
        except CancelledError:
            self._log.info("{call} from {peer} was cancelled", peer=caller.name, call=name)
            if request.channel is not None:
                request.channel.loseConnection()
            return
        except Exception:
            self._log.failure("{call} failed unexpectedly", call=name)
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            answer = explained(
                status, f"{name} failed unexpectedly; see the node daemon's log on this node"
            )
        send(request, status, answer)

    def _error_response(self, request: RpcRequest, error: GanetiError) -> tuple[HTTPStatus, bytes]:
        """Return the status and body for a call that is not executed."""
        match error:
            case OldTerm() | UnclaimedTerm() | IncompatibleProtocol():
                # Clients read the class of an error only from answers with this status.
                return HTTPStatus.OK, failure(error)
            case UnknownCall():
                status = HTTPStatus.NOT_FOUND
            case _:
                status = HTTPStatus.FORBIDDEN
                if request.channel is not None:
                    request.channel.warn(str(error))
        return status, explained(status, str(error))


def _read_versions(request: RpcRequest) -> ProtocolVersions:
    sent = request.requestHeaders.getRawHeaders(PROTOCOL_HEADER)
    if not sent:
        return FIRST
    try:
        return parse_versions(", ".join(sent))
    except ProtocolError as e:
        raise RequestRejected(HTTPStatus.BAD_REQUEST, str(e)) from None


def send(request: RpcRequest, status: HTTPStatus, body: bytes) -> None:
    """Send the answer to ``request``, unless its caller has disconnected."""
    channel = request.channel
    if channel is None or channel.closing:
        return
    request.setResponseCode(status)
    headers = request.responseHeaders
    headers.removeHeader(b"Server")  # do not reveal the software version to unknown peers
    headers.setRawHeaders(b"Content-Type", [JSON])
    headers.setRawHeaders(b"Content-Length", [b"%d" % len(body)])
    if not channel.persistent:
        headers.setRawHeaders(b"Connection", [b"close"])
    request.write(body)
    request.finish()


def explained(status: HTTPStatus, why: str) -> bytes:
    """Return the body of an error response."""
    return msgspec.json.encode({"code": status, "message": status.phrase, "explain": why})


def reject_unauthenticated(peer: Peer | None) -> NoReturn:
    """Reject a peer that is not a member of the cluster.

    :raises RequestRejected: always.
    """
    if peer is None:
        why = "calls require a certificate that the authority of this cluster has issued"
    else:
        why = (
            f"the certificate of {peer.name} (SHA-256 {peer.fingerprint[:16]}...) does not "
            f"belong to"
            " a member of this cluster that this node knows; if it is one, run on the master:"
            " gnt-node add --readd"
        )
    raise RequestRejected(HTTPStatus.FORBIDDEN, why)
