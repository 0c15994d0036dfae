# SPDX-License-Identifier: BSD-2-Clause
"""The files of a node by which its remote API knows the master, and its own certificate."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Protocol

from twisted.logger import Logger

from ganeti.daemon.rapi_services.master_connector import is_candidate, read_master
from ganeti.errors import NotMaster
from ganeti.paths import Paths

INTERVAL = 0.5
"""Seconds between two looks at the files."""


class MasterConnections(Protocol):
    """The connections to the master."""

    def reconnect(self, place: object) -> None:
        """Close the connections that lead elsewhere, as this node is the master now."""


class ReloadableCertificate(Protocol):
    """The certificate that clients are shown."""

    @property
    def path(self) -> str:
        """The path of its file."""

    def reload(self) -> None:
        """Use the content of the file at ``path``."""


class LocalFilesWatch:
    """Follows the files of this node that say who is the master, and who may serve clients.

    ``over`` is called when this node is no longer a master candidate.
    """

    _log = Logger()

    def __init__(
        self,
        paths: Paths,
        name: str,
        master: MasterConnections,
        certificate: ReloadableCertificate | None,
        over: Callable[[NotMaster], None],
    ) -> None:
        self._paths = paths
        self._name = name
        self._client = master
        self._certificate = certificate
        self._over = over
        self._master = read_master(paths)
        self._loaded = self._describe_certificate()

    def reload_if_changed(self) -> None:
        """Use what the files have now.

        :raises OSError: they cannot be read.
        """
        if not is_candidate(self._paths, self._name):
            self._over(NotMaster(f"{self._name} is no longer a master candidate"))
            return
        if (master := read_master(self._paths)) != self._master:
            self._log.info("the master is {master}", master=master)
            self._master = master
            # Those to the new one may have requests in progress already.
            self._client.reconnect(master)
        if (found := self._describe_certificate()) != self._loaded:
            self._loaded = found
            if self._certificate is not None:
                self._certificate.reload()

    def _describe_certificate(self) -> tuple[int, int] | None:
        if self._certificate is None:
            return None
        try:
            found = os.stat(self._certificate.path)
        except FileNotFoundError:
            return None
        # A file that is replaced gets another inode, even if its time is the same.
        return found.st_ino, found.st_mtime_ns
