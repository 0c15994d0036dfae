# SPDX-License-Identifier: BSD-2-Clause
"""Consoles are connected to nodes of the cluster only, at their addresses."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol
from twisted.internet.testing import MemoryReactorClock

from ganeti.daemon.rapi_services.console_connector import NodeConnector
from ganeti.errors import Code, Refused
from ganeti.luxi.methods import QueryNodes
from ganeti.luxi.unreachable import MasterNotRunning
from ganeti.testing.master import MemoryMaster
from tests.daemon.connections.test_node_certificate import GOOD, Placed


class ConnectorTests(Placed):
    def setUp(self) -> None:
        self.memory = MemoryReactorClock()
        rows = [["node1", "192.0.2.1"], ["node2", "192.0.2.2"]]
        self.master = MemoryMaster({QueryNodes: rows})
        self.connector = NodeConnector(self.memory, self.place(GOOD), self.master, 1811)

    def connect(self, node: str) -> Deferred[Any]:
        return Deferred.fromCoroutine(self.connector(node, Protocol()))

    def test_a_node_is_reached_at_its_primary_address(self) -> None:
        connecting = self.connect("node2")
        self.assertNoResult(connecting)
        host, port, *_ = self.memory.tcpClients[0]
        self.assertEqual((host, port), ("192.0.2.2", 1811))
        connecting.addErrback(lambda _: None).cancel()

    def test_a_ticket_for_another_cluster_reaches_no_node(self) -> None:
        error = self.failureResultOf(self.connect("node9"), Refused).value
        self.assertEqual(str(error), "this is no ticket for a console of this cluster")
        self.assertEqual(error.code, Code.STATE)
        self.assertEqual(self.memory.tcpClients, [])

    def test_the_address_is_asked_for_each_time(self) -> None:
        self.master.canned[QueryNodes] = [["node1", "192.0.2.77"]]
        self.connect("node1").addErrback(lambda _: None).cancel()
        self.assertEqual(self.memory.tcpClients[0][0], "192.0.2.77")

    def test_without_a_master_there_is_no_console(self) -> None:
        self.master.away = True
        self.failureResultOf(self.connect("node1"), MasterNotRunning)
