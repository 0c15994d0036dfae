# SPDX-License-Identifier: BSD-2-Clause
"""The parts of an operation: answers of nodes as a plan reads them, and defaults."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Code, Failed, Refused, Unreachable
from ganeti.opcodes.test import Delay
from ganeti.operations.operation import (
    NewAuthority,
    NodeAnswers,
    Operation,
    UnavailableKeys,
    stream_start,
)
from ganeti.rpc.node import AskVersion, DescribeNode, Version
from ganeti.testing.builders import a_cluster, a_node
from ganeti.testing.facts import some_facts
from ganeti.testing.tools import MemoryTools

NODE = a_node("node1")
VERSION = Version(protocol=1, release="3.1")


def answered(answer: object) -> NodeAnswers:
    return NodeAnswers({(NODE.uuid, AskVersion): answer, (NODE.uuid, DescribeNode): some_facts()})


class AnswerTests(SynchronousTestCase):
    def refusal(self, answer: Failed) -> Refused:
        with self.assertRaises(Refused) as caught:
            answered(answer).answer_of(NODE, AskVersion)
        refusal: Refused = caught.exception
        return refusal

    def test_an_answer_is_found_by_node_and_call(self) -> None:
        self.assertEqual(answered(VERSION).answer_of(NODE, AskVersion), VERSION)
        self.assertEqual(answered(VERSION).known(NODE, AskVersion), VERSION)
        self.assertIsNone(answered(VERSION).known(a_node("node2"), AskVersion))

    def test_a_failure_names_its_node_once(self) -> None:
        for words in ("no memory", "node1: no memory"):  # the client of nodes adds the name
            self.assertEqual(str(self.refusal(Failed(words))), "node node1: no memory")

    def test_an_answer_that_was_never_asked_for_is_an_error_of_the_plan(self) -> None:
        self.assertRaises(KeyError, NodeAnswers().answer_of, NODE, AskVersion)

    def test_of_a_silent_node_the_way_out_is_told(self) -> None:
        refusal = self.refusal(Unreachable("node1", "timed out"))
        expected = (
            "node node1 is unreachable: timed out; start its node daemon, or power the node off "
            "and mark it offline: gnt-node modify --offline=yes node1"
        )
        self.assertEqual((str(refusal), refusal.code), (expected, Code.INTERNAL))

    def test_another_failure_keeps_its_code(self) -> None:
        for error, code in (
            (Failed("no such group", Code.UNKNOWN), Code.UNKNOWN),
            (Failed("no such group"), Code.ENVIRONMENT),
        ):
            refusal = self.refusal(error)
            self.assertEqual((str(refusal), refusal.code), ("node node1: no such group", code))

    def test_a_failure_is_no_answer_where_none_is_needed(self) -> None:
        for error in (Failed("no"), Unreachable("node1", "timed out")):
            self.assertIsNone(answered(error).known(NODE, AskVersion))


class DefaultTests(SynchronousTestCase):
    def test_an_operation_needs_a_plan_and_a_run_only(self) -> None:
        def plan(op: Delay, state: object, facts: NodeAnswers) -> NodeAnswers:
            return facts

        async def run(plan: object, tools: object) -> str:
            return "done"

        operation = Operation(Delay, plan, run)  # type: ignore[type-var]  # a plan without locks
        op, state, facts = Delay(duration=0.0), a_cluster(), NodeAnswers()
        self.assertEqual(list(operation.questions(op, state)), [])
        self.assertIsNone(operation.request_allocation(op, state, facts))
        self.assertIsNone(operation.search(op, state, facts))
        self.assertIsNone(operation.hooks(facts, state))
        self.assertIsNone(operation.preview(facts))
        tools = MemoryTools(state).tools
        self.assertEqual(operation.finish_result(facts, "done", [("n", "s", "o")], tools), "done")

    def test_a_master_without_keys_says_so(self) -> None:
        keys = UnavailableKeys()
        calls: tuple[Callable[[], Awaitable[object]], ...] = (
            keys.renew_secrets,
            keys.renew_rapi,
            lambda: keys.generate_authority("cluster"),
            lambda: keys.use_authority(b"key"),
            keys.issuing_authority,
            keys.trusted_authorities,
        )

        async def use(call: Callable[[], Awaitable[object]]) -> object:
            return await call()

        for call in calls:
            error = self.failureResultOf(use(call), Failed).value
            self.assertEqual(str(error), "this master does not manage keys")

    def test_without_an_event_stream_a_position_is_its_start(self) -> None:
        self.assertEqual(stream_start(), "0")

    def test_the_key_of_a_new_authority_is_not_shown(self) -> None:
        self.assertNotIn("secret", repr(NewAuthority("PEM", b"secret")))
