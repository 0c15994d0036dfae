# SPDX-License-Identifier: BSD-2-Clause
"""Frames of guests on real bridges and switches, in a network namespace."""

from __future__ import annotations

from collections.abc import Iterator

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Refused
from ganeti.hypervisor.kvm.devices import tap
from ganeti.hypervisor.kvm.tap_devices import Taps
from ganeti.model.guest import GuestNic
from ganeti.model.parameters.kvm import Kvm
from ganeti.model.traffic_rules import TrafficRules
from ganeti.schema.records import replace
from tests.system.frames import ACK, MARK, SYN, arp, frame, icmp6, tcp, udp
from tests.system.network_namespace import Cards, NetworkNamespace, require_programs


def a_card(number: int, vlan: str = "", *, mode: str = "bridged", link: str = "br0") -> GuestNic:
    uuid = f"{number:08x}-0000-4000-8000-000000000000"
    return GuestNic(uuid=uuid, mac=f"aa:00:00:00:00:{number:02x}", mode=mode, link=link, vlan=vlan)


class NetworkCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.node = NetworkNamespace()
        self.addCleanup(self.node.remove)
        self.taps = Taps(self.node.files(), self.node.processes())

    def connect(self, *cards: GuestNic) -> Cards:
        self.successResultOf(self.taps.connect_cards("web1", cards, Kvm()))
        return Cards(self.node, *map(tap, cards))

    def assert_received(
        self, guests: Cards, sender: GuestNic, sent: bytes, *receivers: GuestNic
    ) -> None:
        """Send a frame from a card; only the receivers get it."""
        seen = guests.send(tap(sender), sent, len(receivers))
        got = {device for device, content in seen if MARK in content}
        self.assertEqual(got, set(map(tap, receivers)))


class VlanCase(NetworkCase):
    """Three cards in VLAN 10, VLAN 20, and both; ``mode`` and ``link`` connect them."""

    mode, link = "", ""

    def cards(self) -> Iterator[GuestNic]:
        for number, vlan in enumerate((".10", ".20", ".10:20"), 1):
            yield a_card(number, vlan, mode=self.mode, link=self.link)

    def check_separation(self) -> None:
        first, second, both = self.cards()
        guests = self.connect(first, second, both)
        plain = frame(first.mac, MARK)
        self.assert_received(guests, first, plain, both)
        self.assert_received(guests, both, frame(both.mac, MARK, vlan=20), second)
        # A guest cannot choose a VLAN that its card is not in.
        self.assert_received(guests, first, frame(first.mac, MARK, vlan=20))
        # A running card changes its VLAN, and keeps its device.
        changed = replace(first, vlan=".20")
        self.successResultOf(self.taps.reconnect(first, changed, "web1"))
        self.assert_received(guests, first, plain, second, both)


class BridgeTests(VlanCase):
    mode, link = "bridged", "br0"

    def setUp(self) -> None:
        super().setUp()
        self.node.add_bridge("br0", "vlan_filtering", "1")

    def test_vlans_are_separate(self) -> None:
        self.check_separation()

    def test_a_bridge_keeps_its_mtu_and_address(self) -> None:
        self.node.call("ip", "link", "add", "up0", "type", "veth", "peer", "name", "up1")
        self.node.call("ip", "link", "set", "up0", "mtu", "9000", "master", "br0")
        before = self.node.call("cat", "/sys/class/net/br0/mtu", "/sys/class/net/br0/address")
        self.assertTrue(before.startswith("9000\n"))
        self.connect(a_card(1))
        after = self.node.call("cat", "/sys/class/net/br0/mtu", "/sys/class/net/br0/address")
        self.assertEqual(after, before)


class OpenVswitchTests(VlanCase):
    mode, link = "openvswitch", "sw0"

    def setUp(self) -> None:
        super().setUp()
        self.node.add_switch("sw0")

    def test_vlans_are_separate(self) -> None:
        self.check_separation()

    def test_a_device_that_is_removed_leaves_no_port(self) -> None:
        first, second, _ = self.cards()
        self.successResultOf(self.taps.connect_cards("web1", [first, second], Kvm()))
        self.successResultOf(self.taps.disconnect((tap(first),)))
        self.assertEqual(self.node.call("ovs-vsctl", "list-ports", "sw0"), f"{tap(second)}\n")


class RouteTests(NetworkCase):
    """Routed cards of a node with an address and a gateway."""

    def setUp(self) -> None:
        super().setUp()
        self.node.call("ip", "link", "add", "up0", "type", "veth", "peer", "name", "up1")
        self.node.call("ip", "address", "add", "192.0.2.1/24", "dev", "up0")
        self.node.call("ip", "link", "set", "up0", "up")
        self.node.call("ip", "route", "add", "default", "via", "192.0.2.254")

    def connect_routed(self, ip: str) -> None:
        card = replace(a_card(1, mode="routed", link=""), ip=ip)
        self.successResultOf(self.taps.connect_cards("web1", [card], Kvm()))

    def test_a_guest_gets_a_route(self) -> None:
        self.connect_routed("192.0.2.7")
        device = tap(a_card(1))
        self.assertIn(f"dev {device}", self.node.call("ip", "route", "get", "192.0.2.7"))

    def test_addresses_of_the_node_and_its_gateway_are_refused(self) -> None:
        for address, what in (("192.0.2.1", "this node itself"), ("192.0.2.254", "gateway")):
            card = replace(a_card(1, mode="routed", link=""), ip=address)
            connecting = self.taps.connect_cards("web1", [card], Kvm())
            failure = self.failureResultOf(connecting, Refused)
            self.assertIn(what, str(failure.value))
        self.assertIn("via 192.0.2.254", self.node.call("ip", "route", "get", "198.51.100.1"))


