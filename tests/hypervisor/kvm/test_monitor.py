# SPDX-License-Identifier: BSD-2-Clause
"""Conversations with a QEMU, on a clock."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from ganeti.hypervisor.kvm.monitor import (
    CommandFailed,
    Monitor,
    MonitorConnector,
    MonitorUnavailable,
)
from ganeti.testing.qemu import QemuNetwork, ScriptedHost

HELLO = b'{"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}}}}\n'
Work = Coroutine[Deferred[Any], Any, Any]


class ControlTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.control = Monitor(self.clock)
        self.transport = StringTransport()
        self.control.makeConnection(self.transport)

    def begin(self, work: Work) -> Deferred[Any]:
        return Deferred.fromCoroutine(work)

    def test_nothing_is_said_before_the_greeting(self) -> None:
        beginning = self.begin(self.control.negotiate())
        self.assertEqual(self.transport.value(), b"")
        self.control.dataReceived(HELLO)
        self.assertEqual(self.transport.value(), b'{"execute":"qmp_capabilities"}\n')
        self.control.dataReceived(b'{"return": {}}\n')
        self.successResultOf(beginning)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_answers_belong_to_questions_in_their_order(self) -> None:
        first = self.begin(self.control.execute("one"))
        second = self.begin(self.control.execute("two", max_bandwidth=1))
        self.assertIn(b'{"max-bandwidth":1}', self.transport.value())
        self.control.dataReceived(b'{"error": {"class": "E", "desc": "no"}}\n{"event": "STOP"}\n')
        self.control.dataReceived(b'{"return": 2}\n')
        self.assertEqual(str(self.failureResultOf(first, CommandFailed).value), "no")
        self.assertEqual(self.successResultOf(second), 2)

    def test_an_answer_that_nobody_waits_for_any_more_keeps_its_place(self) -> None:
        first, second = (
            self.begin(self.control.execute("one")),
            self.begin(self.control.execute("two")),
        )
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.control.dataReceived(b'{"return": 1}\n{"return": 2}\n')
        self.assertEqual(self.successResultOf(second), 2)

    def test_a_qemu_that_does_not_answer_is_given_up(self) -> None:
        asking = self.begin(self.control.execute("quit"))
        self.clock.advance(10)
        failure = self.failureResultOf(asking, MonitorUnavailable)
        self.assertEqual(str(failure.value), "QEMU did not answer quit within 10 s")

    def test_a_connection_that_is_lost_fails_everything(self) -> None:
        asking = self.begin(self.control.execute("quit"))
        self.control.connectionLost(Failure(ConnectionDone()))
        self.failureResultOf(asking, MonitorUnavailable)
        self.failureResultOf(self.control.execute("quit"), MonitorUnavailable)
        self.failureResultOf(self.control.negotiate(), MonitorUnavailable)

    def test_garbage_ends_the_conversation(self) -> None:
        asking = self.begin(self.control.execute("quit"))
        self.control.dataReceived(b"SSH-2.0-OpenSSH\n")
        failure = self.failureResultOf(asking, MonitorUnavailable)
        self.assertIn("sent an unexpected message", str(failure.value))
        self.assertTrue(self.transport.disconnecting)

    def test_a_socket_without_a_qemu_is_told(self) -> None:
        host = ScriptedHost(self.clock, QemuNetwork(), [])

        async def talk() -> None:
            async with MonitorConnector(host.endpoint, self.clock).talk("/run/web1.qmp"):
                raise AssertionError("nobody is there")

        failure = self.failureResultOf(talk(), MonitorUnavailable)
        self.assertIn("cannot connect to the QEMU monitor at /run/web1.qmp", str(failure.value))
