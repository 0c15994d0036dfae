# SPDX-License-Identifier: BSD-2-Clause
"""Tickets for consoles come from the node that an instance runs on."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Refused
from ganeti.hypervisor.interfaces import ConsoleSocket, ConsoleStream
from ganeti.master.console_tickets import ConsoleTickets
from ganeti.testing.builders import a_cluster, a_node, an_instance
from tests.operations.whole import WholeCluster


class ConsolesTests(SynchronousTestCase):
    def setUp(self) -> None:
        nodes = [
            a_node("node1"),
            a_node("node2", primary_ip="192.0.2.2"),
            a_node("node3", offline=True),
        ]
        instances = [an_instance("web1", node="node2"), an_instance("web3", node="node3")]
        instances.append(an_instance("new1", node="node2", forthcoming=True))
        self.whole = WholeCluster(a_cluster(nodes=nodes, instances=instances))
        self.whole.guests["node2"].sockets = {ConsoleStream.SERIAL: ConsoleSocket(path="/serial")}
        self.consoles = ConsoleTickets(lambda: self.whole.state, self.whole.network)

    def refusal(self, instance: str, stream: str = "serial") -> str:
        asking = self.consoles.create_ticket(instance, stream, "anna")
        return str(self.failureResultOf(asking, Refused).value)

    def test_the_node_of_the_instance_is_asked(self) -> None:
        self.successResultOf(self.whole.start_on("node2", "web1"))
        asking = self.consoles.create_ticket("web1", "serial", "anna")
        answer = self.successResultOf(asking)
        self.assertEqual((answer["node"], answer["address"]), ("node2", "192.0.2.2"))
        self.assertRegex(answer["ticket"], "^[0-9a-f]{40}$")

    def test_refusals_say_why(self) -> None:
        self.assertIn("does not exist", self.refusal("web9"))
        self.assertIn("node node3 is offline", self.refusal("web3"))
        self.assertIn("new1 is only reserved", self.refusal("new1"))
        self.assertIn("stream must be one of serial, vnc", self.refusal("web1", "sound"))
        self.successResultOf(self.whole.start_on("node2", "web1"))
        self.assertIn("has no VNC console", self.refusal("web1", "vnc"))
