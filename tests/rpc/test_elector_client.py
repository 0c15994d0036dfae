# SPDX-License-Identifier: BSD-2-Clause
"""A node that asks an elector gets an answer or an error that names the elector."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed, GanetiError, Unreachable
from ganeti.model.node import Node
from ganeti.rpc.callers import Forbidden
from ganeti.rpc.elector_client import ElectorClient
from ganeti.rpc.guest_lease import Elector, ExtendGuestLease
from ganeti.rpc.node_client import TransportError
from ganeti.rpc.wire import CallRequest, failure, success

ELECTOR = Elector(name="node3", address="192.0.2.3")
CALL = ExtendGuestLease(node="node2")


class ScriptedTransport:
    """Gives one answer, or raises it, and records what was sent where."""

    def __init__(self, answer: bytes | Exception) -> None:
        self._answer = answer
        self.sent: list[tuple[str, str, CallRequest]] = []

    async def exchange(self, node: Node, request: CallRequest) -> bytes:
        self.sent.append((node.name, node.primary_ip, request))
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


class ElectorClientTests(SynchronousTestCase):
    def ask(self, answer: bytes | Exception) -> bool:
        asking = ElectorClient(ScriptedTransport(answer))(ELECTOR, CALL)
        extended: bool = self.successResultOf(asking)
        return extended

    def error(self, answer: bytes | Exception) -> object:
        asking = ElectorClient(ScriptedTransport(answer))(ELECTOR, CALL)
        error: object = self.failureResultOf(asking, GanetiError).value
        return error

    def test_the_elector_decides(self) -> None:
        for extended in (True, False):
            self.assertIs(self.ask(success(extended)), extended)

    def test_the_elector_is_asked_at_its_address_as_no_master(self) -> None:
        transport = ScriptedTransport(success(True))
        self.successResultOf(ElectorClient(transport)(ELECTOR, CALL))
        [(name, address, request)] = transport.sent
        self.assertEqual((name, address), ("node3", "192.0.2.3"))
        self.assertEqual((request.name, request.term), ("guest_lease_extend", 0))
        self.assertEqual(request.body, b'{"node":"node2"}')

    def test_no_answer_and_nonsense_mean_that_it_is_unreachable(self) -> None:
        for answer in (TransportError("connection refused"), b"<html>", b"[true,7]"):
            error = self.error(answer)
            self.assertIsInstance(error, Unreachable)
            self.assertIn("node3", str(error))

    def test_a_refusal_of_the_elector_stays_what_it_is(self) -> None:
        for refusal in (Failed("the disk is full"), Forbidden("not a member")):
            error = self.error(failure(refusal))
            self.assertNotIsInstance(error, Unreachable)
            self.assertIn(str(refusal), str(error))
