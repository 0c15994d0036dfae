# SPDX-License-Identifier: BSD-2-Clause
"""The body of a request is kept in memory, and no longer than its client is there."""

from __future__ import annotations

from io import BytesIO

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IPushProducer
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from ganeti.testing.master import MemoryMaster
from ganeti.web.request import MemoryRequest
from tests.rapi.asking import NodeClient


@implementer(IPushProducer)
class FakeProducer:
    """Counts how often it was stopped."""

    def __init__(self) -> None:
        self.stopped = 0

    def pauseProducing(self) -> None: ...
    def resumeProducing(self) -> None: ...
    def stopProducing(self) -> None:
        self.stopped += 1


class RequestTests(SynchronousTestCase):
    def setUp(self) -> None:
        channel, _ = NodeClient(MemoryMaster(), self.mktemp()).connect()
        self.request = MemoryRequest(channel)

    def test_a_body_of_any_length_is_in_memory(self) -> None:
        for length in (None, 0, 1 << 30):
            self.request.gotLength(length)
            self.assertIsInstance(self.request.content, BytesIO)

    def test_what_is_dropped_releases_its_body_and_its_answer(self) -> None:
        producer = FakeProducer()
        self.request.gotLength(5)
        self.request.registerProducer(producer, True)
        self.request.drop()
        self.assertIs(self.request.content, None)
        self.assertEqual(producer.stopped, 1)

    def test_a_request_without_an_answer_can_be_dropped(self) -> None:
        self.request.gotLength(5)
        self.request.drop()
        self.request.drop()
        self.assertIs(self.request.content, None)

    def test_a_lost_connection_drops_it_and_tells_what_works_on_it(self) -> None:
        self.request.gotLength(5)
        finished = self.request.notifyFinish()
        self.request.connectionLost(Failure(ConnectionDone()))
        self.assertIs(self.request.content, None)
        self.failureResultOf(finished, ConnectionDone)
