# SPDX-License-Identifier: BSD-2-Clause
"""Clusters have folders, addresses and names that do not get into each other's way."""

from __future__ import annotations

from pathlib import Path

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed, Refused
from tools.quickstart.place import LONGEST_ROOT, Cluster, Description, alone, find, free_network

SAID = Description(name="one", hypervisor="fake", nodes=3, network="127.50.60")


class PlaceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clusters = Path(self.mktemp()).absolute()
        (self.clusters / "one").mkdir(parents=True)
        self.cluster = Cluster(self.clusters / "one", SAID)

    def test_nodes_are_numbered_from_one(self) -> None:
        names = [node.name for node in self.cluster.nodes]
        self.assertEqual(names, ["node1.one", "node2.one", "node3.one"])
        self.assertEqual(self.cluster.master.address, "127.50.60.1")
        self.assertRaisesRegex(Refused, "nodes 1 to 3", self.cluster.node, 4)

    def test_what_is_kept_is_found(self) -> None:
        self.cluster.keep()
        self.assertEqual(find(self.cluster.folder), self.cluster)
        self.assertIsNone(find(self.clusters / "two"))
        for content in ("{}", '{"x":' + "[" * 100_000):
            self.cluster.description.write_text(content)
            self.assertRaisesRegex(Failed, "cannot be read", find, self.cluster.folder)

    def test_folders_of_any_length_have_short_roots(self) -> None:
        for length in (1, 20, 60, 500):
            cluster = Cluster(Path("/" + "x" * length), SAID)
            self.assertLessEqual(len(cluster.node(3).paths.root), LONGEST_ROOT)
        self.assertEqual(Cluster(Path("/c/one"), SAID).master.paths.root, "/c/one/node1")

    def test_a_new_cluster_gets_addresses_that_no_neighbour_has(self) -> None:
        new = self.clusters / "two"
        network = free_network(new, 1)
        self.assertEqual(free_network(new, 1), network)
        taken = msgspec.structs.replace(SAID, network=network)
        Cluster(self.cluster.folder, taken).keep()
        self.assertNotEqual(free_network(new, 1), network)

    def test_one_at_a_time_changes_a_cluster(self) -> None:
        with alone(self.cluster.folder):
            self.assertRaisesRegex(
                Refused, "another quickstart", alone(self.cluster.folder).__enter__
            )
        with alone(self.cluster.folder):
            pass
