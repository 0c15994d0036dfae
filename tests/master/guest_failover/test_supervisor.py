# SPDX-License-Identifier: BSD-2-Clause
"""Silent nodes are fenced only by what certainly ends their guests, and rejoin when clean."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
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
from ganeti.config.changes.objects import together
from ganeti.config.state import ClusterState
from ganeti.config.writer import Change, ChangeCause, ConfigWriter
from ganeti.events.event import EventAction, EventKind
from ganeti.master.guest_failover.recovery import Recovery
from ganeti.master.guest_failover.restarts import Restarts
from ganeti.master.guest_failover.supervisor import (
    PROOF_INTERVAL,
    GuestSupervisor,
    confirm_fence,
    is_used,
    make_denial,
)
from ganeti.model.failover import (
    FailoverPolicy,
    FenceMethod,
    FenceStage,
    GuardKind,
    InstanceFailover,
    NodeFence,
    NodeGuard,
)
from ganeti.model.node import Node, NodeRole
from ganeti.rpc.call import Call
from ganeti.rpc.guest_lease import (
    LEASE,
    RENEWAL_INTERVAL,
    SUSPICION,
    CleanReport,
    DenyGuestLeases,
    GuardReport,
    ProveClean,
    RenewGuestLease,
    compute_wait,
)
from ganeti.rpc.instances import ListGuests
from ganeti.rpc.node import DescribeNode, RunPowerHelper
from ganeti.testing.builders import a_cluster, a_node, an_instance, uuid_of
from ganeti.testing.facts import some_facts
from ganeti.testing.journal import MemoryJournal
from ganeti.testing.tools import ScriptedNodes
from tests.master.guest_failover.case import NOW, MemoryQueue
from tests.metrics.test_family import read

R = TypeVar("R")

NAMES = ("node1", "node2", "node3")
NODE2, NODE3 = uuid_of("node", "node2"), uuid_of("node", "node3")
GUARD = NodeGuard(uuid=NODE2, kind=GuardKind.DEVICE, timeout=10, electors=(NAMES,))
FENCE = NodeFence(uuid=NODE2, since=NOW, reason="test")
HELPER = {"oob_program": "/usr/lib/oob"}


def policy(name: str, kind: FailoverPolicy = FailoverPolicy.FAILOVER) -> Change:
    return set_policy(InstanceFailover(uuid=uuid_of("instance", name), policy=kind))


def off(name: str = "node2") -> Change:
    """An administrator has confirmed that a node is off."""

    def change(state: ClusterState) -> ClusterState:
        node = state.node(name)
        return set_role(node, NodeRole.OFFLINE)(confirm_off(node, NOW)(state))

    return change


class HangingNodes(ScriptedNodes):
    """Nodes of which some take calls and answer none."""

    def __init__(self, answers: Mapping[type[Call[object]], object]) -> None:
        super().__init__(answers)
        self.hanging: set[str] = set()

    async def ask(self, node: Node, call: Call[R]) -> R:
        if node.name in self.hanging:
            await Deferred()
        return await super().ask(node, call)


class Observed:
    """The events of nodes, as action, name and the reason or method."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, Any]] = []

    def observed(self, kind: EventKind, action: EventAction, name: str, **more: Any) -> None:
        assert kind is EventKind.NODE
        self.seen.append((action, name, more["reason"] or more["method"]))


class Term:
    held = True

    def holds_lease(self) -> bool:
        return self.held


