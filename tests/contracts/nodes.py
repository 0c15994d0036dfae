# SPDX-License-Identifier: BSD-2-Clause
"""What every way to nodes does, whatever carries the bytes; a subclass says which one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from ganeti.errors import Code, Failed, NotMaster, Refused, Unreachable
from ganeti.rpc.call import Nodes
from ganeti.rpc.node import AskVersion, DelayCall, DescribeOSes, LeaveCluster, Version
from ganeti.rpc.quorum import Ballot, RequestVote, VoterState
from ganeti.rpc.server import CallHandlers
from ganeti.testing.builders import a_node

if TYPE_CHECKING:
    Case = TestCase
else:
    Case = object

TERM, MASTER = 4, "node1"
VERSION = Version(protocol=3_000_000, release="3.1.0")
NODE1 = a_node("node1", primary_ip="127.0.0.1")
NODE2 = a_node("node2", primary_ip="127.0.0.2")
GONE = a_node("node3", primary_ip="127.0.0.3")


class Peer:
    """A node that answers some calls, refuses others, and has accepted a term."""

    def __init__(self, term: int = TERM) -> None:
        self.vote = VoterState(term=term, master=MASTER)
        self.given_up: Deferred[None] = Deferred()
        self.begun: Deferred[None] = Deferred()
        self.awaited: Deferred[None] = Deferred()
        self.finished: Deferred[None] = Deferred()
        self.answers = CallHandlers(lambda: self.vote.term)
        self.answers.to(AskVersion, self.version)
        self.answers.to(RequestVote, self.grant)
        self.answers.to(DelayCall, self.delay)
        self.answers.to(DescribeOSes, self.refuse)
        self.answers.to(LeaveCluster, self.wait)

    async def version(self, _: AskVersion) -> Version:
        return VERSION

    async def grant(self, call: RequestVote) -> Ballot:
        self.vote = VoterState(term=call.term, master=call.master)
        return Ballot(granted=True, state=self.vote)

    async def delay(self, _: DelayCall) -> None:
        await Deferred(lambda _: self.given_up.callback(None))

    async def wait(self, _: LeaveCluster) -> None:
        self.begun.callback(None)
        await self.awaited
        self.finished.callback(None)

    async def refuse(self, _: DescribeOSes) -> list[object]:
        raise Refused("no OS here", Code.UNKNOWN)


class NodesContract(Case):
    """A master of term 4 and its nodes: two that run, one that does not."""

    def nodes(self, peers: Mapping[str, CallHandlers]) -> Nodes:
        raise NotImplementedError

    def setUp(self) -> None:
        self.one, self.two = Peer(), Peer()

    def both(self) -> Nodes:
        return self.nodes({"node1": self.one.answers, "node2": self.two.answers})

    async def test_each_node_answers_for_itself(self) -> None:
        nodes = self.both()
        self.assertEqual(await nodes.ask(NODE1, AskVersion()), VERSION)
        self.assertEqual(await nodes.ask(NODE2, AskVersion()), VERSION)

    async def test_many_questions_are_under_way_at_once(self) -> None:
        nodes = self.both()
        waiting = Deferred.fromCoroutine(nodes.ask(NODE1, DelayCall(duration=1)))
        waiting.addErrback(lambda _: None)
        self.assertEqual(await nodes.ask(NODE1, AskVersion()), VERSION)
        waiting.cancel()
        await self.one.given_up

    async def test_a_node_finishes_what_nobody_waits_for_any_more(self) -> None:
        asking = Deferred.fromCoroutine(self.both().ask(NODE1, LeaveCluster()))
        asking.addErrback(lambda _: None)
        await self.one.begun
        asking.cancel()
        self.one.awaited.callback(None)
        await self.one.finished

    async def test_a_refusal_comes_back_with_the_name_of_the_node_and_its_code(self) -> None:
        with self.assertRaises(Refused) as refused:
            await self.both().ask(NODE1, DescribeOSes())
        self.assertEqual(str(refused.exception), "node1: no OS here")
        self.assertEqual(refused.exception.code, Code.UNKNOWN)

    async def test_a_node_that_is_not_there_is_unreachable(self) -> None:
        with self.assertRaises(Unreachable):
            await self.both().ask(GONE, AskVersion())

    async def test_a_call_that_a_node_does_not_know_is_no_answer(self) -> None:
        with self.assertRaisesRegex(Unreachable, "404.*no call named version"):
            await self.nodes({"node1": CallHandlers(lambda: TERM)}).ask(NODE1, AskVersion())

    async def test_all_are_asked_and_each_answers_or_not(self) -> None:
        answers = await self.both().ask_all([NODE1, NODE2, GONE], AskVersion())
        self.assertEqual([answers[NODE1.uuid], answers[NODE2.uuid]], [VERSION, VERSION])
        self.assertIsInstance(answers[GONE.uuid], Failed)

    async def test_a_node_with_an_older_term_accepts_the_master_first(self) -> None:
        away = Peer(term=TERM - 1)
        nodes = self.nodes({"node1": away.answers})
        self.assertEqual(await nodes.ask(NODE1, AskVersion()), VERSION)
        self.assertEqual(away.vote, VoterState(term=TERM, master=MASTER))

    async def test_a_node_with_a_newer_term_ends_the_master(self) -> None:
        nodes = self.nodes({"node1": Peer(term=TERM + 1).answers})
        with self.assertRaises(NotMaster):
            await nodes.ask(NODE1, AskVersion())
