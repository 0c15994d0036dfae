# SPDX-License-Identifier: BSD-2-Clause
"""Before a cluster is created, everything that its host lacks is named with its remedy."""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.bootstrap.free_space import Space
from ganeti.bootstrap.local_host import LocalHost
from ganeti.bootstrap.preflight import find_problems, format_problems
from ganeti.config.initial_state import given_settings
from ganeti.model.disk import Template
from ganeti.storage.drbd.status_parsers import HELPER


@dataclass
class MemoryHost:
    """A host that lacks nothing unless told otherwise."""

    addresses: dict[str, set[int]] = field(default_factory=lambda: {"192.0.2.1": set()})
    """The addresses of the host, with the ports in use."""
    files: dict[str, str] = field(
        default_factory=lambda: {
            "/dev/kvm": "",
            "/usr/bin/kvm": "",
            "/sys/class/net/br0/bridge": "",
            "drbdsetup": "",
            HELPER: "/bin/true\n",
        }
    )
    groups: list[str] | None = field(default_factory=lambda: ["xenvg"])
    clock: float = 1_800_000_000.0
    full: dict[str, Space] = field(default_factory=dict)

    def bind(self, address: str, port: int) -> int:
        if address not in self.addresses:
            return errno.EADDRNOTAVAIL
        return errno.EADDRINUSE if port in self.addresses[address] else 0

    def exists(self, path: str) -> bool:
        return path in self.files

    program = exists

    def read(self, path: str) -> str | None:
        return self.files.get(path)

    def devices(self) -> Sequence[str]:
        return ["lo", "eth0", "br0"]

    def volume_groups(self) -> Sequence[str] | None:
        return self.groups

    def space(self, folder: str) -> Space:
        return self.full.get(folder, Space(1 << 30, writable=True))

    def now(self) -> float:
        return self.clock


class PreflightTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.host = MemoryHost()

    def problems(self, **chosen: Any) -> list[str]:
        basis = {"master": "node1.example.com", "master_address": "192.0.2.1", "address": ""}
        return list(find_problems({**basis, **chosen}, self.host))

    def problem(self, **chosen: Any) -> str:
        [found] = self.problems(**chosen)
        return found

    def test_a_host_that_has_everything_is_ready(self) -> None:
        drbd = {"templates": [Template.DRBD], "volume_group_name": "xenvg"}
        self.assertEqual(self.problems(master_netdev="eth0", **drbd), [])

    def test_the_addresses_of_the_node_are_on_its_devices(self) -> None:
        self.assertRegex(self.problem(master_address="192.0.2.9"), "192.0.2.9.*--primary-ip")
        self.assertRegex(self.problem(secondary_address="10.0.0.9"), "10.0.0.9.*--secondary-ip")

    def test_there_is_space_for_the_state_and_the_logs(self) -> None:
        self.host.full["/var/lib/ganeti"] = Space(3 << 20, writable=True)
        self.host.full["/var/log/ganeti"] = Space(1 << 30, writable=False)
        full, unwritable = self.problems()
        self.assertRegex(full, "^the file system of /var/lib/ganeti has 3 MiB .* remove files")
        self.assertRegex(unwritable, "^the file system of /var/log/ganeti is .* remount,rw")

    def test_an_address_that_was_not_found_is_not_reported_twice(self) -> None:
        self.assertEqual(self.problems(master_address=""), [])

    def test_the_ports_of_the_daemons_are_free(self) -> None:
        self.host.addresses["192.0.2.1"] = {1811, 5080}
        noded, rapi = self.problems()
        self.assertIn("port 1811 of 192.0.2.1, on which ganeti-noded listens, is in use", noded)
        self.assertIn("port 5080 of 192.0.2.1, on which ganeti-rapi listens, is in use", rapi)

    def test_the_device_of_the_cluster_address_exists(self) -> None:
        found = self.problem(master_netdev="eth7")
        self.assertRegex(found, "no network device eth7 .* one of lo, eth0, br0 with --master-net")

    def test_the_bridge_of_instances_exists_and_is_one(self) -> None:
        def nics(**wanted: str) -> dict[str, Any]:
            return given_settings({"nicparams": wanted})

        self.assertIn("ip link add br7 type bridge", self.problem(**nics(link="br7")))
        self.assertIn("eth0 is not a bridge", self.problem(**nics(link="eth0")))
        self.assertEqual(self.problems(**nics(mode="routed", link="eth7")), [])

    def test_a_cluster_without_guests_needs_no_bridge_and_no_qemu(self) -> None:
        self.host.files.clear()
        self.assertEqual(self.problems(hypervisors=("fake",)), [])

    def test_the_volume_group_exists(self) -> None:
        found = self.problem(volume_group_name="vg0")
        self.assertRegex(found, "vgcreate vg0 DEVICE.*--vg-name; this host has xenvg")
        self.host.groups = None
        self.assertIn("apt-get install lvm2", self.problem(volume_group_name="vg0"))

    def test_drbd_is_loaded_with_a_helper_that_works(self) -> None:
        for helper, remedy in {
            None: "modprobe drbd minor_count=128 usermode_helper=/bin/true",
            "/sbin/drbdadm\n": "echo /bin/true >",
            "/bin/false\n": "is /bin/false, not /bin/true",
        }.items():
            self.host.files.pop(HELPER, None)
            if helper is not None:
                self.host.files[HELPER] = helper
            self.assertIn(remedy, self.problem(templates=[Template.DRBD]))

    def test_qemu_is_installed(self) -> None:
        del self.host.files["/usr/bin/kvm"]
        self.assertIn("apt-get install qemu-system-x86", self.problem())

    def test_kvm_is_only_needed_if_it_is_demanded(self) -> None:
        del self.host.files["/dev/kvm"]
        self.assertEqual(self.problems(), [])
        demanded = given_settings({"hvparams": {"kvm": {"kvm_accel": "kvm"}}})
        self.assertIn("kvm:kvm_accel=tcg", self.problem(**demanded))

    def test_the_clock_is_set(self) -> None:
        self.host.clock = 12.0
        self.assertIn("clock of this host has not been set", self.problem())

    def test_one_message_has_all_problems(self) -> None:
        self.assertEqual(format_problems(["no bridge"]), "no bridge")
        told = format_problems(["no bridge", "no clock"])
        self.assertIn("nothing was changed on it:\n  - no bridge\n  - no clock", told)


class LocalHostTests(SynchronousTestCase):
    def test_a_port_in_use_and_an_address_elsewhere_are_told_apart(self) -> None:
        host = LocalHost()
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.assertEqual(host.bind(*server.getsockname()), errno.EADDRINUSE)
        self.assertEqual(host.bind("127.0.0.1", 0), 0)
        self.assertEqual(host.bind("192.0.2.77", 0), errno.EADDRNOTAVAIL)

    def test_programs_and_files_are_found(self) -> None:
        host = LocalHost()
        self.assertTrue(host.program("sh") and host.program("/bin/sh"))
        self.assertFalse(host.program("no-such-program"))
        self.assertTrue(host.exists(os.path.abspath(__file__)))
        self.assertIn("find_problems", host.read(os.path.abspath(__file__)) or "")
        self.assertIsNone(host.read("/no/such/file"))
        self.assertIn("lo", host.devices())
        self.assertLess(abs(host.now() - time.time()), 60)
