# SPDX-License-Identifier: BSD-2-Clause
"""The lease of a node's guests counts from the past, is extended by a majority, and ends."""

from __future__ import annotations

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed, Refused, Unreachable
from ganeti.model.failover import GuardKind
from ganeti.node.guest_lease import SILENCE, WATCHDOG_NOTE, GuestLease, WatchdogNote
from ganeti.rpc.guest_lease import (
    LEASE,
    DenyGuestLeases,
    Elector,
    ExtendGuestLease,
    GuardReport,
    ProveClean,
    RenewGuestLease,
)
from ganeti.testing.builders import a_guest
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from ganeti.testing.hypervisor import MemoryHypervisor
from ganeti.testing.processes import MemoryStateFiles
from tests.contracts.hypervisor import accepted

ELECTORS = tuple(Elector(name=f"node{n}", address=f"192.0.2.{n}") for n in (1, 2, 3))


class LeaseCase(SynchronousTestCase):
    """Node 3 with a lease; ``grants`` are the electors that extend it, and ``boots`` its boots.

    Electors answer after ``delay`` seconds.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000.0)
        self.disk, self.notes = MemoryDisk(), MemoryStateFiles()
        self.disk.add_folder("/data", 0o755)
        self.guests = MemoryHypervisor()
        self.grants: set[str] = {"node1"}
        self.boots, self.watchdogs, self.delay = 1, 0, 0.0
        self.lease = self.started()

    def started(self) -> GuestLease:
        return GuestLease(
            MemoryFiles(self.disk),
            "/data",
            self.notes,
            self.clock,
            name="node3",
            uptime=self.clock.seconds,
            boot_id=lambda: f"boot{self.boots}",
            hypervisors={"fake": self.guests},
            ask=self.ask,
            start_watchdog=self.start_watchdog,
        )

    async def ask(self, elector: Elector, call: ExtendGuestLease) -> bool:
        if elector.name == "node2":
            raise Unreachable("node2", "no route to host")
        if self.delay:
            await deferLater(self.clock, self.delay)
        return elector.name in self.grants

    async def start_watchdog(self) -> None:
        self.watchdogs += 1

    def renew(
        self, answered: float | None = None, *, protect: bool = True, revision: int = 1
    ) -> GuardReport:
        call = RenewGuestLease(
            revision=revision,
            protect=protect,
            electors=ELECTORS if protect else (),
            answered=answered,
            boot_id=f"boot{self.boots}",
        )
        report: GuardReport = self.successResultOf(self.lease.renew(call))
        return report

    def tick(self) -> None:
        self.successResultOf(self.lease.tick())

    def deny(self, *nodes: str, revision: int = 1) -> tuple[str, ...]:
        call = DenyGuestLeases(revision=revision, nodes=nodes)
        recent: tuple[str, ...] = self.successResultOf(self.lease.deny(call))
        return recent

    def run_guest(self) -> None:
        self.successResultOf(self.guests.start(a_guest("web1"), ()))


class RenewalTests(LeaseCase):
    def test_a_node_that_was_never_told_needs_no_lease(self) -> None:
        self.lease.require()
        self.assertFalse(self.lease.ended)

    def test_a_node_is_protected_together_with_its_first_lease(self) -> None:
        at = self.renew().at
        self.lease.require()
        self.assertTrue(self.renew(at).protected)
        self.lease.require()

    def test_a_node_without_a_lease_starts_no_guest(self) -> None:
        self.renew(self.renew().at)
        self.clock.advance(LEASE)
        self.assertRaisesRegex(Refused, "node3 has lost the contact", self.lease.require)

    def test_a_new_master_first_asks_without_changing_anything(self) -> None:
        self.renew(self.renew().at)
        call = RenewGuestLease(revision=2)
        self.assertTrue(self.successResultOf(self.lease.renew(call)).protected)

    def test_a_lease_counts_from_the_answer_that_it_depends_on(self) -> None:
        at = self.renew().at
        self.clock.advance(4.0)
        self.renew(at)
        self.clock.advance(LEASE - 4.5)
        self.lease.require()
        self.clock.advance(1.0)
        self.assertTrue(self.lease.ended)

    def test_a_late_renewal_extends_nothing(self) -> None:
        at = self.renew(self.renew().at).at
        self.clock.advance(LEASE + 1.0)
        self.renew(at)
        self.assertTrue(self.lease.ended)

    def test_an_answer_of_another_boot_does_not_count(self) -> None:
        at = self.renew().at
        call = RenewGuestLease(revision=1, protect=True, answered=at, boot_id="boot0")
        self.assertFalse(self.successResultOf(self.lease.renew(call)).protected)

    def test_a_message_of_an_older_state_does_not_end_the_protection(self) -> None:
        self.renew(self.renew().at, revision=5)
        self.renew(protect=False, revision=4)
        self.assertTrue(self.lease.protected)
        self.renew(protect=False, revision=6)
        self.assertFalse(self.lease.protected)

    def test_a_restarted_daemon_goes_on_with_its_lease(self) -> None:
        self.renew(self.renew().at)
        self.assertFalse(self.started().ended)

    def test_after_a_reboot_there_is_no_lease(self) -> None:
        self.renew(self.renew().at)
        self.boots += 1
        self.assertTrue(self.started().ended)

    def test_a_node_that_leaves_its_cluster_needs_no_lease(self) -> None:
        self.renew(self.renew().at)
        self.lease.forget()
        self.lease.require()

    def test_a_report_names_the_guard_while_the_watchdog_lives(self) -> None:
        note = WatchdogNote(boot_id="boot1", beat=1000.0, guard=GuardKind.DEVICE, timeout=10)
        self.notes.put(WATCHDOG_NOTE, msgspec.json.encode(note))
        self.assertEqual(self.renew().guard, GuardKind.DEVICE)
        self.clock.advance(4.0)
        report = self.renew()
        self.assertEqual((report.guard, report.problem), (None, "ganeti-watchdog does not run"))


class SilenceTests(LeaseCase):
    def setUp(self) -> None:
        super().setUp()
        self.renew(self.renew().at)

    def test_while_the_master_renews_it_nobody_else_is_asked(self) -> None:
        self.clock.advance(2.0)
        self.tick()
        self.clock.advance(LEASE - 2.0)
        self.assertTrue(self.lease.ended)

    def test_a_majority_of_the_electors_extends_it_with_this_node(self) -> None:
        for _ in range(20):
            self.clock.advance(3.0)
            self.tick()
        self.assertFalse(self.lease.ended)

    def test_an_extension_counts_from_the_question(self) -> None:
        self.delay = 1.5
        self.clock.advance(SILENCE)
        asking = Deferred.fromCoroutine(self.lease.tick())
        self.clock.advance(self.delay)
        self.successResultOf(asking)
        self.assertFalse(self.lease.ended)
        self.clock.advance(LEASE - self.delay)
        self.assertTrue(self.lease.ended)

    def test_a_minority_does_not_extend_it(self) -> None:
        self.grants.clear()
        for _ in range(4):
            self.clock.advance(3.0)
            self.tick()
        self.assertTrue(self.lease.ended)

    def test_a_node_that_knows_that_it_is_fenced_does_not_count_itself(self) -> None:
        self.deny("node3")
        for _ in range(4):
            self.clock.advance(3.0)
            self.tick()
        self.assertTrue(self.lease.ended)

    def test_electors_do_not_bring_back_a_lease_that_has_ended(self) -> None:
        self.clock.advance(LEASE)
        self.tick()
        self.assertTrue(self.lease.ended)

    def test_when_it_has_ended_the_guests_are_killed(self) -> None:
        self.run_guest()
        self.guests.stubborn = {"web1"}
        self.clock.advance(LEASE)
        self.tick()
        self.assertEqual(self.guests.running(), {})

    def test_the_watchdog_is_started_if_it_does_not_run(self) -> None:
        for _ in range(6):
            self.tick()
            self.clock.advance(1.0)
        self.assertEqual(self.watchdogs, 2)


class ElectorTests(LeaseCase):
    def extend(self, name: str) -> bool:
        granted: bool = self.successResultOf(self.lease.extend(ExtendGuestLease(node=name)))
        return granted

    def test_leases_are_extended_unless_a_master_has_denied_it(self) -> None:
        self.assertTrue(self.extend("node1"))
        self.deny("node1", revision=2)
        self.assertFalse(self.extend("node1"))
        self.assertTrue(self.extend("node2"))
        self.deny(revision=3)
        self.assertTrue(self.extend("node1"))

    def test_a_denial_is_on_disk(self) -> None:
        self.deny("node1")
        self.lease = self.started()
        self.assertFalse(self.extend("node1"))

    def test_an_older_list_is_refused(self) -> None:
        self.deny("node1", revision=5)
        old = self.lease.deny(DenyGuestLeases(revision=4, nodes=()))
        self.failureResultOf(old, Failed)
        self.assertFalse(self.extend("node1"))

    def test_the_master_learns_which_leases_were_extended_recently(self) -> None:
        self.extend("node1")
        self.assertEqual(self.deny(), ("node1",))
        self.clock.advance(6.0)
        self.assertEqual(self.deny(), ())


class CleanTests(LeaseCase):
    def leftovers(self) -> tuple[str, ...]:
        found: tuple[str, ...] = self.successResultOf(
            self.lease.prove_clean(ProveClean())
        ).leftovers
        return found

    def test_a_node_without_guests_is_clean(self) -> None:
        self.assertEqual(self.leftovers(), ())

    def test_guests_that_run_are_named(self) -> None:
        self.run_guest()
        self.assertEqual(self.leftovers(), ("instance web1 is running",))

    def test_guests_that_are_on_their_way_are_named(self) -> None:
        self.successResultOf(accepted(self.guests, a_guest("web1"), "192.0.2.3"))
        self.assertEqual(
            self.leftovers(), ("a migration of instance web1 to or from here has not ended",)
        )
