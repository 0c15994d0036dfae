# SPDX-License-Identifier: BSD-2-Clause
"""The watchdog feeds its device while there is a lease, and ends the guests afterwards."""

from __future__ import annotations

import msgspec
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.model.failover import GuardKind
from ganeti.node.guest_lease import LEASE_NOTE, WATCHDOG_NOTE, LeaseNote, WatchdogNote, read_note
from ganeti.node.watchdog import NO_DEVICE, Watchdog
from ganeti.testing.builders import a_guest
from ganeti.testing.hypervisor import MemoryHypervisor
from ganeti.testing.processes import MemoryStateFiles
from ganeti.testing.watchdog import MemoryWatchdogDevice
from tests.contracts.hypervisor import accepted


class WatchdogTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock, self.notes = Clock(), MemoryStateFiles()
        self.guests, self.device = MemoryHypervisor(), MemoryWatchdogDevice()
        self.watchdog = self.started()

    def started(self) -> Watchdog:
        return Watchdog(
            self.notes,
            self.device,
            lambda: {"fake": self.guests},
            uptime=self.clock.seconds,
            boot_id=lambda: "boot1",
        )

    def lease(self, *, protected: bool = True, end: float = 10.0, boot_id: str = "boot1") -> None:
        note = LeaseNote(boot_id=boot_id, protected=protected, end=end)
        self.notes.put(LEASE_NOTE, msgspec.json.encode(note))

    def tick(self) -> WatchdogNote:
        self.successResultOf(self.watchdog.tick())
        note = read_note(self.notes, WATCHDOG_NOTE, WatchdogNote)
        assert note is not None
        return note

    def test_without_a_lease_to_watch_the_device_is_not_armed(self) -> None:
        for change in (lambda: None, lambda: self.lease(protected=False)):
            change()
            self.tick()
            self.assertFalse(self.device.armed)

    def test_the_device_is_armed_and_kept_alive_while_there_is_a_lease(self) -> None:
        self.lease()
        note = self.tick()
        self.assertEqual((note.guard, note.timeout), (GuardKind.DEVICE, 10))
        self.tick()
        self.assertEqual((self.device.armed, self.device.kept_alive), (True, 1))

    def test_without_a_device_it_says_that_the_guard_is_weaker(self) -> None:
        self.device.error = FileNotFoundError()
        self.lease()
        note = self.tick()
        self.assertEqual((note.guard, note.problem), (GuardKind.PROCESS, NO_DEVICE))

    def test_a_device_of_another_program_is_named(self) -> None:
        self.device.error = OSError(16, "Device or resource busy")
        self.lease()
        self.assertIn("Device or resource busy", self.tick().problem)

    def test_when_the_lease_has_ended_guests_are_killed_and_the_device_is_not_fed(self) -> None:
        self.lease()
        self.tick()
        self.successResultOf(self.guests.start(a_guest("web1"), ()))
        self.clock.advance(10.0)
        self.tick()
        self.assertEqual((self.guests.running(), self.device.kept_alive), ({}, 0))
        self.assertTrue(self.device.armed)
        self.tick()
        self.assertFalse(self.device.armed)  # it is proven that nothing runs

    def test_a_device_that_cannot_be_disarmed_is_kept_alive_when_there_is_nothing_to_end(
        self,
    ) -> None:
        self.device.stays_armed = True
        self.lease()
        self.tick()
        self.clock.advance(10.0)
        self.tick()
        self.lease(protected=False)
        self.tick()
        self.assertEqual((self.device.armed, self.device.kept_alive), (True, 2))
        self.watchdog.stop()
        self.assertTrue(self.device.armed)

    def test_a_device_that_cannot_be_disarmed_is_not_kept_alive_while_guests_cannot_be_killed(
        self,
    ) -> None:
        self.device.stays_armed = True
        self.lease()
        self.tick()
        self.successResultOf(self.guests.start(a_guest("web1"), ()))
        self.guests.breaks_at = "kill"
        self.clock.advance(10.0)
        self.tick()
        self.assertEqual(self.device.kept_alive, 0)

    def test_a_guest_that_cannot_be_killed_leaves_the_host_to_the_device(self) -> None:
        self.lease()
        self.tick()
        self.successResultOf(self.guests.start(a_guest("web1"), ()))
        self.guests.breaks_at = "kill"
        self.clock.advance(10.0)
        for _ in range(3):
            self.tick()
        self.assertEqual((self.device.armed, self.device.kept_alive), (True, 0))

    def test_a_guest_that_is_on_its_way_to_here_ends_as_well(self) -> None:
        self.lease()
        self.tick()
        self.successResultOf(accepted(self.guests, a_guest("web1"), "192.0.2.1"))
        self.clock.advance(10.0)
        self.tick()
        self.assertEqual(self.guests.present(), frozenset())

    def test_what_kills_guests_is_loaded_while_there_is_a_lease(self) -> None:
        loaded = list[str]()

        def hypervisors() -> dict[str, MemoryHypervisor]:
            loaded.append("fake")
            return {"fake": self.guests}

        watchdog = Watchdog(
            self.notes,
            self.device,
            hypervisors,
            uptime=self.clock.seconds,
            boot_id=lambda: "boot1",
        )
        self.successResultOf(watchdog.tick())
        self.assertEqual(loaded, [])
        self.lease()
        for _ in range(2):
            self.successResultOf(watchdog.tick())
        self.assertEqual(loaded, ["fake"])

    def test_a_device_that_its_predecessor_has_left_armed_is_looked_after(self) -> None:
        for stays_armed, expected in ((False, (False, 0)), (True, (True, 1))):
            self.device = MemoryWatchdogDevice(stays_armed=stays_armed)
            self.lease()
            self.watchdog = self.started()
            self.tick()
            self.lease(protected=False)
            self.device.armed = False  # to the process that is started now
            self.watchdog = self.started()
            self.tick()
            self.assertEqual((self.device.armed, self.device.kept_alive), expected)

    def test_a_device_is_left_alone_that_no_predecessor_has_armed(self) -> None:
        self.lease(protected=False)
        for _ in range(2):
            self.watchdog = self.started()
            self.tick()
        self.assertEqual(self.device.opened, 0)

    def test_the_note_of_an_earlier_boot_does_not_count(self) -> None:
        self.lease(boot_id="boot0", end=-1.0)
        self.successResultOf(self.guests.start(a_guest("web1"), ()))
        self.tick()
        self.assertIn("web1", self.guests.running())

    def test_stopping_it_does_not_disarm_the_device_of_protected_guests(self) -> None:
        self.lease()
        self.tick()
        self.watchdog.stop()
        self.assertTrue(self.device.armed)
        self.lease(protected=False)
        self.watchdog.stop()
        self.assertFalse(self.device.armed)
