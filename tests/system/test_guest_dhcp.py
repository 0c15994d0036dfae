# SPDX-License-Identifier: BSD-2-Clause
"""Guests ask real DHCP servers for their addresses, in a network namespace."""

from __future__ import annotations

from ganeti.hypervisor.kvm.devices import tap
from ganeti.hypervisor.kvm.dhcp_server import server_mac
from ganeti.hypervisor.kvm.tap_devices import Taps
from ganeti.model.guest import GuestNetwork, GuestNic
from ganeti.model.parameters.kvm import Kvm
from ganeti.model.traffic_rules import TrafficRules
from ganeti.schema.records import replace
from tests.system.frames import MARK, dhcp, mac_bytes, neighbor_advertisement, router_solicitation
from tests.system.network_namespace import Cards, require_programs
from tests.system.test_guest_networks import HERS6, NetworkCase, a_card

GUEST = f"{MARK.decode()}.example.com"
"""Answers of DHCP have the name of the instance, and so the mark."""
PREFIX = "fd68:656c:6c6f::/64"
"""Contains the mark."""
NETWORK = GuestNetwork(
    name="office",
    uuid="u",
    tags=("dhcp",),
    subnet="192.0.2.0/24",
    gateway="192.0.2.1",
    subnet6=PREFIX,
)
OFFER, ACK = 2, 5


class DhcpTests(NetworkCase):
    """Two cards on a bridge; the network of the first one has a server."""

    def setUp(self) -> None:
        super().setUp()
        require_programs("nft", "dnsmasq", "nsenter")
        self.node.add_bridge("br0")
        self.card = replace(a_card(1), ip="192.0.2.7", network=NETWORK)
        self.peer = a_card(2)

    def serve(self, card: GuestNic) -> Cards:
        self.addCleanup(self.disconnect)
        self.successResultOf(self.taps.connect_cards(GUEST, [card, self.peer], Kvm()))
        return Cards(self.node, tap(card), tap(self.peer))

    def disconnect(self) -> None:
        self.successResultOf(self.taps.disconnect((tap(self.card), tap(self.peer))))

    def ask(self, guests: Cards, sent: bytes) -> bytes:
        """Return the last answer that the guest gets; other machines get none, nor the question."""
        seen = guests.send(tap(self.card), sent, 1)
        self.assertNotIn((tap(self.peer), sent), seen)
        return self.last_of(seen)

    def last_of(self, seen: list[tuple[str, bytes]]) -> bytes:
        answers = [each for each in seen if MARK in each[1]]
        self.assertEqual({receiver for receiver, _ in answers}, {tap(self.card)})
        return answers[-1][1]

    def advertise(self) -> Cards:
        return self.serve(replace(self.card, network=replace(NETWORK, tags=("ra",))))

    def assert_leased(self, answer: bytes, kind: int) -> None:
        self.assertIn(bytes((53, 1, kind)), answer)
        for address in ((192, 0, 2, 7), (3, 4, 192, 0, 2, 1), (1, 4, 255, 255, 255, 0)):
            self.assertIn(bytes(address), answer)

    def test_a_guest_gets_its_address_and_extends_its_lease(self) -> None:
        strict = TrafficRules(anti_spoofing=True, firewall="deny")
        card = replace(self.card, rules=strict)
        guests = self.serve(card)
        self.assert_leased(self.ask(guests, dhcp(card.mac, 1)), OFFER)
        self.assert_leased(self.ask(guests, dhcp(card.mac, 3)), ACK)
        self.assert_leased(self.ask(guests, dhcp(card.mac, 3, "192.0.2.7")), ACK)

    def test_others_of_the_bridge_get_no_answer_and_hear_nothing(self) -> None:
        guests = self.serve(self.card)
        self.ask(guests, dhcp(self.card.mac, 1))
        # Also with the address of another, whom the server would answer.
        for mac in (self.peer.mac, self.card.mac):
            seen = guests.send(tap(self.peer), dhcp(mac, 1))
            self.assertEqual([each for each in seen if MARK in each[1]], [])

    def test_prefixes_are_advertised_and_the_node_is_no_router(self) -> None:
        guests = self.advertise()
        question = router_solicitation(self.card.mac)
        seen = guests.send(tap(self.card), question, 1)
        self.assertIn((tap(self.peer), question), seen)  # for real routers
        answer = self.last_of(seen)
        self.assertEqual(answer[6:12], mac_bytes(server_mac(self.card)))
        self.assertEqual(answer[22:24], b"\xfe\x80")  # from a link-local address
        self.assertEqual(answer[60:62], b"\0\0")  # the lifetime of the router
        self.assertNotIn(25, answer[70::8])  # no server of DNS

    def test_a_guest_that_has_an_address_is_answered_there(self) -> None:
        guests = self.advertise()
        seen = guests.send(tap(self.card), router_solicitation(self.card.mac, HERS6))
        asked = [content for device, content in seen if content[54:55] == bytes((135,))]
        self.assertTrue(asked, seen)
        server = "fe80::" + asked[0][30:38].hex(":", 2)
        to = server_mac(self.card)
        answer = neighbor_advertisement(self.card.mac, HERS6, server, to)
        self.assertEqual(
            self.last_of(guests.send(tap(self.card), answer, 1))[:6], mac_bytes(self.card.mac)
        )

    def test_a_server_that_ended_is_started_again(self) -> None:
        guests = self.serve(self.card)
        restarted = Taps(self.node.files(), self.node.processes())
        cards = [(GUEST, self.card)]
        self.assertEqual(self.successResultOf(restarted.restore_servers(cards)), [])
        [pid] = self.node.call("ip", "netns", "pids", tap(self.card)).split()
        self.node.processes().kill(int(pid), 9)
        self.assertEqual(self.successResultOf(restarted.restore_servers(cards)), [GUEST])
        self.assert_leased(self.ask(guests, dhcp(self.card.mac, 3)), ACK)

    def test_tags_of_a_running_guest_change_at_once(self) -> None:
        guests = self.serve(self.card)
        without = replace(self.card, network=replace(NETWORK, tags=()))
        self.successResultOf(self.taps.reconnect(self.card, without, GUEST))
        self.assertNotIn(tap(self.card), self.node.call("ip", "netns", "list"))
        self.successResultOf(self.taps.reconnect(without, self.card, GUEST))
        self.assert_leased(self.ask(guests, dhcp(self.card.mac, 1)), OFFER)

    def test_nothing_is_left_of_a_guest(self) -> None:
        self.serve(self.card)
        self.disconnect()
        self.assertNotIn(tap(self.card), self.node.call("ip", "netns", "list"))
        self.assertNotIn("dhc", self.node.call("ip", "link", "show"))
