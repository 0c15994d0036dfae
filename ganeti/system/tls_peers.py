# SPDX-License-Identifier: BSD-2-Clause
"""Peers of a flow: TLS over TCP with certificates on both sides; everything here blocks.

The one who calls sends, and says a greeting first: whoever does not know it is not the peer that
is awaited. A sender that has sent everything says goodbye, and the receiver does so in return when
all of it is in its place: so neither takes a broken connection for the end.
"""

from __future__ import annotations

import hashlib
import hmac
import select
import socket
import ssl
import time
from contextlib import suppress
from typing import Any

from zope.interface import implementer

from ganeti.system.cancellation import CancelSwitch
from ganeti.system.interfaces import Awaited, IListening, StreamCaller, StreamPeer

_HANDSHAKE = 20.0
_PAUSE = 1.0
_GOODBYE = 5.0
_PIECE = 1 << 14
_ALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 6),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 120_000),
)
"""A peer whose host is gone is noticed within two minutes; one that only takes its time may."""


class WrongPeer(OSError):
    """Who connected is not the peer that is awaited."""


@implementer(IListening)
class Listening:
    """A socket that listens."""

    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener
        self.port: int = listener.getsockname()[1]

    @classmethod
    def at(cls, address: str) -> Listening:
        """Listen at a free port of ``address``."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return cls(socket.create_server((address, 0), family=family, backlog=4))

    def close(self) -> None:
        self.listener.close()


class TlsConnection:
    """A TLS connection to a peer, as the source or the sink of a flow."""

    def __init__(self, tls: ssl.SSLSocket) -> None:
        self._tls = tls

    def fill(self, view: memoryview) -> int:
        """Read into ``view`` until it is full or the peer has said goodbye; answers how much."""
        done = 0
        while done < len(view):
            amount = self._tls.recv_into(view[done:])
            if not amount:
                break
            done += amount
        return done

    def take(self, buffer: bytearray, amount: int) -> None:
        """Send the first ``amount`` bytes of ``buffer``."""
        try:
            with memoryview(buffer) as view:
                self._tls.sendall(view[:amount])
        except ConnectionError as e:
            self._why(e)

    def settle(self) -> None:
        """Say goodbye and wait for the peer's: then everything is in its place there."""
        try:
            self._tls.settimeout(0)
            with suppress(ssl.SSLWantReadError):
                if not self._tls.recv(1):
                    raise ConnectionResetError("the peer hung up before everything was there")
            if self._goodbye_is_answered():
                return
            self._tls.settimeout(None)
            with suppress(ssl.SSLZeroReturnError):
                while self._tls.recv(_PIECE):
                    pass
        except ConnectionError as e:
            self._why(e)

    def _goodbye_is_answered(self) -> bool:
        # Waiting for the answer here would take an alert for one; reading tells them apart.
        while True:
            try:
                self._tls.unwrap()
            except ssl.SSLWantReadError:
                return False
            except ssl.SSLWantWriteError:
                select.select((), (self._tls,), ())
            else:
                return True

    def _why(self, error: ConnectionError) -> None:
        """Raise what the peer said before it hung up, if it can still be read, or ``error``."""
        try:
            self._tls.recv(1)
        except ssl.SSLError as e:
            if not broke_off(e):
                raise e from None
        except OSError:
            pass
        raise error

    def say_goodbye(self) -> None:
        """Answer the peer's goodbye: everything is in its place here."""
        self._tls.settimeout(_GOODBYE)
        with suppress(OSError):  # it does not wait any longer, which is its own affair
            self._tls.unwrap()

    def close(self) -> None:
        self._tls.close()


def accept(end: Awaited, brake: CancelSwitch) -> TlsConnection:
    """The peer that is awaited; the port is closed when this returns.

    :raises TimeoutError: it did not come; with what was wrong with others that did.
    """
    assert isinstance(end.listening, Listening)
    listener, context = end.listening.listener, _context(end.party, server=True)
    deadline = time.monotonic() + end.patience
    turned_away = ""
    try:
        while True:
            try:
                brake.wait(listener.fileno(), select.POLLIN, deadline - time.monotonic())
            except TimeoutError:
                raise TimeoutError(
                    f"nobody connected within {end.patience:g} seconds{turned_away}"
                ) from None
            connection, (host, *_) = listener.accept()
            brake.guard(connection)
            try:
                return _welcome(connection, context, end)
            except (OSError, EOFError) as e:
                connection.close()
                brake.release()
                brake.check()
                turned_away = f"; turned away {host}: {e}"
    finally:
        end.listening.close()


