# SPDX-License-Identifier: BSD-2-Clause
"""TLS between the daemons of a cluster: contexts from the node's files, listening, connecting."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from typing import Any, TypeAlias

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IConnector
from twisted.internet.protocol import ClientFactory, Protocol
from twisted.python.failure import Failure

from ganeti.errors import Code, Failed
from ganeti.paths import Paths
from ganeti.rpc.asking import Lost
from ganeti.rpc.callers import Peer
from ganeti.system.tls import TlsLayer, words

CONNECT_PATIENCE = 5.0

KEEPALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)
"""A host that lost its power and is back knows nothing of an old connection, which only shows when
something is sent on it: the call that waits there would wait for ever, as the daemon that runs by
now answers probes."""


class NoCertificate(Failed):
    """The node has no certificate that works; ``exit_code`` tells why a daemon did not start."""

    def __init__(self, message: str, exit_code: int = 12) -> None:
        super().__init__(message, Code.ENVIRONMENT)
        self.exit_code = exit_code


def server_context(paths: Paths, *, strangers: bool) -> ssl.SSLContext:
    """For the node daemon; ``strangers`` without a certificate are let in only if told.

    :raises NoCertificate: with what is missing or wrong, and what to do.
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER, paths)
    context.verify_mode = ssl.CERT_OPTIONAL if strangers else ssl.CERT_REQUIRED
    return context


def client_context(paths: Paths) -> ssl.SSLContext:
    """For whoever asks nodes; the node must prove its name.

    :raises NoCertificate: with what is missing or wrong, and what to do.
    """
    return _context(ssl.PROTOCOL_TLS_CLIENT, paths)


def _context(side: int, paths: Paths) -> ssl.SSLContext:
    context = ssl.SSLContext(side)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    for path, use in (
        (paths.authority, context.load_verify_locations),
        (paths.node_certificate, context.load_cert_chain),
    ):
        try:
            use(path)
        except FileNotFoundError:
            raise NoCertificate(
                f"there is no {path}: this node is not part of a cluster yet; join it to one"
                " (gnt-node add on the master gives the command), or make one (gnt-cluster init)",
                exit_code=5,
            ) from None
        except (OSError, ssl.SSLError) as e:
            raise NoCertificate(
                f"{path} cannot be used: {getattr(e, 'reason', None) or e}; join the node to its"
                " cluster again (gnt-node add --readd)"
            ) from None
    return context


def prove(paths: Paths, name: str) -> None:
    """Let the node's certificate convince the node itself: issued by the authority, in time, for
    this name.

    :raises NoCertificate: with what is wrong, and what to do.
    """
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_context(paths, strangers=False).wrap_bio(to_server, to_client, True)
    client = client_context(paths).wrap_bio(to_client, to_server, False, name)
    for side in (client, server, client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLError as e:
            what = _OWN.get(getattr(e, "verify_code", 0), str(e))
            raise NoCertificate(f"{paths.node_certificate} {what}") from None


_AGAIN = "; join the node to its cluster again (gnt-node add --readd on the master)"
_OWN = {
    9: "is not valid yet; set the clock of this host",
    10: "(or the authority's certificate) has expired" + _AGAIN,
    7: "was not issued by the authority in ca.pem" + _AGAIN,
    18: "was not issued by the authority in ca.pem" + _AGAIN,
    19: "was not issued by the authority in ca.pem" + _AGAIN,
    20: "was not issued by the authority in ca.pem" + _AGAIN,
    62: "is another node's; start the daemon with the node's name in GANETI_HOSTNAME" + _AGAIN,
}


def peer_of(transport: object) -> Peer | None:
    """Return whose certificate the other end of ``transport`` has shown, if any."""
    if not isinstance(transport, TlsLayer) or (digest := transport.peer_fingerprint) is None:
        return None
    return Peer(transport.peer_name or "a node without a name", digest)


Accepts: TypeAlias = Callable[[str, str], bool]
"""Whether a node of this name may show the certificate with this fingerprint."""


class Connector:
    """Opens TLS connections to nodes, shortening the handshake with those it has met before.

    A node must prove its name, and its certificate must be one that ``accepts`` knows as its own.
    """

    def __init__(
        self,
        reactor: Any,
        context: ssl.SSLContext,
        accepts: Accepts = lambda name, fingerprint: True,
    ) -> None:
        self.reactor = reactor
        self.context = context
        self.accepts = accepts
        self.sessions: dict[str, ssl.SSLSession] = {}
        self.generation = 0

    def forget_sessions(self) -> None:
        """Have each node show its certificate again.

        A session that is resumed shows the certificate that it has begun with.
        """
        self.generation += 1
        self.sessions.clear()

    def reload(self, paths: Paths) -> None:
        """Let connections that are made from now on use the files as they are now.

        :raises NoCertificate: with what is missing or wrong, and what to do.
        """
        # Another context: what one has once trusted cannot be taken from it.
        self.context = client_context(paths)
        self.forget_sessions()

    def __call__(self, protocol: Protocol, address: str, port: int, name: str) -> Deferred[None]:
        """Connect ``protocol`` to the node ``name``.

        :raises Lost: it could not; the text says why.
        """
        connecting = _Connecting(self, protocol, name)
        connecting.attempt = self.reactor.connectTCP(
            address, port, connecting, timeout=CONNECT_PATIENCE
        )
        return connecting.done


class _Connecting(ClientFactory):
    """One attempt at a connection, and the connection that becomes of it."""

    noisy = False
    attempt: IConnector

    def __init__(self, connector: Connector, protocol: Protocol, name: str) -> None:
        self.done: Deferred[None] = Deferred(lambda _: self.attempt.disconnect())
        self._connector = connector
        self._wanted = protocol
        self._name = name
        self._layer: TlsLayer | None = None
        self._generation = connector.generation

    def buildProtocol(self, addr: IAddress | None) -> TlsLayer:
        self._layer = TlsLayer(
            self._connector.context,
            self._wanted,
            self._connector.reactor,
            self._ready,
            lambda _, reason: self._fail(words(reason)),
            server_name=self._name,
            session=self._connector.sessions.get(self._name),
        )
        return self._layer

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        self._fail(words(reason))

    def clientConnectionLost(self, connector: IConnector, reason: Failure) -> None:
        current = self._generation == self._connector.generation
        if current and self._layer is not None and self._layer.session is not None:
            self._connector.sessions[self._name] = self._layer.session

    def _ready(self, layer: TlsLayer) -> None:
        if self._connector.accepts(self._name, layer.peer_fingerprint or ""):
            for level, option, value in KEEPALIVE:
                layer.transport.getHandle().setsockopt(level, option, value)
            self.done.callback(None)
        else:
            layer.abortConnection()
            self._fail(
                "its certificate is not one that this cluster has issued to it and still accepts;"
                f" to join it again: gnt-node add --readd {self._name}"
            )

    def _fail(self, why: str) -> None:
        if not self.done.called:
            self.done.errback(Lost(why))
