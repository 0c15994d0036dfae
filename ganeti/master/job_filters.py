# SPDX-License-Identifier: BSD-2-Clause
"""Changes of the job filters by administrators; the queue applies them at once."""

from __future__ import annotations

from collections.abc import Callable

from ganeti.config.changes.objects import remove
from ganeti.config.state import ClusterState, RecordEdit, RecordKind
from ganeti.config.writer import Change, ChangeCause, ConfigWriter
from ganeti.errors import GanetiError
from ganeti.jobs.job_store import JobStore
from ganeti.jobs.queue import Queue
from ganeti.master.filter_chain import FilterChain, make_rule
from ganeti.model.filters import FilterRule
from ganeti.schema.records import replace


class JobFilters:
    """The job filter rules in the configuration, and their effect on the queue."""

    def __init__(
        self, config: ConfigWriter, jobs: JobStore, queue: Queue, uuid: Callable[[], str]
    ) -> None:
        self._config = config
        self._jobs = jobs
        self._queue = queue
        self._uuid = uuid
        self._apply(config.state())
        config.observe(self._on_config_change)

    async def replace(
        self, uuid: str | None, priority: object, predicates: object, action: object, reason: object
    ) -> str:
        """Set the rule ``uuid``, or a new rule without one; return its UUID.

        When this returns, the rule is durable and no job starts against it. A replaced rule gets a
        new watermark. The last entry of its reason trail has the time.

        :raises Invalid: lists every problem of the rule.
        :raises CommitFailed: the rules are unchanged.
        """
        rule = make_rule(
            self._uuid() if uuid is None else uuid,
            self._jobs.serial,
            priority=priority,
            predicates=predicates,
            action=action,
            reason=reason,
        )
        # Clients know the component that accepts filters by this name.
        taken = ("luxid", "", int(self._jobs.now() * 1e9))
        rule = replace(rule, reason_trail=(*rule.reason_trail, taken))
        # Together with the last job id, which may belong to a refused job and be recorded nowhere
        # else: otherwise the first job after a restart could have a smaller id than the watermark.
        also = [self._jobs.serial_edit()]
        cause = ChangeCause("client", "job filter set")
        await self._queue.kept(self._config.change(_put(rule), because=cause, also=also))
        return rule.uuid

    async def delete(self, uuid: str) -> None:
        """Delete a rule; jobs that it blocked may start.

        :raises GanetiError: the rule does not exist.
        :raises CommitFailed: the rules are unchanged.
        """
        rule = self._config.state().filters.get(uuid)
        if rule is None:
            # Existing clients expect this error as GenericError.
            raise GanetiError(f"there is no job filter {uuid}; see gnt-filter list")
        cause = ChangeCause("client", "job filter removed")
        await self._queue.kept(self._config.change(remove(rule), because=cause))

    def _on_config_change(self, state: ClusterState, edits: tuple[RecordEdit, ...]) -> None:
        if any(edit.kind is RecordKind.FILTER for edit in edits):
            self._apply(state)

    def _apply(self, state: ClusterState) -> None:
        self._queue.obey(FilterChain(state.filters.values()))


def _put(rule: FilterRule) -> Change:
    """Return the change that adds or replaces a rule."""

    def change(state: ClusterState) -> ClusterState:
        return state.put(rule)

    return change
