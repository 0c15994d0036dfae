# SPDX-License-Identifier: BSD-2-Clause
"""Mirrored disks in memory keep the contract, and have two ends."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed
from ganeti.model.disk import Template
from ganeti.model.mirror import Ends, ends_of, seen_from
from ganeti.storage.interfaces import IMirror, IVolumes
from ganeti.testing.builders import a_disk, uuid_of
from ganeti.testing.mirror import Copies, MemoryMirror
from tests.contracts.mirror import MirrorContract


class MemoryMirrorTests(MirrorContract, SynchronousTestCase):
    def make(self, node: str, copies: Copies) -> tuple[IVolumes, IMirror]:
        mirror = MemoryMirror(copies)
        return mirror, mirror


class EndsTests(SynchronousTestCase):
    def test_each_node_sees_the_disk_from_its_end(self) -> None:
        one, two = uuid_of("node", "node1"), uuid_of("node", "node2")
        logical_id = (one, two, 11000, 3, 5, "secret")
        disk = a_disk("one", Template.DRBD, nodes=("node1", "node2"), logical_id=logical_id)
        addresses = {one: "192.0.2.1", two: "192.0.2.2"}
        self.assertEqual(
            [ends_of(seen_from(disk, node, addresses)) for node in (one, two)],
            [
                Ends("192.0.2.1", "192.0.2.2", 11000, 3, 5, "secret"),
                Ends("192.0.2.2", "192.0.2.1", 11000, 5, 3, "secret"),
            ],
        )

    def test_other_disks_look_the_same_from_everywhere(self) -> None:
        disk = a_disk("one")
        self.assertIs(seen_from(disk, uuid_of("node", "node1"), {}), disk)

    def test_a_disk_without_ends_says_what_is_missing(self) -> None:
        disk = a_disk("one", Template.DRBD, nodes=("node1", "node2"))
        self.assertIn("local-ip", str(self.assertRaises(Failed, ends_of, disk)))
