# SPDX-License-Identifier: BSD-2-Clause
"""A layout counts resources and faults, and knows the score after a move before it is made."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from ganeti.placement.cluster_model import ClusterModel, NodeState
from ganeti.placement.layout import Layout
from ganeti.placement.moves import destinations, double_replacements
from ganeti.testing.placement import a_cluster_model, a_mirrored, a_node_model, a_shared


def a_random_cluster(random: Random) -> ClusterModel:
    names = [f"node{number}" for number in range(6)]
    nodes = [
        a_node_model(name, group="g1" if name < "node4" else "g2", domains=(f"d{number % 2}",))
        for number, name in enumerate(names)
    ]
    instances = [
        a_mirrored(
            f"m{number}",
            *random.sample(names, 2),
            memory=random.choice((512, 8192)),
            exclusion_tags=random.choice(((), ("service:dns",))),
        )
        for number in range(20)
    ]
    shared = [a_shared(f"s{number}", random.choice(names)) for number in range(10)]
    return a_cluster_model(nodes, [*instances, *shared])


class LayoutTests(SynchronousTestCase):
    def test_the_score_after_a_move_is_the_one_that_was_foretold(self) -> None:
        random = Random(7)
        layout = Layout(a_random_cluster(random))
        for _ in range(300):
            group = random.choice(layout.groups)
            targets = [node.index for node in group.nodes]
            number = random.choice(list(layout.members(group)))
            pairs = [*destinations(layout, number, targets, copy_disks=True)]
            pairs += double_replacements(layout, number, targets)
            pair = random.choice(pairs)
            foretold = layout.evaluate(number, *pair)
            if foretold is not None:
                layout.move(number, *pair)
                self.assertAlmostEqual(layout.score(group), foretold, 5)

    def test_after_many_moves_everything_is_as_if_counted_anew(self) -> None:
        random = Random(11)
        layout = Layout(a_random_cluster(random))
        for _ in range(200):
            group = random.choice(layout.groups)
            targets = [node.index for node in group.nodes]
            number = random.choice(list(layout.members(group)))
            pair = random.choice([*destinations(layout, number, targets, copy_disks=True)])
            if layout.evaluate(number, *pair) is not None:
                layout.move(number, *pair)
        again = Layout(layout.as_model())
        for group, counted in zip(layout.groups, again.groups, strict=True):
            self.assertAlmostEqual(layout.score(group), again.score(counted), 5)
            self.assertEqual(
                [(node.peers, node.tags) for node in group.nodes],
                [(node.peers, node.tags) for node in counted.nodes],
            )

    def test_a_full_node_gets_no_instance(self) -> None:
        nodes = [a_node_model("node1"), a_node_model("node2", memory_free=512)]
        layout = Layout(a_cluster_model(nodes, [a_shared("web1", "node1")]))
        self.assertIsNone(layout.evaluate(0, 1, -1))

    def test_no_move_may_break_the_reserve_of_a_node(self) -> None:
        nodes = [a_node_model("node1"), a_node_model("node2", memory_free=1500)]
        nodes.append(a_node_model("node3"))
        mirrored = a_mirrored("db1", "node1", "node2")
        layout = Layout(a_cluster_model(nodes, [mirrored, a_shared("web1", "node3")]))
        self.assertIsNone(layout.evaluate(1, 1, -1))
        self.assertIsNotNone(layout.evaluate(1, 0, -1))

    def test_instances_that_exclude_each_other_do_not_meet(self) -> None:
        tags = {"exclusion_tags": ("service:dns",)}
        instances = [a_shared("dns1", "node1", **tags), a_shared("dns2", "node2", **tags)]
        nodes = [a_node_model("node1"), a_node_model("node2")]
        self.assertIsNone(Layout(a_cluster_model(nodes, instances)).evaluate(0, 1, -1))

    def test_a_drained_node_gets_no_instance_and_counts_as_a_fault(self) -> None:
        nodes = [a_node_model("node1", state=NodeState.DRAINED), a_node_model("node2")]
        instances = [a_shared("web1", "node1"), a_shared("web2", "node2")]
        layout = Layout(a_cluster_model(nodes, instances))
        [group] = layout.groups
        self.assertEqual(layout.parts(group).faults["stranded"], 2)
        self.assertIsNone(layout.evaluate(1, 0, -1))

    def test_the_policy_limits_processors(self) -> None:
        nodes = [a_node_model("node1"), a_node_model("node2", cpus=1, vcpu_ratio=2.0)]
        layout = Layout(a_cluster_model(nodes, [a_shared("web1", "node1", vcpus=3)]))
        self.assertIsNone(layout.evaluate(0, 1, -1))
