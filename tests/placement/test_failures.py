# SPDX-License-Identifier: BSD-2-Clause
"""Where instances go when nodes fail, why some do not, and which failures are survived."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from ganeti.placement.cluster_model import InstanceModel, NodeModel, NodeState
from ganeti.placement.failures import FailurePlan, plan_failures, survey_failures
from ganeti.testing.placement import a_cluster_model, a_mirrored, a_node_model, a_shared

THREE = [a_node_model(f"node{n}", memory=4096) for n in (1, 2, 3)]


def fail(
    *failed: str,
    instances: Sequence[InstanceModel],
    nodes: Sequence[NodeModel] = THREE,
    ranks: dict[str, int] | None = None,
) -> FailurePlan:
    wanted = {each.name: 0 for each in instances} if ranks is None else ranks
    return plan_failures(a_cluster_model(nodes, instances), failed, wanted)


def places(plan: FailurePlan) -> list[tuple[str, str]]:
    return [(each.instance, each.target) for each in plan.placements]


def reasons(plan: FailurePlan) -> dict[str, str]:
    return {each.instance: each.reason for each in plan.refusals}


class FailureTests(SynchronousTestCase):
    def test_a_mirrored_instance_goes_to_its_secondary_node(self) -> None:
        plan = fail("node1", instances=[a_mirrored("db1", "node1", "node3")])
        self.assertEqual(places(plan), [("db1", "node3")])

    def test_a_shared_instance_goes_where_most_memory_is_free(self) -> None:
        there = a_shared("web9", "node3", memory=2048)
        plan = fail("node1", instances=[there, a_shared("web1", "node1")])
        self.assertEqual(places(plan), [("web1", "node2")])

    def test_a_node_of_another_group_is_no_target(self) -> None:
        other = a_node_model("node2", group="other")
        plan = fail("node1", instances=[a_shared("web1", "node1")], nodes=[THREE[0], other])
        self.assertEqual(reasons(plan), {"web1": "group default has no other node"})

    def test_a_drained_node_is_no_target(self) -> None:
        drained = a_node_model("node2", state=NodeState.DRAINED)
        plan = fail("node1", instances=[a_shared("web1", "node1")], nodes=[THREE[0], drained])
        self.assertEqual(reasons(plan), {"web1": "node2: it is drained"})

    def test_the_highest_rank_gets_the_memory(self) -> None:
        both = [a_shared(f"web{n}", "node1", memory=3000) for n in (1, 2, 3)]
        plan = fail("node1", instances=both, ranks={"web1": 1, "web2": 0, "web3": 5})
        self.assertEqual([name for name, _ in places(plan)], ["web3", "web1"])
        self.assertIn("3000 MiB of memory are needed", reasons(plan)["web2"])

    def test_exclusion_tags_are_respected(self) -> None:
        tagged = [
            a_shared(f"dns{n}", f"node{n}", exclusion_tags=("service:dns",)) for n in (1, 2, 3)
        ]
        plan = fail("node1", instances=tagged)
        self.assertIn("another instance with the tag service:dns", reasons(plan)["dns1"])

    def test_two_that_exclude_each_other_start_on_two_nodes(self) -> None:
        tagged = [a_shared(f"dns{n}", "node1", exclusion_tags=("service:dns",)) for n in (1, 2)]
        plan = fail("node1", instances=tagged)
        self.assertEqual({target for _, target in places(plan)}, {"node2", "node3"})

    def test_what_is_not_to_fail_over_is_named(self) -> None:
        plan = fail("node1", instances=[a_shared("web1", "node1")], ranks={})
        self.assertEqual(reasons(plan), {"web1": "its failover policy is not failover"})

    def test_an_instance_that_is_down_stays_down(self) -> None:
        plan = fail("node1", instances=[a_shared("web1", "node1", running=False)])
        self.assertEqual((plan.placements, plan.refusals), ((), ()))

    def test_of_a_mirrored_instance_both_nodes_must_not_fail(self) -> None:
        plan = fail("node1", "node2", instances=[a_mirrored("db1", "node1", "node2")])
        self.assertEqual(reasons(plan), {"db1": "node2: it fails as well"})


class SurveyTests(SynchronousTestCase):
    def test_single_failures_are_survived_and_some_double_ones_are_not(self) -> None:
        model = a_cluster_model(THREE, [a_mirrored("db1", "node1", "node2")])
        found = survey_failures(model, {"db1": 0})
        self.assertEqual((found.single, found.pairs_tried), ((), 3))
        self.assertEqual([plan.failed for plan in found.double], [("node1", "node2")])

    def test_what_one_failure_does_not_survive_is_not_tried_in_pairs(self) -> None:
        large = a_shared("web1", "node1", memory=5000)
        nodes = [a_node_model("node1"), *THREE[1:]]
        found = survey_failures(a_cluster_model(nodes, [large]), {"web1": 0})
        self.assertEqual([plan.failed for plan in found.single], [("node1",)])
        self.assertEqual((found.pairs_tried, found.double), (1, ()))
