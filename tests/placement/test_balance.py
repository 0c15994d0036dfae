# SPDX-License-Identifier: BSD-2-Clause
"""Balancing finds moves that lower the score, in an order in which each is possible."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from twisted.trial.unittest import SynchronousTestCase

from ganeti.placement import balance
from ganeti.placement.balance import BalanceOptions, GroupPlan, plan_balance
from ganeti.placement.cluster_model import ClusterModel, InstanceModel, NodeState
from ganeti.placement.layout import Layout
from ganeti.placement.moves import Move, Step, StepKind
from ganeti.testing.placement import a_cluster_model, a_mirrored, a_node_model, a_shared

MIGRATE, FAILOVER, REPLACE = StepKind.MIGRATE, StepKind.FAILOVER, StepKind.REPLACE_SECONDARY


def a_plan(model: ClusterModel, **options: object) -> GroupPlan:
    found = plan_balance(model, BalanceOptions(**options), lambda: 0.0)  # type: ignore[arg-type]  # as the test says
    [plan] = found.groups
    return plan


def on_one_node(instances: Sequence[InstanceModel], nodes: int = 3) -> ClusterModel:
    return a_cluster_model([a_node_model(f"node{n}") for n in range(1, nodes + 1)], instances)


def steps(move: Move) -> list[tuple[StepKind, str]]:
    return [(step.kind, step.node) for step in move.steps]


class BalanceTests(SynchronousTestCase):
    def test_instances_are_spread_evenly(self) -> None:
        plan = a_plan(on_one_node([a_shared(f"web{n}", "node1") for n in range(6)]))
        self.assertEqual(
            sorted(move.new_primary for move in plan.moves), ["node2", "node2", "node3", "node3"]
        )
        self.assertAlmostEqual(plan.after.score, 0.0)

    def test_a_balanced_group_is_left_alone(self) -> None:
        model = on_one_node([a_shared(f"web{n}", f"node{n}") for n in (1, 2, 3)])
        self.assertEqual(a_plan(model).moves, ())

    def test_a_move_that_gains_too_little_is_not_made(self) -> None:
        model = on_one_node([a_shared("web1", "node1"), a_shared("web2", "node1")])
        self.assertEqual(len(a_plan(model).moves), 1)
        self.assertEqual(a_plan(model, min_gain=100.0).moves, ())

    def test_at_most_the_given_number_of_instances_moves(self) -> None:
        model = on_one_node([a_shared(f"web{n}", "node1") for n in range(9)])
        self.assertEqual(len(a_plan(model, max_moves=2).moves), 2)
        self.assertEqual(a_plan(model, max_moves=0).moves, ())

    def test_without_copies_of_disks_mirrored_instances_only_change_sides(self) -> None:
        model = on_one_node([a_mirrored(f"db{n}", "node1", "node2") for n in range(4)])
        plan = a_plan(model, copy_disks=False)
        self.assertEqual([steps(move) for move in plan.moves], [[(MIGRATE, "node2")]] * 2)

    def test_a_drained_node_is_left(self) -> None:
        nodes = [a_node_model("node1", state=NodeState.DRAINED), a_node_model("node2")]
        model = a_cluster_model(
            [*nodes, a_node_model("node3")], [a_mirrored("db1", "node1", "node2")]
        )
        [move] = a_plan(model).moves
        self.assertEqual(steps(move), [(MIGRATE, "node2"), (REPLACE, "node3")])

    def test_from_an_offline_node_an_instance_fails_over(self) -> None:
        nodes = [a_node_model("node1", state=NodeState.OFFLINE), a_node_model("node2")]
        model = a_cluster_model(
            [*nodes, a_node_model("node3")], [a_mirrored("db1", "node1", "node2")]
        )
        [move] = a_plan(model).moves
        self.assertEqual(steps(move)[0], (FAILOVER, "node2"))

    def test_a_stopped_instance_fails_over_as_nothing_runs(self) -> None:
        instances = [
            a_shared("web1", "node1", running=False),
            a_shared("web2", "node1", movable=False),
        ]
        [move] = a_plan(on_one_node(instances)).moves
        self.assertEqual((move.instance, move.steps[0].kind), ("web1", FAILOVER))

    def test_every_move_is_possible_when_its_turn_comes(self) -> None:
        sizes = [30000, 20000, 14000, 9000, 7000, 5000, 3000, 2000]
        model = on_one_node(
            [
                a_mirrored(f"db{n}", f"node{1 + n % 2}", f"node{2 - n % 2}", memory=m, reserved=m)
                for n, m in enumerate(sizes)
            ],
            4,
        )
        layout = Layout(model)
        names = [node.name for node in model.nodes]
        for move in a_plan(model).moves:
            number = [each.name for each in model.instances].index(move.instance)
            pair = names.index(move.new_primary), names.index(move.new_secondary or "")
            self.assertIsNotNone(layout.evaluate(number, *pair), move)
            layout.move(number, *pair)

    def test_the_same_seed_gives_the_same_plan(self) -> None:
        model = on_one_node(
            [a_mirrored(f"db{n}", "node1", "node2", memory=700 * n + 700) for n in range(9)], 4
        )
        self.assertEqual(a_plan(model, seed=3), a_plan(model, seed=3))

    def test_groups_are_balanced_apart(self) -> None:
        nodes = [a_node_model(f"node{n}", group=f"g{n % 2}") for n in range(4)]
        model = a_cluster_model(nodes, [a_shared(f"web{n}", "node0") for n in range(4)])
        plans = plan_balance(model, BalanceOptions(), lambda: 0.0).groups
        self.assertEqual([(plan.group, len(plan.moves)) for plan in plans], [("g0", 2), ("g1", 0)])

    def test_an_instance_with_nodes_in_two_groups_stays(self) -> None:
        nodes = [a_node_model(f"node{n}", group=f"g{n % 2}") for n in range(4)]
        model = a_cluster_model(nodes, [a_mirrored(f"db{n}", "node0", "node1") for n in range(4)])
        plans = plan_balance(model, BalanceOptions(), lambda: 0.0).groups
        self.assertEqual([plan.moves for plan in plans], [(), ()])

    def test_the_time_limit_ends_the_search_with_what_it_has_found(self) -> None:
        model = on_one_node([a_shared(f"web{n}", "node1") for n in range(30)])
        ticks = count()
        [plan] = plan_balance(
            model, BalanceOptions(time_limit=200.0), lambda: float(next(ticks))
        ).groups
        self.assertTrue(plan.timed_out)
        self.assertTrue(0 < len(plan.moves) < 20)
        self.assertLess(plan.after.score, plan.before.score)

    def test_a_large_group_is_balanced_by_samples(self) -> None:
        self.patch(balance, "SMALL", 0)
        model = on_one_node([a_mirrored(f"db{n}", "node1", "node2") for n in range(40)], 8)
        plan = a_plan(model)
        self.assertLess(plan.after.score, plan.before.score / 20)
        self.assertEqual({len(move.steps) for move in plan.moves} - {1, 2, 3}, set())

    def test_a_step_names_the_node_that_the_instance_gets(self) -> None:
        model = on_one_node([a_shared("web1", "node1"), a_shared("web2", "node1")], 2)
        [move] = a_plan(model).moves
        self.assertEqual(move.steps, (Step(kind=MIGRATE, node="node2"),))

    def test_the_number_of_moves_is_for_all_groups_together(self) -> None:
        nodes = [a_node_model(f"node{n}", group=f"g{n // 2}") for n in range(4)]
        web = [a_shared(f"web{n}", f"node{2 * (n % 2)}") for n in range(8)]
        model = a_cluster_model(nodes, web)
        for limit, expected in ((3, [2, 1]), (1, [1, 0]), (None, [2, 2])):
            options = BalanceOptions(max_moves=limit)
            plans = plan_balance(model, options, lambda: 0.0).groups
            self.assertEqual([len(plan.moves) for plan in plans], expected, limit)

    def test_a_plan_has_the_scores_of_the_layouts_before_and_after_it(self) -> None:
        model = on_one_node([a_mirrored(f"db{n}", "node1", "node2") for n in range(5)])
        plan = a_plan(model)
        layout = Layout(model)
        [group] = layout.groups
        self.assertEqual(plan.before, layout.parts(group))
        names = [node.name for node in model.nodes]
        for move in plan.moves:
            number = [each.name for each in model.instances].index(move.instance)
            pair = names.index(move.new_primary), names.index(move.new_secondary or "")
            layout.move(number, *pair)
            self.assertAlmostEqual(layout.score(group), move.score, 5)
        self.assertAlmostEqual(plan.after.score, layout.parts(group).score, 5)

    def test_an_instance_moves_at_most_once(self) -> None:
        model = on_one_node([a_mirrored(f"db{n}", "node1", "node2") for n in range(9)], 5)
        moved = [move.instance for move in a_plan(model).moves]
        self.assertEqual(len(moved), len(set(moved)))

    def test_instances_that_exclude_each_other_part(self) -> None:
        tags = {"exclusion_tags": ("service:dns",)}
        model = on_one_node([a_shared(f"dns{n}", "node1", **tags) for n in range(3)])
        plan = a_plan(model)
        self.assertEqual(plan.before.faults["exclusion"], 2)
        self.assertEqual(plan.after.faults["exclusion"], 0)

    def test_a_mirror_within_one_failure_domain_is_moved_out_of_it(self) -> None:
        nodes = [a_node_model(f"node{n}", domains=(f"rack{n // 2}",)) for n in range(4)]
        mirrors = [a_mirrored("db1", "node0", "node1"), a_mirrored("db2", "node2", "node3")]
        plan = a_plan(a_cluster_model(nodes, mirrors))
        self.assertEqual((plan.before.faults["domain"], plan.after.faults["domain"]), (2, 0))

    def test_a_reserve_that_is_missing_is_restored_first(self) -> None:
        nodes = [a_node_model("node1"), a_node_model("node2", memory=4096), a_node_model("node3")]
        large = a_mirrored("db1", "node1", "node2", memory=8192, reserved=8192)
        plan = a_plan(a_cluster_model(nodes, [large]), max_moves=1)
        self.assertEqual(plan.before.faults["no_reserve"], 1)
        self.assertEqual(plan.after.faults["no_reserve"], 0)
        self.assertEqual([move.new_secondary for move in plan.moves], ["node3"])

    def test_groups_share_the_time(self) -> None:
        nodes = [a_node_model(f"node{n}", group=f"g{n // 2}") for n in range(4)]
        web = [a_shared(f"web{n}", f"node{2 * (n % 2)}") for n in range(40)]
        ticks = count()
        plans = plan_balance(
            a_cluster_model(nodes, web),
            BalanceOptions(time_limit=100.0),
            lambda: float(next(ticks)),
        ).groups
        self.assertEqual([plan.timed_out for plan in plans], [True, True])
        self.assertTrue(all(plan.moves for plan in plans))

    def test_without_time_nothing_moves(self) -> None:
        plan = plan_balance(
            on_one_node([a_shared(f"web{n}", "node1") for n in range(6)]),
            BalanceOptions(time_limit=0.0),
            lambda: 0.0,
        ).groups[0]
        self.assertEqual((plan.moves, plan.timed_out, plan.before), ((), True, plan.after))
