# SPDX-License-Identifier: BSD-2-Clause
"""Host name resolution on this host."""

from __future__ import annotations

import socket

from zope.interface import implementer

from ganeti.errors import Code, Failed
from ganeti.system.interfaces import IHostNames
from ganeti.system.threads import InThread

_UNKNOWN = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})
_TIMEOUT = 1.0


@implementer(IHostNames)
class SystemNames:
    """Resolves names by ``getaddrinfo``; an address is in use if a connection to ``port`` is
    answered."""

    def __init__(self, in_thread: InThread, port: int) -> None:
        self._in_thread = in_thread
        self._port = port

    async def addresses(self, name: str) -> list[str]:
        return await self._in_thread(_resolve, name)

    async def in_use(self, address: str) -> bool:
        return await self._in_thread(_is_in_use, address, self._port)


def _resolve(name: str) -> list[str]:
    try:
        # With a type of socket, as each address is otherwise returned once for every type.
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as e:
        # A name that cannot be encoded, for example with a label of 64 characters, cannot exist.
        if isinstance(e, UnicodeError) or e.errno in _UNKNOWN:
            return []
        raise Failed(f"the name {name} could not be resolved: {e}", Code.RESOLVER) from e
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _is_in_use(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), _TIMEOUT).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return True