class SupervisorCase(SynchronousTestCase):
    """Three nodes, and web2 on node2, which is to fail over; node2 has a watchdog device."""

    helper = False

    def setUp(self) -> None:
        params = HELPER if self.helper else {}
        nodes = [a_node(name, ndparams=params if name == "node2" else {}) for name in NAMES]
        state = a_cluster(nodes=nodes, instances=[an_instance("web2", node="node2")])
        self.clock, self.journal = Clock(), MemoryJournal()
        self.config = ConfigWriter(policy("web2")(state), self.journal, self.now)
        self.kind: GuardKind | None = GuardKind.DEVICE
        self.protected: dict[str, RenewGuestLease] = {}
        self.heard: dict[str, tuple[str, ...]] = {}
        self.leftovers: tuple[str, ...] = ()
        self.status = '{"powered": false}'
        self.nodes = HangingNodes(
            {
                RenewGuestLease: self.renewed,
                DenyGuestLeases: lambda name, call: self.heard.get(name, ()),
                ProveClean: lambda *_: CleanReport(leftovers=self.leftovers, uptime=1.0),
                RunPowerHelper: lambda name, call: (
                    self.status if call.command == "power-status" else ""
                ),
                DescribeNode: some_facts(),
                ListGuests: {},
            }
        )
        self.term, self.events, self.queue = Term(), Observed(), MemoryQueue()
        self.supervisor = self.make()
        self.addCleanup(self.stop)

    def make(self) -> GuestSupervisor:
        state, clock = self.config.state, self.clock
        return GuestSupervisor(
            self.config,
            self.nodes,
            self.term,
            Recovery(state, self.nodes, self.queue, clock, self.now),
            Restarts(state, self.nodes, self.queue, lambda _: False, clock, self.now),
            self.events,
            clock,
            self.now,
        )

    def stop(self) -> None:
        self.supervisor.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def now(self) -> float:
        return float(NOW + self.clock.seconds())

    # --- what happens

    def renewed(self, name: str, call: RenewGuestLease) -> GuardReport:
        """The answer of a node, which does what it was told last."""
        if call.protect is not None:
            self.protected[name] = call
        told = self.protected.get(name)
        protected = told is not None and bool(told.protect)
        return GuardReport(
            at=self.clock.seconds(),
            boot_id="boot",
            protected=protected,
            guard=self.kind if protected else None,
            timeout=10,
            electors=tuple(each.name for each in told.electors) if told else (),
            problem="" if self.kind else "there is no watchdog",
        )

    def change(self, *changes: Change) -> None:
        because = ChangeCause("test", "test")
        changed = self.config.change(together(*changes), because=because)
        self.successResultOf(Deferred.fromCoroutine(changed))

    def start(self, seconds: int = 3) -> None:
        self.supervisor.start()
        self.pass_time(seconds)

    def pass_time(self, seconds: float) -> None:
        self.clock.pump([RENEWAL_INTERVAL] * int(seconds / RENEWAL_INTERVAL))

    def calls(self, kind: type[Call[Any]], name: str | None = None) -> list[Any]:
        """The calls of a kind, to one node or to all."""
        asked = self.nodes.asked
        return [call for to, call in asked if isinstance(call, kind) and name in (None, to)]

    def fence(self) -> NodeFence | None:
        return self.config.state().node_fences.get(NODE2)

    def told(self, name: str = "node2") -> dict[str, Any]:
        """What a query answers about a node."""
        found: Any = self.successResultOf(self.supervisor.query())
        return next(row for row in found["nodes"] if row["name"] == name)


class LeaseTests(SupervisorCase):
    def test_a_node_with_guests_that_fail_over_is_asked_every_second(self) -> None:
        self.start(0)
        first = self.calls(RenewGuestLease, "node2")
        self.assertEqual([(call.answered, call.protect) for call in first], [(None, None)])
        self.pass_time(3)
        _, *later = self.calls(RenewGuestLease, "node2")
        self.assertEqual([call.answered for call in later], [0, 1, 2])
        self.assertEqual({(call.protect, call.boot_id) for call in later}, {(True, "boot")})
        self.assertEqual([each.name for each in later[0].electors], list(NAMES))

    def test_other_nodes_are_asked_until_they_report_that_they_are_not_protected(self) -> None:
        self.nodes.gone.add("node3")
        self.start(2)
        self.assertEqual(len(self.calls(RenewGuestLease, "node1")), 1)
        self.assertEqual(len(self.calls(RenewGuestLease, "node3")), 3)

    def test_a_guard_is_recorded_when_the_node_is_protected(self) -> None:
        self.start(0)
        self.assertEqual(dict(self.config.state().node_guards), {})
        self.pass_time(1)
        self.assertEqual(self.config.state().node_guards[NODE2], GUARD)
        self.assertEqual(self.journal.commits[-1].why, "the guests of node2 have a guard: device")
        commits = len(self.journal.commits)
        self.pass_time(5)
        self.assertEqual(len(self.journal.commits), commits)

    def test_a_guard_that_fails_is_forgotten_with_its_problem(self) -> None:
        self.start()
        self.kind = None
        self.pass_time(1)
        self.assertEqual(dict(self.config.state().node_guards), {})
        why = "the guests of node2 have no guard: there is no watchdog"
        self.assertEqual(self.journal.commits[-1].why, why)
        self.assertEqual(self.told()["problem"], "there is no watchdog")

    def test_a_node_that_needs_no_lease_any_more_is_told_so_before_it_is_left_alone(self) -> None:
        self.start()
        self.change(policy("web2", FailoverPolicy.OFF))
        self.pass_time(1)
        self.assertEqual(self.calls(RenewGuestLease, "node2")[-1].protect, False)
        self.assertEqual(dict(self.config.state().node_guards), {})
        asked = len(self.calls(RenewGuestLease))
        self.pass_time(5)
        self.assertEqual(len(self.calls(RenewGuestLease)), asked)

    def test_a_master_without_its_lease_asks_nothing(self) -> None:
        self.term.held = False
        self.start()
        self.assertEqual(self.nodes.asked, [])

    def test_without_any_settings_for_failover_nothing_is_done(self) -> None:
        config = ConfigWriter(a_cluster(nodes=NAMES), self.journal, self.now)
        self.assertFalse(is_used(config.state()))
        self.assertTrue(is_used(self.config.state()))
        self.config = config
        self.supervisor = self.make()
        self.start()
        self.assertEqual(self.nodes.asked, [])

    def test_electors_are_told_once_whose_leases_have_ended(self) -> None:
        self.start()
        told = [(name, call.nodes) for name, call in self.nodes.asked
                if isinstance(call, DenyGuestLeases)]  # fmt: skip
        self.assertEqual(sorted(told), [(name, ()) for name in NAMES])

    def test_a_node_that_hangs_is_not_waited_for(self) -> None:
        self.nodes.hanging.add("node2")
        self.start(3)
        self.assertIn("no answer to guest_lease_renew in time", self.told()["problem"])
        self.nodes.hanging.clear()
        self.pass_time(4)
        self.assertEqual((self.told()["problem"], self.told()["answered"]), ("", 0.0))


