# SPDX-License-Identifier: BSD-2-Clause
"""The units under a running systemd: a host is installed, shut down, and loses its power.

On demand, by ``python -m twisted.trial tests.system.systemd_units``, and no part of ``./check``: it
boots a host several times.
"""

from __future__ import annotations

import atexit
from functools import partial
from typing import ClassVar

from twisted.trial.unittest import SynchronousTestCase

from tests.system.linux import require_linux
from tests.system.running import eventually
from tests.system.systemd_host import CLUSTER, GUEST, PATIENCE, PYTHON, SystemdHost, require_systemd

DAEMONS = ("noded", "masterd", "rapi", "watchdog")
WATCHDOG = "20s"
"""How long the master daemon may be silent: a busy machine makes it silent for some seconds."""

INSTANCE = "first.example.com"
USER = 200000
"""The user ID of the only guest."""

UNTIL_TICK = """
import socket, sys
console = socket.socket(socket.AF_UNIX)
console.connect(sys.argv[1])
shown = b""
while b"tick" not in shown:
    shown += console.recv(4096)
"""
"""Read a console until its guest has booted."""


class UnitTests(SynchronousTestCase):
    """One host for all; each test leaves its daemons running, and no guest."""

    host: ClassVar[SystemdHost | None] = None

    @classmethod
    def installed(cls) -> SystemdHost:
        """Return the host, with a cluster of one node."""
        if cls.host is None:
            cls.host = SystemdHost()
            atexit.register(cls.host.remove)
            cls.host.write(
                "/etc/systemd/system/ganeti-masterd.service.d/test.conf",
                f"[Service]\nWatchdogSec={WATCHDOG}\n",
            )
            cls.host.boot()
            cls.host.succeed(
                *("gnt-cluster", "init", "--enabled-hypervisors", "kvm"),
                *("--uid-pool", f"{USER}", "-H", "kvm:security_model=pool,kvm_accel=tcg"),
                *("--enabled-disk-templates", "file", CLUSTER),
            )
            cls.host.succeed("systemctl", "restart", "ganeti")
        return cls.host

    def setUp(self) -> None:
        require_systemd()
        self.running = self.installed()

    def process(self, daemon: str) -> str:
        """The process ID of a daemon that is active."""
        return str(eventually(lambda: self.active_process(f"ganeti-{daemon}"), PATIENCE))

    def active_process(self, unit: str) -> str:
        """The process ID of a unit, or nothing unless it is active."""
        # Asked for together: between two questions, the process of an active unit can end, which
        # makes its ID 0.
        state, process = self.running.show_all(unit, "ActiveState", "MainPID")
        return process if state == "active" and process != "0" else ""

    def differs(self, daemon: str, process: str) -> bool:
        """Whether another process than ``process`` is the daemon."""
        return self.process(daemon) != process

    def test_only_the_node_daemon_and_the_watchdog_run_as_root(self) -> None:
        users = {
            each: self.running.succeed("ps", "-o", "user:20=", self.process(each)).strip()
            for each in DAEMONS
        }
        self.assertEqual(
            users,
            {
                "noded": "root",
                "masterd": "ganeti-masterd",
                "rapi": "ganeti-rapi",
                "watchdog": "root",
            },
        )

    def test_a_guest_has_a_scope_and_shuts_down_with_the_host(self) -> None:
        require_linux()
        self.running.succeed(
            *("gnt-instance", "add", "-t", "file", "-s", "16m", "-o", "noop", "-B", "memory=128"),
            *("--no-name-check", "--no-ip-check", "-H"),
            f"kvm:kernel_path={GUEST}/vmlinuz,initrd_path={GUEST}/initrd.img,vnc_bind_address=",
            INSTANCE,
        )
        qemu = self.running.succeed("cat", f"/run/ganeti/kvm/control/{INSTANCE}.pid").strip()
        self.assertIn("/ganeti-guest-first.example.com-", self.cgroup(qemu))
        self.assertIn("ganeti-guests.slice/", self.cgroup(qemu))
        self.assertEqual(self.running.succeed("ps", "-o", "uid=", qemu).strip(), str(USER))
        for end in ("restart", "stop", "start"):
            self.running.succeed("systemctl", end, "ganeti")
        self.assertIn(qemu, self.running.succeed("pgrep", "--full", f"name {INSTANCE}").split())
        console = f"/run/ganeti/kvm/control/{INSTANCE}.serial"
        self.running.succeed(PYTHON, "-c", UNTIL_TICK, console)
        self.running.shut_down()
        self.running.boot()
        last = self.running.journal("--boot=-1", "--unit=ganeti-guests")
        self.assertIn(f"instance {INSTANCE} is asked to shut down", last)
        self.assertNotIn("has not shut down", last)
        self.assertIn("ganeti-guests.service: Deactivated successfully", last)
        self.process("masterd")
        self.running.run("ganeti-watcher")
        eventually(
            lambda: self.running.run("pgrep", "--full", f"name {INSTANCE}").returncode == 0,
            PATIENCE,
        )
        # Verification after the other tests would report it until the watcher has started it.
        self.running.succeed("gnt-instance", "remove", "--force", "--shutdown-timeout=0", INSTANCE)

    def cgroup(self, process: str) -> str:
        return self.running.succeed("cat", f"/proc/{process}/cgroup")

    def test_restart_returns_when_all_daemons_serve(self) -> None:
        before = [self.process(each) for each in DAEMONS]
        self.running.succeed("systemctl", "restart", "ganeti")
        self.running.succeed("gnt-cluster", "verify")
        # But for the watchdog: to stop it could reset the host.
        after = [self.running.show(f"ganeti-{each}", "MainPID") for each in DAEMONS]
        self.assertEqual(len(set(before) & set(after)), 1)

    def test_daemons_leave_a_log_that_was_rotated(self) -> None:
        log = "/var/log/ganeti/node-daemon.log"
        self.running.succeed("mv", log, f"{log}.1")
        self.running.succeed("/usr/lib/ganeti/daemon-util", "rotate-logs")
        eventually(lambda: self.running.run("test", "-f", log).returncode == 0, PATIENCE)

    def test_a_daemon_that_dies_or_is_silent_is_started_again(self) -> None:
        for daemon, signal in (("noded", "KILL"), ("rapi", "KILL"), ("masterd", "STOP")):
            process = self.process(daemon)
            self.running.succeed("kill", f"-{signal}", process)
            eventually(partial(self.differs, daemon, process), PATIENCE)
        self.running.succeed("gnt-cluster", "verify")

    def test_daemons_are_back_after_a_shutdown_and_after_a_power_cut(self) -> None:
        for end in (self.running.shut_down, self.running.cut_power):
            name = self.running.succeed("gnt-cluster", "getmaster")
            end()
            self.running.boot()
            for each in DAEMONS:
                self.process(each)
            self.assertEqual(self.running.succeed("gnt-cluster", "getmaster"), name)
            self.running.succeed("gnt-cluster", "verify")
            self.assertEqual(self.running.succeed("systemctl", "--failed", "--quiet"), "")
