# SPDX-License-Identifier: BSD-2-Clause
"""The node daemon starts the member of the state store on its node, and starts it again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

INTERVAL = 1.0
"""Seconds between two looks at the member."""

RESTART_DELAY = 5.0
"""Seconds after a start until the next one, if the member does not stay up."""


class MemberKeeper:
    """Lets a member run as long as this node has one.

    ``wanted`` returns whether it has, ``runs`` whether the member runs.
    """

    _log = Logger()

    def __init__(
        self,
        wanted: Callable[[], bool],
        runs: Callable[[], bool],
        start: Callable[[], Awaitable[None]],
        stop: Callable[[], Awaitable[bool]],
        clock: IReactorTime,
    ) -> None:
        self._wanted = wanted
        self._runs = runs
        self._start = start
        self._stop = stop
        self._clock = clock
        self._not_before = 0.0

    async def look(self) -> None:
        """Start the member if it should run and does not, or stop one that should not.

        :raises Failed: it does not start.
        """
        wanted, runs = self._wanted(), self._runs()
        if wanted and not runs and self._clock.seconds() >= self._not_before:
            # Before the start, so that a member that fails at once is not started in a loop.
            self._not_before = self._clock.seconds() + RESTART_DELAY
            self._log.info("starting the member of the state store")
            await self._start()
        elif runs and not wanted:
            await self._stop()
