# SPDX-License-Identifier: BSD-2-Clause
"""Replacement of the node's key and certificate while the daemon runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from twisted.internet.defer import DeferredLock
from twisted.logger import Logger

from ganeti.errors import Failed, Refused
from ganeti.paths import Paths
from ganeti.rpc.node import RequestCertificate, UseCertificate
from ganeti.system.interfaces import IFiles

KeyFactory: TypeAlias = Callable[[str], Awaitable[tuple[bytes, bytes]]]
"""Makes a private key and a signing request for a name, both in PEM format."""


async def refuse_key_creation(name: str) -> tuple[bytes, bytes]:
    """Refuse to make a key, on a host without a key factory."""
    raise Failed("this node cannot make keys")


class NodeCredentials:
    """The key and certificate of the node ``name``; ``reload`` makes the daemon use the file.

    A new key never leaves the node, and is used only together with its certificate.
    """

    _log = Logger()

    def __init__(
        self,
        files: IFiles,
        paths: Paths,
        name: str,
        request: KeyFactory,
        reload: Callable[[], None],
    ) -> None:
        self._files = files
        self._path = paths.node_certificate
        self._name = name
        self._make_key_and_request = request
        self._reload = reload
        self._key: bytes | None = None
        self._lock = DeferredLock()

    async def request(self, _: RequestCertificate) -> str:
        """Make a new key, and return its signing request in PEM format."""
        async with self._lock:
            self._key, request = await self._make_key_and_request(self._name)
            return request.decode("ascii")

    async def use_certificate(self, call: UseCertificate) -> None:
        """Use the new key with this certificate from now on.

        :raises Refused: there is no new key.
        :raises Failed: key and certificate do not match or are unusable; the old ones stay in use.
        """
        async with self._lock:
            if self._key is None:
                raise Refused("this node has no new key; request a signing request first")
            before = self._files.read(self._path)
            # One file for both, so that a crash cannot separate a key from its certificate.
            await self._files.replace(self._path, self._key + call.certificate.encode(), mode=0o640)
            try:
                self._reload()
            except Failed as e:
                await self._files.replace(self._path, before, mode=0o640)
                self._reload()
                raise Failed(f"the new certificate cannot be used: {e}") from None
            # Not before: the call can be repeated if its answer was lost.
            self._key = None
            self._log.info("the key and certificate of this node were replaced")
