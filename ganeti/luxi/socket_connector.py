# SPDX-License-Identifier: BSD-2-Clause
"""Connections to the socket of a master daemon on this host.

A module of its own, as node daemons pass bytes on without knowing the requests in them.
"""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.error import ConnectError, ConnectingCancelledError
from twisted.internet.interfaces import IReactorUNIX
from twisted.internet.protocol import Factory, Protocol

from ganeti.luxi.unreachable import make_connect_error

CONNECT_SECONDS = 30


class SocketConnector:
    """Connects to the socket ``path`` of a master daemon on this host."""

    def __init__(self, unix: IReactorUNIX, path: str) -> None:
        self._unix = unix
        self._path = path

    async def __call__(self, protocol: Protocol) -> None:
        """Connect a protocol.

        :raises NoAnswer: nothing listens there, or this user may not connect.
        """
        endpoint = UNIXClientEndpoint(self._unix, self._path, timeout=CONNECT_SECONDS)
        factory = Factory.forProtocol(lambda: protocol)
        factory.noisy = False
        try:
            await endpoint.connect(factory)
        except ConnectingCancelledError:
            raise CancelledError from None
        except OSError as e:  # for example, no file descriptor is left
            raise make_connect_error(self._path, e.errno, str(e)) from None
        except ConnectError as e:
            number = e.osError if isinstance(e.osError, int) else getattr(e.osError, "errno", None)
            raise make_connect_error(self._path, number, str(e)) from None
