# SPDX-License-Identifier: BSD-2-Clause
"""The parts of the score of a node group, and how they weigh against each other."""

from __future__ import annotations

from statistics import pstdev

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from ganeti.placement.cluster_model import ClusterModel, NodeState
from ganeti.placement.layout import Layout
from ganeti.placement.score import (
    FAULT_WEIGHTS,
    RESERVE_WEIGHT,
    SPREAD_WEIGHTS,
    Fault,
    ScoreParts,
    Spread,
    deviation,
)
from ganeti.testing.placement import a_cluster_model, a_mirrored, a_node_model, a_shared

NODES = [a_node_model(f"node{number}") for number in (1, 2, 3)]


def parts(model: ClusterModel) -> ScoreParts:
    layout = Layout(model)
    [group] = layout.groups
    return layout.parts(group)


def faults(model: ClusterModel) -> dict[str, float]:
    """Return the faults that there are."""
    return {name: count for name, count in parts(model).faults.items() if count}


class DeviationTests(SynchronousTestCase):
    def test_equal_values_and_no_values_do_not_deviate(self) -> None:
        self.assertEqual(deviation(0.0, 0.0, 0), 0.0)
        self.assertEqual(deviation(6.0, 12.0, 3), 0.0)

    def test_rounding_errors_do_not_make_a_variance_negative(self) -> None:
        value = 0.1
        total, squares = sum([value] * 10), sum([value * value] * 10)
        self.assertEqual(deviation(total + 1e-9, squares, 10), 0.0)

    @given(st.lists(st.floats(-100, 100), min_size=1, max_size=20))
    def test_it_is_the_standard_deviation_of_the_whole_population(
        self, values: list[float]
    ) -> None:
        found = deviation(sum(values), sum(value * value for value in values), len(values))
        self.assertAlmostEqual(found, pstdev(values), places=4)


class WeightTests(SynchronousTestCase):
    def test_every_part_has_a_weight(self) -> None:
        self.assertEqual(len(SPREAD_WEIGHTS), len(Spread))
        self.assertEqual(len(FAULT_WEIGHTS), len(Fault))
        self.assertTrue(all(weight > 0 for weight in (*SPREAD_WEIGHTS, *FAULT_WEIGHTS)))

    def test_the_score_is_the_weighted_sum_of_its_parts(self) -> None:
        instances = [a_mirrored("db1", "node1", "node2"), a_shared("web1", "node1")]
        found = parts(a_cluster_model(NODES, instances))
        expected = sum(found.spreads[each.name.lower()] * SPREAD_WEIGHTS[each] for each in Spread)
        expected += sum(found.faults[each.name.lower()] * FAULT_WEIGHTS[each] for each in Fault)
        self.assertAlmostEqual(found.score, expected + RESERVE_WEIGHT * found.reserved)

    def test_nodes_that_are_used_alike_have_almost_no_score(self) -> None:
        alike = [a_shared(f"web{number}", f"node{number}") for number in (1, 2, 3)]
        self.assertEqual(parts(a_cluster_model(NODES, alike)).score, 0.0)
        apart = [a_shared(f"web{number}", "node1") for number in (1, 2, 3)]
        self.assertGreater(parts(a_cluster_model(NODES, apart)).score, 1.0)

    def test_one_that_has_to_leave_its_node_weighs_more_than_all_on_one_node(self) -> None:
        drained = [*NODES[:2], a_node_model("node3", state=NodeState.DRAINED)]
        one = a_cluster_model(drained, [a_shared("web1", "node3")])
        crowd = [a_shared(f"web{number}", "node1") for number in range(9)]
        self.assertGreater(parts(one).score, parts(a_cluster_model(NODES, crowd)).score)

    def test_a_distributed_reserve_is_better_than_one_for_one_node(self) -> None:
        one = [a_mirrored(f"db{number}", "node1", "node3") for number in (1, 2)]
        two = [a_mirrored("db1", "node1", "node3"), a_mirrored("db2", "node2", "node3")]
        reserved = [parts(a_cluster_model(NODES, each)).reserved for each in (one, two)]
        self.assertEqual(reserved, [2048 / 65536, 1024 / 65536])


class FaultTests(SynchronousTestCase):
    def test_a_group_in_order_has_no_faults(self) -> None:
        self.assertEqual(faults(a_cluster_model(NODES, [a_mirrored("db1", "node1", "node2")])), {})

    def test_a_stranded_primary_counts_twice(self) -> None:
        for state in (NodeState.DRAINED, NodeState.OFFLINE):
            nodes = [*NODES[:2], a_node_model("node3", state=state)]
            for primary, secondary, count in (("node3", "node1", 2), ("node1", "node3", 1)):
                model = a_cluster_model(nodes, [a_mirrored("db1", primary, secondary)])
                self.assertEqual(faults(model), {"stranded": count})

    def test_a_shortage_is_counted_in_units_of_the_average_node(self) -> None:
        nodes = [a_node_model("node1", memory=3000), a_node_model("node2", memory=1000)]
        large = a_mirrored("db1", "node1", "node2", memory=1500, reserved=1500)
        expected = {"no_reserve": 1.0, "shortage": 500 / 2000}
        self.assertEqual(faults(a_cluster_model(nodes, [large])), expected)
        enough = a_mirrored("db1", "node1", "node2", memory=1500, reserved=1000)
        self.assertEqual(faults(a_cluster_model(nodes, [enough])), {})

    def test_each_instance_beside_another_with_its_tag_is_counted(self) -> None:
        tagged = [
            a_shared(f"web{number}", node, exclusion_tags=("service:web",))
            for number, node in enumerate(("node1", "node1", "node1", "node2"))
        ]
        self.assertEqual(faults(a_cluster_model(NODES, tagged)), {"exclusion": 2.0})

    def test_both_copies_in_one_failure_domain_are_a_fault(self) -> None:
        one, two, other = (
            a_node_model(f"node{n}", domains=domains)
            for n, domains in ((1, ("a", "x")), (2, ("b", "x")), (3, ("c",)))
        )
        instances = [a_mirrored("db1", "node1", "node2"), a_mirrored("db2", "node1", "node3")]
        self.assertEqual(faults(a_cluster_model([one, two, other], instances)), {"domain": 1.0})