class SuspicionTests(SupervisorCase):
    def lose(self, *names: str) -> None:
        """Nodes answer no more, after 3 seconds."""
        self.start()
        self.nodes.gone |= set(names or ("node2",))

    def test_a_node_is_fenced_after_some_seconds_of_silence(self) -> None:
        self.lose()
        self.pass_time(SUSPICION - 1)
        self.assertIsNone(self.fence())
        self.pass_time(1)
        fence = self.fence()
        assert fence is not None
        self.assertEqual((fence.stage, fence.candidate), (FenceStage.FENCING, True))
        self.assertEqual(fence.since, NOW + 3 + SUSPICION)
        self.assertIn("node node2 is silent", fence.reason)
        self.assertEqual(self.config.state().fence_history.times, (fence.since,))

    def test_a_node_that_answers_again_in_time_is_not(self) -> None:
        self.lose()
        self.pass_time(SUSPICION - 1)
        self.nodes.gone.clear()
        self.pass_time(60)
        self.assertIsNone(self.fence())

    def test_the_silence_of_a_node_without_such_guests_is_of_no_interest(self) -> None:
        self.lose("node3")
        self.pass_time(60)
        self.assertEqual(dict(self.config.state().node_fences), {})
        self.assertEqual(self.events.seen, [])

    def test_a_node_that_a_majority_of_electors_hears_is_held(self) -> None:
        self.heard = {"node1": ("node2",), "node3": ("node2",)}
        self.lose()
        self.pass_time(60)
        self.assertIsNone(self.fence())
        reason = "other nodes reach node node2, so its guests run on"
        self.assertEqual(self.events.seen, [(EventAction.HELD, "node2", reason)])
        self.assertEqual((self.told()["suspected"], self.told()["problem"]), (True, reason))
        self.assertEqual(read(*self.supervisor.families())["ganeti_nodes_held", ()], 1)

    def test_one_elector_that_hears_it_is_not_sufficient(self) -> None:
        self.heard = {"node1": ("node2",)}
        self.lose()
        self.pass_time(SUSPICION)
        self.assertIsNotNone(self.fence())

    def test_a_node_that_is_heard_no_more_is_fenced_then(self) -> None:
        self.heard = {"node1": ("node2",), "node3": ("node2",)}
        self.lose()
        self.pass_time(20)
        self.heard = {}
        self.pass_time(1)
        self.assertIsNotNone(self.fence())

    def test_a_hold_ends_with_the_silence(self) -> None:
        self.heard = {"node1": ("node2",), "node3": ("node2",)}
        self.lose()
        self.pass_time(20)
        self.nodes.gone.clear()
        self.pass_time(2)
        self.assertEqual((self.told()["suspected"], self.told()["problem"]), (False, ""))

    def test_silence_while_the_master_was_paused_does_not_count(self) -> None:
        self.lose()
        self.clock.advance(100)
        self.pass_time(SUSPICION - 1)
        self.assertIsNone(self.fence())
        self.pass_time(1)
        self.assertIsNotNone(self.fence())

    def test_silence_before_a_node_was_asked_does_not_count(self) -> None:
        self.change(policy("web2", FailoverPolicy.OFF))
        self.start()
        self.change(set_guard(GUARD))
        self.nodes.gone.add("node2")
        self.pass_time(60)
        self.change(policy("web2"))
        self.pass_time(SUSPICION)
        self.assertIsNone(self.fence())
        self.pass_time(1)
        self.assertIsNotNone(self.fence())

    def test_a_new_master_gives_every_node_the_same_time_to_answer(self) -> None:
        self.change(set_guard(GUARD))
        self.nodes.gone.add("node2")
        self.start(int(SUSPICION) - 1)
        self.assertIsNone(self.fence())
        self.pass_time(1)
        self.assertIsNotNone(self.fence())


