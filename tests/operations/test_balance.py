# SPDX-License-Identifier: BSD-2-Clause
"""Balancing submits a job for each move, and capacity counts what fits; both from live data."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.state import ClusterState
from ganeti.model.disk import Template
from ganeti.opcodes.instance.disks import ReplaceDisks
from ganeti.opcodes.instance.moves import MigrateInstance
from ganeti.opcodes.opcode import Opcode
from ganeti.opcodes.placement import BalanceCluster, CountCapacity
from ganeti.operations.cluster import balance, capacity
from ganeti.operations.operation import NodeAnswers
from ganeti.placement.solver import solve
from ganeti.rpc.call import Call
from ganeti.rpc.node import DescribeNode, NodeInfo, StorageSpace
from ganeti.testing.builders import a_cluster, an_instance
from ganeti.testing.facts import some_facts
from tests.operations.test_nodes_leaving import on_two
from tests.operations.whole import WholeCluster

NODES = ("node1", "node2", "node3")


def crowded() -> ClusterState:
    mirrored = [on_two(f"db{n}", n, "node1", "node2") for n in range(4)]
    return a_cluster(nodes=NODES, instances=[an_instance("web1"), an_instance("web2"), *mirrored])


def known(state: ClusterState, *silent: str) -> NodeAnswers:
    storage = (StorageSpace(kind="lvm-vg", name="xenvg", size=1 << 20, free=1 << 19),)
    answers: dict[tuple[str, type[Call[object]]], NodeInfo] = {
        (node.uuid, DescribeNode): some_facts(storage=storage)
        for node in state.nodes.values()
        if node.name not in silent
    }
    return NodeAnswers(answers)


def solve_for(module: Any, op: Opcode, *silent: str) -> Any:
    """Return the plan of an operation, with the search that it asks for."""
    state = crowded()
    facts = known(state, *silent)
    steps = module.search(op, state, facts)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return module.plan(op, state, replace(facts, solution=solve(end.value)))


class BalanceTests(SynchronousTestCase):
    def test_each_move_is_a_job_of_steps(self) -> None:
        plan = solve_for(balance, BalanceCluster())
        [group] = plan.groups
        self.assertEqual(len(plan.jobs), len(group.moves))
        self.assertLess(group.after.score, group.before.score)
        kinds = {type(opcode) for job in plan.jobs for opcode in job}
        self.assertEqual(kinds, {MigrateInstance, ReplaceDisks})

    def test_a_job_waits_for_earlier_ones_with_the_same_nodes(self) -> None:
        first, second, *_ = solve_for(balance, BalanceCluster()).jobs
        self.assertFalse(first[0].depends)
        self.assertEqual(second[0].depends, ((-1, ("success",)),))

    def test_the_jobs_are_submitted_with_the_plan_as_their_result(self) -> None:
        whole = WholeCluster(crowded())
        result = self.successResultOf(whole.do("OP_CLUSTER_BALANCE"))
        self.assertEqual(len(result["jobs"]), len(whole.memory.submitted))
        self.assertEqual(len(result["jobs"]), len(result["groups"][0]["moves"]))

    def test_only_the_selected_instances_move(self) -> None:
        for op in (BalanceCluster(nodes=("node3",)), BalanceCluster(tags=("absent",))):
            self.assertEqual(solve_for(balance, op).jobs, ())

    def test_disks_are_not_copied_if_that_is_not_wanted(self) -> None:
        plan = solve_for(balance, BalanceCluster(disk_moves=False))
        self.assertEqual({type(op) for job in plan.jobs for op in job}, {MigrateInstance})

    def test_instances_on_a_node_that_does_not_answer_stay(self) -> None:
        plan = solve_for(balance, BalanceCluster(), "node1")
        self.assertEqual((plan.silent, plan.jobs), (("node1",), ()))


class CapacityTests(SynchronousTestCase):
    def test_capacity_counts_instances_of_the_given_size(self) -> None:
        op = CountCapacity(memory=512, disk_template=Template.DISKLESS)
        [size] = solve_for(capacity, op).sizes
        self.assertGreater(size.count, 0)
        self.assertEqual([group.group for group in size.groups], ["default"])

    def test_a_size_beyond_the_policy_and_the_nodes_fits_nowhere(self) -> None:
        op = CountCapacity(memory=1 << 20, disk_template=Template.DISKLESS)
        [size] = solve_for(capacity, op).sizes
        self.assertEqual(size.count, 0)
