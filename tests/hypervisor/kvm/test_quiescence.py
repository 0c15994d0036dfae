# SPDX-License-Identifier: BSD-2-Clause
"""A guest that was kept from writing goes on, also if the daemon ends meanwhile."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from ganeti.hypervisor.kvm.quiescence import read_folder
from tests.hypervisor.kvm.test_live_backups import LiveGuestCase

THAW, FREEZE = "guest-fsfreeze-thaw", "guest-fsfreeze-freeze"


class QuiescenceTests(LiveGuestCase):
    @property
    def status(self) -> str:
        return str(self.host.machine("web1").status)

    def hold(self) -> Deferred[None]:
        """Hold the writes of the guest, until this is called back."""
        ends: Deferred[None] = Deferred()

        async def hold() -> None:
            async with self.kvm.hold_writes(self.guest):
                await ends

        self.holding = Deferred.fromCoroutine(hold())
        self.clock.pump([0.0] * 50)
        return ends

    def go_on(self, ends: Deferred[None]) -> None:
        ends.callback(None)
        self.clock.pump([0.0] * 50)
        self.successResultOf(self.holding)

    def test_nothing_is_noted_of_a_guest_that_goes_on(self) -> None:
        asked = self.start_with_agent()
        ends = self.hold()
        self.assertEqual((self.status, asked), ("paused", [THAW, FREEZE]))
        self.assertEqual(self.host.disk.names("/scratch/guest-web1"), ["frozen", "paused"])
        self.go_on(ends)
        self.assertEqual((self.status, asked[2:]), ("running", [THAW]))
        self.assertEqual(self.host.disk.names("/scratch"), [])

    def test_a_daemon_that_starts_takes_back_what_another_one_has_left(self) -> None:
        asked = self.start_with_agent()
        self.hold()
        asked.clear()
        self.done(self.hypervisor().end_interrupted_backups())
        self.assertEqual((self.status, asked), ("running", [THAW]))
        self.assertEqual(self.host.disk.names("/scratch"), [])

    def test_the_removal_of_an_unfinished_snapshot_takes_it_back_as_well(self) -> None:
        self.hold()
        self.done(self.hypervisor().release_guest(self.guest))
        self.assertEqual(self.status, "running")
        self.assertEqual(self.host.disk.names("/scratch"), [])

    def test_an_agent_that_does_not_answer_keeps_no_guest_stopped(self) -> None:
        self.start_with_agent()
        self.hold()
        self.host.agents.clear()
        self.done(self.hypervisor().release_guest(self.guest))
        self.assertEqual(self.status, "running")

    def test_a_guest_that_a_person_has_paused_stays_paused(self) -> None:
        self.host.machine("web1").status = "paused"
        self.go_on(self.hold())
        self.assertEqual(self.status, "paused")
        self.done(self.hypervisor().end_interrupted_backups())
        self.done(self.kvm.release_guest(self.guest))
        self.assertEqual(self.status, "paused")

    def test_no_name_of_a_guest_leads_out_of_the_folder(self) -> None:
        self.assertEqual(read_folder("guest-..%2Fx"), "../x")
