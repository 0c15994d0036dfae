# SPDX-License-Identifier: BSD-2-Clause
"""Execution of an opcode: query nodes, plan, acquire locks, plan again, run.

No job waits for locks while it holds others, which prevents deadlocks: locks are granted all at
once, and if the second plan needs other locks, all are released before the next attempt.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

from ganeti.config.access_file import SECTIONS
from ganeti.config.state import ClusterState
from ganeti.config.writer import Change, ChangeCause, ConfigWriter
from ganeti.errors import Code, Failed, GanetiError, Invalid, Refused
from ganeti.journal.interfaces import Edit
from ganeti.locking.names import LockName, LockRequest, covers, node_lock
from ganeti.opcodes.instance.create import AllocateInstances, CreateInstance
from ganeti.opcodes.opcode import Opcode
from ganeti.opcodes.registry import find_unsupported_parameters
from ganeti.operations.allocation.iallocator import format_request, room
from ganeti.operations.cluster.slices import collect
from ganeti.operations.hook_execution import (
    has_config_update,
    run_config_update,
    run_post_hooks,
    run_pre_hooks,
)
from ganeti.operations.node_queries import gather
from ganeti.operations.operation import (
    AnyOperation,
    ConfigAccess,
    IAllocatorReply,
    IAllocatorRequest,
    NodeAnswers,
    NodeQuery,
    Progress,
    QuestionSteps,
    ResultWithCommit,
    Tools,
)
from ganeti.placement.solver import Question

if TYPE_CHECKING:
    from ganeti.operations.explain import Explanation

R = TypeVar("R")

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

    def hold_locks(
        self, owner: str, wants: LockRequest, priority: int = 0
    ) -> AbstractAsyncContextManager[None]: ...

    def in_use(self, name: LockName) -> bool:
        """Return whether a request that includes this lock would have to wait."""
        ...

    @property
    def releases(self) -> int:
        """How often locks have been released."""
        ...

    def released_since(self, wants: LockRequest, mark: int) -> bool:
        """Return whether conflicting locks were released since ``releases`` was ``mark``."""
        ...


@dataclass(frozen=True)
class _QueryResult:
    """Answers with their queries, the state that these belong to, and the monotonic time of the
    answers in seconds; ``mark`` is how often locks had been released before."""

    facts: NodeAnswers
    questions: Sequence[NodeQuery]
    state: ClusterState
    mark: int
    at: float


FinalCommit: TypeAlias = Callable[[Sequence[Edit]], Awaitable[None]]


@dataclass(frozen=True)
class OperationResult:
    """The result of an opcode; ``finish`` commits its last change with the given edits."""

    result: object
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
class _ReadOnlyConfiguration:
    """The configuration for plans that are not carried out."""

    config: ConfigWriter

    def state(self) -> ClusterState:
        return self.config.state()

    async def change(self, change: Change) -> ClusterState:
        raise Failed("a plan that is only explained changes nothing")


class _NoProgress:
    """Drops the messages of node queries while a plan is explained."""

    def log_message(self, message: str) -> None:
        """Drop the message."""

    def log_entry(self, kind: str, payload: Any) -> None:
        """Drop the entry."""

    def may_stop(self) -> None:
        """Return, as there is nothing to cancel."""

    async def interruptible(self, work: Coroutine[Any, Any, R]) -> R:
        return await work

    async def journal_recovered(self) -> None:
        """Return at once, as nothing is to be kept."""


@dataclass(frozen=True)
class Performer:
    """The executor of opcodes for jobs; ``tools`` creates the tools for one job."""

    operations: Callable[[], Mapping[type[Opcode], AnyOperation]]
    config: ConfigWriter
    locks: LockManager
    tools: Callable[[ConfigAccess, Progress], Tools]

    async def __call__(self, opcode: Opcode, owner: Owner) -> OperationResult:
        """Execute ``opcode``.

        :raises GanetiError: it was refused, or it failed and its steps were undone if possible.
        """
        operation = self._operation(opcode)
        cause = ChangeCause("job", opcode.summary, owner.job_id)
        configuration = _JobConfigAccess(self.config, cause)
        tools = self.tools(configuration, owner)
        identity = tools.ids.uuid()
        asked = await self._ask(operation, opcode, tools, identity)
        state = self.config.state()
        plan = operation.plan(opcode, state, asked.facts)
        if opcode.dry_run:
            await owner.locked()
            return OperationResult(operation.preview(plan))
        while True:
            wanted, since = plan.locks, tools.time.seconds()
            async with self.locks.hold_locks(owner.owner, wanted, owner.priority):
                now, before = tools.time.seconds(), asked
                # After another job that may have changed the queried objects, the answers are
                # outdated even if they are recent: it had its locks while nodes were asked, or this
                # job has waited for it.
                if (
                    now - asked.at > MAX_ANSWER_AGE
                    or now - since > MAX_UNCONTENDED_WAIT
                    or (asked.questions and self.locks.released_since(wanted, asked.mark))
                    or await self._asks_otherwise(operation, opcode, asked, tools)
                ):
                    asked = await self._ask(operation, opcode, tools, identity)
                # A plan depends on these alone.
                if asked is not before or self.config.state() is not state:
                    state = self.config.state()
                    plan = operation.plan(opcode, state, asked.facts)
                if covers(wanted, plan.locks):
                    await owner.locked()
                    return await self._run(operation, plan, opcode.op_id, tools, configuration)

    async def _asks_otherwise(
        self, operation: AnyOperation, opcode: Opcode, asked: _QueryResult, tools: Tools
    ) -> bool:
        """Return whether other queries belong to the current state; they may be costly to make."""
        state = self.config.state()
        if state is asked.state:
            return False
        return await make_questions(operation, opcode, state, tools) != asked.questions

    async def explain(self, opcode: Opcode) -> Explanation:
        """Return what ``opcode`` would do if it ran now; nothing is changed, and no lock taken.

        :raises GanetiError: it would be refused.
        """
        # For the first plan and not above: it loads every operation.
        from ganeti.operations.explain import explain

        operation = self._operation(opcode)
        tools = self.tools(_ReadOnlyConfiguration(self.config), _NoProgress())
        asked = await self._ask(operation, opcode, tools, tools.ids.uuid())
        state = self.config.state()
        plan = operation.plan(opcode, state, asked.facts)
        return explain(operation, opcode, plan, asked.questions, state)

    def _operation(self, opcode: Opcode) -> AnyOperation:
        operation = self.operations().get(type(opcode))
        if operation is None:
            raise Refused(f"this version does not carry out {opcode.op_id}")
        return operation

    async def _ask(
        self, operation: AnyOperation, opcode: Opcode, tools: Tools, identity: str
    ) -> _QueryResult:
        """Query nodes until the answers belong to the current state."""
        state = self.config.state()
        questions = await make_questions(operation, opcode, state, tools)
        while True:
            mark = self.locks.releases
            busy = self._busy_nodes(opcode, state)
            facts = await collect_inputs(operation, opcode, state, tools, identity, busy, questions)
            before, state = state, self.config.state()
            if state is before:
                return _QueryResult(facts, questions, state, mark, tools.time.seconds())
            earlier = questions
            questions = await make_questions(operation, opcode, state, tools)
            if questions == earlier:
                return _QueryResult(facts, questions, state, mark, tools.time.seconds())

    def _busy_nodes(self, opcode: Opcode, state: ClusterState) -> frozenset[str]:
        """Return the nodes that other jobs have locked, for opportunistic locking."""
        if not isinstance(opcode, CreateInstance | AllocateInstances):
            return frozenset()
        if not opcode.opportunistic_locking:
            return frozenset()
        return frozenset(uuid for uuid in state.nodes if self.locks.in_use(node_lock(uuid)))

    async def _run(
        self,
        operation: AnyOperation,
        plan: object,
        op_id: str,
        tools: Tools,
        configuration: _JobConfigAccess,
    ) -> OperationResult:
        before = operation.hooks(plan, self.config.state())
        if before is not None:
            await run_pre_hooks(before, op_id, self.config.state(), tools)
        try:
            result = await operation.run(plan, tools)
        except GanetiError:
            # Also after a failure: what was changed until then stays, or was changed back.
            if configuration.changed:
                await run_config_update(before, op_id, self.config.state(), tools)
            raise
        # With hooks, the change has to be made before the end of the job, as they run in between.
        if (
            isinstance(result, ResultWithCommit)
            and before is None
            and not (
                has_config_update(tools) and changes_config_data(result.change, self.config.state())
            )
        ):
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


def changes_config_data(change: Change, state: ClusterState) -> bool:
    """Return whether a change concerns objects in ``config.data``, which has hooks."""
    return any(edit.kind not in SECTIONS for edit in change(state).edits)


async def make_questions(
    operation: AnyOperation, opcode: Opcode, state: ClusterState, tools: Tools
) -> Sequence[NodeQuery]:
    """Return the queries of an operation; let others run while many are made."""
    made = operation.questions(opcode, state)
    return made if isinstance(made, Sequence) else await collect(made, tools)


async def collect_inputs(
    operation: AnyOperation,
    opcode: Opcode,
    state: ClusterState,
    tools: Tools,
    identity: str,
    busy: frozenset[str] = frozenset(),
    questions: Sequence[NodeQuery] | None = None,
) -> NodeAnswers:
    """Return the inputs of the plan of ``opcode`` besides the state.

    ``questions`` are the operation's for this state, if they are known.

    :raises Invalid: the opcode has unsupported parameters.
    """
    if problems := find_unsupported_parameters(opcode):
        raise Invalid(problems)
    since = tools.time.date()
    if questions is None:
        questions = await make_questions(operation, opcode, state, tools)
    facts = await gather(questions, tools.nodes, identity, tools.recent)
    facts = replace(facts, busy=busy, state=state, since=since)
    steps = operation.search(opcode, state, facts)
    if steps is not None:
        return replace(facts, solution=await tools.solve(await _in_steps(steps, tools)))
    wanted = operation.request_allocation(opcode, state, facts)
    if wanted is None:
        return facts
    return replace(facts, advice=await _run_allocator(wanted, state, tools))


async def _in_steps(steps: QuestionSteps, tools: Tools) -> Question:
    """Make a question, and let others run between its steps."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            question: Question = end.value
            return question
        await tools.time.sleep(0)


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
