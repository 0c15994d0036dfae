# SPDX-License-Identifier: BSD-2-Clause
"""The built-in allocator: which nodes it takes, and why not the others."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Code, Refused
from ganeti.model.disk import Template
from ganeti.operations.allocation.allocation_request import Candidate, NodeResources, Placement
from ganeti.operations.allocation.scoring import against, choose, explained
from ganeti.testing.builders import a_node, uuid_of


def a_candidate(name: str = "node1", *, free: int | None = 4096, **over: Any) -> Candidate:
    node = over.pop("node", a_node(name))
    disk, cpus = over.pop("disk", 10000), over.pop("cpus", 4)
    return Candidate(node, NodeResources(free, disk, cpus), over.pop("instances", 0), **over)


def a_wish(**over: Any) -> Placement:
    fields: dict[str, Any] = {
        "name": "web1",
        "memory": 1024,
        "vcpus": 2,
        "disks": [5000],
        "template": Template.PLAIN,
        "wanted": 1,
    }
    return Placement(**{**fields, **over})


class RuleTests(SynchronousTestCase):
    def test_each_rule_has_its_words(self) -> None:
        drbd = a_wish(template=Template.DRBD)
        for wish, candidate, words in (
            (a_wish(), a_candidate(), None),
            (a_wish(away_from=frozenset({uuid_of("node", "node1")})), a_candidate(), "is excluded"),
            (a_wish(), a_candidate(node=a_node(offline=True)), "is offline"),
            (a_wish(), a_candidate(node=a_node(drained=True)), "is drained"),
            (a_wish(), a_candidate(node=a_node(vm_capable=False)), "is not vm_capable"),
            (a_wish(group="elsewhere"), a_candidate(), "another node group"),
            (a_wish(), a_candidate(objection="is in group small"), "is in group small"),
            (a_wish(), a_candidate(free=None), "does not answer"),
            (a_wish(), a_candidate(free=100), "100 MiB of free memory, but 1024 MiB are required"),
            (a_wish(), a_candidate(reserved=4000), None),
            (drbd, a_candidate(reserved=4000), "96 MiB of free memory besides the 4000 MiB"),
            (
                a_wish(),
                a_candidate(disk=4999),
                "4999 MiB of free disk space, but 5000 MiB are required",
            ),
            (
                drbd,
                a_candidate(disk=5000),
                "5000 MiB of free disk space, but 5128 MiB are required",
            ),
            (a_wish(), a_candidate(vcpus=15, vcpu_ratio=4.0), "allows 4 per CPU"),
        ):
            with self.subTest(words=words):
                reason = against(wish, candidate)
                if words is None:
                    self.assertIsNone(reason)
                else:
                    self.assertIn(words, reason or "")

    def test_without_enough_nodes_each_has_its_reason(self) -> None:
        nodes = [a_candidate("node1"), a_candidate("node2", free=0)]
        with self.assertRaisesRegex(Refused, "only one node .*: node2 has 0 MiB") as caught:
            choose(a_wish(wanted=2), nodes)
        self.assertEqual(caught.exception.code, Code.RESOURCES)

    def test_the_last_resort_comes_last_however_much_room_it_has(self) -> None:
        last = a_candidate("node1", free=9000, last_resort=True)
        some = a_candidate("node2", free=2000)
        self.assertEqual([n.name for n in choose(a_wish(), [last, some]).nodes], ["node2"])
        full = a_candidate("node2", free=0)
        self.assertEqual([n.name for n in choose(a_wish(), [last, full]).nodes], ["node1"])

    def test_two_nodes_are_of_one_group(self) -> None:
        two = a_wish(wanted=2, template=Template.DRBD)
        first = a_candidate(node=a_node("node1", group="a"), free=9000)
        second = a_candidate(node=a_node("node2", group="b"), free=8000)
        third = a_candidate(node=a_node("node3", group="b"), free=7000)
        chosen = [node.name for node in choose(two, [first, second, third]).nodes]
        self.assertEqual(chosen, ["node2", "node3"])
        self.assertTrue(explained(two, [first, second, third]).startswith("node2: chosen"))
        words = "no node group has two .*: node1 is suitable; node2 is suitable"
        with self.assertRaisesRegex(Refused, words):
            choose(two, [first, second])

    def test_every_node_has_a_line(self) -> None:
        nodes = [a_candidate("node2", free=0), a_candidate("node1"), a_candidate("node3")]
        lines = explained(a_wish(), nodes).splitlines()
        room = "has 4096 MiB of free memory and 10000 MiB of free disk space, and 0 instances"
        why = "has 0 MiB of free memory, but 1024 MiB are required"
        expected = [f"node1: chosen, {room}", f"node3: suitable, {room}", f"node2: {why}"]
        self.assertEqual(lines, expected)

    @given(st.lists(st.integers(0, 4096), min_size=1, max_size=8), st.integers(1, 2))
    def test_what_is_chosen_has_the_most_room_of_all(self, free: list[int], wanted: int) -> None:
        nodes = [a_candidate(f"node{n}", free=each) for n, each in enumerate(free, start=1)]
        able = sorted((each for each in free if each >= 1024), reverse=True)
        try:
            choice = choose(a_wish(wanted=wanted), nodes)
        except Refused:
            self.assertLess(len(able), wanted)
        else:
            rooms = [free[int(node.name.removeprefix("node")) - 1] for node in choice.nodes]
            self.assertEqual(rooms, able[:wanted])
