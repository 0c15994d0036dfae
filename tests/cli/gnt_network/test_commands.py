# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-network`` makes the requests that its users mean."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.gnt_network.commands import GNT_NETWORK
from ganeti.luxi.methods import Query, QueryClusterInfo, QueryGroups
from ganeti.opcodes.network import ConnectNetwork, DisconnectNetwork, RemoveNetwork
from ganeti.opcodes.opcode import Opcode
from ganeti.schema.records import replace
from tests.cli.terminal import Canned, Terminal, answer

CLUSTER = {"nicparams": {"default": {"mode": "openvswitch", "link": "switch1", "vlan": ".10"}}}


class RequestTests(SynchronousTestCase):
    def setUp(self) -> None:
        groups = [["group1"], ["group2"], ["group3"]]
        network = answer({"group_list": "other"}, [[["group3", "bridged", "br0", ""]]])
        canned: Canned = {QueryClusterInfo: CLUSTER, QueryGroups: groups, Query: network}
        self.terminal = Terminal(canned)

    def made(self, *words: str) -> list[Opcode]:
        """The requests, without what says who asked."""
        self.assertEqual(self.terminal.run(GNT_NETWORK, *words), 0, self.terminal.err)
        jobs = self.terminal.master.memory.jobs
        return [replace(opcode, reason=()) for job in jobs.values() for opcode in job]

    def connected(self, group: str, mode: str, link: str, vlan: str) -> ConnectNetwork:
        return ConnectNetwork(
            group_name=group,
            network_name="lan",
            network_mode=mode,  # type: ignore[arg-type]
            network_link=link,
            network_vlan=vlan,
        )

    def test_a_network_is_connected_to_all_other_groups_as_the_cluster_connects_cards(self) -> None:
        wanted = [
            self.connected(group, "openvswitch", "switch1", ".10") for group in ("group1", "group2")
        ]
        self.assertEqual(self.made("connect", "lan"), wanted)

    def test_a_network_is_disconnected_from_the_groups_that_it_is_connected_to(self) -> None:
        wanted = [DisconnectNetwork(group_name="group3", network_name="lan")]
        self.assertEqual(self.made("disconnect", "lan"), wanted)

    def test_where_all_is_as_wanted_nothing_is_asked_for(self) -> None:
        self.terminal.canned[QueryGroups] = [["group3"]]
        self.assertEqual(self.made("connect", "lan"), [])
        self.assertEqual(self.terminal.out, "Network lan is connected to all groups already.\n")

    def test_the_list_says_how_a_network_is_connected(self) -> None:
        self.made("list", "-o", "group_list", "--no-headers")
        self.assertEqual(self.terminal.out, "group3 (bridged, br0)\n")

    def test_what_is_given_goes_before_the_defaults_of_the_cluster(self) -> None:
        made = self.made("connect", "-N", "link=switch2", "lan", "group2")
        self.assertEqual(made, [self.connected("group2", "openvswitch", "switch2", ".10")])

    def test_parameters_that_do_not_connect_are_refused(self) -> None:
        self.assertEqual(self.terminal.run(GNT_NETWORK, "connect", "-N", "ip=pool", "lan"), 1)
        self.assertIn("-N ip: must be some of mode, link and vlan", self.terminal.err)

    def test_a_network_is_removed_without_a_question(self) -> None:
        self.assertEqual(self.made("remove", "lan"), [RemoveNetwork(network_name="lan")])
