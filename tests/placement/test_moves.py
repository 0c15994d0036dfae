# SPDX-License-Identifier: BSD-2-Clause
"""The moves of an instance: where it can go, and that its steps lead there."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from ganeti.placement.cluster_model import InstanceModel, NodeState
from ganeti.placement.layout import NOWHERE, Layout
from ganeti.placement.moves import (
    Move,
    Pair,
    Step,
    StepKind,
    describe,
    destinations,
    double_replacements,
    is_possible,
)
from ganeti.testing.placement import a_cluster_model, a_mirrored, a_node_model, a_shared

MIGRATE, FAILOVER, REPLACE = StepKind.MIGRATE, StepKind.FAILOVER, StepKind.REPLACE_SECONDARY
ALL = range(4)
"""The indexes of the nodes; instances are on the first one, their copies on the second."""

USABLE, DRAINED, OFFLINE = NodeState.USABLE, NodeState.DRAINED, NodeState.OFFLINE
DATABASE = a_mirrored("db1", "node0", "node1")


def layout(
    instance: InstanceModel = DATABASE,
    *,
    primary: NodeState = USABLE,
    secondary: NodeState = USABLE,
    memory: int = 65536,
) -> Layout:
    """Return four nodes, the first two with these states, the second with this memory."""
    nodes = [
        a_node_model("node0", state=primary),
        a_node_model("node1", state=secondary, memory=memory),
        a_node_model("node2"),
        a_node_model("node3"),
    ]
    return Layout(a_cluster_model(nodes, [instance]))


def pairs(at: Layout, *, copy_disks: bool = True) -> set[Pair]:
    return set(destinations(at, 0, ALL, copy_disks=copy_disks))


def walk(move: Move) -> tuple[str, str | None]:
    """Return the nodes after the steps of a move, each of which must be possible."""
    primary, secondary = move.primary, move.secondary
    for step in move.steps:
        if step.kind is REPLACE:
            assert step.node not in (primary, secondary), move
            secondary = step.node
        elif secondary is None:
            primary = step.node
        else:
            assert step.node == secondary, move
            primary, secondary = secondary, primary
    return primary, secondary


class DestinationTests(SynchronousTestCase):
    def test_a_shared_instance_can_go_to_every_other_target(self) -> None:
        at = layout(a_shared("web1", "node0"))
        expected = {(target, NOWHERE) for target in (1, 2, 3)}
        self.assertEqual(pairs(at), expected)
        self.assertEqual(pairs(at, copy_disks=False), expected)
        self.assertEqual(set(destinations(at, 0, [0, 3], copy_disks=True)), {(3, NOWHERE)})

    def test_without_copies_of_disks_a_mirrored_instance_only_changes_sides(self) -> None:
        self.assertEqual(pairs(layout(), copy_disks=False), {(1, 0)})
        self.assertEqual(pairs(layout(secondary=OFFLINE), copy_disks=False), set())

    def test_with_copies_it_can_keep_either_node_or_both(self) -> None:
        new = (2, 3)
        expected = {(1, 0)}
        expected |= {(0, each) for each in new} | {(each, 0) for each in new}
        expected |= {(1, each) for each in new} | {(each, 1) for each in new}
        self.assertEqual(pairs(layout()), expected)
        self.assertEqual(pairs(layout(primary=DRAINED, secondary=DRAINED)), expected)

    def test_an_offline_primary_node_is_the_source_of_nothing(self) -> None:
        expected = {(1, 0), (1, 2), (1, 3), (2, 1), (3, 1)}
        self.assertEqual(pairs(layout(primary=OFFLINE)), expected)

    def test_an_offline_secondary_node_is_not_passed_through(self) -> None:
        expected = {(0, 2), (0, 3), (2, 0), (3, 0)}
        self.assertEqual(pairs(layout(secondary=OFFLINE)), expected)

    def test_it_needs_memory_on_a_node_that_it_passes_through(self) -> None:
        through = {(2, 1), (3, 1)}
        self.assertLessEqual(through, pairs(layout(memory=1024)))
        self.assertFalse(through & pairs(layout(memory=1023)))

    def test_both_nodes_are_replaced_only_while_the_primary_node_copies(self) -> None:
        both = {(2, 3), (3, 2)}
        self.assertEqual(set(double_replacements(layout(secondary=OFFLINE), 0, ALL)), both)
        self.assertEqual(list(double_replacements(layout(primary=OFFLINE), 0, ALL)), [])
        shared = layout(a_shared("web1", "node0"))
        self.assertEqual(list(double_replacements(shared, 0, ALL)), [])
        self.assertEqual(list(double_replacements(layout(), 0, [0, 1, 2])), [])

    def test_what_is_yielded_is_possible_and_nothing_else(self) -> None:
        every = {(one, two) for one in ALL for two in ALL if one != two} - {(0, 1)}
        for primary in NodeState:
            for secondary in NodeState:
                for memory in (1023, 1024):
                    at = layout(primary=primary, secondary=secondary, memory=memory)
                    found = pairs(at) | set(double_replacements(at, 0, ALL))
                    possible = {pair for pair in every if is_possible(at, 0, *pair)}
                    self.assertEqual(found, possible, (primary, secondary, memory))

    def test_every_move_of_a_shared_instance_is_possible(self) -> None:
        at = layout(a_shared("web1", "node0"), primary=OFFLINE)
        self.assertTrue(is_possible(at, 0, 3, NOWHERE))


class StepTests(SynchronousTestCase):
    def steps(self, at: Layout, primary: int, secondary: int = NOWHERE) -> Sequence[Step]:
        return describe(at, 0, primary, secondary, 0.0).steps

    def test_the_steps_of_every_move_lead_to_its_nodes(self) -> None:
        for primary in NodeState:
            for secondary in NodeState:
                at = layout(primary=primary, secondary=secondary)
                for pair in pairs(at) | set(double_replacements(at, 0, ALL)):
                    move = describe(at, 0, *pair, 0.0)
                    self.assertEqual(walk(move), (f"node{pair[0]}", f"node{pair[1]}"))
                    self.assertLessEqual(len(move.steps), 3)

    def test_each_move_has_the_fewest_steps(self) -> None:
        def step(kind: StepKind, node: int) -> Step:
            return Step(kind=kind, node=f"node{node}")

        for pair, expected in (
            ((1, 0), [step(MIGRATE, 1)]),
            ((0, 2), [step(REPLACE, 2)]),
            ((1, 2), [step(MIGRATE, 1), step(REPLACE, 2)]),
            ((2, 0), [step(REPLACE, 2), step(MIGRATE, 2)]),
            ((2, 1), [step(MIGRATE, 1), step(REPLACE, 2), step(MIGRATE, 2)]),
            ((2, 3), [step(REPLACE, 2), step(MIGRATE, 2), step(REPLACE, 3)]),
        ):
            self.assertEqual(list(self.steps(layout(), *pair)), expected, pair)

    def test_an_instance_fails_over_from_an_offline_node_and_is_migrated_from_then_on(self) -> None:
        found = self.steps(layout(primary=OFFLINE), 2, 1)
        self.assertEqual([step.kind for step in found], [FAILOVER, REPLACE, MIGRATE])
        drained = self.steps(layout(primary=DRAINED), 1, 0)
        self.assertEqual([step.kind for step in drained], [MIGRATE])

    def test_one_that_does_not_run_always_fails_over(self) -> None:
        still = a_mirrored("db1", "node0", "node1", running=False)
        found = self.steps(layout(still), 2, 1)
        self.assertEqual([step.kind for step in found], [FAILOVER, REPLACE, FAILOVER])
        shared = a_shared("web1", "node0", running=False)
        self.assertEqual(self.steps(layout(shared), 3), (Step(kind=FAILOVER, node="node3"),))

    def test_a_move_names_the_nodes_before_and_after(self) -> None:
        expected = Move(
            instance="db1",
            primary="node0",
            secondary="node1",
            new_primary="node0",
            new_secondary="node3",
            steps=(Step(kind=REPLACE, node="node3"),),
            score=1.5,
        )
        self.assertEqual(describe(layout(), 0, 0, 3, 1.5), expected)
        shared = describe(layout(a_shared("web1", "node0")), 0, 2, NOWHERE, 0.0)
        self.assertEqual((shared.secondary, shared.new_secondary), (None, None))