class FencingTests(SupervisorCase):
    def lose(self) -> None:
        """Node2 is lost and being fenced, and its electors know in the next second."""
        self.start()
        self.nodes.gone.add("node2")
        self.pass_time(SUSPICION)
        assert self.fence() is not None

    def test_a_guarded_node_is_off_when_its_guests_have_ended_for_certain(self) -> None:
        self.lose()
        self.pass_time(1)  # a majority of its electors refuses from now on
        wait = compute_wait(GUARD)
        self.assertGreater(wait, LEASE + GUARD.timeout)
        self.pass_time(wait - 1)
        self.assertFalse(self.config.state().node("node2").offline)
        self.pass_time(1)
        fence = self.fence()
        assert fence is not None
        self.assertEqual((fence.stage, fence.method), (FenceStage.FENCED, FenceMethod.DEVICE))
        self.assertTrue(self.config.state().node("node2").offline)
        self.assertEqual(
            self.journal.commits[-1].why,
            "no guest runs on node2 any more: confirmed by device",
        )

    def test_only_then_its_instances_start_elsewhere(self) -> None:
        self.lose()
        self.pass_time(compute_wait(GUARD))
        self.assertEqual(self.queue.submitted, [])
        self.pass_time(2)
        self.assertEqual(len(self.queue.submitted), 1)

    def test_while_electors_do_not_know_it_nothing_is_confirmed(self) -> None:
        self.start()
        self.nodes.gone |= {"node2", "node3"}
        self.pass_time(SUSPICION)
        self.assertIsNotNone(self.fence())
        self.pass_time(200)
        self.assertFalse(self.config.state().node("node2").offline)
        self.nodes.gone.remove("node3")
        self.pass_time(compute_wait(GUARD) + 1)
        self.assertTrue(self.config.state().node("node2").offline)

    def test_a_master_that_has_lost_its_lease_confirms_nothing(self) -> None:
        self.lose()
        self.term.held = False
        self.pass_time(200)
        self.assertFalse(self.config.state().node("node2").offline)

    def test_the_steps_of_a_fence_are_events_and_are_counted(self) -> None:
        self.lose()
        self.pass_time(compute_wait(GUARD) + 2)
        fence = self.fence()
        assert fence is not None
        expected = [
            (EventAction.FENCING, "node2", fence.reason),
            (EventAction.FENCED, "node2", FenceMethod.DEVICE),
        ]
        self.assertEqual(self.events.seen, expected)
        found = read(*self.supervisor.families())
        self.assertEqual(found["ganeti_node_fenced_total", ("device",)], 1)
        self.assertEqual(found["ganeti_node_fences", ("fenced",)], 1)

    def test_a_node_that_is_being_fenced_gets_no_lease_and_decides_about_none(self) -> None:
        self.start()
        self.nodes.gone.add("node2")
        denials = len(self.calls(DenyGuestLeases, "node2"))
        self.pass_time(SUSPICION)
        renewals = len(self.calls(RenewGuestLease, "node2"))
        self.pass_time(20)
        self.assertEqual(len(self.calls(RenewGuestLease, "node2")), renewals)
        self.assertEqual(len(self.calls(DenyGuestLeases, "node2")), denials)

    def test_what_an_earlier_master_has_reported_is_not_reported_again(self) -> None:
        self.change(set_guard(GUARD), begin_fence(FENCE, automatic=True))
        self.nodes.gone.add("node2")
        self.start()
        self.assertEqual(self.events.seen, [])

    def test_a_node_that_is_back_and_clean_before_that_is_not_fenced_any_more(self) -> None:
        self.lose()
        self.pass_time(2)
        self.nodes.gone.clear()
        self.pass_time(3)
        self.assertIsNone(self.fence())
        self.assertFalse(self.config.state().node("node2").offline)
        self.assertIn("is back before its fence was confirmed", self.journal_text())

    def test_one_that_is_back_with_guests_stays_fenced(self) -> None:
        self.lose()
        self.leftovers = ("guest web2 runs",)
        self.nodes.gone.clear()
        self.pass_time(5)
        self.assertIsNotNone(self.fence())

    def test_without_a_guard_and_a_helper_a_person_is_asked_for(self) -> None:
        self.change(begin_fence(FENCE, automatic=False))
        self.nodes.gone.add("node2")
        self.start(200)
        self.assertFalse(self.config.state().node("node2").offline)
        said = "power it off, and run: gnt-node confirm-off node2"
        self.assertIn(said, self.told()["problem"])
        self.assertEqual((self.told()["fence"], self.told()["reason"]), ("fencing", "test"))

    def test_a_process_is_no_guard_where_a_device_is_required(self) -> None:
        weak = NodeGuard(uuid=NODE2, kind=GuardKind.PROCESS, timeout=0, electors=(NAMES,))
        self.change(set_guard(weak), update_settings(require_device=True))
        self.change(begin_fence(FENCE, automatic=True))
        self.nodes.gone.add("node2")
        self.start(200)
        self.assertFalse(self.config.state().node("node2").offline)

    def journal_text(self) -> str:
        return "\n".join(commit.why for commit in self.journal.commits)


