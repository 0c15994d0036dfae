# SPDX-License-Identifier: BSD-2-Clause
"""Automatic failover of the master: candidates watch the leader key in etcd.

A node daemon only starts a master daemon. Whether that becomes the master is decided by its
transaction in etcd, so that it does not matter if several are started, or one too many.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ganeti.errors import GanetiError
from ganeti.journal.etcd.leadership import SILENCE_SECONDS
from ganeti.journal.etcd.vacancy import Vacancy

INTERVAL = 0.25
"""Seconds between two looks at the leader key."""

RESTART_DELAY = 1.0
"""Seconds after which the node of a master that has ended starts another one.

Its service manager, or an administrator, may be quicker.
"""

STAGGER = 2.0
"""Seconds by which the next candidate waits longer, so that normally only one tries."""

RESTART_TIME = 60.0
"""Seconds for which the role of a master that was stopped in an orderly way is kept for it.

An upgrade, or a restart by an administrator, is no reason for a failover.
"""

RETRY_TIME = 10.0
"""Seconds after a failed attempt in which this node makes no other."""


class MasterRole(Protocol):
    """The role of the master, as a candidate observes it."""

    async def find_vacancy(self) -> Vacancy | None:
        """Return the vacancy; None if there is a master."""

    async def delete_leader_key(self, vacancy: Vacancy) -> bool:
        """Delete what is left of the leader key; return False if there is a master again."""


class MasterStarter(Protocol):
    """The start of a master daemon on this node."""

    async def prepare(self) -> None:
        """Do what makes the start fast; called at each look."""

    async def start(self) -> None:
        """Start the daemon, which becomes the master unless another node has the role."""

    def discard(self) -> None:
        """Undo ``prepare``: this node does not become the master."""


class Standby:
    """Starts the master daemon of the node ``name`` when the cluster has no master.

    ``candidates`` returns the names of the nodes that can become the master; ``runs`` whether a
    master daemon runs here.
    """

    _log = Logger()

    def __init__(
        self,
        role: MasterRole,
        candidates: Callable[[], Sequence[str]],
        runs: Callable[[], bool],
        starter: MasterStarter,
        clock: IReactorTime,
        *,
        name: str,
    ) -> None:
        self._role = role
        self._candidates = candidates
        self._runs = runs
        self._starter = starter
        self._clock = clock
        self._name = name
        self._vacant_since: float | None = None
        self._not_before = 0.0

    async def look(self) -> None:
        """Start a master daemon here if the role is vacant, and it is the turn of this node.

        :raises OSError: etcd does not answer.
        """
        candidates = self._candidates()
        if self._runs() or self._name not in candidates:
            self._vacant_since = None
            self._starter.discard()
            return
        vacancy = await self._role.find_vacancy()
        now = self._clock.seconds()
        if vacancy is None:
            self._vacant_since = None
            await self._starter.prepare()
            return
        if self._vacant_since is None:
            self._vacant_since = now
        due = self._vacant_since + self._get_delay(vacancy, candidates)
        # Again: a daemon may have been started while etcd was asked.
        if now >= max(due, self._not_before) and not self._runs():
            await self._take_role(vacancy)

    def _get_delay(self, vacancy: Vacancy, candidates: Sequence[str]) -> float:
        """Return the seconds for which the role must have been vacant."""
        term = vacancy.term
        delay = RESTART_TIME if term.stopped else 0.0
        if self._name == term.master:
            return delay + RESTART_DELAY
        others = sorted(set(candidates) - {term.master})
        # A key that is not written was observed for long enough. One that is gone may have been
        # written just before, and its master may come back.
        silence = 0.0 if vacancy.revision or term.stopped else SILENCE_SECONDS
        return delay + silence + STAGGER * others.index(self._name)

    async def _take_role(self, vacancy: Vacancy) -> None:
        if not await self._role.delete_leader_key(vacancy) or self._runs():
            return  # its master came back, or one was started here meanwhile
        self._not_before = self._clock.seconds() + RETRY_TIME
        self._log.warn(
            "the cluster has no master since the end of {master} in term {term}; starting one here",
            master=vacancy.term.master,
            term=vacancy.term.term,
        )
        try:
            await self._starter.start()
        except (GanetiError, OSError) as e:
            self._log.error("this node did not become the master: {why}", why=str(e))
