# SPDX-License-Identifier: BSD-2-Clause
"""The node's own key and certificate, replaced by new ones while it serves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from twisted.internet.defer import DeferredLock
from twisted.logger import Logger

from ganeti.errors import Failed, Refused
from ganeti.paths import Paths
from ganeti.rpc.node import RequestCertificate, UseCertificate
from ganeti.system.interfaces import IFiles

Requests: TypeAlias = Callable[[str], Awaitable[tuple[bytes, bytes]]]
"""Makes a new private key and a signing request for it, both PEM, for a name."""


async def no_requests(name: str) -> tuple[bytes, bytes]:
    """There is nothing here that makes keys."""
    raise Failed("this node makes no keys")


class NodeCredentials:
    """``name`` is the node's; ``reload`` makes its daemon use the file as it is.

    The new key does not leave the node, and becomes valid only with its certificate.
    """

    _log = Logger()

    def __init__(
        self,
        files: IFiles,
        paths: Paths,
        name: str,
        request: Requests,
        reload: Callable[[], None],
    ) -> None:
        self._files = files
        self._path = paths.node_certificate
        self._name = name
        self._make = request
        self._reload = reload
        self._key: bytes | None = None
        self._turn = DeferredLock()

    async def request(self, _: RequestCertificate) -> str:
        """Make a new key, and answer the signing request for it."""
        async with self._turn:
            self._key, request = await self._make(self._name)
            return request.decode("ascii")

    async def use(self, call: UseCertificate) -> None:
        """From now on use the new key, with this certificate.

        :raises Refused: there is no new key.
        :raises Failed: they do not go together, or cannot be used; the old ones stay.
        """
        async with self._turn:
            if self._key is None:
                raise Refused("this node has no new key; ask it for a signing request first")
            before = self._files.read(self._path)
            await self._files.replace(self._path, self._key + call.certificate.encode(), mode=0o600)
            try:
                self._reload()
            except Failed as e:
                await self._files.replace(self._path, before, mode=0o600)
                self._reload()
                raise Failed(f"the new certificate cannot be used: {e}") from None
            self._key = None
            self._log.info("this node has a new key and certificate")
