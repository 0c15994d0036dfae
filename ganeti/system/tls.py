# SPDX-License-Identifier: BSD-2-Clause
"""TLS as a layer between a transport and a protocol, by the standard library's ``ssl``.

Twisted brings a layer of its own, over pyOpenSSL; one exchange of short messages through that
costs twice the processor time of this one (tests/bench/bench_rpc.py measures it).
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from twisted.internet import error
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IProtocol,
    IReactorTime,
    ISSLTransport,
)
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

HANDSHAKE_PATIENCE = 10.0
MOST_SHAKING = 1000
"""How many connections of a server may be in the middle of the handshake."""

_PIECE = 65536


@implementer(ISSLTransport)
class TlsLayer(Protocol):
    """A connection that becomes the transport of ``protocol`` once the handshake is done.

    ``server_name`` is whom a client expects, None on the side of a server. Then ``ready`` is
    called; or ``failed`` instead, with the reason, if the handshake does not succeed.
    """

    transport: Any  # ITCPTransport, IConsumer and IPushProducer at once
    disconnecting = False

    def __init__(
        self,
        context: ssl.SSLContext,
        protocol: IProtocol,
        clock: IReactorTime,
        ready: Callable[[TlsLayer], None],
        failed: Callable[[TlsLayer, Failure], None],
        *,
        server_name: str | None = None,
        session: ssl.SSLSession | None = None,
    ) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming,
            self._outgoing,
            server_side=server_name is None,
            server_hostname=server_name,
            session=session,
        )
        self._protocol = protocol
        self._clock = clock
        self._ready = ready
        self._failed = failed
        self._patience: IDelayedCall | None = None
        self._up = False
        self._paused = False
        self._producing = False
        self._why: Failure | None = None

    # --- towards the network

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)
        self._patience = self._clock.callLater(HANDSHAKE_PATIENCE, self._too_slow)
        self._shake_hands()

    def dataReceived(self, data: bytes) -> None:
        self._incoming.write(data)
        if self._up or self._shake_hands():
            self._read()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._end_patience()
        self.disconnecting = True
        reason = self._why or reason
        if self._up:
            self._protocol.connectionLost(reason)
        else:
            self._failed(self, reason)

    def _shake_hands(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return False
        except ssl.SSLError as e:
            self._break(e)
            return False
        self._flush()
        self._end_patience()
        self._up = True
        self._protocol.makeConnection(self)
        self._ready(self)
        return True

    def _read(self) -> None:
        try:
            while not self._paused and not self.disconnecting:
                data = self._tls.read(_PIECE)
                if not data:  # the peer has said goodbye
                    self.loseConnection()
                    break
                self._protocol.dataReceived(data)
                # A piece holds a whole record, so nothing is left within.
                if not self._incoming.pending:
                    break
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as e:
            self._break(e)
        self._flush()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self.transport.write(self._outgoing.read())

    def _break(self, error: ssl.SSLError) -> None:
        self._why = Failure(error)
        self.disconnecting = True
        self._flush()  # the alert that tells the peer
        self.transport.loseConnection()

    def _too_slow(self) -> None:
        self._patience = None
        self._why = Failure(error.TimeoutError())
        self.transport.abortConnection()

    def _end_patience(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    # --- towards the protocol

    @property
    def peer_name(self) -> str | None:
        """The common name in the peer's certificate; None if it has shown none."""
        return common_name(self._tls.getpeercert())

    @property
    def peer_fingerprint(self) -> str | None:
        """The SHA-256 digest of the peer's certificate, in hex; None if it has shown none."""
        certificate = self._tls.getpeercert(binary_form=True)
        return hashlib.sha256(certificate).hexdigest() if certificate else None

    @property
    def session(self) -> ssl.SSLSession | None:
        """What makes the next handshake with this peer shorter."""
        return self._tls.session

    def getPeerCertificate(self) -> object:
        """What the peer's certificate says, as ``ssl.SSLSocket.getpeercert`` has it."""
        return self._tls.getpeercert()

    def write(self, data: bytes) -> None:
        if data and not self.disconnecting:
            self._tls.write(data)
            self._flush()

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        if not self.disconnecting:
            self.disconnecting = True
            if not self._producing:
                self._say_goodbye()

    def abortConnection(self) -> None:
        """Close at once, whatever is on its way."""
        self.disconnecting = True
        self.transport.abortConnection()

    def _say_goodbye(self) -> None:
        # It wants the peer's goodbye too, which nobody waits for, or there is no peer any more.
        with suppress(ssl.SSLError):
            self._tls.unwrap()
        self._flush()
        self.transport.loseConnection()

    def registerProducer(self, producer: object, streaming: bool) -> None:
        self._producing = True
        self.transport.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        self._producing = False
        self.transport.unregisterProducer()
        if self.disconnecting:
            self._say_goodbye()

    def pauseProducing(self) -> None:
        self._paused = True
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        self._paused = False
        self.transport.resumeProducing()
        # In a later turn: who resumes may be in the middle of reading what came before.
        self._clock.callLater(0, self._read)

    def stopProducing(self) -> None:
        self.loseConnection()

    def loseWriteConnection(self) -> None:
        """TLS cannot be closed on one side only."""
        self.loseConnection()

    def getPeer(self) -> IPv4Address | IPv6Address:
        peer: IPv4Address | IPv6Address = self.transport.getPeer()
        return peer

    def getHost(self) -> IPv4Address | IPv6Address:
        host: IPv4Address | IPv6Address = self.transport.getHost()
        return host

    def setTcpNoDelay(self, enabled: bool) -> None:
        self.transport.setTcpNoDelay(enabled)

    def getTcpNoDelay(self) -> bool:
        return bool(self.transport.getTcpNoDelay())

    def setTcpKeepAlive(self, enabled: bool) -> None:
        self.transport.setTcpKeepAlive(enabled)

    def getTcpKeepAlive(self) -> bool:
        return bool(self.transport.getTcpKeepAlive())