def _welcome(connection: socket.socket, context: ssl.SSLContext, end: Awaited) -> TlsConnection:
    connection.settimeout(_HANDSHAKE)
    tls = context.wrap_socket(connection, server_side=True, suppress_ragged_eofs=False)
    try:
        if end.party.name is not None and end.party.name not in _names(tls):
            raise WrongPeer(f"its certificate does not name {end.party.name}")
        _require_accepted(tls, end.party)
        greeting = bytearray()
        while len(greeting) < len(end.greeting):
            more = tls.recv(len(end.greeting) - len(greeting))
            if not more:
                raise WrongPeer("it hung up before the greeting")
            greeting += more
        if not hmac.compare_digest(bytes(greeting), end.greeting):
            raise WrongPeer("its greeting is not the one agreed on")
    except BaseException:
        tls.close()
        raise
    _ready(tls)
    return TlsConnection(tls)


def call(end: StreamCaller, brake: CancelSwitch) -> TlsConnection:
    """Connect to the peer, again and again while it cannot be reached.

    :raises OSError: it cannot be reached, or is not whom we expect.
    """
    context = _context(end.party, server=False)
    left = end.tries
    while True:
        left -= 1
        try:
            return _connect(end, context, brake)
        except ssl.SSLError:
            raise
        except OSError as e:
            brake.check()
            if not left:
                raise OSError(
                    e.errno, f"{end.host} port {end.port} cannot be reached: {e.strerror or e}"
                ) from None
        brake.sleep(_PAUSE)


def _connect(end: StreamCaller, context: ssl.SSLContext, brake: CancelSwitch) -> TlsConnection:
    [(family, kind, protocol, _, address), *_] = socket.getaddrinfo(
        end.host, end.port, type=socket.SOCK_STREAM
    )
    connection = socket.socket(family, kind, protocol)
    try:
        brake.release()
        brake.guard(connection)
        connection.settimeout(end.patience)
        connection.connect(address)
        tls = context.wrap_socket(
            connection, server_hostname=end.party.name, suppress_ragged_eofs=False
        )
    except BaseException:
        connection.close()
        raise
    try:
        _require_accepted(tls, end.party)
        tls.sendall(end.greeting)
    except BaseException:
        tls.close()
        raise
    _ready(tls)
    return TlsConnection(tls)


def _ready(tls: ssl.SSLSocket) -> None:
    """From here on the peer may take the time that its disk takes."""
    tls.settimeout(None)
    for level, option, value in _ALIVE:
        tls.setsockopt(level, option, value)


def _context(party: StreamPeer, *, server: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A connection that breaks off must not look like the end of what was sent. Whether it does by
    # default differs between builds of Python: with Debian 12's it does.
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    context.check_hostname = not server and party.name is not None
    context.verify_mode = ssl.CERT_REQUIRED
    # What is trusted may be the very certificate that the peer shows.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_cert_chain(party.certificate, party.key)
    context.load_verify_locations(cadata=party.trusted)
    if server:
        context.num_tickets = 0  # nobody comes twice
    return context


def _require_accepted(tls: ssl.SSLSocket, party: StreamPeer) -> None:
    """:raises NotTheOne: the peer's certificate is not one that is accepted."""
    shown = hashlib.sha256(tls.getpeercert(binary_form=True) or b"").hexdigest()
    if party.accepted is not None and shown not in party.accepted:
        raise WrongPeer(
            f"its certificate (SHA-256 {shown[:16]}...) is not one of the cluster's members"
        )


def _names(tls: ssl.SSLSocket) -> set[str]:
    certificate: Any = tls.getpeercert() or {}
    names = {str(value) for _, value in certificate.get("subjectAltName", ())}
    return names | {common_name(certificate) or ""}


def broke_off(error: OSError) -> bool:
    """Return whether the peer has hung up without a goodbye; Python 3.11.2 has no class for it."""
    reason = getattr(error, "reason", None)
    return isinstance(error, ssl.SSLEOFError) or reason == "UNEXPECTED_EOF_WHILE_READING"


def common_name(certificate: Any) -> str | None:
    """The common name in what ``getpeercert`` returns; None without a certificate."""
    for part in (certificate or {}).get("subject", ()):
        for key, value in part:
            if key == "commonName":
                return str(value)
    return None
