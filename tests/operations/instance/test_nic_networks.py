# SPDX-License-Identifier: BSD-2-Clause
"""A network card gets the parameters of its network's connection, and a free address of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Code, Refused
from ganeti.model.instance import Nic
from ganeti.operations.instance.nic_networks import connected, get_mac_prefix
from ganeti.testing.builders import a_cluster, a_group, a_network, a_nic

LAN = a_network("lan", reservations="00100000", mac_prefix="aa:11:22")
"""203.0.113.2 is an instance's, .1 and the ends are reserved."""
WAN = a_network("wan", network="198.51.100.0/29")
LINK = {"mode": "bridged", "link": "br7", "vlan": ""}
GROUP = a_group("default", networks={LAN.uuid: LINK})
STATE = a_cluster(groups=[GROUP], networks=[LAN, WAN])


def connect(*nics: Nic, before: Sequence[Nic] = (), check: bool = False) -> tuple[Nic, ...]:
    return connected(nics, GROUP, STATE, before=before, conflicts_check=check)


class ConnectionTests(SynchronousTestCase):
    def assert_refused(self, reason: str, code: Code, *nics: Nic, **over: Any) -> None:
        with self.assertRaisesRegex(Refused, reason) as raised:
            connect(*nics, **over)
        self.assertEqual(raised.exception.code, code)

    def test_a_card_without_a_network_stays_as_it_is(self) -> None:
        card = a_nic(ip="192.0.2.7", nicparams={"link": "br1"})
        self.assertEqual(connect(card), (card,))

    def test_a_card_in_a_network_has_its_uuid_and_its_link(self) -> None:
        for name in ("lan", LAN.uuid):
            [card] = connect(a_nic(network=name))
            self.assertEqual((card.network, card.nicparams), (LAN.uuid, LINK))

    def test_parameters_of_the_card_itself_hold(self) -> None:
        [card] = connect(a_nic(network="lan", nicparams={"vlan": ".9"}))
        self.assertEqual(card.nicparams, {**LINK, "vlan": ".9"})

    def test_a_network_that_the_group_lacks_is_refused_with_the_command(self) -> None:
        reason = "wan is not connected to node group default; .* connect wan MODE LINK default"
        self.assert_refused(reason, Code.STATE, a_nic(network="wan"))
        self.assert_refused("nosuch", Code.UNKNOWN, a_nic(network="nosuch"))

    def test_an_address_outside_the_network_is_refused(self) -> None:
        for address in ("203.0.113.8", "192.0.2.7", "2001:db8::1"):
            reason = rf"address {address} is not in network lan \(203.0.113.0/29\)"
            self.assert_refused(reason, Code.INPUT, a_nic(network="lan", ip=address))

    def test_an_address_of_a_node_or_the_cluster_is_refused(self) -> None:
        hosts = {
            STATE.cluster.master_ip: "that of the cluster",
            STATE.node("node1").primary_ip: "that of node node1",
        }
        for address, what in hosts.items():
            reason = f"address {address} is {what}.*, which a guest .* could cut off"
            self.assert_refused(reason, Code.NOT_UNIQUE, a_nic(ip=address))
            # An instance that has it since the node was added can still be changed otherwise.
            card = a_nic(ip=address)
            self.assertEqual(connect(card, before=[card]), (card,))

    def test_an_address_of_another_instance_or_host_is_refused(self) -> None:
        for address in ("203.0.113.2", "203.0.113.1"):
            reason = f"address {address} of network lan is in use"
            self.assert_refused(reason, Code.NOT_UNIQUE, a_nic(network="lan", ip=address))

    def test_free_addresses_and_those_of_the_pool_are_accepted(self) -> None:
        for address in ("203.0.113.3", "203.0.113.6", "pool", None):
            [card] = connect(a_nic(network="lan", ip=address))
            self.assertEqual(card.ip, address)

    def test_a_card_keeps_the_address_that_it_has(self) -> None:
        card = a_nic(network=LAN.uuid, ip="203.0.113.2")
        self.assertEqual(connect(card, before=[card])[0].ip, "203.0.113.2")
        other = a_nic(network=WAN.uuid, ip="203.0.113.2")
        self.assert_refused("is in use", Code.NOT_UNIQUE, card, before=[other])


class ConflictTests(SynchronousTestCase):
    """Another instance could get the address of a card that is not in the network."""

    def test_an_address_of_a_connected_network_is_refused_if_that_is_checked(self) -> None:
        card = a_nic(ip="203.0.113.5")
        reason = "203.0.113.5 belongs to network lan, .* set network=lan, or use --no-conflicts"
        with self.assertRaisesRegex(Refused, reason):
            connect(card, check=True)
        self.assertEqual(connect(card), (card,))

    def test_addresses_of_other_networks_are_accepted(self) -> None:
        for address in ("198.51.100.5", "192.0.2.7", None):
            connect(a_nic(ip=address), check=True)
        connect(a_nic(network="lan", ip="203.0.113.5"), check=True)

    def test_an_address_that_the_card_had_before_is_accepted(self) -> None:
        card = a_nic(ip="203.0.113.5")
        connect(card, before=[card], check=True)


class PrefixTests(SynchronousTestCase):
    def test_a_network_may_have_its_own_mac_prefix(self) -> None:
        prefixes = [get_mac_prefix(a_nic(network=name), STATE) for name in ("lan", "wan", None)]
        self.assertEqual(prefixes, ["aa:11:22", "", ""])
