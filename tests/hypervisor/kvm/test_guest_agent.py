# SPDX-License-Identifier: BSD-2-Clause
"""The guest agent answers in order, after what others have left, or not at all; it freezes file
systems as long as snapshots are made."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionRefusedError  # noqa: A004
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from ganeti.hypervisor.kvm.guest_agent import (
    FREEZE_TIMEOUT,
    SYNC_TIMEOUT,
    AgentFailed,
    GuestAgent,
    GuestAgents,
)

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


THAW, FREEZE = "guest-fsfreeze-thaw", "guest-fsfreeze-freeze"


@implementer(IStreamClientEndpoint)
class ScriptedAgent:
    """An agent in a guest; ``absent`` is whether QEMU or the agent is not there.

    ``rejects`` are commands that it cannot do, ``ignores`` those that it does not answer. It has
    ``stale`` answers to commands of earlier connections, which it sends first.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.asked: list[str] = []
        self.rejects: set[str] = set()
        self.ignores: set[str] = set()
        self.stale: list[object] = []
        self.closed = 0
        self.refuses = False

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        if self.refuses:
            return fail(ConnectionRefusedError())
        protocol = protocolFactory.buildProtocol(UNIXAddress("/run/agent"))
        assert protocol is not None
        protocol.makeConnection(_AgentLine(self, protocol))
        return succeed(protocol)

    def answer(self, command: str, given_arguments: Any) -> object:
        """What the agent sends for a command; None for nothing."""
        self.asked.append(command)
        if command in self.ignores:
            return None
        if command in self.rejects:
            return {"error": {"class": "GenericError", "desc": "not today"}}
        return {"return": given_arguments["id"] if command == "guest-sync-delimited" else 1}


class _AgentLine(StringTransport):
    def __init__(self, agent: ScriptedAgent, other: IProtocol) -> None:
        super().__init__()
        self._agent = agent
        self._other = other

    def write(self, data: bytes) -> None:
        asked = msgspec.json.decode(data.lstrip(b"\xff"))
        found = self._agent.answer(asked["execute"], asked.get("arguments", {}))
        stale, self._agent.stale = self._agent.stale, []
        for each in (*stale, found):
            if each is not None:
                synced = b"\xff" if each is found and data.startswith(b"\xff") else b""
                line = synced + msgspec.json.encode(each) + b"\n"
                self._agent._clock.callLater(0, self._other.dataReceived, line)

    def loseConnection(self) -> None:
        self._agent.closed += 1


class FreezeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.agent = ScriptedAgent(self.clock)
        self.agents = GuestAgents(lambda path: self.agent, self.clock)
        self.seen: list[object] = []

    def freeze(self) -> Deferred[None]:
        async def work() -> None:
            async with self.agents.freeze("/run/agent") as frozen:
                self.seen.append(frozen)
                self.agent.asked.append("work")

        working = Deferred.fromCoroutine(work())
        self.clock.pump([0.1] * int(10 * (2 * SYNC_TIMEOUT + 3 * FREEZE_TIMEOUT)))
        return working

    def test_file_systems_are_frozen_for_the_work_and_thawed_after_it(self) -> None:
        self.successResultOf(self.freeze())
        self.assertEqual(self.seen, [True])
        # The first thaw is for what an interrupted snapshot may have left.
        self.assertEqual(self.agent.asked, ["guest-sync-delimited", THAW, FREEZE, "work", THAW])
        self.assertEqual(self.agent.closed, 1)

    def test_answers_to_commands_of_earlier_connections_are_left_out(self) -> None:
        self.agent.stale = [{"return": 12345}, {"error": {"class": "A", "desc": "b"}}]
        self.successResultOf(self.freeze())
        self.assertEqual(self.seen, [True])

    def test_without_an_agent_the_work_is_done_without_it(self) -> None:
        self.agent.ignores.add("guest-sync-delimited")
        self.successResultOf(self.freeze())
        self.agent.refuses = True
        self.successResultOf(self.freeze())
        self.assertEqual(self.seen, [False, False])
        self.assertNotIn(FREEZE, self.agent.asked)

    def test_an_agent_that_cannot_freeze_leaves_nothing_frozen(self) -> None:
        for unable in (self.agent.rejects, self.agent.ignores):
            unable.add(FREEZE)
            self.agent.asked.clear()
            self.successResultOf(self.freeze())
            self.assertEqual(self.agent.asked[-2:], [THAW, "work"])
        self.assertEqual(self.seen, [False, False])

    def test_file_systems_that_cannot_be_thawed_are_reported(self) -> None:
        self.agent.rejects.add(THAW)
        error = self.failureResultOf(self.freeze(), AgentFailed).value
        self.assertIn("may be frozen", str(error))

    def test_failed_work_thaws_them_as_well(self) -> None:
        async def work() -> None:
            async with self.agents.freeze("/run/agent"):
                raise ValueError

        working = Deferred.fromCoroutine(work())
        self.clock.pump([0.1] * 10)
        self.failureResultOf(working, ValueError)
        self.assertEqual(self.agent.asked[-1], THAW)

    def test_what_an_interruption_has_left_frozen_is_thawed(self) -> None:
        thawing = Deferred.fromCoroutine(self.agents.thaw("/run/agent"))
        self.clock.pump([0.1] * 10)
        self.successResultOf(thawing)
        self.assertEqual(self.agent.asked, ["guest-sync-delimited", THAW])
        self.agent.refuses = True
        self.failureResultOf(Deferred.fromCoroutine(self.agents.thaw("/run/agent")), AgentFailed)


class ShutdownTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.agent = ScriptedAgent(self.clock)

    def shut_down(self) -> bool:
        agents = GuestAgents(lambda path: self.agent, self.clock)
        working = Deferred.fromCoroutine(agents.shut_down("/run/agent"))
        self.clock.pump([0.1] * 50)
        done: bool = self.successResultOf(working)
        return done

    def test_an_agent_that_says_nothing_more_shuts_the_guest_down(self) -> None:
        self.agent.ignores.add("guest-shutdown")
        self.assertTrue(self.shut_down())
        self.assertEqual(self.agent.asked, ["guest-sync-delimited", "guest-shutdown"])

    def test_an_agent_that_is_absent_or_cannot_does_not(self) -> None:
        self.agent.rejects.add("guest-shutdown")
        self.assertFalse(self.shut_down())
        self.agent.ignores.add("guest-sync-delimited")
        self.assertFalse(self.shut_down())
        self.agent.refuses = True
        self.assertFalse(self.shut_down())
