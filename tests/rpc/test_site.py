# SPDX-License-Identifier: BSD-2-Clause
from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import GanetiError, Refused
from ganeti.rpc.body_limits import MIN_COUNTED, BodyBudget
from ganeti.rpc.callers import CallerRole, Peer
from ganeti.rpc.channel import TIMEOUTS, UNAUTHENTICATED_TIMEOUT, RpcChannel
from ganeti.rpc.node import (
    AskVersion,
    DelayCall,
    DescribeOSes,
    RunPowerHelper,
    Version,
)
from ganeti.rpc.protocol_version import OWN
from ganeti.rpc.quorum import Ballot, DescribeVote, RequestVote, VoterState
from ganeti.rpc.server import CallHandlers
from ganeti.rpc.site import MAX_UNAUTHENTICATED, RpcSite
from ganeti.rpc.wire import result_of
from ganeti.testing.callers import FixedCallers
from ganeti.web.limits.connections import ConnectionLimit
from tests.rpc.talking import answers, request

ASK = request("version", b"{}", "X-Ganeti-Term: 0\r\n")
EXPECTED = {200, 400, 403, 404, 405, 413, 431, 501}
VERSION = [True, {"protocol": 1, "release": "3.0"}]


class Served(SynchronousTestCase):
    """A site with a call that answers at once, and two that wait to be told."""

    peer: Peer | None = Peer("node1", "aa")

    def setUp(self) -> None:
        self.clock = Clock()
        self.term = 0
        self.waiting: list[Deferred[None]] = []
        self.canceled: list[object] = []
        calls = CallHandlers(lambda: self.term)
        calls.to(AskVersion, self.version)
        calls.to(DelayCall, self.wait)
        calls.to(DescribeOSes, self.wait)
        calls.to(DescribeVote, self.describe)
        calls.to(RequestVote, self.grant)
        calls.to(RunPowerHelper, self.power)
        strangers = {"hello": self.hello}
        self.callers = FixedCallers({"aa": CallerRole.MASTER})
        self.site = RpcSite(calls, lambda _: self.peer, self.callers, self.clock, strangers)
        self.site.doStart()
        self.addCleanup(self.close)
        self.connection, self.transport = self.connect()

    def close(self) -> None:
        self.site.doStop()
        for channel in self.site.open_channels():
            channel.connectionLost()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual((len(self.site.connections), self.site.bodies.kept), (0, 0))

    async def version(self, _: AskVersion) -> Version:
        return Version(protocol=1, release="3.0")

    async def wait(self, call: object) -> None:
        self.waiting.append(Deferred(lambda _: self.canceled.append(type(call))))
        await self.waiting[-1]

    async def describe(self, _: DescribeVote) -> Ballot:
        return Ballot(granted=False, state=VoterState())

    async def grant(self, call: RequestVote) -> Ballot:
        return Ballot(granted=True, state=VoterState(term=call.term, master=call.master))

    async def power(self, _: RunPowerHelper) -> str:
        return "on"

    async def hello(self, body: bytes) -> bytes:
        if body == b"refuse":
            raise Refused("no")
        return b"hello " + body

    def connect(self) -> tuple[RpcChannel, StringTransport]:
        connection, transport = self.site.buildProtocol(None), StringTransport()
        connection.makeConnection(transport)
        return connection, transport

    def answers(self) -> list[tuple[int, bytes]]:
        sent = self.transport.value()
        self.transport.clear()
        return answers(sent)

    def explained(self) -> tuple[int, str]:
        [(status, body)] = self.answers()
        return status, json.loads(body)["explain"]

    def is_cut_off(self, transport: StringTransport | None = None) -> bool:
        """Whether a connection closes, once a refusal has had time to be read."""
        transport = transport or self.transport
        self.clock.advance(TIMEOUTS.linger + 1)
        return transport.disconnecting or transport.disconnected


