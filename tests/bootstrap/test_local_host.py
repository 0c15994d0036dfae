# SPDX-License-Identifier: BSD-2-Clause
"""What checks ask of this host is answered by this host."""

from __future__ import annotations

import errno
import socket
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from ganeti.bootstrap.local_host import LocalHost


class LocalHostTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.host = LocalHost()

    def test_a_port_is_free_or_the_reason_is_a_number(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port = listening.getsockname()[1]
            self.assertEqual(self.host.bind("127.0.0.1", port), errno.EADDRINUSE)
        self.assertEqual(self.host.bind("127.0.0.1", port), 0)

    def test_an_address_of_another_host_cannot_be_bound(self) -> None:
        self.assertEqual(self.host.bind("192.0.2.1", 0), errno.EADDRNOTAVAIL)

    def test_both_families_of_addresses_are_tried(self) -> None:
        self.assertNotEqual(self.host.bind("2001:db8::1", 0), 0)

    def test_files_are_read_if_they_are_there(self) -> None:
        path = Path(self.mktemp())
        self.assertFalse(self.host.exists(str(path)))
        self.assertIs(self.host.read(str(path)), None)
        path.write_text("text")
        self.assertTrue(self.host.exists(str(path)))
        self.assertEqual(self.host.read(str(path)), "text")

    def test_programs_are_found_by_name(self) -> None:
        self.assertTrue(self.host.program("sh"))
        self.assertFalse(self.host.program("no-such-program"))

    def test_the_loopback_device_is_one_of_its_devices(self) -> None:
        self.assertIn("lo", self.host.devices())

    def test_a_missing_pid_file_is_no_daemon(self) -> None:
        self.assertIs(self.host.daemon("/nonexistent.pid"), None)

    def test_its_time_is_that_of_the_system(self) -> None:
        before = time.time()
        self.assertLessEqual(before, self.host.now())
