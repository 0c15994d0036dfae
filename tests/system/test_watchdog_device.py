# SPDX-License-Identifier: BSD-2-Clause
"""``ganeti-watchdog`` on a host that a watchdog device resets; QEMU emulates that host.

A scenario begins with a guest that has a lease, and a device that counts down.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.node.watchdog import INTERVAL
from ganeti.rpc.guest_lease import LEASE
from ganeti.system.watchdog_device import TIMEOUT
from tests.system.virtual_host import SOFTDOG, History, play, require_virtual_host

SLACK = 1.0
"""Seconds that the host is not looked at, and that a look and a renewal of the lease take."""

LONGER = 2 * TIMEOUT
"""Seconds after which a device that counts down has reset the host for certain."""


class VirtualHostCase(SynchronousTestCase):
    def setUp(self) -> None:
        require_virtual_host()

    def assert_runs_on(self, history: History) -> None:
        self.assertEqual((history.reset, history.seen[-1].guest), (False, True), history.output)

    def assert_reset(self, history: History, since: float, *, least: float = 0.0) -> None:
        """The host was reset within the time-out of the device since a time."""
        self.assertTrue(history.reset, history.output)
        self.assertGreater(history.end - since, least - SLACK, history.output)
        self.assertLess(history.end - since, TIMEOUT + SLACK, history.output)


class LeaseTests(VirtualHostCase):
    def test_while_the_lease_is_renewed_the_host_runs_on(self) -> None:
        history = play(f"sleep {LONGER}")
        self.assert_runs_on(history)
        self.assertTrue(all(each.counts_down for each in history.seen))

    def test_when_it_has_ended_the_guest_is_killed_and_then_the_device_disarmed(self) -> None:
        history = play(f"touch /silent; mark silent; sleep {LEASE + LONGER}")
        self.assertFalse(history.reset, history.output)
        end = history.times["silent"] + LEASE
        self.assertLess(abs(history.guest_end - end), 1 + 2 * INTERVAL)
        self.assertLess(abs(history.device_end - end), 1 + 3 * INTERVAL)

    def test_a_guest_that_cannot_be_killed_ends_with_the_host(self) -> None:
        # A process in this state does not even end when it is killed, as if it waited for a disk.
        freeze = "cd /freezer; mkdir g; echo $guest > g/tasks; echo FROZEN > g/freezer.state"
        history = play(f"{freeze}; touch /silent; mark silent; sleep {LEASE + LONGER}")
        self.assertTrue(history.by_esb)
        self.assertTrue(history.seen[-1].guest)
        self.assert_reset(history, history.times["silent"] + LEASE, least=TIMEOUT - 1)


class WatchdogTests(VirtualHostCase):
    def test_one_that_is_killed_takes_the_host_along(self) -> None:
        history = play(f"kill -9 $watchdog; mark killed; sleep {LONGER}")
        self.assertTrue(history.by_esb)
        self.assert_reset(history, history.times["killed"], least=TIMEOUT)

    def test_one_that_is_killed_and_started_again_in_time_does_not(self) -> None:
        self.assert_runs_on(play(f"kill -9 $watchdog; sleep 1; start_watchdog; sleep {LONGER}"))

    def test_one_that_is_stopped_while_there_is_a_lease_takes_the_host_along(self) -> None:
        history = play(f"kill $watchdog; mark stopped; sleep {LONGER}")
        self.assert_reset(history, history.times["stopped"], least=TIMEOUT)

    def test_one_that_is_frozen_takes_the_host_along(self) -> None:
        history = play(f"kill -STOP $watchdog; mark frozen; sleep {LONGER}")
        self.assertTrue(history.by_esb)
        self.assert_reset(history, history.times["frozen"], least=TIMEOUT - INTERVAL)


class MaintenanceTests(VirtualHostCase):
    def test_nothing_resets_the_host_whether_the_watchdog_ends_or_not(self) -> None:
        for ends in ("true", "kill $watchdog", "kill -9 $watchdog"):
            begin = f"protect false; wait_for_device 0 inactive; touch /silent; {ends}"
            self.assert_runs_on(play(f"{begin}; sleep {LONGER}"))

    def test_a_device_that_cannot_be_disarmed_is_kept_alive(self) -> None:
        self.assert_runs_on(play(f"{NOWAYOUT}; protect false; sleep {LONGER}"))

    def test_a_device_that_cannot_be_disarmed_outlives_its_watchdog(self) -> None:
        for ends in ("kill", "kill -9"):
            history = play(
                f"{NOWAYOUT}; protect false; sleep 1; {ends} $watchdog; mark ended; sleep {LONGER}"
            )
            self.assert_reset(history, history.times["ended"], least=TIMEOUT - INTERVAL)

    def test_a_watchdog_that_is_started_again_looks_after_such_a_device(self) -> None:
        again = "kill $watchdog; sleep 1; start_watchdog"
        self.assert_runs_on(play(f"{NOWAYOUT}; protect false; sleep 1; {again}; sleep {LONGER}"))


NOWAYOUT = """protect false; wait_for_device 0 inactive
echo 1 > /sys/class/watchdog/watchdog0/nowayout
protect true; wait_for_device 0 active"""
"""Gives the device the option of its driver, while it is not armed."""

SOFTDOG_ONLY = f"""protect false; wait_for_device 0 inactive; kill $watchdog
while [ -d /proc/$watchdog ]; do sleep 0.1; done
start_watchdog --device /dev/watchdog{SOFTDOG}; protect true; wait_for_device {SOFTDOG} active"""


class SoftdogTests(VirtualHostCase):
    def test_it_resets_the_host_of_a_frozen_watchdog(self) -> None:
        freeze = "kill -STOP $watchdog; mark frozen"
        history = play(f"{SOFTDOG_ONLY}; {freeze}; sleep {LONGER}", SOFTDOG)
        self.assertFalse(history.by_esb)
        self.assert_reset(history, history.times["frozen"], least=TIMEOUT - INTERVAL)
