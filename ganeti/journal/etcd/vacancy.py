# SPDX-License-Identifier: BSD-2-Clause
"""When the cluster has no master: the leader key is gone, or has not been written for too long.

The end of the lease alone would be late after the loss of a host that also had etcd's own leader:
the next one extends all leases. A candidate therefore measures the time since the master last wrote
the leader key, with its own clock, and deletes a key that is too old. The transaction
requires that the key was not written since, so that a master that is merely slow keeps it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from twisted.internet.interfaces import IReactorTime

from ganeti.journal.etcd.interfaces import Entry, IEtcd
from ganeti.journal.etcd.leadership import (
    Holder,
    SeenKey,
    Term,
    decode,
    end_silence,
    leader_key,
    term_key,
)
from ganeti.journal.interfaces import StoreError

REGAIN_TIME = 1.0
"""Seconds in which a master that etcd was not available for can write its key again.

They begin when etcd answers promptly again, since an outage of etcd looks like that of the master.
"""

PROMPT = 0.8
"""Seconds within which etcd answers if it has a leader; an election takes longer."""


@dataclass(frozen=True)
class Vacancy:
    """The role of the master without a master: the last term, and what is left of its leader key.

    ``revision`` is that of the last write of the key; 0 if it is gone.
    """

    term: Term
    revision: int = 0


class VacancyFinder:
    """Observes the leader key below ``prefix`` for the candidate ``name``.

    ``has_ended`` returns whether a process of this node has certainly ended; its role is vacant at
    once.
    """

    def __init__(
        self,
        etcd: IEtcd,
        prefix: str,
        clock: IReactorTime,
        *,
        name: str,
        has_ended: Callable[[Holder], bool] = lambda _: False,
    ) -> None:
        self._etcd = etcd
        self._prefix = prefix
        self._clock = clock
        self._name = name
        self._has_ended = has_ended
        self._seen = SeenKey(clock)
        self._available_since: float | None = None

    async def find_vacancy(self) -> Vacancy | None:
        """Return the vacancy; None if there is a master, or never was one.

        It is to be called several times per second.

        :raises StoreUnavailable: etcd does not answer.
        """
        began = self._clock.seconds()
        try:
            entries = (await self._etcd.read(leader_key(self._prefix))).entries
        except StoreError:
            self._available_since = None
            raise
        now = self._clock.seconds()
        if self._available_since is None or now - began > PROMPT:
            self._available_since = now
        if entries and not self._is_left(entries[0], now, self._available_since):
            return None
        terms = (await self._etcd.read(term_key(self._prefix))).entries
        revision = entries[0].mod_revision if entries else 0
        term = decode(terms[0], Term) if terms else Term(in_charge=False)
        # If the state is in files, etcd does not decide who is the master.
        return Vacancy(term, revision) if term.in_charge else None

    def _is_left(self, leader: Entry, now: float, available_since: float) -> bool:
        """Return whether the key is one that no master writes any more."""
        silent = self._seen.is_silent(leader)
        holder = decode(leader, Holder)
        if holder.master == self._name and self._has_ended(holder):
            return True
        return silent and now - available_since >= REGAIN_TIME

    async def delete_leader_key(self, vacancy: Vacancy) -> bool:
        """Delete the leader key of a vacancy; return False if its master has written it since.

        :raises StoreError: etcd does not answer, or accepts no changes: then the master is silent
            because it cannot write.
        """
        if not vacancy.revision:
            return True
        return await end_silence(self._etcd, self._prefix, self._name, vacancy.revision)
