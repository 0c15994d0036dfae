# SPDX-License-Identifier: BSD-2-Clause
"""Mirrored disks in memory keep the contract, and have two ends."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed
from ganeti.model.disk import Template
from ganeti.model.mirror import Ends, ends_of, with_ends
from ganeti.storage.interfaces import IMirror, IVolumes
from ganeti.testing.builders import a_disk, a_node
from ganeti.testing.mirror import Copies, MemoryMirror
from tests.contracts.mirror import MirrorContract


class MemoryMirrorTests(MirrorContract, SynchronousTestCase):
    def make(self, node: str, copies: Copies) -> tuple[IVolumes, IMirror]:
        mirror = MemoryMirror(copies, node)
        return mirror, mirror


class EndsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.nodes = {node.uuid: node for node in map(a_node, ("node1", "node2"))}

    def test_each_node_sees_the_disk_from_its_end(self) -> None:
        logical_id = (*self.nodes, 11000, 3, 5, "secret")
        disk = a_disk("one", Template.DRBD, nodes=("node1", "node2"), logical_id=logical_id)
        sent = with_ends(disk, self.nodes)
        self.assertEqual(
            [ends_of(sent, name) for name in ("node1", "node2")],
            [
                Ends("192.0.2.1", "192.0.2.2", 11000, 3, 5, "secret"),
                Ends("192.0.2.2", "192.0.2.1", 11000, 5, 3, "secret"),
            ],
        )

    def test_another_node_has_no_end_of_it(self) -> None:
        disk = with_ends(a_disk("one", Template.DRBD, nodes=("node1", "node2")), self.nodes)
        error = self.assertRaises(Failed, ends_of, disk, "node3")
        self.assertIn("node1 and node2, and this is node3", str(error))

    def test_other_disks_are_sent_as_they_are(self) -> None:
        disk = a_disk("one")
        self.assertIs(with_ends(disk, self.nodes), disk)

    def test_a_disk_that_came_without_its_ends_says_so(self) -> None:
        disk = a_disk("one", Template.DRBD, nodes=("node1", "node2"))
        self.assertIn("without its ends", str(self.assertRaises(Failed, ends_of, disk, "node1")))
