# SPDX-License-Identifier: BSD-2-Clause
"""Listening on the network, with words for why it does not work."""

from __future__ import annotations

import errno
import os
from typing import Any

from twisted.internet.error import CannotListenError
from twisted.internet.protocol import ServerFactory

from ganeti.errors import Code, Refused

_WORDS = {
    errno.EADDRINUSE: "another program listens there already; stop it, or choose another port"
    " with -p or another address with -b",
    errno.EADDRNOTAVAIL: "no interface of this host has that address; is it this node's?",
    errno.EACCES: "only root may listen there; choose a port above 1023 with -p",
}


def listen(reactor: Any, address: str, port: int, factory: ServerFactory) -> Any:
    """Accept connections for ``factory``; answers the port, to be closed with ``stopListening``.

    :raises Refused: the operating system does not let us; the text says what to do.
    """
    try:
        return reactor.listenTCP(port, factory, backlog=128, interface=address)
    except CannotListenError as e:
        number = getattr(e.socketError, "errno", None)
        why = _WORDS.get(number) or os.strerror(number) if number else str(e.socketError)
        raise Refused(f"cannot listen on {address} port {port}: {why}", Code.ENVIRONMENT) from None
