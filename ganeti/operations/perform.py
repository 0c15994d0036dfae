# SPDX-License-Identifier: BSD-2-Clause
"""Execution of an opcode: query nodes, plan, acquire locks, plan again, run.

No job waits for locks while it holds others, which prevents deadlocks: locks are granted all at
once, and if the second plan needs other locks, all are released before the next attempt.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

from ganeti.config.state import ClusterState
from ganeti.config.writer import Change, ChangeCause, ConfigWriter
from ganeti.errors import Code, Failed, Invalid, Refused
from ganeti.journal.interfaces import Edit
from ganeti.locking.names import LockName, LockRequest, covers, node_lock
from ganeti.opcodes.instance.create import AllocateInstances, CreateInstance
from ganeti.opcodes.opcode import Opcode
from ganeti.opcodes.registry import find_unsupported_parameters
from ganeti.operations.allocation.iallocator import format_request, room
from ganeti.operations.hooks import run_config_update, run_post_hooks, run_pre_hooks
from ganeti.operations.operation import (
    ConfigAccess,
    IAllocatorReply,
    IAllocatorRequest,
    NodeAnswers,
    NodeQuery,
    Operation,
    Progress,
    ResultWithCommit,
    Tools,
)
from ganeti.rpc.call import Nodes

MAX_ANSWER_AGE = 2.0
"""Maximum age in seconds of node answers that a plan is carried out with."""


MAX_UNCONTENDED_WAIT = 0.1
"""Maximum seconds to acquire free locks, in a busy daemon; a longer wait means contention."""


class Owner(Progress, Protocol):
    """The job that executes an opcode."""

    @property
    def job_id(self) -> int: ...

    @property
    def owner(self) -> str:
        """The owner name of its locks."""
        ...

    @property
    def priority(self) -> int: ...

    async def locked(self) -> None:
        """Record that the locks are held; durable when this returns.

        :raises JobCanceled: the job was canceled while it waited.
        """
        ...


class LockManager(Protocol):
    """The lock manager."""

    def hold(
        self, owner: str, wants: LockRequest, priority: int = 0
    ) -> AbstractAsyncContextManager[None]: ...

    def in_use(self, name: LockName) -> bool:
        """Return whether a request that includes this lock would have to wait."""
        ...


@dataclass(frozen=True)
class _QueryResult:
    """Answers with their queries, and the monotonic time of the answers in seconds."""

    facts: NodeAnswers
    questions: Sequence[NodeQuery]
    at: float


FinalCommit: TypeAlias = Callable[[Sequence[Edit]], Awaitable[None]]


@dataclass(frozen=True)
class OperationResult:
    """The result of an opcode; ``finish`` commits its last change with the given edits."""

    result: Any
    finish: FinalCommit | None = None


@dataclass
class _JobConfigAccess:
    """The configuration, with changes attributed to a job.

    ``changed`` is whether the job has changed it.
    """

    config: ConfigWriter
    cause: ChangeCause
    changed: bool = False

    def state(self) -> ClusterState:
        return self.config.state()

    async def change(self, change: Change) -> ClusterState:
        self.changed = True
        return await self.config.change(change, because=self.cause)


@dataclass(frozen=True)
class Performer:
    """The executor of opcodes for jobs; ``tools`` creates the tools for one job."""

    operations: Callable[[], Mapping[type[Opcode], Operation[Any, Any]]]
    config: ConfigWriter
    locks: LockManager
    tools: Callable[[ConfigAccess, Progress], Tools]

    async def __call__(self, opcode: Opcode, owner: Owner) -> OperationResult:
        """Execute ``opcode``.

        :raises GanetiError: it was refused, or it failed and its steps were undone if possible.
        """
        operation = self.operations().get(type(opcode))
        if operation is None:
            raise Refused(f"{opcode.op_id} is not supported by this version")
        cause = ChangeCause("job", opcode.summary, owner.job_id)
        configuration = _JobConfigAccess(self.config, cause)
        tools = self.tools(configuration, owner)
        identity = tools.ids.uuid()
        asked = await self._ask(operation, opcode, tools, identity)
        plan = operation.plan(opcode, self.config.state(), asked.facts)
        if opcode.dry_run:
            await owner.locked()
            return OperationResult(operation.preview(plan))
        while True:
            wanted, since = plan.locks, tools.time.seconds()
            async with self.locks.hold(owner.owner, wanted, owner.priority):
                now = tools.time.seconds()
                # After a wait for another job, which may have changed the queried objects, the
                # answers are outdated even if they are recent.
                if (
                    now - asked.at > MAX_ANSWER_AGE
                    or now - since > MAX_UNCONTENDED_WAIT
                    or operation.questions(opcode, self.config.state()) != asked.questions
                ):
                    asked = await self._ask(operation, opcode, tools, identity)
                plan = operation.plan(opcode, self.config.state(), asked.facts)
                if covers(wanted, plan.locks):
                    await owner.locked()
                    return await self._run(operation, plan, opcode.op_id, tools, configuration)

    async def _ask(
        self, operation: Operation[Any, Any], opcode: Opcode, tools: Tools, identity: str
    ) -> _QueryResult:
        """Query nodes until the answers belong to the current state."""
        state = self.config.state()
        questions = operation.questions(opcode, state)
        while True:
            busy = self._busy_nodes(opcode, state)
            facts = await collect_inputs(operation, opcode, state, tools, identity, busy)
            state = self.config.state()
            before, questions = questions, operation.questions(opcode, state)
            if questions == before:
                return _QueryResult(facts, questions, tools.time.seconds())

    def _busy_nodes(self, opcode: Opcode, state: ClusterState) -> frozenset[str]:
        """Return the nodes that other jobs have locked, for opportunistic locking."""
        if not isinstance(opcode, CreateInstance | AllocateInstances):
            return frozenset()
        if not opcode.opportunistic_locking:
            return frozenset()
        return frozenset(uuid for uuid in state.nodes if self.locks.in_use(node_lock(uuid)))

    async def _run(
        self,
        operation: Operation[Any, Any],
        plan: Any,
        op_id: str,
        tools: Tools,
        configuration: _JobConfigAccess,
    ) -> OperationResult:
        before = operation.hooks(plan, self.config.state())
        if before is not None:
            await run_pre_hooks(before, op_id, self.config.state(), tools)
        result = await operation.run(plan, tools)
        if isinstance(result, ResultWithCommit) and before is None:
            change = result.change

            async def finish(edits: Sequence[Edit]) -> None:
                await self.config.change(change, because=configuration.cause, also=edits)

            return OperationResult(result.result, finish)
        if isinstance(result, ResultWithCommit):
            await configuration.change(result.change)
            result = result.result
        if configuration.changed:
            await run_config_update(before, op_id, self.config.state(), tools)
        if before is not None:
            state = self.config.state()
            after = operation.hooks(plan, state)
            failures = await run_post_hooks(after or before, before, op_id, state, tools)
            result = operation.finish_result(plan, result, failures, tools)
        return OperationResult(result)


async def collect_inputs(
    operation: Operation[Any, Any],
    opcode: Opcode,
    state: ClusterState,
    tools: Tools,
    identity: str,
    busy: frozenset[str] = frozenset(),
) -> NodeAnswers:
    """Return the inputs of the plan of ``opcode`` besides the state.

    :raises Invalid: the opcode has unsupported parameters.
    """
    if problems := find_unsupported_parameters(opcode):
        raise Invalid(problems)
    since = tools.time.date()
    facts = await gather(operation.questions(opcode, state), tools.nodes, identity)
    facts = replace(facts, busy=busy, state=state, since=since)
    wanted = operation.request_allocation(opcode, state, facts)
    if wanted is None:
        return facts
    return replace(facts, advice=await _run_allocator(wanted, state, tools))


async def _run_allocator(
    wanted: IAllocatorRequest, state: ClusterState, tools: Tools
) -> IAllocatorReply | None:
    async def text() -> str:
        return format_request(wanted.request, state, await gather([room(state)], tools.nodes))

    try:
        answer = await tools.run_allocator(wanted.name, text, wanted.options)
    except Failed as e:
        return (
            None if wanted.optional and e.code is Code.UNKNOWN else IAllocatorReply(wanted.name, e)
        )
    return IAllocatorReply(wanted.name, answer)


async def gather(questions: Sequence[NodeQuery], nodes: Nodes, identity: str = "") -> NodeAnswers:
    """Make all queries and return the answers, including errors."""
    answers: dict[tuple[str, Any], Any] = {}
    for question in questions:
        asked = await nodes.ask_all(question.nodes, question.call)
        answers.update({(uuid, type(question.call)): answer for uuid, answer in asked.items()})
    return NodeAnswers(answers, identity)