class PowerTests(SupervisorCase):
    """Node2 has an out-of-band helper, and no guard."""

    helper = True

    def setUp(self) -> None:
        super().setUp()
        self.change(begin_fence(FENCE, automatic=True))
        self.nodes.gone.add("node2")

    def test_a_helper_that_says_that_the_node_is_off_confirms_it(self) -> None:
        self.start(0)
        calls = self.calls(RunPowerHelper, "node1")
        self.assertEqual([call.command for call in calls], ["power-off", "power-status"])
        self.assertEqual(
            {(c.remote_node, c.oob_program) for c in calls}, {("node2", "/usr/lib/oob")}
        )
        fence = self.fence()
        assert fence is not None
        self.assertEqual((fence.stage, fence.method), (FenceStage.FENCED, FenceMethod.POWER))

    def test_a_node_that_is_still_on_is_powered_off_again(self) -> None:
        self.status = '{"powered": true}'
        self.start(4)
        self.assertIn("says that node node2 is not off", self.told()["problem"])
        self.assertGreater(len(self.calls(RunPowerHelper)), 2)
        self.status = '{"powered": false}'
        self.pass_time(3)
        self.assertTrue(self.config.state().node("node2").offline)

    def test_a_helper_that_fails_is_reported_and_tried_again(self) -> None:
        self.status = "<html>"
        self.start()
        said = "node node2 could not be powered off: output of the out-of-band program"
        self.assertIn(said, self.told()["problem"])
        self.status = '{"powered": false}'
        self.pass_time(3)
        self.assertTrue(self.config.state().node("node2").offline)


