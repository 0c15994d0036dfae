# SPDX-License-Identifier: BSD-2-Clause
"""Networks of any size are shown in lines that fit a terminal."""

from __future__ import annotations

import yaml
from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.gnt_network.commands import GNT_NETWORK
from ganeti.cli.gnt_network.info import ranges, usage_rows
from ganeti.testing.builders import a_cluster, a_group, a_network, a_nic, an_instance, uuid_of
from tests.cli.cluster_answers import answers_about
from tests.cli.terminal import Terminal


class MapTests(SynchronousTestCase):
    def test_a_small_network_is_one_row(self) -> None:
        self.assertEqual(list(usage_rows("XX....XX")), [("0-7", "XX....XX")])

    def test_equal_rows_of_a_large_network_come_once(self) -> None:
        usage = "XX" + "." * 65533 + "X"
        self.assertEqual(
            list(usage_rows(usage)),
            [
                ("0-63", "XX" + "." * 62),
                ("64-65471", "." * 64),
                ("65472-65535", "." * 63 + "X"),
            ],
        )

    def test_addresses_behind_each_other_are_a_range(self) -> None:
        reserved = "192.0.2.0, 192.0.2.1, 192.0.2.2, 192.0.2.9, 192.0.2.255"
        shown = ["192.0.2.0-192.0.2.2", "192.0.2.9", "192.0.2.255"]
        self.assertEqual((list(ranges(reserved)), list(ranges(""))), (shown, []))


class InfoTests(SynchronousTestCase):
    def shown(self, *words: str) -> str:
        uuid = uuid_of("network", "lan")
        lan = a_network("lan", tags=("office",))
        attached = {uuid: {"mode": "bridged", "link": "br7", "vlan": ""}}
        web1 = an_instance("web1", nics=(a_nic("web1/0", network=uuid, ip="203.0.113.4"),))
        state = a_cluster(networks=[lan], groups=[a_group(networks=attached)], instances=[web1])
        terminal = Terminal(answers_about(state))
        self.assertEqual(terminal.run(GNT_NETWORK, "info", *words), 0, terminal.err)
        return terminal.out

    def test_a_network_is_told_with_its_groups_and_instances(self) -> None:
        [told] = yaml.safe_load(self.shown("lan"))
        self.assertEqual(told["Network name"], "lan")
        self.assertEqual((told["Subnet"], told["Gateway"]), ("203.0.113.0/29", "203.0.113.1"))
        self.assertEqual((told["Tags"], told["Size"]), ("office", 8))
        connected = {"default": "mode:bridged link:br7 vlan:"}
        self.assertEqual(told["connected to node groups"], connected)
        self.assertEqual(told["used by instances"], ["web1"])

    def test_an_unknown_one_is_named(self) -> None:
        terminal = Terminal(answers_about(a_cluster()))
        self.assertEqual(terminal.run(GNT_NETWORK, "info", "wan"), 1)
        self.assertEqual(terminal.err, "Error: unknown network wan; see gnt-network list\n")
