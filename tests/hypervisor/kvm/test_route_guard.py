# SPDX-License-Identifier: BSD-2-Clause
"""A route to a guest never takes over what the node needs itself."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.hypervisor.kvm.route_guard import find_route_problem
from ganeti.model.guest import GuestNic
from ganeti.testing.processes import MemoryProcesses, Ran, Script

LOCAL = b'[{"type":"local","dst":"192.0.2.7","dev":"lo","flags":[],"uid":0,"cache":["local"]}]'
DIRECT = b'[{"dst":"192.0.2.7","dev":"eth0","prefsrc":"192.0.2.1","flags":[]}]'
DEFAULT = b'[{"dst":"default","gateway":"192.0.2.254","dev":"eth0","flags":[]}]'


class RouteGuardTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.get = Script(out=DIRECT)
        self.processes = MemoryProcesses(Clock(), {"ip": self.ip})

    def ip(self, ran: Ran) -> Script:
        return self.get if "get" in ran.argv else Script(out=DEFAULT)

    def problem(self, ip: str | None, mode: str = "routed") -> str:
        card = GuestNic(uuid="u", mac="aa:00:10:00:00:01", mode=mode, link="", ip=ip)
        found: str = self.successResultOf(find_route_problem(card, self.processes))
        return found

    def test_an_address_of_the_node_is_refused(self) -> None:
        self.get = Script(out=LOCAL)
        self.assertIn("192.0.2.7 is one of this node itself", self.problem("192.0.2.7"))

    def test_the_gateway_of_the_node_is_refused(self) -> None:
        self.assertIn("is that of this node's gateway", self.problem("192.0.2.254"))

    def test_other_addresses_are_fine(self) -> None:
        self.assertEqual(self.problem("192.0.2.7"), "")
        self.get = Script(code=2, err=b"RTNETLINK answers: Network is unreachable")
        self.assertEqual(self.problem("198.51.100.1"), "")

    def test_version_6_has_routes_of_its_own(self) -> None:
        self.problem("2001:db8::7")
        self.assertEqual({ran.argv[2] for ran in self.processes.ran}, {"-6"})

    def test_only_routed_cards_with_an_address_are_looked_at(self) -> None:
        self.assertEqual([self.problem(None), self.problem("192.0.2.7", "bridged")], ["", ""])
        self.assertEqual(self.processes.ran, [])