class CallTests(Served):
    def test_calls_are_answered_one_after_the_other(self) -> None:
        self.connection.dataReceived(request("test_delay", b'{"duration": 1}') + ASK)
        self.assertEqual(self.answers(), [])
        self.waiting.pop().callback(None)
        first, second = self.answers()
        self.assertEqual(first, (200, b"[true,null]"))
        self.assertEqual(json.loads(second[1]), VERSION)

    def test_an_unknown_call_is_not_found(self) -> None:
        self.connection.dataReceived(request("magic", b"{}"))
        self.assertEqual(self.explained(), (404, "unknown call magic"))

    def test_garbage_is_told_so_and_the_connection_closed(self) -> None:
        self.connection.dataReceived(b"\x16\x03\x01\r\n\r\n")
        self.assertEqual(self.explained()[0], 400)
        self.assertTrue(self.is_cut_off())

    def test_another_method_and_a_nonsensical_term_are_told_so(self) -> None:
        self.connection.dataReceived(b"GET /version HTTP/1.1\r\n\r\n")
        self.assertEqual(self.explained(), (405, "calls require the method POST"))
        self.connection, self.transport = self.connect()
        self.connection.dataReceived(request("version", b"{}", "X-Ganeti-Term: new\r\n"))
        self.assertEqual(self.explained(), (400, "the header X-Ganeti-Term is not a number"))

    def test_what_two_readers_could_take_for_different_calls_is_refused(self) -> None:
        terms = "X-Ganeti-Term: 0\r\nx-ganeti-term: 1\r\n"
        chunks = b"POST /version HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
        for data, status in ((request("version", b"{}", terms), 400), (chunks, 501)):
            self.connection, self.transport = self.connect()
            self.connection.dataReceived(data + ASK)
            self.assertEqual([each for each, _ in self.answers()], [status])

    @given(st.lists(st.integers(1, 60)))
    def test_calls_are_answered_however_they_are_cut(self, cuts: list[int]) -> None:
        connection, transport = self.connect()
        left = 3 * (ASK + request("magic", b"x" * 300))
        for cut in [*cuts, len(left)]:
            connection.dataReceived(left[:cut])
            left = left[cut:]
        self.assertEqual([each for each, _ in answers(transport.value())], 3 * [200, 404])
        connection.connectionLost()

    @given(st.binary(max_size=200))
    def test_anything_is_answered_or_refused_and_nothing_worse(self, data: bytes) -> None:
        for start in (b"", ASK[:-4], request("version", b"")[:-4]):
            connection, transport = self.connect()
            connection.dataReceived(start + data)
            self.assertLessEqual({each for each, _ in answers(transport.value())}, EXPECTED)
            connection.connectionLost()

    def test_an_idle_connection_gives_way_when_there_are_too_many(self) -> None:
        self.site.connections = ConnectionLimit(2, self.site.warn)
        transports = [self.connect()[1] for _ in range(3)]
        self.assertEqual([each.disconnected for each in transports], [True, False, False])

    def test_the_connection_closes_after_an_answer_if_the_peer_says_so(self) -> None:
        self.connection.dataReceived(request("version", b"{}", "Connection: close\r\n"))
        self.assertEqual(len(self.answers()), 1)
        self.assertTrue(self.is_cut_off())


CLAIM = b'{"term": 7, "master": "node1"}'
POWER = b'{"oob_program": "/x", "command": "y", "remote_node": "z", "timeout": 1}'


