# SPDX-License-Identifier: BSD-2-Clause
"""Calls about the node as a member of the cluster: version, master daemon, delay, leaving."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import TypeAlias

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from ganeti import __version__
from ganeti.journal.etcd.member_files import settings_file
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
"""The protocol version of Ganeti 3.0 nodes."""

STOP_DELAY = 0.5
"""Seconds between the answer that the node has left and the end of the daemon."""


KEPT_NAMES = frozenset({"export"})
"""Names in the data folder that leaving keeps: exports may be the only copy of a guest."""


StopDaemons: TypeAlias = Callable[[], Awaitable[bool]]
"""Returns when daemons have ended; the result is whether any were running."""


StartDaemons: TypeAlias = Callable[[], Coroutine[Deferred[object], object, None]]
"""Starts daemons; returns when they run.

:raises Failed: they do not start.
"""

HANDOVER_TIMEOUT = 45.0
"""Seconds after which a master that was stopped for a failover restarts without a successor.

Longer than ``gnt-cluster master-failover`` tries.
"""


async def report_no_daemons() -> bool:
    """Return that no daemons were running."""
    return False


async def start_nothing() -> None:
    """Start nothing."""


class ClusterMembership:
    """Handles membership calls; ``stop`` ends this daemon, ``stop_master`` the master daemons.

    ``is_mine`` returns whether the node still follows a local master daemon that does not run;
    ``forget_members`` clears the member list, and ``stop_member`` ends the member of the state
    store on this node.
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
        start_master: StartDaemons = start_nothing,
        is_mine: Callable[[], bool] = lambda: False,
        forget_members: Callable[[], None] = lambda: None,
        stop_member: StopDaemons = report_no_daemons,
    ) -> None:
        self._files = files
        self._paths = paths
        self._clock = clock
        self._stop = stop
        self._stop_master = stop_master
        self._start_master = start_master
        self._is_local_master = is_mine
        self._forget_members = forget_members
        self._stop_member = stop_member
        self._handover_timer: IDelayedCall | None = None

    async def version(self, _: AskVersion) -> Version:
        return Version(protocol=PROTOCOL, release=__version__)

    async def stop_master(self, _: StopMaster) -> bool:
        """Stop the local master daemon; restart it if it has no successor in time.

        That is after ``HANDOVER_TIMEOUT`` seconds.
        An interrupted or refused failover thus leaves the cluster with its master.
        """
        ran = await self._stop_master()
        if ran:
            if self._handover_timer is not None and self._handover_timer.active():
                self._handover_timer.cancel()
            self._handover_timer = self._clock.callLater(
                HANDOVER_TIMEOUT, self._resume_after_timeout
            )
        return ran

    async def resume_master(self, _: ResumeMaster) -> bool:
        """Restart the local master daemon, unless another node has become the master."""
        self.close()
        if mine := self._is_local_master():
            self._log.warn("no other node has become the master; restarting the master daemon")
            await self._start_master()
        return mine

    def _resume_after_timeout(self) -> None:
        resuming = Deferred.fromCoroutine(self.resume_master(ResumeMaster()))
        resuming.addErrback(
            lambda failure: self._log.failure("the master daemon could not be restarted", failure)
        )

    def close(self) -> None:
        """Cancel a scheduled restart of the master, because this daemon stops."""
        if self._handover_timer is not None and self._handover_timer.active():
            self._handover_timer.cancel()

    async def delay(self, call: DelayCall) -> None:
        await deferLater(self._clock, call.duration)

    async def leave_cluster(self, _: LeaveCluster) -> None:
        """Remove the cluster's state, secrets and certificates; the node's own certificate last."""
        # First, so that files which are being written meanwhile are removed, too.
        self._forget_members()
        data, paths = self._paths.data, self._paths
        # Before it is stopped, so that it is not started again.
        await self._files.remove(settings_file(paths.store_member))
        await self._stop_member()
        # Until the end, the master can repeat the call if it was interrupted.
        last = (paths.node_certificate, paths.authority)
        others = [f"{data}/{name}" for name in self._files.names(data) if name not in KEPT_NAMES]
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
        self._clock.callLater(STOP_DELAY, self._stop)
