# SPDX-License-Identifier: BSD-2-Clause
"""Hosts with a running systemd are shut down, and their guests go on elsewhere.

On demand, by ``python -m twisted.trial tests.system.systemd_shutdowns``, no part of ``./check``:
it boots two hosts, several times.
"""

from __future__ import annotations

import atexit
import tempfile
from pathlib import Path
from shutil import rmtree
from typing import ClassVar

from twisted.trial.unittest import SynchronousTestCase

from tests.system.linux import require_linux
from tests.system.running import eventually
from tests.system.systemd_host import CLUSTER, GUEST, PATIENCE, PYTHON, SystemdHost, require_systemd

INSTANCE = "first.example.com"
DISKS = "/srv/ganeti/shared-file-storage"
CONSOLE = f"/run/ganeti/kvm/control/{INSTANCE}.serial"

COUNT = """
import re, socket, sys
console = socket.socket(socket.AF_UNIX)
console.settimeout(60)
console.connect(sys.argv[1])
shown = b""
while not (found := re.search(rb"tick (\\d+)\\r?\\n", shown)):
    shown += console.recv(4096)
print(int(found[1]))
"""
"""Print the seconds since a guest has booted, which it counts on its console."""


class ShutdownTests(SynchronousTestCase):
    """Two hosts for all tests: the master, and a node that is no candidate."""

    hosts: ClassVar[tuple[SystemdHost, SystemdHost] | None] = None

    @classmethod
    def installed(cls) -> tuple[SystemdHost, SystemdHost]:
        """Return the hosts, with a cluster whose disks are on both of them."""
        if cls.hosts is None:
            disks = Path(tempfile.mkdtemp(prefix="gnt-disks-"))
            atexit.register(rmtree, disks)
            cls.hosts = SystemdHost(1, {DISKS: disks}), SystemdHost(2, {DISKS: disks})
            for each in cls.hosts:
                atexit.register(each.remove)
                each.boot()
            cls.make_cluster(*cls.hosts)
        return cls.hosts

    @classmethod
    def make_cluster(cls, master: SystemdHost, other: SystemdHost) -> None:
        """Make a cluster of the running hosts, with an instance that is down."""
        master.connect(other)
        master.succeed(
            *("gnt-cluster", "init", "--enabled-hypervisors", "kvm", "--candidate-pool-size=1"),
            *("--enabled-disk-templates", "sharedfile", "-H", "kvm:kvm_accel=tcg", CLUSTER),
        )
        master.succeed("systemctl", "restart", "ganeti")
        token = master.succeed("gnt-node", "add", "--token-only", other.name)
        joined = other.run("ganeti-noded", "--join", "-", said=token)
        assert joined.returncode == 0, joined.stderr
        other.succeed("systemctl", "restart", "ganeti")
        master.succeed("gnt-node", "add", "--joined", other.name)
        master.succeed(
            *("gnt-instance", "add", "-t", "sharedfile", "-s", "16m", "-o", "noop", "--no-start"),
            *("-B", "memory=128", "--no-name-check", "--no-ip-check", "-n", master.name, "-H"),
            f"kvm:kernel_path={GUEST}/vmlinuz,initrd_path={GUEST}/initrd.img,vnc_bind_address=",
            INSTANCE,
        )

    def setUp(self) -> None:
        require_systemd()
        require_linux()
        self.master, self.other = self.installed()

    def wait_for(self, host: SystemdHost, timeout: int) -> None:
        """Let a host wait so many seconds for migrations when it is shut down."""
        host.succeed("sh", "-c", f"echo GUESTS_MIGRATION_TIMEOUT={timeout} > /etc/default/ganeti")

    def start_on(self, host: SystemdHost) -> int:
        """Run the instance on a host; return the seconds that its guest counts."""
        self.master.run("gnt-instance", "start", INSTANCE)
        if self.node() != host.name:
            self.master.succeed("gnt-instance", "migrate", "--force", INSTANCE)
        self.assertEqual(self.node(), host.name)
        return self.ticks(host)

    def node(self) -> str:
        """The node where the instance is to run."""
        listed = ("gnt-instance", "list", "--no-headers", "-o", "pnode", INSTANCE)
        return self.master.succeed(*listed).strip()

    def ticks(self, host: SystemdHost) -> int:
        return int(host.succeed(PYTHON, "-c", COUNT, CONSOLE))

    def boot_again(self, host: SystemdHost) -> None:
        host.boot()
        self.master.connect(self.other)

    def journal_before(self, host: SystemdHost) -> str:
        """What was said at the last shutdown of a host."""
        return host.journal("--boot=-1", "--unit=ganeti-guests")

    def test_a_guest_goes_on_on_another_node_when_its_host_is_shut_down(self) -> None:
        self.wait_for(self.other, 120)
        before = self.start_on(self.other)
        self.other.shut_down()
        after = self.ticks(self.master)
        self.assertGreater(after, before)
        self.assertEqual(self.node(), self.master.name)
        self.boot_again(self.other)
        said = self.journal_before(self.other)
        self.assertIn("the master is asked to migrate all guests (1), for 120 seconds", said)
        self.assertNotIn("is asked to shut down", said)
        eventually(self.verifies, PATIENCE)

    def verifies(self) -> bool:
        return self.master.run("gnt-cluster", "verify").returncode == 0

    def test_the_guests_of_the_master_go_on_when_its_host_is_shut_down(self) -> None:
        self.wait_for(self.master, 120)
        before = self.start_on(self.master)
        self.master.shut_down()
        self.assertGreater(self.ticks(self.other), before)
        self.boot_again(self.master)
        eventually(self.verifies, PATIENCE)
        self.assertEqual(self.node(), self.other.name)

    def test_a_guest_shuts_down_if_the_time_is_too_short(self) -> None:
        self.wait_for(self.other, 1)
        self.start_on(self.other)
        self.other.shut_down()
        self.boot_again(self.other)
        said = self.journal_before(self.other)
        self.assertIn(f"instance {INSTANCE} was not migrated", said)
        self.assertIn(f"instance {INSTANCE} is asked to shut down", said)
        self.assertNotIn("has not shut down", said)
        self.master.succeed("ganeti-watcher")
        eventually(self.verifies, PATIENCE)
