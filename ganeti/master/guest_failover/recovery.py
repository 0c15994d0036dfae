# SPDX-License-Identifier: BSD-2-Clause
"""The start of the instances of fenced nodes on other nodes, by jobs.

Nothing about it is recorded: what is left to do follows from the state, in which an instance has
another primary node once its job has begun, and from the jobs that have not ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as TimedOut
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ganeti.config.state import ClusterState
from ganeti.errors import Failed, GanetiError
from ganeti.jobs.job import Job
from ganeti.master.guest_failover.decisions import list_lost_instances
from ganeti.metrics.family import Counter, MetricFamily
from ganeti.model.disk import SHARED_TEMPLATES
from ganeti.model.node import Node
from ganeti.opcodes.instance.moves import FailoverInstance
from ganeti.opcodes.opcode import Opcode
from ganeti.operations.allocation.iallocator import room
from ganeti.operations.allocation.placement_model import build_model
from ganeti.operations.operation import NodeAnswers
from ganeti.placement.cluster_model import ClusterModel
from ganeti.placement.failures import (
    TOGETHER,
    FailoverPlacement,
    FailurePlan,
    plan_failures,
)
from ganeti.rpc.call import Nodes
from ganeti.rpc.node import DescribeNode, NodeInfo
from ganeti.schema.records import replace

ANSWER_TIMEOUT = 3.0
"""Seconds for which nodes are waited for, whose free memory has to be known."""

PAUSE, MAX_PAUSE = 30.0, 600.0
"""Seconds between the first two attempts for the same instance; then twice as many each time."""

PRIORITY = -10
"""The priority of the jobs; lower numbers run earlier."""

ENDED = ("success", "error", "canceled")


class JobQueue(Protocol):
    """The job queue."""

    def jobs(self) -> list[Job]: ...

    async def submit_many(
        self, requests: Sequence[Sequence[Opcode]], *, who: str = ...
    ) -> list[tuple[bool, int | str]]: ...


@dataclass
class _Attempt:
    """The attempts for one instance: how many, and when the last one was made."""

    number: int
    at: float


class Recovery:
    """Submits the jobs for the instances on fenced nodes; ``turn`` has to be called repeatedly."""

    _log = Logger()

    def __init__(
        self,
        state: Callable[[], ClusterState],
        nodes: Nodes,
        queue: JobQueue,
        clock: IReactorTime,
        now: Callable[[], float],
    ) -> None:
        self._state = state
        self._nodes = nodes
        self._queue = queue
        self._clock = clock
        self._now = now
        self._attempts: dict[str, _Attempt] = {}
        self._online: frozenset[str] = frozenset()
        self._said: dict[str, str] = {}
        self._failovers = Counter(
            "ganeti_guest_failovers",
            "Attempts to start an instance of a fenced node elsewhere.",
            ("outcome",),
        )

    def families(self) -> Iterator[MetricFamily]:
        """Yield the metrics of the recovery."""
        yield self._failovers.family()

    def settled(self, node: Node) -> bool:
        """Return whether this master has tried all instances of a fenced node at least once."""
        state = self._state()
        lost, moving = list_lost_instances(state), self._list_moving()
        here = {each.name for each in state.list_primary_instances(node)} & lost.keys()
        return all(name in self._attempts and name not in moving for name in here)

    async def turn(self) -> None:
        """Plan where instances go, and submit the jobs.

        :raises GanetiError: the jobs could not be submitted.
        """
        lost = list_lost_instances(self._state())
        online = frozenset(node.uuid for node in self._state().nodes.values() if not node.offline)
        if online != self._online:
            # What has prevented the start of an instance may be gone.
            self._online = online
            self._attempts.clear()
        for name in self._attempts.keys() - lost.keys():
            del self._attempts[name]
        todo = self._choose(lost)
        if not todo:
            return
        model = await self._read_model()
        # Read again: it may have changed while the nodes answered.
        state = self._state()
        failed = tuple(state.nodes[uuid].name for uuid in state.node_fences if uuid in state.nodes)
        plan = plan_failures(model, failed, todo)
        for name in todo:
            before = self._attempts.get(name)
            number = before.number + 1 if before is not None else 1
            self._attempts[name] = _Attempt(number, self._clock.seconds())
        self._report(plan, todo)
        refused = sum(each.instance in todo for each in plan.refusals)
        if refused:
            self._failovers.count("refused", by=refused)
        jobs = list(make_jobs(plan.placements, state, self._now()))
        if jobs:
            await self._queue.submit_many(jobs, who="failover")
            self._failovers.count("submitted", by=len(jobs))

    def _choose(self, lost: Mapping[str, int]) -> dict[str, int]:
        """Return the instances for which an attempt is due."""
        moving, now = self._list_moving(), self._clock.seconds()
        return {
            name: rank
            for name, rank in lost.items()
            if name not in moving
            and (
                (last := self._attempts.get(name)) is None
                or now - last.at >= min(PAUSE * 2 ** (last.number - 1), MAX_PAUSE)
            )
        }

    def _list_moving(self) -> frozenset[str]:
        """Return the instances that a job is about to start elsewhere."""
        return frozenset(
            op.opcode.instance_name
            for job in self._queue.jobs()
            if not job.is_final
            for op in job.ops
            if isinstance(op.opcode, FailoverInstance)
        )

    async def _read_model(self) -> ClusterModel:
        state = self._state()
        query = room(state)
        asking = [
            Deferred.fromCoroutine(self._ask(node, query.call))  # type: ignore[arg-type]
            for node in query.nodes
        ]
        answers = [await each for each in asking]
        facts = NodeAnswers(
            {
                (node.uuid, DescribeNode): answer
                for node, answer in zip(query.nodes, answers, strict=True)
            }
        )
        steps = build_model(state, facts)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                model: ClusterModel = end.value
                return model

    async def _ask(self, node: Node, call: DescribeNode) -> NodeInfo | Failed:
        asking = Deferred.fromCoroutine(self._nodes.ask(node, call))
        try:
            return await asking.addTimeout(ANSWER_TIMEOUT, self._clock)
        except TimedOut:
            return Failed(f"node {node.name} does not answer in time")
        except GanetiError as e:
            return Failed(str(e))

    def _report(self, plan: FailurePlan, todo: Mapping[str, int]) -> None:
        for placed in plan.placements:
            self._log.warn(
                "instance {name} is to start on {target}, as {source} was fenced",
                name=placed.instance,
                target=placed.target,
                source=placed.source,
            )
        for refused in plan.refusals:
            if refused.instance in todo and self._said.get(refused.instance) != refused.reason:
                self._said[refused.instance] = refused.reason
                self._log.error(
                    "instance {name} of {source}, which was fenced, cannot start elsewhere: {why}",
                    name=refused.instance,
                    source=refused.source,
                    why=refused.reason,
                )


def make_jobs(
    placements: Sequence[FailoverPlacement], state: ClusterState, now: float
) -> Iterator[tuple[Opcode, ...]]:
    """Yield a job for each placement, in their order.

    On each node, only some instances start at the same time: a job waits for the one that is
    ``TOGETHER`` places before it, whether that one succeeds or not.
    """
    by_target: dict[str, list[int]] = {}
    for number, placed in enumerate(placements):
        instance = state.instance(placed.instance)
        # A mirrored instance can only move to its secondary node, so that is not named.
        shared = state.get_template(instance) in SHARED_TEMPLATES
        opcode = FailoverInstance(
            instance_name=placed.instance,
            target_node=placed.target if shared else None,
            priority=PRIORITY,
            reason=(("ganeti:failover", f"{placed.source} was fenced", int(now * 1e9)),),
        )
        earlier = by_target.setdefault(placed.target, [])
        if len(earlier) >= TOGETHER:
            opcode = replace(opcode, depends=((earlier[-TOGETHER] - number, ENDED),))
        earlier.append(number)
        yield (opcode,)
