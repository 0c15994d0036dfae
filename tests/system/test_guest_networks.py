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
from ganeti.schema.records import replace
from tests.system.frames import MARK, frame
from tests.system.network_namespace import Cards, NetworkNamespace


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
