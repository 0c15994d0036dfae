# SPDX-License-Identifier: BSD-2-Clause
"""Replacement of the trusted authorities while the daemon runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.logger import Logger

from ganeti.errors import Failed
from ganeti.paths import Paths
from ganeti.pki.enrolment import fingerprint
from ganeti.system.interfaces import IFiles


class TrustedAuthorities:
    """The file ``ca.pem``; ``reload`` makes the daemon use it, or raises ``Failed``."""

    _log = Logger()

    def __init__(self, files: IFiles, paths: Paths, reload: Callable[[], None]) -> None:
        self._files = files
        self._path = paths.authority
        self._reload = reload

    async def replace_trusted(self, certificates: Sequence[str]) -> None:
        """Trust exactly the authorities with these certificates, durably.

        An empty sequence changes nothing, because it means that the authorities are unknown.

        :raises Failed: this node could no longer use its own certificate; nothing was changed.
        """
        content = "".join(certificates).encode()
        before = self._files.read(self._path)
        if content in (b"", before):
            return
        await self._files.replace(self._path, content, mode=0o644)
        try:
            self._reload()
        except Failed as e:
            await self._files.replace(self._path, before, mode=0o644)
            self._reload()
            raise Failed(f"the authorities of the cluster are unusable: {e}") from None
        self._log.info(
            "trusted authorities: {known}",
            known=", ".join(fingerprint(each.encode())[:16] for each in certificates),
        )
