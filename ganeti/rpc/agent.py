# SPDX-License-Identifier: BSD-2-Clause
"""The HTTP client for node daemons: the agent of ``twisted.web`` with persistent connections.

A connection carries one request at a time; concurrent requests to a node use several connections.
No request is retried: a node may have executed it although no answer arrived.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import msgspec
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.endpoints import TCP4ClientEndpoint, wrapClientTLS
from twisted.internet.error import ConnectError, ConnectingCancelledError, ConnectionDone
from twisted.internet.interfaces import (
    IConsumer,
    IProtocol,
    IProtocolFactory,
    IPushProducer,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web._newclient import ParseError, RequestTransmissionFailed  # public nowhere else
from twisted.web.client import (
    URI,
    Agent,
    HTTPConnectionPool,
    RequestGenerationFailed,
    ResponseDone,
    ResponseFailed,
)
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory, IBodyProducer, IPolicyForHTTPS, IResponse
from zope.interface import implementer

from ganeti.model.node import Node
from ganeti.rpc.node_client import BadAnswer, TransportError, UnknownThere
from ganeti.rpc.protocol_version import OWN, PROTOCOL_HEADER
from ganeti.rpc.wire import CallRequest
from ganeti.schema.documents import UNREADABLE

MAX_ANSWER = 256 * 1024 * 1024

CONNECT_TIMEOUT = 5.0

IDLE_TIMEOUT = 60
"""Seconds until an idle connection is closed, as a firewall may drop its state of older ones."""

MAX_IDLE = 32
"""Maximum idle connections per node."""

CHUNK_SIZE = 64 * 1024
"""Bytes of a large request that are encrypted and queued at once."""

KEEPALIVE_OPTIONS = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 120_000),
)
"""TCP keepalive, see tcp(7). After a power loss a host does not know its old connections, which the
client only notices when it sends something. Without keepalive a call would wait forever, as the new
daemon on the host answers probes."""


class HttpTransport:
    """The ``Transport`` that sends requests by HTTP to the ``endpoint`` of each node.

    ``explain`` formats the reason why a connection failed.
    """

    def __init__(
        self,
        endpoint: Callable[[Node], IStreamClientEndpoint],
        clock: IReactorTime,
        *,
        explain: Callable[[Failure], str] = Failure.getErrorMessage,
        answer_limit: int = MAX_ANSWER,
    ) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._explain = explain
        self._limit = answer_limit
        self._pool = _pool(clock)

    async def exchange(self, node: Node, request: CallRequest) -> bytes:
        """Return the body of the node's answer. Cancelling closes the connection.

        :raises TransportError: no answer arrived; it is unknown whether the node has executed
           the request.
        """
        agent = Agent.usingEndpointFactory(
            self._clock, _Endpoints(node, self._endpoint), self._pool
        )
        host = node.name.encode("ascii")
        headers = Headers(
            {
                b"Host": [host],
                b"X-Ganeti-Term": [b"%d" % request.term],
                PROTOCOL_HEADER.encode(): [str(OWN).encode()],
                b"Content-Type": [b"application/json"],
            }
        )
        # The name tells the nodes apart in the pool of connections; the endpoint has the address.
        uri = b"https://%b/%b" % (host, request.name.encode("ascii"))
        try:
            response = await agent.request(b"POST", uri, headers, RequestBody(request.body))
            body = await read_body(response, self._limit)
        # ``addTimeout`` translates ``CancelledError`` into its own error, and no other one.
        except ConnectingCancelledError:
            raise CancelledError from None
        except ConnectError as e:
            raise TransportError(self._explain(Failure(e))) from None
        except (RequestGenerationFailed, RequestTransmissionFailed, ResponseFailed) as e:
            raise self._translate_failure(e.reasons) from None
        if response.code == 200:
            return body
        kind = UnknownThere if response.code == 404 else BadAnswer
        raise kind(
            f"the node answered {request.name} with HTTP status {response.code}: "
            f"{parse_explanation(body)}"
        )

    def close(self) -> None:
        """Close idle connections now, and the others after their answer."""
        old, self._pool = self._pool, _pool(self._clock)
        # Connections in use return to the old pool, which then closes them at once.
        old.cachedConnectionTimeout = 0
        old.closeCachedConnections()

    def _translate_failure(self, reasons: list[Failure]) -> Exception:
        reason = reasons[0]
        if reason.check(CancelledError):
            return CancelledError()
        if reason.check(ConnectionDone):
            return TransportError("the node closed the connection without an answer")
        if reason.check(ParseError, ValueError, LookupError):
            return TransportError(f"the node sent a malformed answer: {reason.getErrorMessage()}")
        return TransportError(self._explain(reason))


def _pool(clock: IReactorTime) -> HTTPConnectionPool:
    pool = HTTPConnectionPool(clock)
    pool.retryAutomatically = False
    pool.cachedConnectionTimeout = IDLE_TIMEOUT
    pool.maxPersistentPerHost = MAX_IDLE
    return pool


class TlsEndpoints:
    """A factory of TLS endpoints for node daemons, which listen on ``port``.

    ``policy`` verifies the certificate for the node's name.
    """

    def __init__(self, reactor: Any, policy: IPolicyForHTTPS, port: int) -> None:
        self._reactor = reactor
        self._policy = policy
        self._port = port

    def __call__(self, node: Node) -> IStreamClientEndpoint:
        tcp = TCP4ClientEndpoint(  # accepts IPv6 addresses, too
            self._reactor, node.primary_ip, self._port, timeout=CONNECT_TIMEOUT
        )
        creator = self._policy.creatorForNetloc(node.name.encode("ascii"), self._port)
        # Keepalive is below TLS, where the transport has the socket.
        return wrapClientTLS(creator, KeepAliveEndpoint(tcp), self._reactor)


@implementer(IStreamClientEndpoint)
class KeepAliveEndpoint:
    """A TCP endpoint with keepalive, so that connections to a host that is down are closed."""

    def __init__(self, endpoint: IStreamClientEndpoint) -> None:
        self._endpoint = endpoint

    def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        return self._endpoint.connect(factory).addCallback(_keep_alive)


def _keep_alive(protocol: Any) -> Any:
    for option in KEEPALIVE_OPTIONS:
        protocol.transport.getHandle().setsockopt(*option)
    return protocol


@implementer(IAgentEndpointFactory, IStreamClientEndpoint)
class _Endpoints:
    """The endpoint of one node, created on demand."""

    def __init__(self, node: Node, endpoint: Callable[[Node], IStreamClientEndpoint]) -> None:
        self._node = node
        self._endpoint = endpoint

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        return self

    def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        return self._endpoint(self._node).connect(factory)


@implementer(IBodyProducer, IPushProducer)
class RequestBody:
    """A body producer that writes a small body at once, and a large one as fast as it is read."""

    def __init__(self, body: bytes) -> None:
        self.length = len(body)
        self._rest = memoryview(body)
        self._paused = False
        self._consumer: IConsumer | None = None
        self._written: Deferred[None] = Deferred(lambda _: self.stopProducing())

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        if self.length <= CHUNK_SIZE:
            consumer.write(bytes(self._rest))
            return succeed(None)
        self._consumer = consumer
        self._write()
        return self._written

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        self._paused = False
        self._write()

    def stopProducing(self) -> None:
        self._consumer = None
        self._rest = memoryview(b"")

    def _write(self) -> None:
        # ``write`` pauses this object when the transport has enough.
        while self._consumer is not None and not self._paused:
            piece, self._rest = bytes(self._rest[:CHUNK_SIZE]), self._rest[CHUNK_SIZE:]
            self._consumer.write(piece)
            if not self._rest:
                self._consumer = None
                self._written.callback(None)


def read_body(response: IResponse, limit: int) -> Deferred[bytes]:
    """Return the body of a response. Cancelling closes the connection.

    Fails with ``TransportError`` if it is longer than ``limit`` bytes.
    """
    reader = _BodyReader(limit)
    response.deliverBody(reader)
    return reader.body


class _BodyReader(Protocol):
    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.body: Deferred[bytes] = Deferred(lambda _: self._close())
        self._pieces: list[bytes] = []
        self._size = 0

    def dataReceived(self, data: bytes) -> None:
        self._size += len(data)
        if self._size <= self._limit:
            self._pieces.append(data)
        elif not self.body.called:
            self.body.errback(TransportError(f"the answer is longer than {self._limit} bytes"))
            self._close()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.body.called:
            return
        # Only this reason tells that the body is complete.
        if reason.check(ResponseDone):
            self.body.callback(b"".join(self._pieces))
        else:
            self.body.errback(reason)

    def _close(self) -> None:
        self._pieces.clear()
        assert self.transport is not None
        self.transport.loseConnection()


def parse_explanation(body: bytes) -> str:
    """Return the reason that the body of an error response gives."""
    try:
        return str(msgspec.json.decode(body)["explain"])
    except (*UNREADABLE, TypeError, KeyError):
        return "no reason given"
