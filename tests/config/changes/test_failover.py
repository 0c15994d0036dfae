# SPDX-License-Identifier: BSD-2-Clause
"""What is recorded about the failover of guests, and about nodes that are fenced."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.changes import failover
from ganeti.config.state import ClusterState
from ganeti.model.failover import (
    FailoverPolicy,
    FenceMethod,
    FenceStage,
    GuardKind,
    InstanceFailover,
    NodeFence,
    NodeGuard,
)
from ganeti.model.instance import AdminState
from ganeti.schema.records import replace
from ganeti.testing.builders import a_cluster, a_node, an_instance, uuid_of

NODE = a_node("node2")
GUARD = NodeGuard(uuid=NODE.uuid, kind=GuardKind.PROCESS, timeout=0, electors=(("node1",),))
FENCE = NodeFence(uuid=NODE.uuid, since=5.0, reason="it is silent")
WEB = uuid_of("instance", "web1")
POLICY = InstanceFailover(uuid=WEB, policy=FailoverPolicy.FAILOVER)


def a_state(**node: bool) -> ClusterState:
    """Return a cluster whose second node runs an instance; ``node`` are fields of that node."""
    second = replace(NODE, **node)
    return a_cluster(nodes=["node1", second], instances=[an_instance("web1", node="node2")])


class PolicyTests(SynchronousTestCase):
    def test_the_default_policy_leaves_no_record(self) -> None:
        state = failover.set_policy(POLICY)(a_state())
        self.assertEqual(state.failover_policies[WEB], POLICY)
        state = failover.set_policy(InstanceFailover(uuid=WEB))(state)
        self.assertNotIn(WEB, state.failover_policies)

    def test_an_instance_that_is_gone_gets_no_policy(self) -> None:
        state = a_state()
        gone = InstanceFailover(uuid="gone", policy=FailoverPolicy.FAILOVER)
        self.assertIs(failover.set_policy(gone)(state), state)

    def test_only_instances_that_are_wanted_up_move_or_restart(self) -> None:
        for policy, admin_state, moves, restarts in (
            (FailoverPolicy.OFF, AdminState.UP, False, False),
            (FailoverPolicy.RESTART, AdminState.UP, False, True),
            (FailoverPolicy.FAILOVER, AdminState.UP, True, True),
            (FailoverPolicy.FAILOVER, AdminState.DOWN, False, False),
        ):
            web = an_instance("web1", admin_state=admin_state)
            record = InstanceFailover(uuid=WEB, policy=policy, rank=1)
            state = failover.set_policy(record)(a_cluster(instances=[web]))
            found = failover.wants_failover(state, WEB), failover.wants_restart(state, WEB)
            self.assertEqual(found, (moves, restarts), policy)

    def test_a_node_needs_its_lease_also_for_an_instance_that_is_down(self) -> None:
        down = an_instance("web1", admin_state=AdminState.DOWN)
        state = failover.set_policy(POLICY)(a_cluster(nodes=["node1", "node2"], instances=[down]))
        self.assertTrue(failover.protects_guests(state, a_node("node1").uuid))
        self.assertFalse(failover.protects_guests(state, a_node("node2").uuid))


class GuardTests(SynchronousTestCase):
    def test_a_node_that_is_online_can_be_guarded(self) -> None:
        state = failover.set_guard(GUARD)(a_state())
        self.assertEqual(state.node_guards[NODE.uuid], GUARD)

    def test_one_that_must_not_be_fenced_is_not_guarded(self) -> None:
        for state in (
            a_state(offline=True),
            failover.set_maintenance(NODE.uuid, 1.0)(a_state()),
            failover.update_settings(maintenance=True)(a_state()),
            failover.begin_fence(FENCE, automatic=True)(a_state()),
        ):
            self.assertIs(failover.set_guard(GUARD)(state), state)

    def test_maintenance_takes_the_guard_away_in_the_same_change(self) -> None:
        guarded = failover.set_guard(GUARD)(a_state())
        for change in (
            failover.set_maintenance(NODE.uuid, 1.0),
            failover.update_settings(maintenance=True),
        ):
            self.assertNotIn(NODE.uuid, change(guarded).node_guards)

    def test_maintenance_ends(self) -> None:
        state = failover.set_maintenance(NODE.uuid, 1.0)(a_state())
        state = failover.set_maintenance(NODE.uuid, None)(state)
        self.assertTrue(failover.may_be_fenced(state, NODE.uuid))


class FenceTests(SynchronousTestCase):
    def test_only_automatic_decisions_count_for_the_limit(self) -> None:
        for automatic, times in ((True, (5.0,)), (False, ())):
            state = failover.begin_fence(FENCE, automatic=automatic)(a_state())
            self.assertEqual(state.fence_history.times, times)

    def test_the_history_is_bounded_and_keeps_the_newest(self) -> None:
        state = a_state()
        for number in range(failover.MAX_HISTORY + 1):
            fence = NodeFence(uuid=NODE.uuid, since=float(number), reason="it is silent")
            state = failover.begin_fence(fence, automatic=True)(state)
            state = failover.forget_fence(NODE.uuid)(state)
        times = state.fence_history.times
        self.assertEqual((len(times), times[0], times[-1]), (100, 1.0, 100.0))

    def test_a_node_is_fenced_once_and_not_if_it_is_offline(self) -> None:
        fenced = failover.begin_fence(FENCE, automatic=True)(a_state())
        for state in (fenced, a_state(offline=True)):
            self.assertIs(failover.begin_fence(FENCE, automatic=True)(state), state)

    def test_a_candidate_is_remembered_as_one(self) -> None:
        for candidate in (True, False):
            state = failover.begin_fence(FENCE, automatic=True)(a_state(master_candidate=candidate))
            self.assertEqual(state.node_fences[NODE.uuid].candidate, candidate)

    def test_a_decision_is_taken_back_only_until_it_was_confirmed(self) -> None:
        state = failover.begin_fence(FENCE, automatic=True)(a_state())
        withdrawn = failover.forget_unconfirmed(NODE.uuid)(state)
        self.assertNotIn(NODE.uuid, withdrawn.node_fences)
        confirmed = failover.end_fence(NODE.uuid, FenceMethod.POWER)(state)
        self.assertIs(failover.forget_unconfirmed(NODE.uuid)(confirmed), confirmed)
        fence = confirmed.node_fences[NODE.uuid]
        self.assertEqual((fence.stage, fence.method), (FenceStage.FENCED, FenceMethod.POWER))

    def test_the_word_of_an_administrator_needs_no_decision_before(self) -> None:
        guarded = failover.set_guard(GUARD)(a_state())
        state = failover.confirm_off(NODE, 7.0)(guarded)
        fence = state.node_fences[NODE.uuid]
        self.assertEqual(
            (fence.since, fence.stage, fence.method, fence.candidate),
            (7.0, FenceStage.FENCED, FenceMethod.PERSON, True),
        )
        self.assertNotIn(NODE.uuid, state.node_guards)

    def test_nothing_is_left_of_a_node_that_leaves(self) -> None:
        state = failover.set_guard(GUARD)(a_state())
        state = failover.begin_fence(FENCE, automatic=True)(state)
        state = failover.forget_node(NODE.uuid)(state)
        left = (state.node_guards, state.node_fences, state.node_maintenance)
        self.assertEqual([NODE.uuid in each for each in left], [False] * 3)
