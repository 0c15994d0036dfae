# SPDX-License-Identifier: BSD-2-Clause
"""Where instances go when nodes fail, why some do not, and which failures are survived."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from ganeti.placement.cluster_model import InstanceModel, NodeModel, NodeState, Storage
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

    def test_what_one_instance_takes_is_not_left_for_the_next(self) -> None:
        web = [a_shared(f"web{n}", "node1", memory=3000) for n in (1, 2, 3)]
        plan = fail("node1", instances=web)
        self.assertEqual({name for name, _ in places(plan)}, {"web1", "web2"})
        words = "3000 MiB of memory are needed, and 1096 MiB are free"
        expected = {"web3": f"node2: {words}; node3: {words}"}
        self.assertEqual(reasons(plan), expected)

    def test_among_equal_ranks_the_larger_ones_come_first(self) -> None:
        sizes = {"web1": 1000, "web2": 3000, "web3": 3000}
        web = [a_shared(name, "node1", memory=sizes[name]) for name in sizes]
        plan = fail("node1", instances=web)
        self.assertEqual([name for name, _ in places(plan)], ["web2", "web3", "web1"])

    def test_memory_is_enough_if_it_is_just_enough(self) -> None:
        for memory, placed in ((4096, 1), (4097, 0)):
            plan = fail("node1", instances=[a_shared("web1", "node1", memory=memory)])
            self.assertEqual(len(plan.placements), placed)

    def test_large_and_small_nodes_are_compared_by_their_size(self) -> None:
        nodes = [THREE[0], a_node_model("large", memory=65536), a_node_model("small", memory=4096)]
        there = a_shared("web9", "large", memory=30000)
        plan = fail("node1", instances=[there, a_shared("web1", "node1")], nodes=nodes)
        self.assertEqual(places(plan), [("web1", "small")])

    def test_local_disks_are_lost_with_their_node(self) -> None:
        local = a_shared("db1", "node1", storage=Storage.LOCAL)
        plan = fail("node1", instances=[local])
        self.assertEqual(reasons(plan), {"db1": "its disks are on node1 only"})

    def test_a_tag_of_an_instance_that_is_down_or_lost_excludes_nothing(self) -> None:
        tags = {"exclusion_tags": ("service:dns",)}
        instances = [
            a_shared("dns1", "node1", **tags),
            a_shared("dns2", "node2", running=False, **tags),
            a_shared("dns3", "node3", running=False, **tags),
        ]
        self.assertEqual(len(places(fail("node1", instances=instances))), 1)
        both = [a_shared("dns1", "node1", **tags), a_mirrored("dns2", "node2", "node3", **tags)]
        plan = fail("node1", "node2", instances=both)
        self.assertEqual(places(plan), [("dns1", "node3")])
        self.assertIn("another instance with the tag", reasons(plan)["dns2"])

    def test_the_failed_nodes_are_named_in_order_and_each_instance_with_its_source(self) -> None:
        instances = [a_shared("web1", "node2"), a_mirrored("db1", "node1", "node2")]
        plan = fail("node2", "node1", instances=instances)
        self.assertEqual(plan.failed, ("node1", "node2"))
        self.assertEqual([each.source for each in plan.placements], ["node2"])
        self.assertEqual([each.source for each in plan.refusals], ["node1"])


class SurveyTests(SynchronousTestCase):
    def test_nodes_that_are_offline_cannot_fail(self) -> None:
        nodes = [*THREE, a_node_model("node4", state=NodeState.OFFLINE)]
        found = survey_failures(a_cluster_model(nodes), {})
        self.assertEqual((found.nodes, found.pairs_tried), (3, 3))

    def test_an_instance_that_is_not_to_fail_over_is_no_loss(self) -> None:
        local = a_shared("db1", "node1", storage=Storage.LOCAL)
        model = a_cluster_model(THREE, [local, a_shared("web1", "node1", memory=4096)])
        self.assertEqual(survey_failures(model, {"web1": 0}).single, ())
        [plan] = survey_failures(model, {"web1": 0, "db1": 0}).single
        self.assertEqual([each.instance for each in plan.refusals], ["db1"])
        self.assertEqual(places(plan), [("web1", "node3")])

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
