# SPDX-License-Identifier: BSD-2-Clause
"""Cards of an instance that comes to another node group have the links of their networks there."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.changes.instances import put_back, set_primary_node
from ganeti.config.nic_connections import connect_on
from ganeti.config.state import ClusterState
from ganeti.testing.builders import (
    a_cluster,
    a_group,
    a_network,
    a_nic,
    a_node,
    an_instance,
)

LAN, DMZ = a_network("lan"), a_network("dmz")
HERE = {"mode": "bridged", "link": "br0", "vlan": ""}
THERE = {"mode": "openvswitch", "link": "ovs1", "vlan": ".7"}


def a_state() -> ClusterState:
    """web1 has a card in each of two networks and one in none; the other group has one network."""
    nics = [
        a_nic("nic0", network=LAN.uuid, nicparams=HERE),
        a_nic("nic1", network=DMZ.uuid, nicparams=HERE),
        a_nic("nic2", nicparams={"link": "br9"}),
    ]
    return a_cluster(
        groups=[
            a_group("default", networks={LAN.uuid: HERE, DMZ.uuid: HERE}),
            a_group("other", networks={LAN.uuid: THERE}),
        ],
        networks=[LAN, DMZ],
        nodes=["node1", "node2", a_node("node3", group="other")],
        instances=[an_instance("web1", node="node1", nics=nics)],
    )


class ConnectionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.state = a_state()
        self.web = self.state.instance("web1")

    def links(self, state: ClusterState) -> Sequence[dict[str, object]]:
        return [nic.nicparams for nic in state.instance("web1").nics]

    def test_within_a_group_cards_stay_as_they_are(self) -> None:
        self.assertIs(connect_on(self.web, self.state.node("node2"), self.state), self.web)

    def test_in_another_group_they_have_the_connection_of_their_network(self) -> None:
        moved = set_primary_node(self.web, self.state.node("node3"))(self.state)
        self.assertEqual(self.links(moved), [THERE, HERE, {"link": "br9"}])
        back = set_primary_node(moved.instance("web1"), self.state.node("node1"))(moved)
        self.assertEqual(self.links(back), [HERE, HERE, {"link": "br9"}])

    def test_a_move_that_is_undone_gives_them_their_links_back(self) -> None:
        moved = set_primary_node(self.web, self.state.node("node3"))(self.state)
        undone = put_back(self.web, ())(moved)
        self.assertEqual(undone.instance("web1").nics, self.web.nics)
