# SPDX-License-Identifier: BSD-2-Clause
"""The packet filter of a card; tests/system/test_guest_networks.py has what it does."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.hypervisor.kvm.packet_filter import build_filter, delete_filters
from ganeti.model.guest import GuestNetwork, GuestNic
from ganeti.model.traffic_rules import TrafficRules

TAP = "gnt0123456789ab"
CLEAR = f"add table netdev {TAP}\ndelete table netdev {TAP}\n"


def built(ip: str | None = None, network: GuestNetwork | None = None, **rules: Any) -> list[str]:
    card = GuestNic(
        uuid="0123456789ab-cdef",
        mac="aa:00:10:00:00:01",
        mode="bridged",
        link="br0",
        ip=ip,
        network=network,
        rules=TrafficRules(**rules) if rules else None,
    )
    return build_filter(card).decode().splitlines()


def an_office(*tags: str) -> GuestNetwork:
    subnets = {"subnet": "192.0.2.0/24", "subnet6": "2001:db8::/64"}
    return GuestNetwork(name="office", uuid="u", tags=tags, **subnets)


class FilterTests(SynchronousTestCase):
    def test_the_table_is_replaced_as_a_whole(self) -> None:
        lines = built(bandwidth_in=8)
        self.assertEqual("\n".join(lines[:2]) + "\n", CLEAR)
        self.assertEqual(lines[2], f"table netdev {TAP} {{")

    def test_without_rules_there_is_no_table(self) -> None:
        self.assertEqual(built(), CLEAR.splitlines())
        self.assertEqual(delete_filters([TAP, TAP]).decode(), CLEAR * 2)

    def test_requests_of_dhcp_go_to_the_server_and_only_its_answers_come_back(self) -> None:
        lines = built("192.0.2.7", an_office("dhcp"))
        outer = "dhc0123456789ab"
        sent = f'udp sport 68 udp dport 67 ether daddr set f2:00:10:00:00:01 fwd to "{outer}"'
        self.assertIn(sent, lines)
        hook = f'type filter hook ingress device "{outer}" priority 0; policy drop;'
        at = lines.index(hook)
        self.assertEqual(lines[at + 1 : at + 3], [f'udp sport 67 udp dport 68 fwd to "{TAP}"', "}"])

    def test_sources_are_checked_before_requests_are_passed_on(self) -> None:
        lines = built("192.0.2.7", an_office("dhcp"), anti_spoofing=True)
        [request] = [each for each in lines if "ether daddr set" in each]
        self.assertEqual(lines[lines.index(request) - 1], "jump check_source")

    def test_real_routers_get_solicitations_too(self) -> None:
        lines = built(None, an_office("ra"))
        self.assertIn('icmpv6 type nd-router-solicit dup to "dhc0123456789ab"', lines)
        self.assertEqual([each for each in lines if "udp" in each], [])

    def test_limits_are_in_bytes_with_room_for_large_packets(self) -> None:
        lines = built(bandwidth_in=1, bandwidth_out=1000)
        limits = [line for line in lines if line.startswith("limit")]
        expected = [
            "limit rate over 125000000 bytes/second burst 12500000 bytes drop",
            "limit rate over 125000 bytes/second burst 262144 bytes drop",
        ]
        self.assertEqual(limits, expected)

    def test_without_a_firewall_everything_is_received(self) -> None:
        hooks = [line for line in built(anti_spoofing=True) if line.startswith("type filter")]
        self.assertTrue(all(line.endswith("policy accept;") for line in hooks), hooks)

    def test_a_firewall_drops_what_no_rule_accepts(self) -> None:
        lines = built(firewall="tcp:22 udp@192.0.2.0/24 icmp@2001:db8::/32")
        [hook] = [line for line in lines if "hook egress" in line]
        self.assertTrue(hook.endswith("policy drop;"))
        expected = [
            "tcp dport 22-22 accept",
            "ip saddr 192.0.2.0/24 meta l4proto udp accept",
            "ip6 saddr 2001:db8::/32 icmpv6 type echo-request accept",
        ]
        self.assertEqual(lines[-5:-2], expected)

    def test_a_card_without_an_address_has_only_its_mac_address_checked(self) -> None:
        lines = built(anti_spoofing=True)
        self.assertIn("ether saddr != aa:00:10:00:00:01 drop", lines)
        self.assertIn("meta protocol { arp, ip } return", lines)
        self.assertIn("ip saddr 192.0.2.7 return", built("192.0.2.7", anti_spoofing=True))

    def test_addresses_of_version_6_follow_from_the_mac_address_and_the_network(self) -> None:
        network = GuestNetwork(name="lan", uuid="n", subnet6="2001:db8::/64")
        own = "fe80::a800:10ff:fe00:1, 2001:db8::a800:10ff:fe00:1"
        lines = built(network=network, anti_spoofing=True)
        self.assertIn(f"ip6 saddr {{ {own} }} return", lines)

    def test_a_configured_address_of_version_6_excludes_version_4(self) -> None:
        lines = built("2001:db8::7", anti_spoofing=True)
        self.assertIn("ip6 saddr { fe80::a800:10ff:fe00:1, 2001:db8::7 } return", lines)
        self.assertFalse([line for line in lines if "ip saddr" in line or "arp, ip" in line])
