# SPDX-License-Identifier: BSD-2-Clause
"""Real daemons tell the service manager how they are, as systemd would hear it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from queue import SimpleQueue
from threading import Thread

from tests.system.running import TIMEOUT, SharedCluster, eventually
from tools.quickstart.daemons import ENDING, Daemon

KINDS = ("noded", "masterd", "rapi")
SERVING = {
    "noded": r"^serves node1\.trial on ",
    "masterd": r"^master in term \d+$",
    "rapi": r"^serves clients on ",
}
"""What each daemon says that it does."""


class NotificationTests(SharedCluster):
    """One cluster; each test starts daemons of its first node again, as a service manager does."""

    def setUp(self) -> None:
        super().setUp()
        self.assertEqual(self.running.quickstart("start").returncode, 0)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.socket.close)
        # Of this test only: daemons that another one has started go on telling how they are.
        path = str(self.running.home / f"notify-{self.id().rpartition('.')[2]}"[:90])
        self.socket.bind(path)
        self.addCleanup(os.unlink, path)
        self.messages: SimpleQueue[dict[str, str]] = SimpleQueue()
        reading = Thread(target=self.read)
        reading.start()
        self.addCleanup(reading.join)
        self.addCleanup(self.socket.shutdown, socket.SHUT_RDWR)
        self.environment = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "200000"}

    def daemon(self, kind: str) -> Daemon:
        """The daemon of the first node, which has been stopped."""
        daemon = self.running.daemon(kind)
        process = daemon.process()
        assert process is not None
        process.send(signal.SIGTERM)
        eventually(lambda: not process.alive())
        return daemon

    def foreground(self, kind: str, *options: str) -> subprocess.Popen[bytes]:
        """Start a daemon of the first node, which stays in the foreground."""
        daemon = self.daemon(kind)
        environment = {**self.running.cluster.environment(daemon.node), **self.environment}
        process = subprocess.Popen(
            [sys.executable, "-m", f"ganeti.daemon.{kind}", "-f", *options],
            env={**os.environ, **environment},
            stderr=subprocess.DEVNULL,
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def read(self) -> None:
        """Read what daemons send, all the time: only some messages fit into the socket."""
        while message := self.socket.recv(65536).decode():
            self.messages.put(dict(line.split("=", 1) for line in message.split("\n")))

    def await_message(self, name: str, value: str) -> dict[str, str]:
        """The next message whose value for ``name`` matches; others before it are passed over."""
        until = time.monotonic() + TIMEOUT
        while time.monotonic() < until:
            message = self.messages.get(timeout=TIMEOUT)
            if re.search(value, message.get(name, "\0")):
                return message
        raise AssertionError(f"no message with {name}={value}")

    def test_a_daemon_tells_of_its_whole_life(self) -> None:
        for kind in KINDS:
            process = self.foreground(kind)
            self.assertEqual(self.await_message("READY", "1")["MAINPID"], str(process.pid))
            self.await_message("WATCHDOG", "1")
            process.send_signal(signal.SIGHUP)
            self.assertIn("MONOTONIC_USEC", self.await_message("RELOADING", "1"))
            self.await_message("READY", "1")
            process.send_signal(signal.SIGTERM)
            self.await_message("STOPPING", "1")
            self.assertEqual(process.wait(ENDING), 0)
            self.assertEqual(self.running.quickstart("start").returncode, 0)

    def test_a_daemon_says_what_it_does(self) -> None:
        for kind in KINDS:
            process = self.foreground(kind)
            self.await_message("STATUS", SERVING[kind])
            process.terminate()
            self.assertEqual(process.wait(ENDING), 0)
            self.assertEqual(self.running.quickstart("start").returncode, 0)

    def test_a_daemon_in_the_background_names_its_process(self) -> None:
        for kind in KINDS:
            daemon = self.daemon(kind)
            for name, value in self.environment.items():
                os.environ[name] = value
                self.addCleanup(os.environ.pop, name, None)
            daemon.start()
            process = daemon.process()
            assert process is not None
            self.assertEqual(self.await_message("READY", "1")["MAINPID"], str(process.pid))
            self.await_message("WATCHDOG", "1")

    def test_a_daemon_that_cannot_start_says_why(self) -> None:
        process = self.foreground("rapi", "--ssl-cert", "/nowhere/cert.pem")
        self.await_message("STATUS", "^does not start: there is no certificate in /nowhere/cert")
        self.assertEqual(process.wait(ENDING), 1)

    def test_a_worker_does_not_speak_for_the_service(self) -> None:
        process = self.foreground("rapi", "--workers", "2")
        self.assertEqual(self.await_message("READY", "1")["MAINPID"], str(process.pid))
        run = self.running.cluster.master.paths.run
        worker = eventually(lambda: _read(f"{run}/ganeti-rapi-worker-1.pid"))
        self.assertNotIn("NOTIFY_SOCKET", eventually(lambda: _read(f"/proc/{worker}/environ")))


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except FileNotFoundError:
        return ""
