# SPDX-License-Identifier: BSD-2-Clause
"""A layout counts resources and faults, and knows the score after a move before it is made."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from ganeti.placement.cluster_model import ClusterModel, InstanceModel, NodeState, Storage
from ganeti.placement.layout import NOWHERE, Layout
from ganeti.placement.moves import destinations, double_replacements
from ganeti.schema.records import replace
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


class RuleTests(SynchronousTestCase):
    """The limits of a move, each with what is just allowed and what no longer is."""

    def moves(self, instance: InstanceModel, *pair: int, **node3: object) -> bool:
        """Return whether an instance can move to nodes by their indexes; node3 has index 2."""
        nodes = [a_node_model("node1"), a_node_model("node2"), a_node_model("node3", **node3)]
        primary, secondary = pair if len(pair) == 2 else (*pair, NOWHERE)
        layout = Layout(a_cluster_model(nodes, [instance]))
        return layout.evaluate(0, primary, secondary) is not None

    def test_memory_is_needed_by_a_guest_and_by_the_reserve_for_it(self) -> None:
        for instance, pair, needed in (
            (a_shared("web1", "node1", memory=1000), (2,), 1000),
            (a_mirrored("db1", "node1", "node2", memory=1000), (2, 1), 1000),
            (a_mirrored("db1", "node1", "node2", memory=1000, reserved=700), (0, 2), 700),
        ):
            self.assertTrue(self.moves(instance, *pair, memory_free=needed), pair)
            self.assertFalse(self.moves(instance, *pair, memory_free=needed - 1), pair)

    def test_disk_space_is_needed_on_both_nodes_of_a_mirror(self) -> None:
        instance = a_mirrored("db1", "node1", "node2", disk=1000)
        for pair in ((0, 2), (2, 0), (2, 1)):
            self.assertTrue(self.moves(instance, *pair, disk_free=1000), pair)
            self.assertFalse(self.moves(instance, *pair, disk_free=999), pair)
        self.assertTrue(self.moves(instance, 1, 0, disk_free=1), "nothing is copied")

    def test_processors_are_needed_by_the_guest_only(self) -> None:
        instance = a_mirrored("db1", "node1", "node2", vcpus=4)
        for cpus, primary in ((2, True), (1, False)):
            node3 = {"cpus": cpus, "vcpu_ratio": 2.0}
            self.assertIs(self.moves(instance, 2, 1, **node3), primary)
            self.assertTrue(self.moves(instance, 0, 2, **node3))
        self.assertTrue(self.moves(instance, 2, 1, cpus=1), "without a ratio there is no limit")

    def test_spindles_are_used_by_both_nodes(self) -> None:
        instance = a_mirrored("db1", "node1", "node2", spindles=4)
        for spindles, possible in ((2, True), (1, False)):
            sizes = {"node1": 9, "node2": 9, "node3": spindles}
            nodes = [a_node_model(name, spindles=sizes[name], spindle_ratio=2.0) for name in sizes]
            layout = Layout(a_cluster_model(nodes, [instance]))
            for pair in ((0, 2), (2, 0), (2, 1)):
                self.assertIs(layout.evaluate(0, *pair) is not None, possible, pair)

    def test_where_all_nodes_have_too_many_spindles_they_may_become_more_even(self) -> None:
        nodes = [a_node_model(f"node{n}", spindle_ratio=1.0) for n in (1, 2)]
        instances = [a_shared(f"web{n}", "node1", spindles=2) for n in range(3)]
        layout = Layout(a_cluster_model(nodes, instances))
        self.assertIsNotNone(layout.evaluate(0, 1, NOWHERE))
        layout.move(0, 1, NOWHERE)
        layout.move(1, 1, NOWHERE)
        self.assertIsNone(layout.evaluate(2, 1, NOWHERE))

    def test_one_of_two_that_exclude_each_other_may_leave(self) -> None:
        tags = {"exclusion_tags": ("service:dns",)}
        nodes = [a_node_model(f"node{n}") for n in (1, 2)]
        instances = [a_shared(f"dns{n}", "node1", **tags) for n in (1, 2)]
        layout = Layout(a_cluster_model(nodes, instances))
        [group] = layout.groups
        layout.move(0, 1, NOWHERE)
        self.assertEqual(layout.parts(group).faults["exclusion"], 0)
        self.assertIsNone(layout.evaluate(1, 1, NOWHERE))

    def test_a_node_that_lacks_its_reserve_may_be_relieved_but_not_loaded(self) -> None:
        nodes = [a_node_model("node1"), a_node_model("node2", memory_free=100)]
        nodes.append(a_node_model("node3"))
        instances = [
            a_mirrored("db1", "node1", "node2", reserved=1024),
            a_shared("web2", "node2", memory=50),
            a_shared("web3", "node3", memory=50),
        ]
        layout = Layout(a_cluster_model(nodes, instances))
        self.assertIsNotNone(layout.evaluate(1, 2, NOWHERE))
        self.assertIsNone(layout.evaluate(2, 1, NOWHERE))

    def test_the_reserve_is_for_one_failure_not_for_all(self) -> None:
        # node3 backs up 1000 MiB of node1 already, and is full but for these.
        nodes = [a_node_model("node1"), a_node_model("node2")]
        nodes.append(a_node_model("node3", memory_free=1000))
        backed = a_mirrored("db1", "node1", "node3", reserved=1000)
        for primary, possible in (("node2", True), ("node1", False)):
            other = a_mirrored("db2", primary, "node2" if primary == "node1" else "node1")
            other = replace(other, reserved=1000)
            layout = Layout(a_cluster_model(nodes, [backed, other]))
            found = layout.evaluate(1, layout.primary[1], 2)
            self.assertIs(found is not None, possible, primary)


class MovableTests(SynchronousTestCase):
    def test_what_cannot_move_is_no_member_of_its_group(self) -> None:
        nodes = [a_node_model("node1"), a_node_model("node2"), a_node_model("far", group="far")]
        instances = [
            a_shared("web1", "node1"),
            a_shared("web2", "node1", movable=False),
            a_shared("web3", "node1", storage=Storage.LOCAL),
            a_mirrored("db1", "node1", "node2"),
            a_mirrored("db2", "node1", "far"),
            replace(a_mirrored("db3", "node1", "node2"), secondary=None),
            a_shared("web4", "far"),
        ]
        layout = Layout(a_cluster_model(nodes, instances))
        members = [
            [instances[number].name for number in layout.members(group)] for group in layout.groups
        ]
        self.assertEqual(members, [["web1", "db1"], ["web4"]])

    def test_the_model_of_a_layout_has_what_is_left_after_its_moves(self) -> None:
        nodes = [a_node_model(f"node{n}") for n in (1, 2, 3)]
        database = a_mirrored("db1", "node1", "node2")
        before = a_cluster_model(nodes, [database])
        layout = Layout(before)
        self.assertEqual(layout.as_model(), before)
        layout.move(0, 2, 0)
        moved = a_mirrored("db1", "node3", "node1")
        self.assertEqual(layout.as_model(), a_cluster_model(nodes, [moved]))

    def test_a_group_without_usable_nodes_has_faults_only(self) -> None:
        nodes = [a_node_model("node1", state=NodeState.OFFLINE)]
        layout = Layout(a_cluster_model(nodes, [a_shared("web1", "node1")]))
        [group] = layout.groups
        self.assertEqual(layout.score(group), 2 * 20.0)
        self.assertEqual(layout.parts(group).score, 2 * 20.0)