class RoleTests(Served):
    """Members of the cluster that are not its master, and one that was a member."""

    def become(self, role: CallerRole) -> None:
        self.callers.roles["aa"] = role

    def ask(self, name: str, body: bytes = b"{}", term: int = 0) -> tuple[int, object]:
        self.connection.dataReceived(request(name, body, f"X-Ganeti-Term: {term}\r\n"))
        [(status, answer)] = self.answers()
        return status, json.loads(answer)

    def why(self, name: str, body: bytes = b"{}") -> str:
        status, answer = self.ask(name, body)
        assert status == 403 and isinstance(answer, dict), (status, answer)
        return str(answer["explain"])

    def test_only_the_master_is_obeyed(self) -> None:
        for role in (CallerRole.NODE, CallerRole.CANDIDATE):
            self.become(role)
            expected = f"version may only be called by roles master; node1 has the role {role}"
            self.assertEqual(self.why("version"), expected)
        self.become(CallerRole.MASTER)
        self.assertEqual(self.ask("version"), (200, VERSION))

    def test_a_caller_of_another_protocol_is_refused_with_both_versions(self) -> None:
        self.connection.dataReceived(
            request("version", b"{}", "X-Ganeti-Term: 0\r\nX-Ganeti-Protocol: 8-9\r\n")
        )
        [(status, answer)] = self.answers()
        self.assertEqual(status, 200)
        with self.assertRaisesRegex(GanetiError, f"versions 8-9 .* speaks {OWN} "):
            result_of(AskVersion(), answer)

    def test_every_member_may_ask_whom_a_node_obeys_and_candidates_may_claim(self) -> None:
        self.become(CallerRole.NODE)
        self.assertEqual(self.ask("vote_info", b"{}")[0], 200)
        self.assertIn(
            "may only be called by roles candidate, master", self.why("vote_request", CLAIM)
        )
        self.become(CallerRole.CANDIDATE)
        self.assertEqual(self.ask("vote_request", CLAIM)[0], 200)

    def test_a_master_of_another_term_hears_of_the_term_and_not_of_its_role(self) -> None:
        self.become(CallerRole.CANDIDATE)
        self.term = 5
        for term, error in ((4, "OldTerm"), (6, "UnclaimedTerm")):
            status, answer = self.ask("version", b"{}", term)
            assert isinstance(answer, list)
            self.assertEqual((status, answer[1][0]), (200, error))

    def test_a_power_helper_runs_for_the_master_on_its_own_node_only(self) -> None:
        self.assertEqual(self.ask("run_oob", POWER), (200, [True, "on"]))
        self.peer = Peer("node2", "aa")
        self.connection, self.transport = self.connect()
        self.assertIn("not by node2", self.why("run_oob", POWER))

    def test_a_certificate_that_is_revoked_is_refused_on_its_open_connection(self) -> None:
        self.assertEqual(self.ask("version"), (200, VERSION))
        del self.callers.roles["aa"]
        self.connection.dataReceived(ASK)
        self.assertIn("does not belong to a member", self.explained()[1])
        self.assertTrue(self.is_cut_off())

    def test_a_connection_whose_certificate_is_revoked_is_closed(self) -> None:
        del self.callers.roles["aa"]
        self.clock.advance(UNAUTHENTICATED_TIMEOUT + 5)
        self.assertTrue(self.is_cut_off())

    def test_a_call_that_waits_is_refused_if_its_caller_is_demoted_meanwhile(self) -> None:
        self.connection.dataReceived(request("os_diagnose", b"{}") + ASK)
        self.become(CallerRole.NODE)
        self.waiting[0].callback(None)
        self.assertEqual([status for status, _ in self.answers()], [200, 403])

    def test_a_member_that_may_not_call_is_told_so_without_its_body_being_kept(self) -> None:
        self.become(CallerRole.NODE)
        self.connection.dataReceived(request("version", b"a" * 10**6))
        self.assertEqual(self.explained()[0], 403)
        self.assertFalse(self.transport.disconnecting)

    def test_who_becomes_the_master_in_the_middle_of_a_call_makes_it_again(self) -> None:
        self.become(CallerRole.NODE)
        message = request("version", b"{}")
        self.connection.dataReceived(message[:-1])
        self.become(CallerRole.MASTER)
        self.connection.dataReceived(message[-1:])
        self.assertIn("retry the call", self.explained()[1])

    def test_bodies_of_members_are_small(self) -> None:
        self.become(CallerRole.NODE)
        self.connection.dataReceived(request("vote_info", b" " * 70_000))
        self.assertEqual(self.explained()[0], 413)


