# SPDX-License-Identifier: BSD-2-Clause
"""The guest agent: answers in order, after what others have left, or none at all."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from ganeti.hypervisor.kvm.guest_agent import SYNC_TIMEOUT, AgentFailed, GuestAgent

SYNC = b'\xff{"execute":"guest-sync-delimited","arguments":{"id":7243}}\n'
SYNCED = b'\xff{"return": 7243}\n'


class GuestAgentTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock, self.transport = Clock(), StringTransport()
        self.agent = GuestAgent(self.clock)
        self.agent.makeConnection(self.transport)

    def begin(self, work: Any) -> Deferred[Any]:
        self.transport.clear()
        return Deferred.fromCoroutine(work)

    def failure(self, work: Deferred[Any]) -> str:
        return str(self.failureResultOf(work, AgentFailed).value)

    def synchronize(self) -> None:
        work = self.begin(self.agent.synchronize())
        self.agent.dataReceived(SYNCED)
        self.successResultOf(work)

    def test_what_was_left_in_the_channel_is_skipped(self) -> None:
        work = self.begin(self.agent.synchronize())
        self.assertEqual(self.transport.value(), SYNC)
        self.agent.dataReceived(b'{"return": 1}\n{"ret')
        self.assertNoResult(work)
        self.agent.dataReceived(SYNCED)
        self.successResultOf(work)

    def test_a_command_returns_its_result(self) -> None:
        self.synchronize()
        work = self.begin(self.agent.call("guest-fsfreeze-freeze"))
        self.assertEqual(self.transport.value(), b'{"execute":"guest-fsfreeze-freeze"}\n')
        self.agent.dataReceived(b'{"return": ')
        self.agent.dataReceived(b"3}\n")
        self.assertEqual(self.successResultOf(work), 3)

    def test_a_guest_without_an_agent_does_not_answer(self) -> None:
        work = self.begin(self.agent.synchronize())
        self.clock.advance(SYNC_TIMEOUT)
        self.assertIn("did not answer within 3 s", self.failure(work))

    def test_an_error_has_the_words_of_the_agent(self) -> None:
        self.synchronize()
        work = self.begin(self.agent.call("guest-fsfreeze-freeze"))
        self.agent.dataReceived(b'{"error": {"class": "x", "desc": "not supported"}}\n')
        self.assertIn("not supported", self.failure(work))

    def test_a_closed_channel_ends_the_wait(self) -> None:
        self.synchronize()
        work = self.begin(self.agent.call("guest-fsfreeze-thaw"))
        self.agent.connectionLost()
        self.assertIn("closed the connection", self.failure(work))

    def test_a_guest_cannot_fill_the_memory(self) -> None:
        self.synchronize()
        self.agent.dataReceived(bytes(2 << 20))
        self.assertTrue(self.transport.disconnecting)

    @given(st.binary(max_size=60))
    def test_nonsense_is_a_failure_at_most(self, data: bytes) -> None:
        agent = GuestAgent(self.clock)
        agent.makeConnection(StringTransport())
        work = Deferred.fromCoroutine(agent.call("guest-fsfreeze-thaw"))
        agent.dataReceived(b"\xff" + data.replace(b"\n", b" ") + b"\n")
        self.clock.advance(SYNC_TIMEOUT)
        work.addErrback(lambda failure: failure.trap(AgentFailed))
        self.successResultOf(work)
