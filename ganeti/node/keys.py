# SPDX-License-Identifier: BSD-2-Clause
"""Short-lived keys for connections to nodes of other clusters."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from datetime import timedelta

from ganeti.errors import Code, Refused
from ganeti.pki.enrolment import fingerprint
from ganeti.rpc import transfers as calls
from ganeti.system.interfaces import IFiles

_MAX_VALIDITY = 24 * 3600
_NAME = re.compile(r"\Ax509-[A-Za-z0-9_.-]+\Z")


class Keys:
    """Keys and certificates; each pair is in its own folder below ``folder``."""

    def __init__(self, files: IFiles, folder: str, now: Callable[[], float]) -> None:
        self._files = files
        self._folder = folder
        self._now = now

    async def create(self, call: calls.CreateCertificate) -> calls.NewCertificate:
        # Imported here: the cryptography library takes long to load.
        from ganeti.pki.authority import create_self_signed

        await self.remove_expired()
        life = min(call.validity, _MAX_VALIDITY)
        made = create_self_signed(calls.PEER, self._now(), timedelta(seconds=life))
        name = f"x509-{int(self._now())}-{fingerprint(made.certificate)[:16]}"
        folder = f"{self._folder}/{name}"
        await self._files.make_folder(self._folder, mode=0o700)
        await self._files.make_folder(folder, mode=0o700)
        await self._files.replace(f"{folder}/key", made.key, mode=0o400)
        await self._files.replace(f"{folder}/cert", made.certificate, mode=0o400)
        return calls.NewCertificate(name=name, certificate=made.certificate.decode())

    async def remove(self, call: calls.RemoveCertificate) -> None:
        if _NAME.match(call.name):
            await self._files.remove_folder(f"{self._folder}/{call.name}")

    def pair(self, name: str) -> tuple[str, str]:
        """Return the paths of a key and its certificate.

        :raises Refused: the key does not exist.
        """
        key, certificate = (posixpath.join(self._folder, name, each) for each in ("key", "cert"))
        if not _NAME.match(name) or self._files.stat(certificate) is None:
            raise Refused(
                f"this node has no key named {name}: it belongs to another node or has expired;"
                " prepare the export again",
                Code.UNKNOWN,
            )
        return key, certificate

    async def remove_expired(self) -> None:
        """Remove expired keys that were never collected."""
        for name in self._files.names(self._folder):
            # A folder without a certificate may be one that is being filled.
            folder = f"{self._folder}/{name}"
            found = self._files.stat(f"{folder}/cert") or self._files.stat(folder)
            if found is not None and found.mtime < self._now() - _MAX_VALIDITY:
                await self._files.remove_folder(folder)
