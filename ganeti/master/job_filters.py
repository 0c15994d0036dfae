# SPDX-License-Identifier: BSD-2-Clause
"""Job filters as administrators set and remove them; the queue obeys them at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ganeti.config.changes.objects import remove
from ganeti.config.state import ClusterState, EditedState, RecordKind
from ganeti.config.writer import Change, ChangeCause, Config
from ganeti.errors import GanetiError
from ganeti.jobs.queue import Queue
from ganeti.jobs.store import JobStore
from ganeti.master.filter_chain import FilterChain, rule_of
from ganeti.model.filters import FilterRule
from ganeti.schema.records import replace


class JobFilters:
    """The rules of the configuration, and their effect on the queue."""

    def __init__(
        self, config: Config, jobs: JobStore, queue: Queue, uuid: Callable[[], str]
    ) -> None:
        self._config = config
        self._jobs = jobs
        self._queue = queue
        self._uuid = uuid
        self._obey(config.state())
        config.observe(self._changed)

    async def replace(
        self, uuid: str | None, priority: Any, predicates: Any, action: Any, reason: Any
    ) -> str:
        """Set the rule ``uuid``, or without one a new rule; answers its UUID.

        The rule is durable, and no job begins against it, when this returns. A rule that is set
        again gets a new watermark. Its reason trail says last when it was set.

        :raises Invalid: with everything that is wrong with it.
        :raises NotKept: the rules are as they were.
        """
        rule = rule_of(
            self._uuid() if uuid is None else uuid,
            self._jobs.serial,
            priority=priority,
            predicates=predicates,
            action=action,
            reason=reason,
        )
        # Under the name of whom clients know to answer them.
        taken = ("luxid", "", int(self._jobs.now() * 1e9))
        rule = replace(rule, reason_trail=(*rule.reason_trail, taken))
        # With the last job id, which may be that of a job that was refused and is nowhere else:
        # otherwise the first job after a restart could be older than the rule.
        also = [self._jobs.serial_kept()]
        cause = ChangeCause("client", "job filter set")
        await self._queue.kept(self._config.change(_put(rule), because=cause, also=also))
        return rule.uuid

    async def delete(self, uuid: str) -> None:
        """Remove a rule; what it held back may begin.

        :raises GanetiError: there is none.
        :raises NotKept: the rules are as they were.
        """
        rule = self._config.state().filters.get(uuid)
        if rule is None:
            # Clients know this error under no class of its own.
            raise GanetiError(f"there is no job filter {uuid}; see gnt-filter list")
        cause = ChangeCause("client", "job filter removed")
        await self._queue.kept(self._config.change(remove(rule), because=cause))

    def _changed(self, state: ClusterState, edits: tuple[EditedState, ...]) -> None:
        if any(edit.kind is RecordKind.FILTER for edit in edits):
            self._obey(state)

    def _obey(self, state: ClusterState) -> None:
        self._queue.obey(FilterChain(state.filters.values()))


def _put(rule: FilterRule) -> Change:
    """Set a rule, whether there is one of its UUID or not."""

    def change(state: ClusterState) -> ClusterState:
        return state.put(rule)

    return change
