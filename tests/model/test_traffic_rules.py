# SPDX-License-Identifier: BSD-2-Clause
"""The rules of a firewall, as users write them."""

from __future__ import annotations

from ipaddress import ip_network

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.model.traffic_rules import AllowRule, TrafficRules, parse_firewall


class FirewallTests(SynchronousTestCase):
    def test_each_form(self) -> None:
        found = parse_firewall("tcp:22 udp:5000-5100@192.0.2.0/24 tcp@2001:db8::/32 icmp")
        expected = (
            AllowRule("tcp", (22, 22)),
            AllowRule("udp", (5000, 5100), ip_network("192.0.2.0/24")),
            AllowRule("tcp", None, ip_network("2001:db8::/32")),
            AllowRule("icmp"),
        )
        self.assertEqual(found, expected)

    def test_nothing_can_be_allowed(self) -> None:
        self.assertEqual((parse_firewall("deny"), parse_firewall("")), ((), ()))

    def test_a_word_that_is_no_rule_is_rejected_with_the_form(self) -> None:
        for word in ("ssh", "tcp:22,80", "icmp:8", "deny tcp:22", "tcp:22; drop"):
            with self.assertRaisesRegex(ValueError, "is no rule: use words such as tcp:22"):
                parse_firewall(word)

    def test_ports_and_networks_are_checked(self) -> None:
        for word in ("tcp:0", "tcp:65536", "udp:90-80"):
            with self.assertRaisesRegex(ValueError, "no range of ports from 1 to 65535"):
                parse_firewall(word)
        with self.assertRaisesRegex(ValueError, "has host bits set"):
            parse_firewall("tcp:22@192.0.2.1/24")

    def test_their_number_is_limited(self) -> None:
        with self.assertRaisesRegex(ValueError, "more than 100 rules"):
            parse_firewall("tcp:22 " * 101)

    @given(st.text(max_size=30))
    def test_other_text_is_rejected_with_a_reason(self, text: str) -> None:
        try:
            parse_firewall(text)
        except ValueError as e:
            self.assertNotEqual(str(e), "")


class RulesTests(SynchronousTestCase):
    def test_rules_without_any_are_false(self) -> None:
        self.assertEqual((bool(TrafficRules()), bool(TrafficRules(bandwidth_in=1))), (False, True))
