# SPDX-License-Identifier: BSD-2-Clause
"""A client of an upgraded connection is read no faster than its bytes are passed on."""

from __future__ import annotations

from twisted.internet.interfaces import IPushProducer
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from ganeti.testing.master import MemoryMaster
from ganeti.web.channel_producer import ChannelProducer
from tests.rapi.asking import NodeClient


class ProducerTests(SynchronousTestCase):
    def setUp(self) -> None:
        channel, self.client = NodeClient(MemoryMaster(), self.mktemp()).connect()
        self.producer = ChannelProducer(channel)

    def test_the_client_is_not_read_while_the_other_connection_is_full(self) -> None:
        self.producer.pauseProducing()
        self.assertEqual(self.client.producerState, "paused")
        self.producer.resumeProducing()
        self.assertEqual(self.client.producerState, "producing")

    def test_it_can_be_registered_with_a_connection(self) -> None:
        verifyObject(IPushProducer, self.producer)
        other = StringTransport()
        other.registerProducer(self.producer, True)
        assert other.producer is not None
        other.producer.pauseProducing()
        self.assertEqual(self.client.producerState, "paused")

    def test_the_end_of_the_other_connection_leaves_the_client_to_its_protocol(self) -> None:
        self.producer.stopProducing()
        self.assertEqual(self.client.producerState, "producing")
        self.assertFalse(self.client.disconnecting)
