# SPDX-License-Identifier: BSD-2-Clause
from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from ganeti.daemon.process.options import ALL_ADDRESSES, add_address_options, address_of, parser
from ganeti.errors import Refused
from ganeti.paths import Paths

NAMED = {"GANETI_HOSTNAME": "node1.invalid"}


class AddressTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.paths = Paths(self.mktemp())
        os.makedirs(self.paths.data)

    def write(self, name: str, content: str) -> None:
        with open(f"{self.paths.data}/{name}", "w") as file:
            file.write(content)

    def test_the_cluster_knows_the_address_of_a_node(self) -> None:
        self.write("ssconf_node_primary_ips", "node1.invalid 192.0.2.1\nnode2.invalid 192.0.2.2\n")
        self.assertEqual(address_of("node2.invalid", self.paths, NAMED), "192.0.2.2")

    def test_what_is_written_on_the_node_counts_more(self) -> None:
        self.write("ssconf_node_primary_ips", "node1.invalid 192.0.2.1\n")
        self.write("bind", "127.0.0.9\n")
        self.assertEqual(address_of("node1.invalid", self.paths, NAMED), "127.0.0.9")

    def test_a_host_that_is_one_node_listens_everywhere(self) -> None:
        self.assertEqual(address_of("host.invalid", self.paths, {}), ALL_ADDRESSES)

    def test_a_node_without_an_address_is_told_how_to_give_it_one(self) -> None:
        with self.assertRaisesRegex(
            Refused, "node1.invalid, does not resolve: give an address with -b"
        ):
            address_of("node1.invalid", self.paths, NAMED)


class ParserTests(SynchronousTestCase):
    def test_the_options_that_start_scripts_use_are_there(self) -> None:
        options = parser("ganeti-noded", "Words.")
        add_address_options(options, 1811)
        chosen = options.parse_args(["-f", "-d", "-p", "99", "-b", "192.0.2.1"])
        self.assertEqual(
            vars(chosen), {"foreground": True, "debug": True, "port": 99, "bind": "192.0.2.1"}
        )
        self.assertEqual(options.parse_args([]).port, 1811)