class RejoinTests(SupervisorCase):
    def setUp(self) -> None:
        super().setUp()
        self.change(begin_fence(FENCE, automatic=True))
        self.change(off())
        self.start(1)  # its instance is tried elsewhere

    def offline(self) -> bool:
        return self.config.state().node("node2").offline

    def test_a_clean_node_rejoins_with_its_role_when_its_instances_were_tried(self) -> None:
        self.pass_time(3 * PROOF_INTERVAL)
        self.assertTrue(self.offline())
        self.queue.end_all()
        self.pass_time(2 * PROOF_INTERVAL)
        node = self.config.state().node("node2")
        self.assertEqual((node.offline, node.master_candidate), (False, True))
        self.assertIsNone(self.fence())
        self.pass_time(1)
        self.assertIn((EventAction.REJOINED, "node2", None), self.events.seen)

    def test_one_in_maintenance_stays_offline_until_that_ends(self) -> None:
        self.change(set_maintenance(NODE2, NOW))
        self.queue.end_all()
        self.pass_time(2 * PROOF_INTERVAL)
        self.assertEqual((self.offline(), self.told()["maintenance"]), (True, True))
        self.change(set_maintenance(NODE2, None))
        self.pass_time(2 * PROOF_INTERVAL)
        self.assertFalse(self.offline())

    def test_it_is_not_asked_all_the_time(self) -> None:
        self.leftovers = ("guest web2 runs",)
        self.queue.end_all()
        asked = len(self.calls(ProveClean))
        self.pass_time(4 * PROOF_INTERVAL)
        self.assertLessEqual(len(self.calls(ProveClean)) - asked, 4)

    def test_one_that_is_not_clean_stays_offline_and_it_is_told_why(self) -> None:
        self.leftovers = ("guest web2 runs", "disk 0 is open")
        self.queue.end_all()
        self.pass_time(30)
        self.assertTrue(self.offline())
        said = "node node2 was fenced and is not clean: guest web2 runs; disk 0 is open"
        self.assertEqual(self.told()["problem"], said)

    def test_one_that_does_not_answer_stays_offline(self) -> None:
        self.nodes.gone.add("node2")
        self.queue.end_all()
        self.pass_time(2 * PROOF_INTERVAL)
        self.assertTrue(self.calls(ProveClean, "node2"))
        self.assertTrue(self.offline())

    def test_one_that_an_administrator_has_brought_back_is_left_alone(self) -> None:
        node = self.config.state().node("node2")
        self.change(set_role(node, NodeRole.REGULAR))
        self.assertIsNone(self.fence())
        asked = len(self.calls(ProveClean))
        self.pass_time(30)
        self.assertEqual(len(self.calls(ProveClean)), asked)


class RoleTests(SupervisorCase):
    def test_a_node_that_was_no_candidate_becomes_none(self) -> None:
        self.change(set_role(self.config.state().node("node2"), NodeRole.REGULAR))
        self.change(begin_fence(FENCE, automatic=True))
        self.change(off())
        self.start(1)
        self.queue.end_all()
        self.pass_time(2 * PROOF_INTERVAL)
        node = self.config.state().node("node2")
        self.assertEqual((node.offline, node.master_candidate), (False, False))


class RestartTests(SupervisorCase):
    def test_a_guest_that_has_stopped_by_itself_is_restarted(self) -> None:
        self.start(9)
        [job] = self.queue.submitted
        self.assertEqual((job.op_id, self.fence()), ("OP_INSTANCE_STARTUP", None))


class FailureTests(SupervisorCase):
    def test_a_journal_that_is_full_is_tried_again(self) -> None:
        self.journal.break_down()
        self.start()
        self.assertEqual(dict(self.config.state().node_guards), {})
        self.journal.heal()
        self.successResultOf(Deferred.fromCoroutine(self.journal.reopen()))
        self.pass_time(1)
        self.assertEqual(self.config.state().node_guards[NODE2], GUARD)

    def test_an_error_in_the_program_is_logged_and_ends_nothing(self) -> None:
        self.nodes.answers[RenewGuestLease] = ZeroDivisionError()
        self.start(1)
        self.assertGreater(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.nodes.answers[RenewGuestLease] = self.renewed
        self.pass_time(2)
        self.assertEqual(self.config.state().node_guards[NODE2], GUARD)

    def test_after_a_stop_nothing_is_asked(self) -> None:
        self.start()
        self.supervisor.stop()
        asked = len(self.nodes.asked)
        self.pass_time(10)
        self.assertEqual(len(self.nodes.asked), asked)


class ChangeTests(SynchronousTestCase):
    def test_a_confirmed_fence_and_the_offline_node_are_one_change(self) -> None:
        state = begin_fence(FENCE, automatic=True)(a_cluster(nodes=NAMES))
        after = confirm_fence(state.node("node2"), FenceMethod.DEVICE)(state)
        self.assertTrue(after.node("node2").offline)
        self.assertIs(after.node_fences[NODE2].stage, FenceStage.FENCED)

    def test_a_denial_names_all_fenced_nodes_that_are_members(self) -> None:
        fences = [NodeFence(uuid=uuid, since=NOW, reason="x") for uuid in (NODE3, NODE2, "gone")]
        state = reduce(ClusterState.put, fences, a_cluster(nodes=NAMES))
        self.assertEqual(make_denial(state), DenyGuestLeases(revision=1, nodes=NAMES[1:]))
