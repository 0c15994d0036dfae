# SPDX-License-Identifier: BSD-2-Clause
"""Mirrored disks in memory keep the contract, and have two ends."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed, Refused
from ganeti.model.disk import Disk, Template
from ganeti.model.mirror import MirrorEnds, add_ends, resolve_ends
from ganeti.storage.interfaces import IMirror, IVolumes
from ganeti.testing.builders import a_disk, a_node
from ganeti.testing.mirror import Copies, MemoryMirror
from tests.contracts.mirror import MirrorBasicsContract, MirrorContract, MirrorRepairsContract


class MemoryMirrorTests(
    MirrorBasicsContract, MirrorContract, MirrorRepairsContract, SynchronousTestCase
):
    def make(self, node: str, copies: Copies) -> tuple[IVolumes, IMirror]:
        mirror = MemoryMirror(copies, node)
        return mirror, mirror


STEPS = (
    "promote,promote both,demote,connect,connect both,disconnect,attach,detach,cut_link,repair_link"
)


class AnyOrderTests(SynchronousTestCase):
    @given(st.lists(st.tuples(st.integers(0, 1), st.sampled_from(STEPS.split(","))), min_size=5))
    def test_two_connected_sides_are_writable_only_if_both_allow_it(
        self, steps: list[tuple[int, str]]
    ) -> None:
        copies = Copies(Clock())
        nodes = {node.uuid: node for node in map(a_node, ("node1", "node2"))}
        disk = add_ends(a_disk("one", Template.DRBD, nodes=("node1", "node2")), nodes)
        sides = [MemoryMirror(copies, name) for name in ("node1", "node2")]
        for number, side in enumerate(sides):
            self._attempt(side.create(disk, owner="web1", primary=number == 0))
            self._attempt(side.attach(disk, primary=False))
        for number, step in steps:
            self._step(copies, sides[number], disk, step)
            one, two = copies.all_copies().values()
            connected = copies.connected(next(iter(copies.all_copies())))
            if one.writable and two.writable and connected:
                self.assertTrue(one.both and two.both)

    def _step(self, copies: Copies, side: MemoryMirror, disk: Disk, step: str) -> None:
        verb, both = step.partition(" ")[0], step.endswith("both")
        if verb in ("cut_link", "repair_link"):
            getattr(copies, verb)("192.0.2.1", "192.0.2.2")
        elif verb == "attach":
            self._attempt(side.attach(disk, primary=False))
        elif verb in ("promote", "connect"):
            self._attempt(getattr(side, verb)(disk, both=both))
        else:
            self._attempt(getattr(side, verb)(disk))

    def _attempt(self, work: Coroutine[Any, Any, object]) -> None:
        """Do it, or be refused."""
        doing: Deferred[object] = Deferred.fromCoroutine(work)
        doing.addErrback(lambda failure: failure.trap(Refused))
        self.successResultOf(doing)


class EndsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.nodes = {node.uuid: node for node in map(a_node, ("node1", "node2"))}

    def test_each_node_sees_the_disk_from_its_end(self) -> None:
        logical_id = (*self.nodes, 11000, 3, 5, "secret")
        disk = a_disk("one", Template.DRBD, nodes=("node1", "node2"), logical_id=logical_id)
        sent = add_ends(disk, self.nodes)
        self.assertEqual(
            [resolve_ends(sent, name) for name in ("node1", "node2")],
            [
                MirrorEnds("192.0.2.1", "192.0.2.2", 11000, 3, 5, "secret"),
                MirrorEnds("192.0.2.2", "192.0.2.1", 11000, 5, 3, "secret"),
            ],
        )

    def test_another_node_has_no_end_of_it(self) -> None:
        disk = add_ends(a_disk("one", Template.DRBD, nodes=("node1", "node2")), self.nodes)
        error = self.assertRaises(Failed, resolve_ends, disk, "node3")
        self.assertIn("belongs to node1 and node2, not to node3", str(error))

    def test_other_disks_are_sent_as_they_are(self) -> None:
        disk = a_disk("one")
        self.assertIs(add_ends(disk, self.nodes), disk)

    def test_a_disk_that_came_without_its_ends_says_so(self) -> None:
        disk = a_disk("one", Template.DRBD, nodes=("node1", "node2"))
        self.assertIn(
            "has no node addresses", str(self.assertRaises(Failed, resolve_ends, disk, "node1"))
        )
