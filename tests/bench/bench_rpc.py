# SPDX-License-Identifier: BSD-2-Clause
"""What a call to a node costs, beside the same bytes over bare connections in the same run.

``python -m tests.bench.bench_rpc [ROUNDS]`` prints microseconds per round trip, both ends in one
process: wall clock and processor. The echoes carry as many bytes as the call does.
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
from twisted.internet.endpoints import (
    SSL4ClientEndpoint,
    TCP4ClientEndpoint,
    connectProtocol,
)
from twisted.internet.protocol import Protocol, ServerFactory
from twisted.internet.ssl import CertificateOptions, PrivateCertificate

from ganeti.daemon.tls import Connector, client_context, peer_of, server_context
from ganeti.paths import Paths
from ganeti.pki.authority import Authority
from ganeti.rpc.asking import Asker
from ganeti.rpc.client import HttpWay
from ganeti.rpc.liveness import ProbedWay
from ganeti.rpc.node import AskVersion, Version
from ganeti.rpc.server import Answers
from ganeti.rpc.serving import CallSite
from ganeti.system.tls import TlsFactory, words
from ganeti.testing.builders import a_node
from ganeti.testing.callers import AnyCaller

reactor: Any = installed
HERE = "127.0.0.1"
BYTES = 150
"""Of a request or an answer that says little."""


@dataclass(frozen=True)
class Cost:
    """Microseconds per round trip."""

    wall: float
    processor: float


async def measure(ask: Callable[[], Awaitable[object]], rounds: int) -> Cost:
    """The mean cost of ``ask``, one after the other."""
    for _ in range(rounds // 10):
        await ask()
    wall, processor = time.perf_counter(), time.process_time()
    for _ in range(rounds):
        await ask()
    spent = time.perf_counter() - wall, time.process_time() - processor
    return Cost(*(1e6 * each / rounds for each in spent))


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
    """The cost of an echo over TCP, over our TLS, or over Twisted's."""
    echo: Any = ServerFactory.forProtocol(Echo)
    caller = Caller()
    if kind == "tls":
        factory = TlsFactory(server_context(paths, strangers=False), echo, reactor)
        port = reactor.listenTCP(0, factory, interface=HERE)
        connect = Connector(reactor, client_context(paths))
        await connect(caller, HERE, port.getHost().port, "node1")
    elif kind == "twisted":
        own = PrivateCertificate.loadPEM(_read(paths.node_certificate))
        port = reactor.listenSSL(0, echo, own.options(), interface=HERE)
        careless: Any = CertificateOptions()  # does not ask for the peer's name
        endpoint = SSL4ClientEndpoint(reactor, HERE, port.getHost().port, careless)
        await connectProtocol(endpoint, caller)
    else:
        port = reactor.listenTCP(0, echo, interface=HERE)
        await connectProtocol(TCP4ClientEndpoint(reactor, HERE, port.getHost().port), caller)
    cost = await measure(caller.ask, rounds)
    assert caller.transport is not None
    caller.transport.loseConnection()
    await port.stopListening()
    return cost


async def of_call(paths: Paths, rounds: int) -> Cost:
    """The cost of asking a node for its version."""

    async def version(_: AskVersion) -> Version:
        return Version(protocol=3_000_000, release="3.1.0")

    answers = Answers(lambda: 1)
    answers.to(AskVersion, version)
    site = CallSite(answers, peer_of, AnyCaller(), reactor)
    factory = TlsFactory(server_context(paths, strangers=True), site, reactor)
    port = reactor.listenTCP(0, factory, interface=HERE)
    connect = Connector(reactor, client_context(paths))
    way = HttpWay(connect, reactor, port=port.getHost().port, words=words)
    asker = Asker(ProbedWay(way, reactor), reactor, term=lambda: 1, master="node1")
    node = a_node("node1", primary_ip=HERE)
    cost = await measure(lambda: asker.ask(node, AskVersion()), rounds)
    way.close()
    await port.stopListening()
    return cost


async def everything(rounds: int) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as root:
        paths = _node_in(root)
        bare = await of_echo(paths, "tls", rounds)
        for what, cost in (
            ("echo over TCP", await of_echo(paths, "tcp", rounds)),
            ("echo over Twisted's TLS", await of_echo(paths, "twisted", rounds)),
            ("echo over our TLS", bare),
            ("call to a node", await of_call(paths, rounds)),
        ):
            print(
                f"{what:24} {cost.wall:7.1f} us wall {cost.processor:7.1f} us processor"
                f" {cost.processor / bare.processor:5.2f} x echo over our TLS"
            )


def _node_in(root: str) -> Paths:
    """The files of a node that is alone in its cluster."""
    paths = Paths(root)
    os.makedirs(paths.data)
    authority = Authority.founded("bench", time.time())
    own = authority.credentials(["node1", HERE], time.time())
    for path, content in (
        (paths.authority, authority.certificate),
        (paths.node_certificate, own.pem),
    ):
        with open(path, "wb") as file:
            file.write(content)
    return paths


def _read(path: str) -> str:
    with open(path) as file:
        return file.read()


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
