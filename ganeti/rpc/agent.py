# SPDX-License-Identifier: BSD-2-Clause
"""Carrying requests to node daemons: the HTTP agent of ``twisted.web``, on persistent connections.

A connection carries one request at a time; several to one node are open if several requests are
under way. No request is sent twice: a node may have carried it out although no answer came.
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
from ganeti.rpc.node_client import BadAnswer, TransportError
from ganeti.rpc.wire import CallRequest
from ganeti.schema.documents import UNREADABLE

ANSWER_LIMIT = 256 * 1024 * 1024

CONNECT_TIMEOUT = 5.0

IDLE_TIMEOUT = 60
"""Seconds: an older connection may be one that a firewall has forgotten, or the node is closing."""

MAX_IDLE = 32
"""How many connections to one node are kept for further requests."""

PIECE = 64 * 1024
"""How many bytes of a large request are encrypted and queued at once."""

KEEPALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 120_000),
)
"""A host that lost its power and is back knows nothing of an old connection, which only shows when
something is sent on it: the call that waits there would wait for ever, as the daemon that runs by
now answers probes."""


class AgentWay:
    """The ``Transport`` to node daemons: HTTP to the ``endpoint`` of each node.

    ``explain`` says in plain words why a connection failed.
    """

    def __init__(
        self,
        endpoint: Callable[[Node], IStreamClientEndpoint],
        clock: IReactorTime,
        *,
        explain: Callable[[Failure], str] = Failure.getErrorMessage,
        answer_limit: int = ANSWER_LIMIT,
    ) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._explain = explain
        self._limit = answer_limit
        self._pool = _pool(clock)

    async def exchange(self, node: Node, request: CallRequest) -> bytes:
        """Return the body of the node's answer. Cancelling closes the connection.

        :raises Lost: there was none; nobody knows whether the node did it.
        """
        agent = Agent.usingEndpointFactory(
            self._clock, _Endpoints(node, self._endpoint), self._pool
        )
        host = node.name.encode("ascii")
        headers = Headers(
            {
                b"Host": [host],
                b"X-Ganeti-Term": [b"%d" % request.term],
                b"Content-Type": [b"application/json"],
            }
        )
        uri = b"https://%b/%b" % (host, request.name.encode("ascii"))
        try:
            response = await agent.request(b"POST", uri, headers, RequestBody(request.body))
            body = await read_body(response, self._limit)
        except ConnectingCancelledError:
            raise CancelledError from None
        except ConnectError as e:
            raise TransportError(self._explain(Failure(e))) from None
        except (RequestGenerationFailed, RequestTransmissionFailed, ResponseFailed) as e:
            raise self._lost(e.reasons) from None
        if response.code == 200:
            return body
        raise BadAnswer(
            f"it answered {request.name} with HTTP status {response.code}: {explanation(body)}"
        )

    def close(self) -> None:
        """Close the connections that nobody uses now, and each of the others after its answer."""
        old, self._pool = self._pool, _pool(self._clock)
        old.cachedConnectionTimeout = 0
        old.closeCachedConnections()

    def _lost(self, reasons: list[Failure]) -> Exception:
        reason = reasons[0]
        if reason.check(CancelledError):
            return CancelledError()
        if reason.check(ConnectionDone):
            return TransportError("it closed the connection before it answered")
        if reason.check(ParseError, ValueError, LookupError):
            return TransportError(f"it answered nonsense: {reason.getErrorMessage()}")
        return TransportError(self._explain(reason))


def _pool(clock: IReactorTime) -> HTTPConnectionPool:
    pool = HTTPConnectionPool(clock)
    pool.retryAutomatically = False
    pool.cachedConnectionTimeout = IDLE_TIMEOUT
    pool.maxPersistentPerHost = MAX_IDLE
    return pool


class TlsEndpoints:
    """Makes the endpoints of nodes, whose daemons listen at ``port``; ``policy`` is asked for the
    node's name."""

    def __init__(self, reactor: Any, policy: IPolicyForHTTPS, port: int) -> None:
        self._reactor = reactor
        self._policy = policy
        self._port = port

    def __call__(self, node: Node) -> IStreamClientEndpoint:
        tcp = TCP4ClientEndpoint(  # of IPv6, too
            self._reactor, node.primary_ip, self._port, timeout=CONNECT_TIMEOUT
        )
        creator = self._policy.creatorForNetloc(node.name.encode("ascii"), self._port)
        return wrapClientTLS(creator, KeptAliveEndpoint(tcp), self._reactor)


@implementer(IStreamClientEndpoint)
class KeptAliveEndpoint:
    """A TCP endpoint whose connections notice that the host at the other end is gone."""

    def __init__(self, endpoint: IStreamClientEndpoint) -> None:
        self._endpoint = endpoint

    def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        return self._endpoint.connect(factory).addCallback(_keep_alive)


def _keep_alive(protocol: Any) -> Any:
    for option in KEEPALIVE:
        protocol.transport.getHandle().setsockopt(*option)
    return protocol


@implementer(IAgentEndpointFactory, IStreamClientEndpoint)
class _Endpoints:
    """The endpoint of one node, made when a connection to it is needed."""

    def __init__(self, node: Node, endpoint: Callable[[Node], IStreamClientEndpoint]) -> None:
        self._node = node
        self._endpoint = endpoint

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        return self

    def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        return self._endpoint(self._node).connect(factory)


@implementer(IBodyProducer, IPushProducer)
class RequestBody:
    """Writes the body of a request: at once if it is small, else as fast as it is read."""

    def __init__(self, body: bytes) -> None:
        self.length = len(body)
        self._rest = memoryview(body)
        self._paused = False
        self._consumer: IConsumer | None = None
        self._written: Deferred[None] = Deferred(lambda _: self.stopProducing())

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        if self.length <= PIECE:
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
        while self._consumer is not None and not self._paused:
            piece, self._rest = bytes(self._rest[:PIECE]), self._rest[PIECE:]
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
            self.body.errback(TransportError(f"its answer is longer than {self._limit} bytes"))
            self._close()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.body.called:
            return
        if reason.check(ResponseDone):
            self.body.callback(b"".join(self._pieces))
        else:
            self.body.errback(reason)

    def _close(self) -> None:
        self._pieces.clear()
        assert self.transport is not None
        self.transport.loseConnection()


def explanation(body: bytes) -> str:
    """Return what the body of a response that is no success says about why."""
    try:
        return str(msgspec.json.decode(body)["explain"])
    except (*UNREADABLE, TypeError, KeyError):
        return "it does not say why"
