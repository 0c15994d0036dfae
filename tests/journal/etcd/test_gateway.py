# SPDX-License-Identifier: BSD-2-Clause
"""Requests to members that fail in all the ways in which HTTP does."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError, ConnectionLost, DNSLookupError
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import Response, ResponseDone, ResponseNeverReceived
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent
from zope.interface import implementer

from ganeti.journal.etcd.gateway import REQUEST_TIMEOUT, EtcdGateway
from ganeti.journal.etcd.interfaces import (
    Change,
    Condition,
    CreatedAt,
    DeleteKeys,
    Entry,
    ModifiedAt,
    PutKey,
    ReadResult,
    RevisionCompacted,
    StoreFull,
    StoreUnavailable,
)

FIRST, SECOND = "https://192.0.2.1:2379", "https://192.0.2.2:2379"
DONE = b'{"header":{"revision":"7"},"succeeded":true}'

T = TypeVar("T")


@implementer(IAgent)
class Agent:
    """Lets tests answer the requests that were sent."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Deferred[Any]]] = []
        self.bodies: list[tuple[str, Any]] = []

    def request(
        self, method: bytes, uri: bytes, headers: Any = None, bodyProducer: Any = None
    ) -> Deferred[Any]:
        asking: Deferred[Any] = Deferred(
            lambda d: d.errback(ResponseNeverReceived([Failure(CancelledError())]))
        )
        endpoint, _, path = uri.decode("ascii").partition("/v3/")
        self.asked.append((endpoint, asking))
        sent = StringTransport()
        self.assert_is_written(bodyProducer.startProducing(sent))
        self.bodies.append((path, msgspec.json.decode(sent.value())))
        return asking

    def assert_is_written(self, written: Deferred[None]) -> None:
        assert written.called, "a body is written at once"

    @property
    def endpoints(self) -> list[str]:
        return [endpoint for endpoint, _ in self.asked]

    def answer(self, body: bytes, code: int = 200) -> None:
        """Answer the last request."""
        response = Response((b"HTTP", 1, 1), code, b"", Headers(), StringTransport())
        self.asked[-1][1].callback(response)
        response._bodyDataReceived(body)
        response._bodyDataFinished(Failure(ResponseDone()))

    def fail(self, error: Exception) -> None:
        """Let the last request fail."""
        self.asked[-1][1].errback(error)


class GatewayCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.agent = Agent()
        self.gateway = EtcdGateway(self.agent, [FIRST, SECOND], self.clock)

    def begun(self, work: Coroutine[Deferred[Any], Any, T]) -> Deferred[T]:
        return Deferred.fromCoroutine(work)

    def refused(self, asking: Deferred[Any]) -> str:
        told: str = self.failureResultOf(asking, StoreUnavailable).getErrorMessage()
        return told


class GatewayTests(GatewayCase):
    def test_a_member_that_cannot_be_reached_is_passed_over_from_then_on(self) -> None:
        asking = self.begun(self.gateway.txn([], []))
        self.agent.fail(ConnectError())
        self.agent.answer(DONE)
        self.assertEqual(self.successResultOf(asking).revision, 7)
        self.begun(self.gateway.txn([], []))
        self.assertEqual(self.agent.endpoints, [FIRST, SECOND, SECOND])

    def test_a_request_that_may_have_been_carried_out_is_not_sent_to_another(self) -> None:
        asking = self.begun(self.gateway.txn([], []))
        self.agent.fail(ResponseNeverReceived([Failure(ConnectionLost())]))
        self.assertIn(FIRST, self.refused(asking))
        self.begun(self.gateway.txn([], []))
        self.assertEqual(self.agent.endpoints, [FIRST, SECOND])

    def test_a_member_that_does_not_answer_is_given_up(self) -> None:
        asking = self.begun(self.gateway.txn([], []))
        self.clock.advance(REQUEST_TIMEOUT)
        self.assertIn("no answer within 3 seconds", self.refused(asking))

    def test_whoever_gives_up_is_told_so_and_not_of_a_failure(self) -> None:
        asking = self.begun(self.gateway.txn([], []))
        asking.cancel()
        self.failureResultOf(asking, CancelledError)

    def test_all_members_that_cannot_be_reached_are_named(self) -> None:
        asking = self.begun(self.gateway.txn([], []))
        self.agent.fail(ConnectError())
        self.agent.fail(DNSLookupError("no such host"))
        told = self.refused(asking)
        self.assertTrue(FIRST in told and SECOND in told, told)

    def test_what_a_member_refuses_is_told(self) -> None:
        for code, body, expected in (
            (503, b'{"error":"etcdserver: no leader"}', "etcdserver: no leader"),
            (404, b"<html>", "an answer that cannot be read, with HTTP status 404"),
            (200, b"[]", "an answer that cannot be read, with HTTP status 200"),
        ):
            asking = self.begun(self.gateway.txn([], []))
            self.agent.answer(body, code)
            self.assertIn(expected, self.refused(asking))

    def test_a_full_database_is_an_error_of_its_own(self) -> None:
        asking = self.begun(self.gateway.txn([], []))
        self.agent.answer(b'{"error":"etcdserver: mvcc: database space exceeded","code":8}', 429)
        self.failureResultOf(asking, StoreFull)

    def test_fields_of_later_releases_are_ignored(self) -> None:
        asking = self.begun(self.gateway.grant(5))
        self.agent.answer(b'{"header":{"new":1},"ID":"12","TTL":"5","new":{}}')
        self.assertEqual(self.successResultOf(asking), 12)


