# SPDX-License-Identifier: BSD-2-Clause
"""What a call to a node costs, beside the same bytes over bare connections in the same run.

``python -m tests.bench.bench_rpc [ROUNDS]`` prints microseconds per round trip, both ends in one
process: wall clock (median, and of 99 in 100) and processor. The echoes carry as many bytes as the
call does; the bare request is one of twisted.web's agent to a bare resource, on the same TLS.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol, ServerFactory
from twisted.web.client import Agent, HTTPConnectionPool, readBody
from twisted.web.resource import Resource
from twisted.web.server import Site

from ganeti.daemon.connections.node_certificate import NodePolicy, NodeServerTLS, get_peer
from ganeti.paths import Paths
from ganeti.pki.authority import Authority
from ganeti.rpc.agent import HttpTransport, RequestBody, TlsEndpoints
from ganeti.rpc.liveness import ProbedTransport
from ganeti.rpc.node import AskVersion, Version
from ganeti.rpc.node_client import NodeClient
from ganeti.rpc.server import CallHandlers
from ganeti.rpc.site import RpcSite
from ganeti.testing.builders import a_node
from ganeti.testing.callers import AnyCaller

reactor: Any = installed
HERE = "127.0.0.1"
BYTES = 150
"""Of a request or an answer that says little."""


@dataclass(frozen=True)
class Cost:
    """Microseconds per round trip."""

    median: float
    most: float
    """What 99 of 100 take at most."""
    processor: float


async def measure(ask: Callable[[], Awaitable[object]], rounds: int) -> Cost:
    """The mean cost of ``ask``, one after the other."""
    for _ in range(rounds // 10):
        await ask()
    walls, processor = [], time.process_time()
    for _ in range(rounds):
        began = time.perf_counter()
        await ask()
        walls.append(1e6 * (time.perf_counter() - began))
    spent = 1e6 * (time.process_time() - processor) / rounds
    walls.sort()
    return Cost(walls[rounds // 2], walls[rounds * 99 // 100], spent)


class Echo(Protocol):
    """Sends back what comes."""

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)  # type: ignore[union-attr]

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)


class Caller(Protocol):
    """Sends bytes and waits until as many have come back."""

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)  # type: ignore[union-attr]
        self.missing = 0

    def ask(self) -> Deferred[None]:
        assert self.transport is not None
        self.missing = BYTES
        self.answer: Deferred[None] = Deferred()
        self.transport.write(bytes(BYTES))
        return self.answer

    def dataReceived(self, data: bytes) -> None:
        self.missing -= len(data)
        if self.missing == 0:
            self.answer.callback(None)


async def of_echo(paths: Paths, kind: str, rounds: int) -> Cost:
    """The cost of an echo over TCP, or over TLS."""
    echo: Any = ServerFactory.forProtocol(Echo)
    caller = Caller()
    if kind == "tls":
        port = reactor.listenSSL(0, echo, NodeServerTLS(paths), interface=HERE)
        node = a_node("node1", primary_ip=HERE)
        endpoints = TlsEndpoints(reactor, NodePolicy(paths), port.getHost().port)
        await connectProtocol(endpoints(node), caller)
    else:
        port = reactor.listenTCP(0, echo, interface=HERE)
        await connectProtocol(TCP4ClientEndpoint(reactor, HERE, port.getHost().port), caller)
    cost = await measure(caller.ask, rounds)
    assert caller.transport is not None
    caller.transport.loseConnection()
    await port.stopListening()
    return cost


class Bare(Resource):
    """Answers with as many bytes as a call has."""

    isLeaf = True

    def render_POST(self, request: Any) -> bytes:
        return bytes(BYTES)


async def of_request(paths: Paths, rounds: int) -> Cost:
    """The cost of a bare request of HTTP."""
    site: Any = Site(Bare())
    site.noisy = False
    port = reactor.listenSSL(0, site, NodeServerTLS(paths), interface=HERE)
    pool = HTTPConnectionPool(reactor)
    policy: Any = NodePolicy(paths)
    agent = Agent(reactor, policy, pool=pool)
    uri = b"https://localhost:%d/" % port.getHost().port

    async def ask() -> None:
        response = await agent.request(b"POST", uri, None, RequestBody(bytes(BYTES)))
        await readBody(response)

    cost = await measure(ask, rounds)
    await pool.closeCachedConnections()
    await port.stopListening()
    return cost


async def of_call(paths: Paths, rounds: int) -> Cost:
    """The cost of asking a node for its version."""

    async def version(_: AskVersion) -> Version:
        return Version(protocol=3_000_000, release="3.1.0")

    answers = CallHandlers(lambda: 1)
    answers.to(AskVersion, version)
    site = RpcSite(answers, get_peer, AnyCaller(), reactor)
    port = reactor.listenSSL(0, site, NodeServerTLS(paths), interface=HERE)
    way = HttpTransport(TlsEndpoints(reactor, NodePolicy(paths), port.getHost().port), reactor)
    asker = NodeClient(ProbedTransport(way, reactor), reactor, term=lambda: 1, master="node1")
    node = a_node("node1", primary_ip=HERE)
    cost = await measure(lambda: asker.ask(node, AskVersion()), rounds)
    way.close()
    await site.shut_down()
    await port.stopListening()
    return cost


async def everything(rounds: int) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as root:
        paths = _node_in(root)
        bare = await of_request(paths, rounds)
        for what, cost in (
            ("echo over TCP", await of_echo(paths, "tcp", rounds)),
            ("echo over TLS", await of_echo(paths, "tls", rounds)),
            ("bare request", bare),
            ("call to a node", await of_call(paths, rounds)),
        ):
            print(
                f"{what:16} {cost.median:7.1f} us median {cost.most:7.1f} us of 99 in 100"
                f" {cost.processor:7.1f} us processor"
                f" {cost.processor / bare.processor:5.2f} x the bare request"
            )


def _node_in(root: str) -> Paths:
    """The files of a node that is alone in its cluster."""
    paths = Paths(root)
    os.makedirs(paths.data)
    authority = Authority.founded("bench", time.time())
    own = authority.credentials(["node1", "localhost", HERE], time.time())
    for path, content in (
        (paths.authority, authority.certificate),
        (paths.node_certificate, own.pem),
    ):
        with open(path, "wb") as file:
            file.write(content)
    return paths


def main() -> None:
    """Run the benchmark."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3000

    def begin() -> None:
        work = Deferred.fromCoroutine(everything(rounds))
        work.addErrback(lambda failure: print(failure.getTraceback()))
        work.addBoth(lambda _: reactor.stop())

    reactor.callWhenRunning(begin)
    reactor.run()


if __name__ == "__main__":
    main()