class HangingUpTests(Served):
    def test_long_work_ends_with_its_asker_and_other_work_goes_on(self) -> None:
        for call in ("test_delay", "os_diagnose"):
            connection, _ = self.connect()
            body = b'{"duration": 1}' if call == "test_delay" else b"{}"
            connection.dataReceived(request(call, body))
            connection.connectionLost()
        self.assertEqual(self.canceled, [DelayCall])
        end = Deferred.fromCoroutine(self.site.shut_down())
        self.assertNoResult(end)
        self.waiting[-1].callback(None)
        self.successResultOf(end)

    def test_a_site_that_ends_finishes_what_it_must_and_answers(self) -> None:
        self.connection.dataReceived(request("os_diagnose", b"{}") + ASK)
        long, long_transport = self.connect()
        long.dataReceived(request("test_delay", b'{"duration": 1}'))
        _, idle = self.connect()
        end = Deferred.fromCoroutine(self.site.shut_down())
        self.assertTrue(idle.disconnecting)
        self.assertTrue(long_transport.disconnecting)
        self.assertNoResult(end)
        self.waiting[0].callback(None)
        self.successResultOf(end)
        self.assertEqual(self.answers(), [(200, b"[true,null]")])
        self.assertTrue(self.is_cut_off())

    def test_work_that_does_not_end_in_time_is_stopped(self) -> None:
        self.connection.dataReceived(request("os_diagnose", b"{}"))
        end = Deferred.fromCoroutine(self.site.shut_down())
        end.cancel()
        self.failureResultOf(end)
        self.assertEqual(self.canceled, [DescribeOSes])

    def test_who_asks_more_than_is_answered_waits(self) -> None:
        self.connection.dataReceived(request("os_diagnose", b"{}"))
        self.assertEqual(self.transport.producerState, "producing")
        self.connection.dataReceived(ASK)
        self.assertEqual(self.transport.producerState, "paused")
        self.waiting[0].callback(None)
        self.assertEqual(self.transport.producerState, "producing")
        self.assertEqual(len(self.answers()), 2)

    def test_half_a_request_is_not_awaited_for_ever(self) -> None:
        self.connection.dataReceived(ASK[:10])
        self.clock.advance(TIMEOUTS.read)
        self.assertFalse(self.transport.disconnecting)
        self.clock.advance(5)
        self.assertTrue(self.is_cut_off())

    def test_an_idle_connection_is_closed_in_the_end_and_a_busy_one_is_not(self) -> None:
        busy, transport = self.connect()
        busy.dataReceived(request("os_diagnose", b"{}"))
        self.clock.advance(TIMEOUTS.idle + 5)
        self.assertTrue(self.is_cut_off())
        self.assertFalse(transport.disconnecting)


class BodyTests(Served):
    def setUp(self) -> None:
        super().setUp()
        self.site.bodies = BodyBudget(4 * MIN_COUNTED)
        self.large = request("os_diagnose", b"{}" + b" " * 3 * MIN_COUNTED)

    def test_large_requests_are_bounded_over_all_connections(self) -> None:
        self.connection.dataReceived(self.large[:-1])
        late, transport = self.connect()
        late.dataReceived(self.large[: 2 * MIN_COUNTED])
        self.assertIn(b" 503 ", transport.value())
        self.assertIn(b"retry the call later", transport.value())
        self.assertTrue(self.is_cut_off(transport))
        self.connection.dataReceived(self.large[-1:])
        self.waiting.pop().callback(None)
        self.assertEqual(self.answers(), [(200, b"[true,null]")])
        self.assertEqual(self.site.bodies.kept, 0)

    def test_a_request_counts_until_it_is_answered_even_if_nobody_waits_for_it(self) -> None:
        self.connection.dataReceived(self.large)
        self.connection.connectionLost()
        self.assertGreater(self.site.bodies.kept, 3 * MIN_COUNTED)
        self.waiting.pop().callback(None)
        self.assertEqual(self.site.bodies.kept, 0)

    def test_half_a_request_does_not_count_when_its_connection_is_gone(self) -> None:
        self.connection.dataReceived(self.large[:-1])
        self.assertGreater(self.site.bodies.kept, 0)
        self.connection.connectionLost()
        self.assertEqual(self.site.bodies.kept, 0)


class StrangerTests(Served):
    peer = None

    def test_strangers_are_served_what_is_open_to_them(self) -> None:
        self.connection.dataReceived(request("hello", b"you"))
        self.assertEqual(self.answers(), [(200, b"hello you")])

    def test_a_refusal_is_an_answer(self) -> None:
        self.connection.dataReceived(request("hello", b"refuse"))
        refusal = b'[false,["OpPrereqError",["no","wrong_state"]]]'
        self.assertEqual(self.answers(), [(200, refusal)])

    def test_strangers_are_refused_everything_else(self) -> None:
        self.connection.dataReceived(ASK)
        status, why = self.explained()
        self.assertEqual(status, 403)
        self.assertIn("certificate that the authority of this cluster has issued", why)

    def test_strangers_may_not_stay_nor_send_much_nor_be_many(self) -> None:
        self.clock.advance(UNAUTHENTICATED_TIMEOUT + 5)
        self.assertTrue(self.is_cut_off())
        connection, transport = self.connect()
        connection.dataReceived(b"POST /hello HTTP/1.1\r\nContent-Length: 20000\r\n\r\n")
        self.assertIn(b" 413 ", transport.value())
        transports = [self.connect()[1] for _ in range(MAX_UNAUTHENTICATED)]
        self.assertTrue(transports[-1].disconnected)
        self.assertFalse(transports[0].disconnected)
