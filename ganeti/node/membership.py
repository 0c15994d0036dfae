# SPDX-License-Identifier: BSD-2-Clause
"""Small answers about the node as a member of the cluster: its version, a pause, its leaving."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeAlias

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from ganeti import __version__
from ganeti.node.candidacy import secrets
from ganeti.paths import Paths
from ganeti.rpc.node import (
    AskVersion,
    DelayCall,
    LeaveCluster,
    ResumeMaster,
    StopMaster,
    Version,
)
from ganeti.system.interfaces import IFiles

PROTOCOL = 3_000_000
"""What nodes of Ganeti 3.0 say."""

LAST_WORDS = 0.5
"""Seconds between the answer that the node has left, and the end of the daemon."""


STAYS = frozenset({"export"})
"""What stays below the data folder of a node that leaves: exports may be the only copy left."""


StopDaemons: TypeAlias = Callable[[], Awaitable[bool]]
"""Returns when daemons have ended, and whether there were any."""


StartDaemons: TypeAlias = Callable[[], Coroutine[Any, Any, None]]
"""Starts daemons; returns when they run.

:raises Failed: they do not start.
"""

HAND_OVER = 45.0
"""Seconds after which a master that was stopped for another one is started again, if none has come:
longer than ``gnt-cluster master-failover`` tries."""


async def no_daemons() -> bool:
    """There are none."""
    return False


async def no_start() -> None:
    """There is nothing to start."""


class ClusterMembership:
    """``stop`` ends the daemon, ``stop_master`` the master daemon and the remote API, if any.

    ``is_mine`` tells whether the node still obeys a master daemon of its own that does not run,
    ``forget_members`` makes it one that has no members.
    """

    _log = Logger()

    def __init__(
        self,
        files: IFiles,
        paths: Paths,
        clock: IReactorTime,
        stop: Callable[[], object],
        stop_master: StopDaemons,
        *,
        start_master: StartDaemons = no_start,
        is_mine: Callable[[], bool] = lambda: False,
        forget_members: Callable[[], None] = lambda: None,
    ) -> None:
        self._files = files
        self._paths = paths
        self._clock = clock
        self._stop = stop
        self._stop_master = stop_master
        self._start_master = start_master
        self._is_mine = is_mine
        self._forget_members = forget_members
        self._handing_over: IDelayedCall | None = None

    async def version(self, _: AskVersion) -> Version:
        return Version(protocol=PROTOCOL, release=__version__)

    async def stop_master(self, _: StopMaster) -> bool:
        """End the master daemon here; start it again should nobody take the role over.

        So a failover that is interrupted, or refused after all, leaves the cluster its master.
        """
        ran = await self._stop_master()
        if ran:
            if self._handing_over is not None and self._handing_over.active():
                self._handing_over.cancel()
            self._handing_over = self._clock.callLater(HAND_OVER, self._take_back)
        return ran

    async def resume_master(self, _: ResumeMaster) -> bool:
        """Start the master daemon here again, unless another node has become the master."""
        self.close()
        if mine := self._is_mine():
            self._log.warn("no other node has become the master; starting it here again")
            await self._start_master()
        return mine

    def _take_back(self) -> None:
        resuming = Deferred.fromCoroutine(self.resume_master(ResumeMaster()))
        resuming.addErrback(
            lambda failure: self._log.failure("the master daemon does not start", failure)
        )

    def close(self) -> None:
        """Start nothing any more: this daemon ends."""
        if self._handing_over is not None and self._handing_over.active():
            self._handing_over.cancel()

    async def delay(self, call: DelayCall) -> None:
        await deferLater(self._clock, call.duration)

    async def leave(self, _: LeaveCluster) -> None:
        """Forget the cluster: its state, secrets and certificates, the node's own last."""
        # First: what is being written meanwhile is then removed again.
        self._forget_members()
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
