# SPDX-License-Identifier: BSD-2-Clause
"""Carrying out an opcode: ask, plan, lock what the plan needs, plan again, run.

No job waits while it holds: locks are granted whole, and a plan that turns out to need others
under its locks lets go of them and starts over with what it needs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

from ganeti.config.state import ClusterState
from ganeti.config.writer import Change, ChangeCause, Config
from ganeti.errors import Code, Failed, Invalid, Refused
from ganeti.journal.interfaces import Edit
from ganeti.locking.names import LockName, LockRequest, covers, node_lock
from ganeti.opcodes.instance.create import AllocateInstances, CreateInstance
from ganeti.opcodes.opcode import Opcode
from ganeti.opcodes.registry import unsupported_parameters
from ganeti.operations.allocation.iallocator import request_for, room
from ganeti.operations.hooks import run_after, run_before, run_config_update
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

FRESH = 2.0
"""For how many seconds the answers of nodes are good enough to act on."""


AT_ONCE = 0.1
"""For how many seconds locks are waited for that nobody else had, in a busy daemon."""


class Owner(Progress, Protocol):
    """The job that an opcode runs for."""

    @property
    def job_id(self) -> int: ...

    @property
    def owner(self) -> str:
        """The name under which locks are held."""
        ...

    @property
    def priority(self) -> int: ...

    async def locked(self) -> None:
        """The locks are held from here on; durable when this returns.

        :raises JobCanceled: the job was canceled while it waited.
        """
        ...


class LockWaiting(Protocol):
    """Where locks are held."""

    def hold(
        self, owner: str, wants: LockRequest, priority: int = 0
    ) -> AbstractAsyncContextManager[None]: ...

    def in_use(self, name: LockName) -> bool:
        """Return whether somebody who wants the lock together with others would have to wait."""
        ...


@dataclass(frozen=True)
class _Asked:
    """What is known, what was asked for it, and when, in seconds since the epoch."""

    facts: NodeAnswers
    questions: Sequence[NodeQuery]
    at: float


Finish: TypeAlias = Callable[[Sequence[Edit]], Awaitable[None]]


@dataclass(frozen=True)
class OperationResult:
    """The result of an opcode; ``finish`` makes its last change along with the given edits."""

    result: Any
    finish: Finish | None = None


@dataclass
class _JobsConfiguration:
    """The configuration, with every change made in the name of a job.

    ``changed`` says whether the job has changed it.
    """

    config: Config
    cause: ChangeCause
    changed: bool = False

    def state(self) -> ClusterState:
        return self.config.state()

    async def change(self, change: Change) -> ClusterState:
        self.changed = True
        return await self.config.change(change, because=self.cause)


@dataclass(frozen=True)
class Performer:
    """Runs any opcode for a job; ``tools`` makes those that it gets in the name of its job."""

    operations: Callable[[], Mapping[type[Opcode], Operation[Any, Any]]]
    config: Config
    locks: LockWaiting
    tools: Callable[[ConfigAccess, Progress], Tools]

    async def __call__(self, opcode: Opcode, owner: Owner) -> OperationResult:
        """Carry out ``opcode``.

        :raises GanetiError: it was refused, or it failed; what could be taken back is.
        """
        operation = self.operations().get(type(opcode))
        if operation is None:
            raise Refused(f"this version does not carry out {opcode.op_id}")
        cause = ChangeCause("job", opcode.summary, owner.job_id)
        configuration = _JobsConfiguration(self.config, cause)
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
                # Who had to wait was waiting for somebody who may have changed what is asked about.
                if (
                    now - asked.at > FRESH
                    or now - since > AT_ONCE
                    or operation.questions(opcode, self.config.state()) != asked.questions
                ):
                    asked = await self._ask(operation, opcode, tools, identity)
                plan = operation.plan(opcode, self.config.state(), asked.facts)
                if covers(wanted, plan.locks):
                    await owner.locked()
                    return await self._run(operation, plan, opcode.op_id, tools, configuration)

    async def _ask(
        self, operation: Operation[Any, Any], opcode: Opcode, tools: Tools, identity: str
    ) -> _Asked:
        """Ask until the answers are about the state as it is by then."""
        state = self.config.state()
        questions = operation.questions(opcode, state)
        while True:
            busy = self._busy(opcode, state)
            facts = await informed(operation, opcode, state, tools, identity, busy)
            state = self.config.state()
            before, questions = questions, operation.questions(opcode, state)
            if questions == before:
                return _Asked(facts, questions, tools.time.seconds())

    def _busy(self, opcode: Opcode, state: ClusterState) -> frozenset[str]:
        """The nodes that others keep to themselves, if the owner would rather have another one."""
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
        configuration: _JobsConfiguration,
    ) -> OperationResult:
        before = operation.hooks(plan, self.config.state())
        if before is not None:
            await run_before(before, op_id, self.config.state(), tools)
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
            failures = await run_after(after or before, before, op_id, state, tools)
            result = operation.conclude(plan, result, failures, tools)
        return OperationResult(result)


async def informed(
    operation: Operation[Any, Any],
    opcode: Opcode,
    state: ClusterState,
    tools: Tools,
    identity: str,
    busy: frozenset[str] = frozenset(),
) -> NodeAnswers:
    """Everything that the plan of ``opcode`` is made from, besides the state.

    :raises Invalid: nothing here does what it asks for.
    """
    if problems := unsupported_parameters(opcode):
        raise Invalid(problems)
    since = tools.time.date()
    facts = await gather(operation.questions(opcode, state), tools.nodes, identity)
    facts = replace(facts, busy=busy, state=state, since=since)
    wanted = operation.consult(opcode, state, facts)
    if wanted is None:
        return facts
    return replace(facts, advice=await _advice(wanted, state, tools))


async def _advice(
    wanted: IAllocatorRequest, state: ClusterState, tools: Tools
) -> IAllocatorReply | None:
    async def text() -> str:
        return request_for(wanted.request, state, await gather([room(state)], tools.nodes))

    try:
        answer = await tools.allocate(wanted.name, text, wanted.options)
    except Failed as e:
        return (
            None if wanted.optional and e.code is Code.UNKNOWN else IAllocatorReply(wanted.name, e)
        )
    return IAllocatorReply(wanted.name, answer)


async def gather(questions: Sequence[NodeQuery], nodes: Nodes, identity: str = "") -> NodeAnswers:
    """Ask all the questions; trouble is an answer, too."""
    answers: dict[tuple[str, Any], Any] = {}
    for question in questions:
        asked = await nodes.ask_all(question.nodes, question.call)
        answers.update({(uuid, type(question.call)): answer for uuid, answer in asked.items()})
    return NodeAnswers(answers, identity)
