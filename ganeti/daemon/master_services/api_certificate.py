# SPDX-License-Identifier: BSD-2-Clause
"""The names in the certificate of the remote API, which every master candidate serves with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from twisted.logger import Logger

from ganeti.config.state import ClusterState
from ganeti.model.node import NodeRole
from ganeti.pki.authority import find_missing_names
from ganeti.system.interfaces import IFiles, Stat

INTERVAL = 2.0
"""Seconds between two checks, so that candidates that join at once cause one renewal."""


class ApiCertificateNames:
    """Renews the certificate when the cluster has names that it is not for.

    ``renew`` replaces it with one for such names, unless an administrator has installed one of
    another authority. ``changed`` is called to copy it to the candidates: after that, when it was
    replaced by other means, such as the tool that has made this node the master, and after the
    first look, as it may have been replaced since the term began, such as by the last call of the
    former master.
    """

    _log = Logger()

    def __init__(
        self,
        files: IFiles,
        path: str,
        state: Callable[[], ClusterState],
        renew: Callable[[Sequence[str]], Awaitable[None]],
        changed: Callable[[], object],
    ) -> None:
        self._files = files
        self._path = path
        self._state = state
        self._renew = renew
        self._changed = changed
        self._checked: tuple[list[str], Stat | None] | None = None

    async def look(self) -> None:
        """Renew the certificate if that is necessary.

        :raises Failed: it could not be renewed.
        """
        names, found = list_api_names(self._state()), self._files.stat(self._path)
        if found is None or self._checked == (names, found):
            return
        replaced = self._checked is None or self._checked[1] != found
        present = self._files.read(self._path)
        try:
            missing = find_missing_names(present, names)
        except ValueError:
            missing = []  # the remote API reports what is wrong with the file
        if missing:
            await self._renew(names)
            # A certificate of another authority is left as it is.
            if self._files.read(self._path) != present:
                listed = ", ".join(missing)
                self._log.info("the remote API has a certificate for {names}, too", names=listed)
                replaced = True
            found = self._files.stat(self._path)
        self._checked = names, found
        if replaced:
            self._changed()


def list_api_names(state: ClusterState) -> list[str]:
    """Return the names and addresses under which clients can reach the remote API."""
    master = state.master
    names = [state.cluster.cluster_name, master.name, state.cluster.master_ip, master.primary_ip]
    for node in sorted(state.nodes.values(), key=lambda node: node.name):
        if node.role(master.uuid) is NodeRole.CANDIDATE:
            names += [node.name, node.primary_ip]
    return list(dict.fromkeys(names))
