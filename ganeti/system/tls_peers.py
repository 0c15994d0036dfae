# SPDX-License-Identifier: BSD-2-Clause
"""Peers of a transfer: TLS over TCP with certificates on both sides; everything here blocks.

The connecting peer sends the data, and a greeting first; a peer with another greeting is rejected.
The receiver answers the greeting with one byte: in TLS 1.3, a client has completed its handshake
before the server verifies its certificate, so that nothing else tells it that it is accepted. Peers
that know this byte agree on it by ALPN; earlier releases send none. After all data, the sender
sends the TLS close_notify alert, and the receiver answers it when the data is durable: so neither
end takes a broken connection for a completed transfer.
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
from ganeti.system.interfaces import ConnectingEndpoint, IListening, ListeningEndpoint, StreamPeer

_HANDSHAKE_TIMEOUT = 20.0
_RETRY_DELAY = 1.0
_CLOSE_TIMEOUT = 5.0
_READ_SIZE = 1 << 14
_PROTOCOL = "ganeti-transfer/2"
"""The ALPN name (RFC 7301) of transfers with an answered greeting."""
_ACCEPTED = b"\x01"
_KEEPALIVE_OPTIONS = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 6),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 120_000),
)
"""A peer whose host has failed is detected within two minutes; a slow one is not disconnected."""


class WrongPeer(OSError):
    """The connected peer is not the expected one."""


@implementer(IListening)
class Listening:
    """A listening socket."""

    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener
        self.port: int = listener.getsockname()[1]

    @classmethod
    def at(cls, address: str) -> Listening:
        """Listen on a free port of ``address``."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return cls(socket.create_server((address, 0), family=family, backlog=4))

    def close(self) -> None:
        self.listener.close()


class TlsConnection:
    """A TLS connection to a peer, as the source or the sink of a transfer."""

    def __init__(self, tls: ssl.SSLSocket) -> None:
        self._tls = tls

    def read_into(self, view: memoryview) -> int:
        """Read into ``view`` until it is full or the peer has sent close_notify; return the number
        of bytes."""
        done = 0
        # A TLS record has at most 16 KiB (RFC 8446, section 5.1); full buffers make fewer writes.
        while done < len(view):
            amount = self._tls.recv_into(view[done:])
            if not amount:
                break
            done += amount
        return done

    def write_from(self, buffer: bytearray, amount: int) -> None:
        """Send the first ``amount`` bytes of ``buffer``."""
        try:
            with memoryview(buffer) as view:
                self._tls.sendall(view[:amount])
        except ConnectionError as e:
            self._raise_peer_error(e)

    def complete(self) -> None:
        """Send close_notify and wait for the peer's, which confirms that it has stored
        everything."""
        try:
            # The peer confirms after this side's close_notify: what it has closed before is not
            # complete.
            self._tls.settimeout(0)
            with suppress(ssl.SSLWantReadError):
                if not self._tls.recv(1):
                    raise ConnectionResetError(
                        "the peer closed the connection before all data was transferred"
                    )
            if self._close_notify_answered():
                return
            self._tls.settimeout(None)
            # The peer's close_notify is what is waited for; any data before it has no meaning.
            with suppress(ssl.SSLZeroReturnError):
                while self._tls.recv(_READ_SIZE):
                    pass
        except ConnectionError as e:
            self._raise_peer_error(e)

    def _close_notify_answered(self) -> bool:
        # unwrap() would take an alert for the answer; reading distinguishes them.
        while True:
            try:
                self._tls.unwrap()
            except ssl.SSLWantReadError:
                return False
            except ssl.SSLWantWriteError:
                select.select((), (self._tls,), ())
            else:
                return True

    def _raise_peer_error(self, error: ConnectionError) -> None:
        """Raise the alert that the peer sent before it disconnected, if it can be read, or
        ``error``."""
        # A receiver of an earlier release does not say that it has accepted this side: its alert
        # is read only here.
        try:
            self._tls.recv(1)
        except ssl.SSLError as e:
            if not is_truncated(e):
                raise e from None
        except OSError:
            pass
        raise error

    def answer_close_notify(self) -> None:
        """Answer the peer's close_notify: everything is stored."""
        self._tls.settimeout(_CLOSE_TIMEOUT)
        # The peer's close_notify has arrived, so that this only sends, and does not wait.
        with suppress(OSError):  # the peer does not wait any longer
            self._tls.unwrap()

    def close(self) -> None:
        self._tls.close()


def accept(end: ListeningEndpoint, switch: CancelSwitch) -> TlsConnection:
    """Wait for the peer and return its connection; the port is closed when this returns.

    :raises TimeoutError: if it did not connect; the message has the last rejected connection.
    """
    assert isinstance(end.listening, Listening)
    listener, context = end.listening.listener, _create_context(end.party, server=True)
    deadline = time.monotonic() + end.patience
    turned_away = ""
    try:
        while True:
            try:
                switch.wait(listener.fileno(), select.POLLIN, deadline - time.monotonic())
            except TimeoutError:
                raise TimeoutError(
                    f"no connection within {end.patience:g} seconds{turned_away}"
                ) from None
            connection, (host, *_) = listener.accept()
            # Before the handshake, which may block for long.
            switch.shut_down_on_cancel(connection)
            try:
                return _verify_peer(connection, context, end)
            except (OSError, EOFError) as e:
                connection.close()
                switch.release()
                # A cancelled connection fails with any error, which is not the peer's.
                switch.check()
                turned_away = f"; rejected {host}: {e}"
    finally:
        end.listening.close()


