# SPDX-License-Identifier: BSD-2-Clause
"""What systemd is told of a daemon, as datagrams on the socket that it names."""

from __future__ import annotations

import os
import socket
import tempfile
from uuid import uuid4

from twisted.trial.unittest import SynchronousTestCase

from ganeti.daemon.process.service_manager import ServiceManager

ME = str(os.getpid())


class NotificationTests(SynchronousTestCase):
    def listen(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.socket.close)
        self.socket.settimeout(5)
        self.socket.bind(address.replace("@", "\0"))

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()  # short, as the kernel wants it
        self.addCleanup(folder.cleanup)
        self.path = f"{folder.name}/notify"
        self.listen(self.path)
        self.manager = ServiceManager(self.path)

    def received(self) -> list[str]:
        return self.socket.recv(4096).decode().split("\n")

    def test_a_daemon_that_serves_says_so_with_its_process(self) -> None:
        self.manager.ready()
        self.assertEqual(self.received(), ["READY=1", f"MAINPID={ME}"])

    def test_every_change_of_state_is_told(self) -> None:
        self.manager.reloading()
        first, second = self.received()
        self.assertEqual(first, "RELOADING=1")
        self.assertRegex(second, r"^MONOTONIC_USEC=\d+$")
        self.manager.alive()
        self.manager.stopping()
        self.assertEqual([self.received(), self.received()], [["WATCHDOG=1"], ["STOPPING=1"]])

    def test_a_status_is_one_line_and_told_when_it_is_new(self) -> None:
        for text in ("term 1", "term 1", "no majority\nREADY=1"):
            self.manager.status(text)
        told = [self.received(), self.received()]
        self.assertEqual(told, [["STATUS=term 1"], ["STATUS=no majority READY=1"]])
        self.socket.setblocking(False)
        self.assertRaises(BlockingIOError, self.received)

    def test_a_socket_can_be_abstract(self) -> None:
        address = f"@ganeti-test-{uuid4()}"
        self.listen(address)
        ServiceManager(address).stopping()
        self.assertEqual(self.received(), ["STOPPING=1"])

    def test_a_status_that_nobody_has_heard_is_told_again(self) -> None:
        self.socket.close()
        self.manager.status("term 1")
        os.unlink(self.path)
        self.listen(self.path)
        self.manager.status("term 1")
        self.assertEqual(self.received(), ["STATUS=term 1"])

    def test_a_daemon_without_a_manager_goes_its_way(self) -> None:
        for address in ("", "/nowhere/notify", "vsock:2:1234"):
            ServiceManager(address).ready()


class EnvironmentTests(SynchronousTestCase):
    def watchdog(self, **environment: str) -> float | None:
        return ServiceManager.from_environment({"NOTIFY_SOCKET": "/n", **environment}).watchdog

    def test_children_inherit_none_of_it(self) -> None:
        environment = {"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "9", "WATCHDOG_PID": ME, "A": "b"}
        ServiceManager.from_environment(environment)
        self.assertEqual(environment, {"A": "b"})

    def test_the_watchdog_is_that_of_this_process(self) -> None:
        self.assertEqual(self.watchdog(WATCHDOG_USEC="60000000", WATCHDOG_PID=ME), 60.0)
        self.assertEqual(self.watchdog(WATCHDOG_USEC="500000"), 0.5)
        self.assertIsNone(self.watchdog(WATCHDOG_USEC="500000", WATCHDOG_PID="1"))

    def test_without_a_watchdog_nothing_is_wanted(self) -> None:
        for text in ("", "0", "-5", "soon"):
            self.assertIsNone(self.watchdog(WATCHDOG_USEC=text))
        self.assertIsNone(self.watchdog(NOTIFY_SOCKET="", WATCHDOG_USEC="500000"))