class EncodingTests(GatewayCase):
    """Requests and answers as etcd's gateway defines them."""

    def sent(self, asking: Deferred[Any]) -> tuple[str, Any]:
        """The path and the body of a request."""
        asking.addErrback(lambda _: None)
        return self.agent.bodies[-1]

    def test_a_transaction(self) -> None:
        conditions: list[Condition] = [CreatedAt("k", 5), ModifiedAt("k", 0)]
        changes: list[Change] = [PutKey("k", b"\xff", 7), DeleteKeys("a", "b")]
        path, body = self.sent(self.begun(self.gateway.txn(conditions, changes)))
        equal = {"key": "aw==", "result": "EQUAL"}
        self.assertEqual(path, "kv/txn")
        self.assertEqual(
            body,
            {
                "compare": [
                    {**equal, "target": "CREATE", "create_revision": "5"},
                    {**equal, "target": "MOD", "mod_revision": "0"},
                ],
                "success": [
                    {"request_put": {"key": "aw==", "value": "/w==", "lease": "7"}},
                    {"request_delete_range": {"key": "YQ==", "range_end": "Yg=="}},
                ],
            },
        )

    def test_a_read(self) -> None:
        reading = self.begun(self.gateway.read("a", "b", limit=2, revision=9))
        self.assertEqual(self.agent.bodies[-1][1]["range_end"], "Yg==")
        entry = (
            b'{"key":"YQ==","value":"/w==","create_revision":"3","mod_revision":"4","lease":"5"}'
        )
        self.agent.answer(b'{"header":{"revision":"12"},"kvs":[%b],"more":true}' % entry)
        found = Entry("a", b"\xff", 3, 4, 5)
        self.assertEqual(self.successResultOf(reading), ReadResult((found,), 9, more=True))

    def test_a_compacted_revision(self) -> None:
        reading = self.begun(self.gateway.read("a", revision=1))
        self.agent.answer(b'{"message":"mvcc: required revision has been compacted"}', 400)
        self.failureResultOf(reading, RevisionCompacted)

    def test_a_lease_that_has_ended_has_no_seconds_left(self) -> None:
        for answer, seconds in ((b'{"result":{"ID":"1","TTL":"5"}}', 5), (b'{"result":{}}', 0)):
            renewing = self.begun(self.gateway.keep_alive(1))
            self.agent.answer(answer)
            self.assertEqual(self.successResultOf(renewing), seconds)

    def test_a_lease_that_is_unknown_is_revoked_already(self) -> None:
        revoking = self.begun(self.gateway.revoke(1))
        self.agent.answer(b'{"error":"etcdserver: requested lease not found"}', 404)
        self.successResultOf(revoking)

    def test_the_health_of_members(self) -> None:
        asking = self.begun(self.gateway.health())
        status = b'{"header":{"member_id":"8"},"version":"3.4.23","leader":"8","dbSize":"4096"}'
        _, second = (each for _, each in self.agent.asked)
        self.agent.asked.reverse()
        self.agent.answer(status)
        second.errback(ConnectError())
        self.agent.answer(b'{"alarms":[{"memberID":"8","alarm":"NOSPACE"}]}')
        health = self.successResultOf(asking)
        self.assertEqual((health.alarms, health.members[0].leads), (("NOSPACE",), True))
        self.assertEqual([bool(each.problem) for each in health.members], [False, True])

    def test_a_member_without_a_leader_has_a_problem(self) -> None:
        gateway = EtcdGateway(self.agent, [FIRST], self.clock)
        asking = self.begun(gateway.health())
        self.agent.answer(b'{"header":{"member_id":"8"},"version":"3.4.23"}')
        self.agent.fail(ConnectError())
        [member] = self.successResultOf(asking).members
        self.assertIn("it has no leader", member.problem)