def _verify_peer(
    connection: socket.socket, context: ssl.SSLContext, end: ListeningEndpoint
) -> TlsConnection:
    # A connection that says nothing must not keep the expected peer waiting.
    connection.settimeout(_HANDSHAKE_TIMEOUT)
    # By default, Python reports a broken connection as the end of the data.
    tls = context.wrap_socket(connection, server_side=True, suppress_ragged_eofs=False)
    try:
        # Python verifies the names of servers only.
        if end.party.name is not None and end.party.name not in _certificate_names(tls):
            raise WrongPeer(f"its certificate does not name {end.party.name}")
        _require_accepted(tls, end.party)
        greeting = bytearray()
        while len(greeting) < len(end.greeting):
            more = tls.recv(len(end.greeting) - len(greeting))
            if not more:
                raise WrongPeer("it disconnected before the greeting")
            greeting += more
        if not hmac.compare_digest(bytes(greeting), end.greeting):
            raise WrongPeer("it sent a wrong greeting")
        if tls.selected_alpn_protocol() == _PROTOCOL:
            tls.sendall(_ACCEPTED)
    except BaseException:
        tls.close()
        raise
    _enable_keepalive(tls)
    return TlsConnection(tls)


def call(end: ConnectingEndpoint, switch: CancelSwitch) -> TlsConnection:
    """Connect to the peer, with retries while it is unreachable.

    :raises OSError: if it is unreachable, or not the expected peer.
    """
    context = _create_context(end.party, server=False)
    left = end.tries
    while True:
        left -= 1
        try:
            return _connect(end, context, switch)
        # A peer that is reached and rejected would be rejected again.
        except (ssl.SSLError, WrongPeer):
            raise
        except OSError as e:
            switch.check()
            if not left:
                raise OSError(
                    e.errno, f"{end.host} port {end.port} cannot be reached: {e.strerror or e}"
                ) from None
        switch.sleep(_RETRY_DELAY)


def _connect(
    end: ConnectingEndpoint, context: ssl.SSLContext, switch: CancelSwitch
) -> TlsConnection:
    [(family, kind, protocol, _, address), *_] = socket.getaddrinfo(
        end.host, end.port, type=socket.SOCK_STREAM
    )
    connection = socket.socket(family, kind, protocol)
    try:
        # The socket of the last attempt.
        switch.release()
        switch.shut_down_on_cancel(connection)
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
        if tls.selected_alpn_protocol() == _PROTOCOL and tls.recv(1) != _ACCEPTED:
            raise WrongPeer("it did not accept the greeting")
    except BaseException:
        tls.close()
        raise
    _enable_keepalive(tls)
    return TlsConnection(tls)


def _enable_keepalive(tls: ssl.SSLSocket) -> None:
    """Enable TCP keepalive and disable the timeout: the peer may take as long as its disk needs."""
    tls.settimeout(None)
    for level, option, value in _KEEPALIVE_OPTIONS:
        tls.setsockopt(level, option, value)


def _create_context(party: StreamPeer, *, server: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([_PROTOCOL])
    # A truncated connection must not look like the end of the data. The default of this option
    # differs between builds of Python: Debian 12's ignores an unexpected EOF.
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    context.check_hostname = not server and party.name is not None
    context.verify_mode = ssl.CERT_REQUIRED
    # The trusted certificate may be the peer's own certificate.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_cert_chain(party.certificate, party.key)
    context.load_verify_locations(cadata=party.trusted)
    if server:
        context.num_tickets = 0  # no client reconnects
    return context


def _require_accepted(tls: ssl.SSLSocket, party: StreamPeer) -> None:
    """:raises WrongPeer: if the peer's certificate is not one of the accepted ones."""
    shown = hashlib.sha256(tls.getpeercert(binary_form=True) or b"").hexdigest()
    if party.accepted is not None and shown not in party.accepted:
        raise WrongPeer(
            f"its certificate (SHA-256 {shown[:16]}...) does not belong to a member of the cluster"
        )


def _certificate_names(tls: ssl.SSLSocket) -> set[str]:
    certificate: Any = tls.getpeercert() or {}
    names = {str(value) for _, value in certificate.get("subjectAltName", ())}
    return names | {common_name(certificate) or ""}


def is_truncated(error: OSError) -> bool:
    """Return whether the peer disconnected without close_notify; Python 3.11.2 has no class for
    it."""
    reason = getattr(error, "reason", None)
    return isinstance(error, ssl.SSLEOFError) or reason == "UNEXPECTED_EOF_WHILE_READING"


def common_name(certificate: Any) -> str | None:
    """Return the common name in the result of ``getpeercert``; None without a certificate."""
    for part in (certificate or {}).get("subject", ()):
        for key, value in part:
            if key == "commonName":
                return str(value)
    return None
