# SPDX-License-Identifier: BSD-2-Clause
"""Which silent nodes are fenced without a person, and why the others are not."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.changes.failover import (
    begin_fence,
    confirm_off,
    set_guard,
    set_maintenance,
    set_policy,
    update_settings,
)
from ganeti.config.changes.nodes import set_role
from ganeti.config.state import ClusterState
from ganeti.config.writer import Change
from ganeti.master.guest_failover.decisions import (
    FenceChoice,
    choose_electors,
    choose_fences,
    guard_of,
    list_lost_instances,
    needs_lease,
)
from ganeti.model.failover import (
    FailoverPolicy,
    GuardKind,
    InstanceFailover,
    NodeFence,
    NodeGuard,
)
from ganeti.model.node import NodeRole
from ganeti.rpc.guest_lease import Elector, GuardReport, compute_wait
from ganeti.testing.builders import a_cluster, a_node, an_instance, uuid_of

NODES = ("node1", "node2", "node3", "node4")
NAMES = ("node1", "node2", "node3")
NODE2, NODE3 = uuid_of("node", "node2"), uuid_of("node", "node3")


def guarded(name: str, kind: GuardKind = GuardKind.DEVICE) -> Change:
    electors = (NAMES,)
    return set_guard(
        NodeGuard(uuid=uuid_of("node", name), kind=kind, timeout=10, electors=electors)
    )


def protected(name: str, rank: int = 0) -> Change:
    uuid = uuid_of("instance", name)
    return set_policy(InstanceFailover(uuid=uuid, policy=FailoverPolicy.FAILOVER, rank=rank))


def prepared(*changes: Change) -> ClusterState:
    """Four nodes; on the second and third, web2 and web3 are to fail over, and have a guard."""
    instances = [an_instance("web2", node="node2"), an_instance("web3", node="node3")]
    state = a_cluster(nodes=NODES, instances=instances)
    usual = (protected("web2"), protected("web3"), guarded("node2"), guarded("node3"))
    for change in (*usual, *changes):
        state = change(state)
    return state


def choose(
    *changes: Change,
    silent: Collection[str] = (NODE2,),
    reached: Collection[str] = (),
    now: float = 1e6,
) -> FenceChoice:
    return choose_fences(prepared(*changes), silent, reached, now)


class FenceTests(SynchronousTestCase):
    def assert_held(self, found: FenceChoice, why: str) -> None:
        self.assertEqual(found.fence, ())
        self.assertIn(why, found.held[NODE2])

    def test_a_silent_node_with_a_guard_is_fenced(self) -> None:
        self.assertEqual(choose().fence, (NODE2,))

    def test_a_node_that_others_reach_is_not(self) -> None:
        self.assert_held(choose(reached=[NODE2]), "other nodes reach node node2")

    def test_during_maintenance_none_is(self) -> None:
        self.assert_held(choose(update_settings(maintenance=True)), "in maintenance")
        self.assert_held(choose(set_maintenance(NODE2, 1.0)), "node node2 is in maintenance")

    def test_a_node_that_nothing_can_confirm_is_left_to_a_person(self) -> None:
        found = choose(set_maintenance(NODE2, 1.0), set_maintenance(NODE2, None))
        self.assert_held(found, "gnt-node confirm-off node2")

    def test_a_weak_guard_is_not_sufficient_where_a_device_is_required(self) -> None:
        weak = guarded("node2", GuardKind.PROCESS)
        self.assertEqual(choose(weak).fence, (NODE2,))
        self.assert_held(choose(weak, update_settings(require_device=True)), "confirm-off")

    def test_an_out_of_band_helper_is_sufficient(self) -> None:
        node = a_node("node2", ndparams={"oob_program": "/sbin/ipmi"})
        found = choose(lambda state: state.put(node), set_maintenance(NODE2, 1.0),
                       set_maintenance(NODE2, None))  # fmt: skip
        self.assertEqual(found.fence, (NODE2,))

    def test_more_than_the_limit_at_once_are_left_to_a_person(self) -> None:
        found = choose(silent=[NODE2, NODE3])
        self.assert_held(found, "2 nodes have failed within 1800 seconds, and at most 1")
        allowed = choose(update_settings(max_nodes=2), silent=[NODE2, NODE3])
        self.assertEqual(set(allowed.fence), {NODE2, NODE3})

    def test_earlier_fences_count_until_the_window_has_passed(self) -> None:
        earlier = begin_fence(NodeFence(uuid=NODE3, since=1e6, reason="silent"), automatic=True)
        self.assert_held(choose(earlier, now=1e6 + 1000), "2 nodes have failed")
        self.assertEqual(choose(earlier, now=1e6 + 1900).fence, (NODE2,))

    def test_the_master_does_not_fence_its_own_node(self) -> None:
        state = prepared(lambda state: state.put(an_instance("web1").instance), protected("web1"))
        found = choose_fences(state, [uuid_of("node", "node1")], (), 1e6)
        self.assertEqual(found.fence, ())


class LeaseTests(SynchronousTestCase):
    def test_only_nodes_with_such_instances_need_a_lease(self) -> None:
        state = prepared()
        found = [name for name in NODES if needs_lease(state, state.node(name))]
        self.assertEqual(found, ["node2", "node3"])

    def test_two_nodes_are_too_few(self) -> None:
        state = a_cluster(nodes=("node1", "node2"), instances=[an_instance("web2", node="node2")])
        state = protected("web2")(state)
        self.assertEqual(choose_electors(state), ())
        self.assertFalse(needs_lease(state, state.node("node2")))

    def test_the_number_of_electors_is_odd(self) -> None:
        self.assertEqual([each.name for each in choose_electors(prepared())], [*NAMES])

    def report(self, **given: object) -> GuardReport:
        usual = {"at": 1.0, "boot_id": "b", "protected": True, "guard": GuardKind.DEVICE,
                 "timeout": 10, "electors": NAMES}  # fmt: skip
        return GuardReport(**{**usual, **given})  # type: ignore[arg-type]  # as the test says

    def test_a_guard_is_recorded_if_the_node_has_one_and_is_protected(self) -> None:
        electors = choose_electors(prepared())
        found = guard_of(self.report(), NODE2, electors, None)
        assert found is not None
        self.assertEqual((found.kind, found.electors), (GuardKind.DEVICE, (NAMES,)))
        self.assertIsNone(guard_of(self.report(guard=None), NODE2, electors, None))
        self.assertIsNone(guard_of(self.report(protected=False), NODE2, electors, None))

    def test_while_electors_change_both_groups_have_to_refuse(self) -> None:
        old = ("node1", "node2", "node5")
        found = guard_of(self.report(electors=old), NODE2, choose_electors(prepared()), None)
        assert found is not None
        self.assertEqual(set(found.electors), {NAMES, old})
        again = guard_of(self.report(), NODE2, choose_electors(prepared()), found)
        assert again is not None
        self.assertEqual(again.electors, (NAMES,))

    def test_electors_that_the_node_may_have_been_told_count_until_it_reports_others(self) -> None:
        old, new = ("node1", "node2", "node5"), ("node1", "node4", "node5")
        first = guard_of(self.report(electors=old), NODE2, choose_electors(prepared()), None)
        wanted = [Elector(name=name, address="192.0.2.1") for name in new]
        again = guard_of(self.report(electors=old), NODE2, wanted, first)
        assert again is not None
        self.assertEqual(set(again.electors), {old, NAMES, new})

    def test_the_wait_is_longer_with_a_device(self) -> None:
        waits: Mapping[GuardKind, float] = {
            kind: compute_wait(NodeGuard(uuid="", kind=kind, timeout=10, electors=()))
            for kind in GuardKind
        }
        self.assertEqual(waits, {GuardKind.DEVICE: 25.0, GuardKind.PROCESS: 17.5})


class RecoveryTests(SynchronousTestCase):
    def test_instances_of_a_node_that_is_off_are_lost(self) -> None:
        self.assertEqual(list_lost_instances(prepared()), {})
        off = prepared(protected("web2", rank=7))
        off = set_role(off.node("node2"), NodeRole.OFFLINE)(
            confirm_off(off.node("node2"), 1.0)(off)
        )
        self.assertEqual(list_lost_instances(off), {"web2": 7})

    def test_a_node_that_is_marked_online_is_not_fenced_any_more(self) -> None:
        state = prepared()
        node = state.node("node2")
        state = set_role(node, NodeRole.OFFLINE)(confirm_off(node, 1.0)(state))
        self.assertNotIn(NODE2, state.node_guards)
        state = set_role(node, NodeRole.REGULAR)(state)
        self.assertEqual(dict(state.node_fences), {})
