# SPDX-License-Identifier: BSD-2-Clause
"""Start of the remote API on a node that has become a master candidate."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.logger import Logger

INTERVAL = 2.0
"""Seconds between two looks whether this node is a candidate."""


class CandidateApi:
    """Starts the remote API once on a node that becomes a candidate.

    Later restarts are left to the service manager and the watcher, so that an administrator can
    stop it. ``wanted`` returns whether it belongs on this node, ``runs`` whether it is running.
    """

    _log = Logger()

    def __init__(
        self,
        wanted: Callable[[], bool],
        runs: Callable[[], bool],
        start: Callable[[], Awaitable[None]],
    ) -> None:
        self._wanted = wanted
        self._runs = runs
        self._start = start
        self._started = False

    async def look(self) -> None:
        """Start it if it is wanted, and has not run yet since this node is a candidate.

        :raises Failed: it does not start.
        """
        if not self._wanted():
            self._started = False
        elif not self._started:
            if not self._runs():
                await self._start()
                self._log.info("this node is a master candidate; the remote API was started")
            self._started = True