class TlsFactory(ServerFactory):
    """Puts TLS below the connections that ``factory`` serves.

    It does not count those who have not shaken hands; there are ``most_shaking`` of them at most,
    and the oldest gives way to a new one. With another ``context`` no session can be resumed that
    has begun with the one before.
    """

    noisy = False
    _log = Logger()

    def __init__(
        self,
        context: ssl.SSLContext,
        factory: ServerFactory,
        clock: IReactorTime,
        *,
        most_shaking: int = MOST_SHAKING,
    ) -> None:
        self.context = context
        self._factory = factory
        self._clock = clock
        self._most = most_shaking
        self._shaking: dict[TlsLayer, None] = {}
        self._crowded = False

    def doStart(self) -> None:
        self._factory.doStart()

    def doStop(self) -> None:
        self._factory.doStop()

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        protocol = self._factory.buildProtocol(addr)
        if protocol is None:
            return None
        if len(self._shaking) >= self._most:
            self._make_room()
        layer = TlsLayer(self.context, protocol, self._clock, self._shaken, self._refused)
        self._shaking[layer] = None
        return layer

    def _make_room(self) -> None:
        if not self._crowded:
            self._crowded = True
            self._log.warn(
                "{n} connections wait for a handshake: closing the oldest for each new one",
                n=self._most,
            )
        oldest = next(iter(self._shaking))
        del self._shaking[oldest]
        oldest.abortConnection()

    def _shaken(self, layer: TlsLayer) -> None:
        self._shaking.pop(layer, None)
        # Told once, and again only if it has been better in between.
        self._crowded = self._crowded and len(self._shaking) > self._most / 2

    def _refused(self, layer: TlsLayer, reason: Failure) -> None:
        self._shaken(layer)
        if isinstance(reason.value, ssl.SSLError | error.TimeoutError):
            peer = layer.getPeer()
            self._log.warn(
                "{peer}:{port}: {why}", peer=peer.host, port=peer.port, why=words(reason)
            )


def common_name(certificate: Any) -> str | None:
    """The common name in what ``getpeercert`` returns; None without a certificate."""
    for part in (certificate or {}).get("subject", ()):
        for key, value in part:
            if key == "commonName":
                return str(value)
    return None


_ISSUER = (
    "the peer's certificate was issued by another cluster's authority, or by one that this cluster"
    " has replaced; then the node must join again (gnt-node add --readd)"
)
_VERIFICATION = {
    9: "the peer's certificate is not valid yet; compare the clocks of the two hosts",
    10: "the peer's certificate has expired; it needs a new one (gnt-node add --readd)",
    18: "the peer's certificate is self-signed: it is not a node of this cluster",
    19: _ISSUER,
    20: _ISSUER,
    7: "the peer's certificate was issued by another cluster's authority of the same name",
    62: "the peer's certificate is another node's; does the address belong to this node?",
}

_REASONS = {
    "TLSV1_ALERT_UNKNOWN_CA": "it says that our certificate is another cluster's",
    "TLSV1_ALERT_DECRYPT_ERROR": "it says that our certificate is another cluster's",
    "SSLV3_ALERT_BAD_CERTIFICATE": "it does not accept our certificate",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "it says that our certificate has expired or is not valid"
    " yet; compare the clocks, or issue a new one (gnt-node add --readd)",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "it does not accept our certificate",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "it wants a certificate, and we showed none",
    "HTTP_REQUEST": "the peer speaks HTTP without TLS",
    "WRONG_VERSION_NUMBER": "the peer does not speak TLS",
    "UNSUPPORTED_PROTOCOL": "the peer speaks an older version of TLS only",
    "NO_SHARED_CIPHER": "the peer shares no cipher with us",
}


def words(reason: Failure) -> str:
    """What was wrong with a connection, for the person who must mend it."""
    why = reason.value
    if isinstance(why, ssl.SSLCertVerificationError):
        return _VERIFICATION.get(
            why.verify_code, f"the peer's certificate does not verify: {why.verify_message}"
        )
    if isinstance(why, error.ConnectionRefusedError):
        return "connection refused; is its daemon running?"
    if isinstance(why, error.TimeoutError):
        return "it does not react"
    if isinstance(why, ssl.SSLError):
        known = _REASONS.get(str(why.reason))
        return known or f"TLS failed: {why.reason or why}"
    return reason.getErrorMessage().rstrip(".")
