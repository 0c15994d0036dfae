# SPDX-License-Identifier: BSD-2-Clause
"""The execution of an opcode: it is planned, locked, planned again on what holds then, and run."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.changes.objects import add, update
from ganeti.config.state import ClusterState
from ganeti.errors import Code, Failed, HooksRefused, Invalid, JobCanceled, Refused
from ganeti.locking.names import LockName, LockRequest, node_lock, request
from ganeti.locking.waiting import LockWaiter
from ganeti.model.users import UserAccount
from ganeti.opcodes.opcode import Opcode
from ganeti.opcodes.test import Delay
from ganeti.operations.operation import (
    HookCall,
    HookFailures,
    IAllocatorReply,
    IAllocatorRequest,
    NodeAnswers,
    NodeQuery,
    Operation,
    ResultWithCommit,
    Tools,
)
from ganeti.operations.perform import (
    MAX_ANSWER_AGE,
    MAX_UNCONTENDED_WAIT,
    OperationResult,
    Performer,
    changes_config_data,
    collect_inputs,
)
from ganeti.placement.balance import BalanceOptions, BalancePlan
from ganeti.placement.cluster_model import ClusterModel
from ganeti.placement.solver import BalanceQuestion
from ganeti.rpc.node import AskVersion, HookResult, RunHooks, Version
from ganeti.testing.builders import a_cluster, a_network, a_node, uuid_of
from ganeti.testing.tools import MemoryTools
from tests.operations.test_opportunistic import AJob

NODE1, NODE2 = (node_lock(uuid_of("node", name)) for name in ("node1", "node2"))
OP = Delay(duration=0.0)
VERSION = Version(protocol=1, release="3.1")


@dataclasses.dataclass(frozen=True)
class APlan:
    """A plan for one state, with the answers that it was made from."""

    state: ClusterState
    facts: NodeAnswers
    locks: LockRequest


class LockOfDrained:
    """An operation that locks the drained nodes, and records what it does in ``history``.

    It asks all nodes for their versions. ``result`` is what it returns, or a change that it makes.
    """

    def __init__(self) -> None:
        self.history: list[str] = []
        self.ran: list[APlan] = []
        self.result: Any = "done"
        self.call: HookCall | None = None
        self.failures: HookFailures = ()

    def operation(self, **more: Any) -> Operation[Delay, APlan]:
        return Operation(
            Delay,
            self.plan,
            self.run,
            self.questions,
            self.hooks,
            lambda plan: "preview",
            finish_result=self.finish,
            **more,
        )

    def questions(self, op: Delay, state: ClusterState) -> Sequence[NodeQuery]:
        nodes = sorted(state.nodes.values(), key=lambda node: node.name)
        return [NodeQuery([node for node in nodes if not node.offline], AskVersion())]

    def plan(self, op: Delay, state: ClusterState, facts: NodeAnswers) -> APlan:
        self.history.append("plan")
        drained = [node_lock(node.uuid) for node in state.nodes.values() if node.drained]
        return APlan(state, facts, request(exclusive=drained))

    async def run(self, plan: APlan, tools: Tools) -> object:
        self.history.append("run")
        self.ran.append(plan)
        if callable(self.result):
            return await tools.config.change(self.result)
        return self.result

    def hooks(self, plan: APlan, state: ClusterState) -> HookCall | None:
        return self.call

    def finish(self, plan: APlan, result: object, failures: HookFailures, tools: Tools) -> object:
        self.failures = failures
        return result


class SlowLocks:
    """Locks that are granted after some seconds, during which something happens."""

    def __init__(self, memory: MemoryTools, seconds: float, event: Callable[[], object]) -> None:
        self.requests: list[LockRequest] = []
        self._memory, self._seconds, self._event = memory, seconds, event

    def hold_locks(
        self, owner: str, wants: LockRequest, priority: int = 0
    ) -> AbstractAsyncContextManager[None]:
        self.requests.append(wants)
        return self._Held(self)

    def in_use(self, name: LockName) -> bool:
        return False

    releases = 0

    def released_since(self, wants: LockRequest, mark: int) -> bool:
        return False

    class _Held(AbstractAsyncContextManager[None]):
        def __init__(self, locks: SlowLocks) -> None:
            self._locks = locks

        async def __aenter__(self) -> None:
            locks = self._locks
            locks._memory.time.now += locks._seconds
            locks._event()

        async def __aexit__(self, *_: object) -> None:
            """Locks of this kind need not be released."""


class PerformTests(SynchronousTestCase):
    def setUp(self) -> None:
        answers: dict[Any, object] = {AskVersion: VERSION, RunHooks: []}
        drained = a_node("node2", drained=True)
        self.memory = MemoryTools(a_cluster(nodes=["node1", drained]), answers)
        self.locks = LockWaiter(Clock())
        self.work = LockOfDrained()
        self.job = AJob()

    def performer(self, locks: Any = None, **more: Any) -> Performer:
        operation = self.work.operation(**more)
        return Performer(
            lambda: {Delay: operation},
            self.memory.config,
            locks or self.locks,
            lambda config, progress: dataclasses.replace(self.memory.tools, config=config),
        )

    def perform(self, op: Opcode = OP, locks: Any = None, **more: Any) -> OperationResult:
        done = self.performer(locks, **more)(op, self.job)
        result: OperationResult = self.successResultOf(done)
        return result

    def change(self, name: str, **fields: object) -> Callable[[], object]:
        """Return a function that changes a node as another job would."""
        return lambda: self.successResultOf(
            self.memory.change(update(self.memory.state().node(name), **fields))
        )

    def asked(self) -> list[str]:
        return [node for node, call in self.memory.nodes.asked if isinstance(call, AskVersion)]


class LockingTests(PerformTests):
    def test_it_is_planned_with_the_answers_of_nodes(self) -> None:
        self.assertEqual(self.perform(), OperationResult("done"))
        self.assertEqual(self.work.history, ["plan", "run"])
        [plan] = self.work.ran
        self.assertEqual(plan.locks, request(exclusive=[NODE2]))
        self.assertEqual(plan.facts.known(plan.state.node("node1"), AskVersion), VERSION)
        self.assertEqual(self.asked(), ["node1", "node2"])

    def test_it_is_planned_again_under_the_locks_if_the_state_has_changed(self) -> None:
        locks = SlowLocks(self.memory, 0.0, self.change("node1", offline=True))
        self.perform(locks=locks)
        self.assertEqual(self.work.history, ["plan", "plan", "run"])
        [plan] = self.work.ran
        self.assertIs(plan.state, self.memory.state())

    def test_it_waits_for_another_job_and_its_locks_are_free_afterwards(self) -> None:
        ended: Deferred[None] = Deferred()
        clock = Clock()
        self.locks = LockWaiter(clock)

        async def hold() -> None:
            async with self.locks.hold_locks("job 1", request(exclusive=[NODE2])):
                await ended

        other = Deferred.fromCoroutine(hold())
        waiting = Deferred.fromCoroutine(self.performer()(OP, self.job))
        self.assertEqual(self.work.history, ["plan"])
        ended.callback(None)
        clock.advance(0)
        self.successResultOf(other)
        self.successResultOf(waiting)
        self.assertEqual(self.locks.rows(), [])

    def test_if_other_locks_are_needed_by_then_it_begins_again_with_these(self) -> None:
        changes = iter([self.change("node1", drained=True), lambda: None])
        locks = SlowLocks(self.memory, 0.0, lambda: next(changes)())
        self.perform(locks=locks)
        both = request(exclusive=[NODE1, NODE2])
        self.assertEqual(locks.requests, [request(exclusive=[NODE2]), both])
        self.assertEqual(self.work.history, ["plan", "plan", "run"])

    def test_if_fewer_locks_are_needed_by_then_it_is_run(self) -> None:
        locks = SlowLocks(self.memory, 0.0, self.change("node2", drained=False))
        self.perform(locks=locks)
        self.assertEqual((len(locks.requests), self.work.ran[0].locks), (1, {}))

    def test_a_job_that_was_canceled_meanwhile_is_not_run(self) -> None:
        class Canceled(AJob):
            async def locked(self) -> None:
                raise JobCanceled("the job was canceled")

        self.job = Canceled()
        self.failureResultOf(self.performer()(OP, self.job), JobCanceled)
        self.assertEqual((self.work.ran, self.locks.rows()), ([], []))

    def test_locks_are_free_after_a_failure(self) -> None:
        def fail(state: ClusterState) -> ClusterState:
            raise Failed("no such network")

        self.work.result = fail
        self.failureResultOf(self.performer()(OP, self.job), Failed)
        self.assertEqual(self.locks.rows(), [])


class AnswerTests(PerformTests):
    def after(self, seconds: float, event: Callable[[], object] = lambda: None) -> list[str]:
        """Return the nodes that are asked if the locks are granted after this time."""
        self.perform(locks=SlowLocks(self.memory, seconds, event))
        return self.asked()

    def test_answers_hold_while_free_locks_are_granted(self) -> None:
        self.assertEqual(len(self.after(MAX_UNCONTENDED_WAIT / 2)), 2)

    def test_after_a_wait_for_another_job_nodes_are_asked_again(self) -> None:
        self.assertEqual(len(self.after(2 * MAX_UNCONTENDED_WAIT)), 4)

    def test_answers_that_are_old_are_asked_for_again(self) -> None:
        def delay(op: Delay, state: ClusterState, facts: NodeAnswers) -> APlan:
            self.memory.time.now += (MAX_ANSWER_AGE + 0.1) * (len(self.work.history) == 0)
            return self.work.plan(op, state, facts)

        operation = dataclasses.replace(self.work.operation(), plan=delay)
        performer = dataclasses.replace(self.performer(), operations=lambda: {Delay: operation})
        self.successResultOf(performer(OP, self.job))
        self.assertEqual(len(self.asked()), 4)

    def test_nodes_are_asked_again_if_another_job_ends_while_they_answer(self) -> None:
        ended: Deferred[None] = Deferred()

        async def hold() -> None:
            async with self.locks.hold_locks("job 1", request(exclusive=[NODE2])):
                await ended

        other = Deferred.fromCoroutine(hold())

        def answer(node: str, call: AskVersion) -> Version:
            # Node1 has answered before; the job may have changed it since.
            if node == "node2" and not ended.called:
                ended.callback(None)
            return VERSION

        self.memory.nodes.answers[AskVersion] = answer
        self.perform()
        self.successResultOf(other)
        self.assertEqual(self.asked(), ["node1", "node2"] * 2)

    def test_a_change_that_leads_to_other_queries_has_them_made(self) -> None:
        away = self.change("node1", offline=True)
        self.assertEqual(self.after(0.0, away), ["node1", "node2", "node2"])

    def test_a_change_that_leaves_the_queries_alone_needs_no_other_answers(self) -> None:
        def elsewhere() -> None:
            self.successResultOf(self.memory.change(add(a_network("lan"))))

        self.assertEqual(len(self.after(0.0, elsewhere)), 2)
        self.assertEqual(len(self.work.ran[0].state.networks), 1)

    def test_a_change_while_nodes_answer_has_others_asked(self) -> None:
        changes = iter([self.change("node2", offline=True)])

        def answer(node: str, call: AskVersion) -> Version:
            if node == "node2":
                next(changes)()
            return VERSION

        self.memory.nodes.answers[AskVersion] = answer
        self.perform()
        self.assertEqual(self.asked(), ["node1", "node2", "node1"])


class ResultTests(PerformTests):
    def hooked(self, results: list[HookResult]) -> None:
        node = uuid_of("node", "node1")
        self.work.call = HookCall("node-modify", "NODE", {}, [node], [node])
        self.memory.nodes.answers[RunHooks] = results

    def hooks(self) -> list[tuple[str, str]]:
        calls = [call for _, call in self.memory.nodes.asked if isinstance(call, RunHooks)]
        return [(call.directory, call.phase) for call in calls]

    def test_an_opcode_that_nothing_carries_out_is_refused(self) -> None:
        performer = dataclasses.replace(self.performer(), operations=dict)
        failed = self.failureResultOf(performer(OP, self.job), Refused)
        words = "this version does not carry out OP_TEST_DELAY"
        self.assertEqual(str(failed.value), words)

    def test_a_dry_run_is_begun_like_every_job(self) -> None:
        class Canceled(AJob):
            async def locked(self) -> None:
                raise JobCanceled("the job was canceled")

        self.job = Canceled()
        op = Delay(duration=0.0, dry_run=True)
        self.failureResultOf(self.performer()(op, self.job), JobCanceled)

    def test_post_hooks_of_what_is_gone_get_the_variables_from_before(self) -> None:
        self.hooked([])
        before = self.work.call
        assert before is not None
        before = dataclasses.replace(before, environment={"NODE_NAME": "node1"})
        calls = iter([before, None])
        operation = self.work.operation()
        gone = dataclasses.replace(operation, hooks=lambda plan, state: next(calls))
        performer = dataclasses.replace(self.performer(), operations=lambda: {Delay: gone})
        self.successResultOf(performer(OP, self.job))
        self.assertEqual(self.hooks(), [("node-modify", "pre"), ("node-modify", "post")])
        last = self.memory.nodes.asked[-1][1]
        assert isinstance(last, RunHooks)
        self.assertEqual(last.environment["GANETI_POST_NODE_NAME"], "node1")

    def test_a_dry_run_takes_no_locks_and_shows_the_preview(self) -> None:
        locks = SlowLocks(self.memory, 0.0, lambda: None)
        found = self.perform(Delay(duration=0.0, dry_run=True), locks)
        self.assertEqual((found.result, locks.requests), ("preview", []))
        self.assertEqual(self.work.history, ["plan"])

    def test_a_pre_hook_that_refuses_keeps_everything_as_it_is(self) -> None:
        self.hooked([HookResult(script="10-no", status=1, output="no")])
        self.failureResultOf(self.performer()(OP, self.job), HooksRefused)
        self.assertEqual(self.work.ran, [])

    def test_post_hooks_that_fail_are_told_to_the_operation(self) -> None:
        results = iter([[], [HookResult(script="10-mine", status=1, output="no")]])
        self.hooked([])
        self.memory.nodes.answers[RunHooks] = lambda node, call: next(results)
        self.assertEqual(self.perform().result, "done")
        self.assertEqual(self.work.failures, [("node1", "10-mine", "no")])

    def test_hooks_are_told_of_a_change_before_those_of_the_operation(self) -> None:
        self.hooked([])
        self.work.result = add(a_network("lan"))
        self.perform()
        expected = [("node-modify", "pre"), ("config-update", "post"), ("node-modify", "post")]
        self.assertEqual(self.hooks(), expected)

    def test_hooks_are_told_of_a_change_of_a_job_that_fails_then(self) -> None:
        async def change_and_fail(plan: APlan, tools: Tools) -> object:
            await tools.config.change(add(a_network("lan")))
            raise Failed("no more space")

        self.hooked([])
        operation = dataclasses.replace(self.work.operation(), run=change_and_fail)
        performer = dataclasses.replace(self.performer(), operations=lambda: {Delay: operation})
        error = self.failureResultOf(performer(OP, self.job), Failed)
        self.assertEqual(str(error.value), "no more space")
        self.assertEqual(self.hooks(), [("node-modify", "pre"), ("config-update", "post")])

    def test_a_last_change_of_the_cluster_is_made_at_once_as_hooks_are_told(self) -> None:
        self.work.result = ResultWithCommit("named", add(a_network("lan")))
        self.assertEqual(self.perform(), OperationResult("named"))
        self.assertEqual(len(self.memory.state().networks), 1)
        self.assertEqual(self.hooks(), [("config-update", "post")])

    def test_without_hooks_for_it_such_a_change_is_made_together_with_the_end_of_the_job(
        self,
    ) -> None:
        self.memory.tools = dataclasses.replace(
            self.memory.tools, hooks_on_master=lambda folder: False
        )
        self.work.result = ResultWithCommit("named", add(a_network("lan")))
        found = self.perform()
        self.assertIsNotNone(found.finish)
        self.assertEqual(dict(self.memory.state().networks), {})
        self.assertEqual(self.hooks(), [])

    def test_a_last_change_of_users_is_made_together_with_the_end_of_the_job(self) -> None:
        self.work.result = ResultWithCommit("added", add(UserAccount(uuid="ann", created=1)))
        found = self.perform()
        self.assertEqual((found.result, dict(self.memory.state().users)), ("added", {}))
        assert found.finish is not None
        finish = found.finish

        async def end() -> None:
            await finish(())

        self.successResultOf(end())
        self.assertEqual(list(self.memory.state().users), ["ann"])
        self.assertEqual(self.hooks(), [])

    def test_only_objects_of_the_configuration_file_have_hooks(self) -> None:
        state = a_cluster()
        self.assertTrue(changes_config_data(add(a_network("lan")), state))
        self.assertFalse(changes_config_data(add(UserAccount(uuid="ann", created=1)), state))

    def test_an_explanation_changes_nothing_and_takes_no_locks(self) -> None:
        locks = SlowLocks(self.memory, 0.0, lambda: None)
        before = self.memory.state()
        self.successResultOf(self.performer(locks).explain(OP))
        self.assertIs(self.memory.state(), before)
        self.assertEqual((self.work.ran, locks.requests), ([], []))


class InputTests(PerformTests):
    def inputs(self, op: Opcode = OP, **more: Any) -> NodeAnswers:
        operation, state = self.work.operation(**more), self.memory.state()
        found: NodeAnswers = self.successResultOf(
            collect_inputs(operation, op, state, self.memory.tools, "identity")
        )
        return found

    def allocate(self, *, optional: bool = False) -> IAllocatorReply | None:
        wanted = IAllocatorRequest("mine", {"type": "allocate"}, optional=optional)
        return self.inputs(request_allocation=lambda op, state, facts: wanted).advice

    def test_a_plan_knows_its_state_its_time_and_its_identity(self) -> None:
        found = self.inputs()
        self.assertIs(found.state, self.memory.state())
        self.assertEqual((found.since, found.identity), (self.memory.time.now, "identity"))

    def test_queries_may_be_made_with_pauses(self) -> None:
        def questions(op: Delay, state: ClusterState) -> Iterator[NodeQuery | None]:
            for node in (state.node("node1"), state.node("node2")):
                yield None
                yield NodeQuery([node], AskVersion())

        operation = dataclasses.replace(self.work.operation(), questions=questions)
        state, tools = self.memory.state(), self.memory.tools
        found = self.successResultOf(collect_inputs(operation, OP, state, tools, ""))
        self.assertEqual(len(found.answers), 2)
        self.assertEqual(self.asked(), ["node1", "node2"])

    def test_parameters_that_are_not_supported_are_refused_before_nodes_are_asked(self) -> None:
        op = Delay(duration=0.0, interruptible=True)
        asking = collect_inputs(
            self.work.operation(), op, self.memory.state(), self.memory.tools, ""
        )
        error = self.failureResultOf(asking, Invalid).value
        self.assertIn("interruptible", str(error))
        self.assertEqual(self.memory.nodes.asked, [])

    def test_an_iallocator_gets_the_request_and_its_output_is_kept(self) -> None:
        self.memory.allocators["mine"] = "output"
        self.assertEqual(self.allocate(), IAllocatorReply("mine", "output"))
        [text] = self.memory.requests
        self.assertEqual(json.loads(text)["request"], {"type": "allocate"})

    def test_one_that_is_not_installed_may_be_replaced_by_the_built_in_one(self) -> None:
        self.assertIsNone(self.allocate(optional=True))
        reply = self.allocate()
        assert reply is not None
        assert isinstance(reply.answer, Failed)
        self.assertEqual(reply.answer.code, Code.UNKNOWN)

    def test_a_search_is_solved_instead_of_asking_an_iallocator(self) -> None:
        model = ClusterModel(nodes=(), instances=())
        question = BalanceQuestion(model=model, options=BalanceOptions())

        def search(op: Delay, state: ClusterState, facts: NodeAnswers) -> Any:
            yield
            return question

        wanted = IAllocatorRequest("mine", {"type": "allocate"})
        found = self.inputs(search=search, request_allocation=lambda op, state, facts: wanted)
        self.assertEqual((found.solution, found.advice), (BalancePlan(groups=()), None))
