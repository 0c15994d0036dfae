# SPDX-License-Identifier: BSD-2-Clause
"""The node queries of a plan: which nodes are asked, and what becomes of their answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed, Refused, Unreachable
from ganeti.model.node import Node
from ganeti.operations.node_queries import gather
from ganeti.operations.operation import NodeAnswers, NodeQuery
from ganeti.rpc.node import AskVersion, DescribeNode, NodeInfo, Version
from ganeti.testing.builders import a_node
from ganeti.testing.facts import some_facts
from ganeti.testing.tools import ScriptedNodes

NODES = [a_node("node1"), a_node("node2")]
DESCRIBE = DescribeNode(hypervisors=("fake",))
VERSION = Version(protocol=1, release="3.1")


class CachedAnswers:
    """Recent answers of every node, and the ages that were accepted."""

    def __init__(self, answer: NodeInfo | Failed) -> None:
        self.answer = answer
        self.accepted: list[float] = []

    async def recent(
        self, nodes: Sequence[Node], max_age: float
    ) -> Mapping[str, NodeInfo | Failed]:
        self.accepted.append(max_age)
        return {node.uuid: self.answer for node in nodes}


class GatherTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.facts = some_facts()
        self.nodes = ScriptedNodes({DescribeNode: self.facts, AskVersion: VERSION})

    def gather(self, *questions: NodeQuery, recent: CachedAnswers | None = None) -> NodeAnswers:
        answers: NodeAnswers = self.successResultOf(gather(questions, self.nodes, "id", recent))
        return answers

    def test_answers_to_different_calls_are_kept_apart(self) -> None:
        found = self.gather(NodeQuery(NODES, DESCRIBE), NodeQuery(NODES[:1], AskVersion()))
        self.assertEqual(found.known(NODES[0], DescribeNode), self.facts)
        self.assertEqual(found.known(NODES[0], AskVersion), VERSION)
        self.assertIsNone(found.known(NODES[1], AskVersion))
        self.assertEqual(found.identity, "id")

    def test_errors_are_answers(self) -> None:
        self.nodes.gone.add("node1")
        self.nodes.answers[AskVersion] = Failed("the disk is full")
        found = self.gather(NodeQuery(NODES, DESCRIBE), NodeQuery(NODES[1:], AskVersion()))
        self.assertIsInstance(found.answers[NODES[0].uuid, DescribeNode], Unreachable)
        with self.assertRaisesRegex(Refused, "power the node off and mark it offline.* node1"):
            found.answer_of(NODES[0], DescribeNode)
        with self.assertRaisesRegex(Refused, "node node2: the disk is full"):
            found.answer_of(NODES[1], AskVersion)

    def test_answers_that_may_be_older_are_not_asked_for_again(self) -> None:
        old = some_facts(memory_free=1)
        recent = CachedAnswers(old)
        found = self.gather(NodeQuery(NODES, DESCRIBE, max_age=30.0), recent=recent)
        self.assertEqual([found.known(node, DescribeNode) for node in NODES], [old, old])
        self.assertEqual((recent.accepted, self.nodes.asked), ([30.0], []))

    def test_an_age_is_of_no_use_without_recent_answers(self) -> None:
        self.gather(NodeQuery(NODES, DESCRIBE, max_age=30.0))
        self.assertEqual(len(self.nodes.asked), 2)

    def test_a_query_without_an_age_asks_the_nodes(self) -> None:
        recent = CachedAnswers(some_facts(memory_free=1))
        found = self.gather(NodeQuery(NODES[:1], DESCRIBE), recent=recent)
        self.assertEqual(found.known(NODES[0], DescribeNode), self.facts)
        self.assertEqual(recent.accepted, [])