ADDRESS, PEER = "192.0.2.7", "192.0.2.9"
HERS6 = "fe80::a800:ff:fe00:1"
"""What a guest makes of the MAC address of the first card."""


class FilterTests(NetworkCase):
    """The first card has rules, the second one has none; a wire connects their devices."""

    def setUp(self) -> None:
        super().setUp()
        require_programs("nft")

    def wire(self, rules: TrafficRules) -> Cards:
        self.card = replace(a_card(1, mode="routed", link=""), ip=ADDRESS, rules=rules)
        self.peer = a_card(2, mode="routed", link="")
        guests = self.connect(self.card, self.peer)
        for here, there in ((self.card, self.peer), (self.peer, self.card)):
            self.node.call(
                "nft",
                f"table netdev wire {{ chain {tap(here)} {{ type filter hook ingress device"
                f' "{tap(here)}" priority 100; fwd to "{tap(there)}"\n }}\n }}',
            )
        return guests

    def test_a_guest_sends_from_its_own_addresses_only(self) -> None:
        guests = self.wire(TrafficRules(anti_spoofing=True))
        mine, out, ports = self.card.mac, (ADDRESS, PEER), (1024, 53)
        for sent in (
            arp(mine, ADDRESS),
            udp(mine, out, ports),
            udp(mine, ("0.0.0.0", "255.255.255.255"), (68, 67)),
            icmp6(mine, (HERS6, "ff02::1"), 136, HERS6),
            icmp6(mine, ("::", "ff02::1"), 135, HERS6),
        ):
            self.assert_received(guests, self.card, sent, self.peer)
        for sent in (
            frame("aa:00:00:00:00:99", MARK),
            frame(mine, MARK),
            arp(mine, "192.0.2.8"),
            arp(mine, ADDRESS, sender="aa:00:00:00:00:99"),
            udp("aa:00:00:00:00:99", out, ports),
            udp(mine, ("192.0.2.8", PEER), ports),
            udp(mine, out, (67, 68)),
            icmp6(mine, ("fe80::99", "ff02::1"), 135, "fe80::99"),
            icmp6(mine, (HERS6, "ff02::1"), 136, "fe80::99"),
            icmp6(mine, (HERS6, "ff02::1"), 134, HERS6),
        ):
            self.assert_received(guests, self.card, sent)
        # What it receives is not restricted.
        self.assert_received(
            guests, self.peer, udp(self.peer.mac, (PEER, ADDRESS), ports), self.card
        )

    def test_a_guest_receives_what_is_allowed_and_answers(self) -> None:
        guests = self.wire(TrafficRules(firewall="tcp:22 udp:53@192.0.2.9"))
        theirs, inward = self.peer.mac, (PEER, ADDRESS)
        for sent in (
            arp(theirs, PEER),
            tcp(theirs, inward, (1024, 22), SYN),
            tcp(theirs, inward, (80, 1024), SYN | ACK),
            udp(theirs, inward, (1024, 53)),
        ):
            self.assert_received(guests, self.peer, sent, self.card)
        answer = udp(theirs, inward, (123, 1024))
        for sent in (
            frame(theirs, MARK),
            tcp(theirs, inward, (1024, 23), SYN),
            udp(theirs, ("192.0.2.10", ADDRESS), (1024, 53)),
            answer,
        ):
            self.assert_received(guests, self.peer, sent)
        question = udp(self.card.mac, (ADDRESS, PEER), (1024, 123))
        self.assert_received(guests, self.card, question, self.peer)
        self.assert_received(guests, self.peer, answer, self.card)

    def test_rules_of_a_running_guest_change_at_once(self) -> None:
        guests = self.wire(TrafficRules(firewall="tcp:22"))
        sent = tcp(self.peer.mac, (PEER, ADDRESS), (1024, 80), SYN)
        self.assert_received(guests, self.peer, sent)
        other = replace(self.card, rules=TrafficRules(firewall="tcp:80"))
        self.successResultOf(self.taps.reconnect(self.card, other, "web1"))
        self.assert_received(guests, self.peer, sent, self.card)
        free = replace(self.card, rules=None)
        self.successResultOf(self.taps.reconnect(other, free, "web1"))
        self.assertNotIn(tap(self.card), self.node.call("nft", "list", "tables"))

    def test_bandwidth_is_limited(self) -> None:
        guests = self.wire(TrafficRules(bandwidth_in=1))
        large = frame(self.peer.mac, MARK + bytes(1400))
        seen = guests.send(tap(self.peer), large, times=600)
        # At once, the burst of 262 kB passes.
        self.assertTrue(170 < len(seen) < 400, len(seen))

    def test_a_removed_device_leaves_no_table(self) -> None:
        self.wire(TrafficRules(anti_spoofing=True))
        self.assertIn(tap(self.card), self.node.call("nft", "list", "tables"))
        self.successResultOf(self.taps.disconnect((tap(self.card), tap(self.peer))))
        self.assertEqual(self.node.call("nft", "list", "tables"), "table netdev wire\n")

    def test_a_filter_that_was_flushed_is_set_again(self) -> None:
        self.wire(TrafficRules(anti_spoofing=True))
        self.node.call("nft", "flush", "ruleset")
        restored = self.successResultOf(self.taps.restore_filters([self.card]))
        self.assertEqual(restored, [self.card])
        self.assertIn("check_source", self.node.call("nft", "list", "ruleset"))
        self.assertEqual(self.successResultOf(self.taps.restore_filters([self.card])), [])
