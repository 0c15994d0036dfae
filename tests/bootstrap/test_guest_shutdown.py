# SPDX-License-Identifier: BSD-2-Clause
"""Guests of a host are asked to shut down, and those that do not are named."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from threading import Thread

from twisted.trial.unittest import SynchronousTestCase

from ganeti.bootstrap import guest_shutdown
from ganeti.bootstrap.guest_shutdown import (
    find_guests,
    is_guest,
    is_migrating,
    migrate_guests,
    shut_down_guests,
)
from ganeti.paths import Paths

ENDS_WHEN_ASKED = """
import socket, sys
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen()
print("ready", flush=True)
lines = server.accept()[0].makefile("rwb", buffering=0)
lines.write(b'{"QMP": {}}\\n')
for command in (b"qmp_capabilities", b"system_powerdown"):
    assert command in lines.readline()
    lines.write(b'{"return": {}}\\n')
"""

BUSY_MONITOR = """
import socket, sys, time
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen()
print("ready", flush=True)
time.sleep(600)
"""


def answers(line: bytes) -> str:
    """Return a program that gives the same answer to each command of each connection."""
    answer = line + b"\n"
    return f"""
import socket, sys
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen()
print("ready", flush=True)
while True:
    with server.accept()[0].makefile("rwb", buffering=0) as lines:
        lines.write(b'{{"QMP": {{}}}}\\n')
        while lines.readline():
            lines.write({answer!r})
"""


class ShutdownTests(SynchronousTestCase):
    def setUp(self) -> None:
        # Short, because sockets are in it.
        folder = tempfile.mkdtemp(prefix="gnt-")
        self.addCleanup(shutil.rmtree, folder)
        self.paths = Paths(folder)
        os.makedirs(f"{self.paths.run}/kvm/control")
        self.said: list[str] = []

    def guest(self, name: str, program: str) -> subprocess.Popen[str]:
        """Start a process that stands for the QEMU of a guest."""
        stem = f"{self.paths.run}/kvm/control/{name}"
        return self.qemu(program, f"{stem}.qmp", f"{stem}.pid")

    def qemu(self, program: str, monitor: str, pid_file: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", program, monitor, "-pidfile", pid_file],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        process.stdout.readline()
        with open(pid_file, "w") as file:
            file.write(f"{process.pid}\n")
        # As the parent of its guests, this test has to take note of their ends.
        Thread(target=process.wait, daemon=True).start()
        return process

    def shut_down(self, timeout: float) -> int:
        return shut_down_guests(self.paths, timeout, self.said.append)

    def test_a_guest_that_is_asked_ends(self) -> None:
        self.guest("web1", ENDS_WHEN_ASKED)
        self.assertEqual(self.shut_down(60), 0)
        self.assertEqual(self.said, ["instance web1 is asked to shut down"])

    def test_a_guest_that_ganeti_has_started_is_asked_too(self) -> None:
        folder = f"{self.paths.run}/kvm-hypervisor"
        for each in ("pid", "ctrl"):
            os.makedirs(f"{folder}/{each}")
        self.qemu(ENDS_WHEN_ASKED, f"{folder}/ctrl/old1.example.qmp", f"{folder}/pid/old1.example")
        with open(f"{folder}/pid/gone", "w") as file:
            file.write(f"{os.getpid()}\n")
        self.assertEqual(self.shut_down(60), 0)
        self.assertEqual(self.said, ["instance old1.example is asked to shut down"])

    def test_var_run_is_another_name_of_run(self) -> None:
        command = ["qemu", "-pidfile", "/var/run/ganeti/kvm-hypervisor/pid/web1"]
        self.assertTrue(is_guest(command, "/run/ganeti/kvm-hypervisor/pid/web1"))
        self.assertTrue(is_guest(command, command[2]))
        self.assertFalse(is_guest(command, "/run/ganeti/kvm-hypervisor/pid/web"))
        self.assertFalse(is_guest(["tail", "-f", command[2]], command[2]))

    def test_one_that_boots_is_asked_again(self) -> None:
        self.patch(guest_shutdown, "ASK_INTERVAL", 0.1)
        once = ENDS_WHEN_ASKED[ENDS_WHEN_ASKED.index("lines = ") :]
        self.guest("web1", ENDS_WHEN_ASKED + once)
        self.assertEqual(self.shut_down(60), 0)

    def test_one_that_cannot_be_asked_is_named_and_counted(self) -> None:
        self.guest("web1", "import time; print('ready', flush=True); time.sleep(600)")
        self.assertEqual(self.shut_down(0), 1)
        self.assertIn("instance web1 cannot be asked: ", self.said[1])
        self.assertEqual(self.said[2], "instance web1 has not shut down within 0 seconds")

    def migrate(self, timeout: float = 60) -> None:
        migrate_guests(self.paths, timeout, self.said.append)

    def test_guests_are_waited_for_until_the_last_one_is_gone(self) -> None:
        self.migrate()
        self.assertFalse(os.path.exists(self.paths.stop_marker))
        guest = self.guest("web1", answers(b'{"return": {"status": "active"}}'))
        migrating = Thread(target=self.migrate)
        migrating.start()
        self.addCleanup(migrating.join)
        while not os.path.exists(self.paths.stop_marker):
            self.assertTrue(migrating.is_alive())
        guest.kill()
        migrating.join()
        self.assertEqual(
            self.said, ["the master is asked to migrate all guests (1), for 60 seconds at most"]
        )

    def test_the_wait_ends_when_nothing_is_migrated(self) -> None:
        self.patch(guest_shutdown, "QUIET", 0.5)
        self.guest("web1", answers(b'{"return": {"status": "failed"}}'))
        self.migrate()
        self.assertEqual(
            self.said[1:], ["instance web1 was not migrated; the jobs of the cluster say why"]
        )

    def test_a_guest_migrates_if_its_monitor_says_so_or_is_in_use(self) -> None:
        self.patch(guest_shutdown, "BUSY", 0.1)
        for name, program in (
            ("web1", answers(b'{"return": {"status": "active"}}')),
            ("web2", "import time; print('ready', flush=True); time.sleep(600)"),
            ("web3", BUSY_MONITOR),
        ):
            self.guest(name, program)
        found = {guest.name: is_migrating(guest) for guest in find_guests(self.paths)}
        self.assertEqual(found, {"web1": True, "web2": False, "web3": True})

    def test_a_pid_file_of_another_process_is_no_guest(self) -> None:
        with open(f"{self.paths.run}/kvm/control/web1.pid", "w") as file:
            file.write(f"{os.getpid()}\n")
        for name, text in (("web2", ""), ("web3", "x")):
            Path(self.paths.run, "kvm/control", f"{name}.pid").write_text(text)
        # The file is gone a moment after it was found.
        os.symlink("/nowhere", f"{self.paths.run}/kvm/control/web4.pid")
        self.assertEqual(find_guests(self.paths), [])
