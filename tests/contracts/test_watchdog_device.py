# SPDX-License-Identifier: BSD-2-Clause
"""A watchdog device that cannot be used is disarmed again; files stand for devices here."""

from __future__ import annotations

import errno
import os

from twisted.trial.unittest import SynchronousTestCase

from ganeti.system.watchdog_device import TIMEOUT, LinuxWatchdogDevice, NoWatchdogDevice


class LinuxWatchdogDeviceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = self.mktemp()
        self.device = LinuxWatchdogDevice(self.path)

    def test_a_host_without_the_device_says_so(self) -> None:
        with self.assertRaises(FileNotFoundError):
            self.device.arm()
        self.assertFalse(self.device.armed)

    def test_a_device_whose_timeout_is_unknown_is_disarmed_in_an_orderly_way(self) -> None:
        with open(self.path, "wb"):
            pass
        before = len(os.listdir("/proc/self/fd"))
        with self.assertRaises(OSError) as caught:
            self.device.arm()
        self.assertEqual(caught.exception.errno, errno.ENOTTY)
        self.assertFalse(self.device.armed)
        with open(self.path, "rb") as file:
            self.assertEqual(file.read(), b"V")  # the byte that lets the host run on
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)

    def test_the_option_nowayout_of_its_driver_is_known_once_it_is_armed(self) -> None:
        for name, content, stays in (("watchdog0", "1", True), ("watchdog1", "0", False)):
            folder = self.mktemp()
            os.makedirs(f"{folder}/{name}")
            with open(f"{folder}/{name}/nowayout", "w") as file:
                file.write(f"{content}\n")
            path = f"{self.mktemp()}-{name.removesuffix('0')}"
            with open(path, "wb"):
                pass
            device = LinuxWatchdogDevice(path, folder)
            with self.assertRaises(OSError):  # a file has no time-out
                device.arm()
            self.assertEqual(device.stays_armed, stays)

    def test_one_that_is_not_armed_is_neither_kept_alive_nor_disarmed(self) -> None:
        with open(self.path, "wb"):
            pass
        self.device.keep_alive()
        self.device.disarm()
        self.assertEqual(os.stat(self.path).st_size, 0)
        self.assertEqual(self.device.timeout, TIMEOUT)


class NoWatchdogDeviceTests(SynchronousTestCase):
    def test_a_host_that_uses_no_device_cannot_arm_it(self) -> None:
        device = NoWatchdogDevice()
        with self.assertRaisesRegex(FileNotFoundError, "no watchdog device is used"):
            device.arm()
        device.keep_alive()
        device.disarm()
        self.assertEqual((device.armed, device.timeout), (False, 0))
