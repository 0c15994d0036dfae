# SPDX-License-Identifier: BSD-2-Clause
"""Small answers about the node as a member of the cluster: its version, a pause, its leaving."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from ganeti import __version__
from ganeti.node.candidacy import secrets
from ganeti.paths import Paths
from ganeti.rpc.node import AskVersion, Delay, LeaveCluster, StopMaster, Version
from ganeti.system.interfaces import IFiles

PROTOCOL = 3_000_000
"""What nodes of Ganeti 3.0 say."""

LAST_WORDS = 0.5
"""Seconds between the answer that the node has left, and the end of the daemon."""


STAYS = frozenset({"export"})
"""What stays below the data folder of a node that leaves: exports may be the only copy left."""


StopDaemons: TypeAlias = Callable[[], Awaitable[bool]]
"""Returns when daemons have ended, and whether there were any."""


async def no_daemons() -> bool:
    """There are none."""
    return False


class Membership:
    """``stop`` ends the daemon, ``stop_master`` the master daemon and the remote API, if any."""

    _log = Logger()

    def __init__(
        self,
        files: IFiles,
        paths: Paths,
        clock: IReactorTime,
        stop: Callable[[], object],
        stop_master: StopDaemons,
    ) -> None:
        self._files = files
        self._paths = paths
        self._clock = clock
        self._stop = stop
        self._stop_master = stop_master

    async def version(self, _: AskVersion) -> Version:
        return Version(protocol=PROTOCOL, release=__version__)

    async def stop_master(self, _: StopMaster) -> bool:
        return await self._stop_master()

    async def delay(self, call: Delay) -> None:
        await deferLater(self._clock, call.duration)

    async def leave(self, _: LeaveCluster) -> None:
        """Forget the cluster: its state, secrets and certificates, the node's own last."""
        data, paths = self._paths.data, self._paths
        last = (paths.node_certificate, paths.authority)
        others = [f"{data}/{name}" for name in self._files.names(data) if name not in STAYS]
        for path in (
            *secrets(paths),
            *(path for path in others if path not in last),
            paths.crypto,
            f"{paths.conf}/vnc-cluster-password",
            *last,
        ):
            found = self._files.stat(path)
            if found is not None and found.folder:
                await self._files.remove_folder(path)
            else:
                await self._files.remove(path)
        self._log.info("this node has left its cluster")
        self._clock.callLater(LAST_WORDS, self._stop)
