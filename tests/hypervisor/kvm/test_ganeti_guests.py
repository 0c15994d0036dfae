# SPDX-License-Identifier: BSD-2-Clause
"""Guests that Ganeti has started are found, and treated as running."""

from __future__ import annotations

import json
from collections.abc import Sequence

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Refused
from ganeti.hypervisor.kvm.accelerator import AcceleratorSelector
from ganeti.hypervisor.kvm.driver import KvmHypervisor
from ganeti.hypervisor.kvm.ganeti_guests import GanetiGuests
from ganeti.hypervisor.kvm.guest_agent import GuestAgents
from ganeti.hypervisor.kvm.monitor import MonitorConnector
from ganeti.model.running import RunningConfig, pending_changes, require_migratable
from ganeti.testing.builders import a_disk, a_guest
from ganeti.testing.disk import MemoryFiles
from ganeti.testing.images import MemoryImages
from ganeti.testing.local_users import MemoryAccounts
from ganeti.testing.memory_descriptors import MemoryDescriptors
from ganeti.testing.processes import MemoryStateFiles, Ran
from ganeti.testing.qemu import QemuNetwork, ScriptedHost, ScriptedQemu

FOLDER = "/run/ganeti/kvm-hypervisor"
ARGUMENTS = (
    *("/usr/bin/kvm", "-name", "web1", "-m", "256", "-smp", "2"),
    *("-pidfile", f"/var{FOLDER}/pid/web1", "-machine", "pc-i440fx-7.2"),
    *("-vnc", "0.0.0.0:5101", "-qmp", f"unix:{FOLDER}/ctrl/web1.qmp,server,nowait"),
)
DISK = a_disk("d1")
NIC = {
    "uuid": "nic1",
    "mac": "aa:00:00:00:00:01",
    "ip": None,
    "nicparams": {"mode": "bridged", "link": "br0", "vlan": ""},
}
RUNTIME = [
    ["/usr/bin/kvm"],
    [NIC],
    {"kernel_path": "", "acpi": False, "spice_bind": ""},
    [[{"uuid": DISK.uuid, "mode": "rw"}, "/run/ganeti/instance-disks/web1:0", None]],
]


class GanetiGuestTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock, self.notes = Clock(), MemoryStateFiles()
        self.host = ScriptedHost(self.clock, QemuNetwork(), ["/usr/bin/kvm"])
        self.host.disk.put("/usr/bin/kvm", b"", 0o755, 0)
        self.run_guest(ARGUMENTS)
        self.put("conf/web1.runtime", json.dumps(RUNTIME))
        self.put("nic/web1/0", "tap0\n")

    def put(self, name: str, content: str) -> None:
        self.host.disk.put(f"{FOLDER}/{name}", content.encode(), 0o600, 0)

    def run_guest(self, arguments: Sequence[str]) -> None:
        """Let a QEMU run as Ganeti starts it."""
        self.pid = self.host.processes.spawn()
        argv = tuple(arguments)
        self.host.processes.alive[self.pid] = Ran(argv, {}, pid=self.pid)
        self.put("pid/web1", f"{self.pid}\n")
        socket = f"{FOLDER}/ctrl/web1.qmp"
        self.put("ctrl/web1.qmp", "")
        self.host.machines[socket] = ScriptedQemu(self.pid, argv, "running", host=self.host)

    def hypervisor(self) -> KvmHypervisor:
        files = MemoryFiles(self.host.disk)
        return KvmHypervisor(
            folder="/run/ganeti/kvm/control",
            notes=self.notes,
            files=files,
            processes=self.host.processes,
            monitors=MonitorConnector(self.host.endpoint, self.clock),
            agents=GuestAgents(self.host.endpoint, self.clock),
            accelerators=AcceleratorSelector(files, self.host.processes, MemoryStateFiles()),
            clock=self.clock,
            attach=["console.py"],
            ganeti=FOLDER,
            firmware="/var/lib/kvm-firmware",
            descriptors=MemoryDescriptors(self.host.disk),
            accounts=MemoryAccounts(),
            user_pool=lambda: (),
            images=MemoryImages(),
            keys="/var/lib/ganeti",
            scratch="/scratch",
        )

    def running_config(self) -> RunningConfig:
        guest = a_guest("web1", hypervisor="kvm", disks=[DISK], network_port=11001)
        found = Deferred.fromCoroutine(self.hypervisor().running_config(guest))
        self.clock.pump([0.0, 0.0, 0.0, 20.0])
        return self.successResultOf(found)

    def test_a_guest_is_running_with_its_resources(self) -> None:
        found = self.hypervisor().running()
        self.assertEqual(
            [(each.name, each.memory, each.vcpus) for each in found.values()], [("web1", 256, 2)]
        )

    def test_its_user_is_known(self) -> None:
        status = b"Name:\tkvm\nUid:\t1005\t1005\t1005\t1005\n"
        self.host.disk.put(f"/proc/{self.pid}/status", status, 0o444, 0)
        self.assertEqual(self.hypervisor().running()["web1"].user, 1005)

    def test_a_restarted_daemon_finds_it_again(self) -> None:
        self.hypervisor()
        self.assertEqual(list(self.hypervisor().running()), ["web1"])

    def test_a_pid_file_of_another_process_is_ignored(self) -> None:
        for arguments in (("/usr/bin/sleep", "60"), ("kvm", "-name", "web2", *ARGUMENTS[3:])):
            self.notes = MemoryStateFiles()
            self.host.processes.alive.clear()
            self.run_guest(arguments)
            self.assertEqual(self.hypervisor().running(), {}, arguments)

    def test_its_settings_are_those_of_its_start(self) -> None:
        found = self.running_config()
        self.assertEqual((found.memory, found.vcpus, found.network_port), (256, 2, 11001))
        self.assertEqual(found.hvparams["acpi"], False)
        chosen = {"machine_version": "pc-i440fx-7.2", "kvm_accel": "tcg"}
        self.assertEqual(found.chosen, chosen)
        self.assertNotIn("colour", found.hvparams)
        self.assertEqual([(nic.mac, nic.link) for nic in found.nics], [(NIC["mac"], "br0")])
        self.assertEqual([disk.uuid for disk in found.disks], [DISK.uuid])

    def test_kvm_is_an_option_of_qemu(self) -> None:
        self.host.processes.alive.clear()
        self.run_guest((*ARGUMENTS, "-enable-kvm"))
        self.assertEqual(self.running_config().chosen["kvm_accel"], "kvm")

    def test_settings_that_cannot_be_read_are_those_configured(self) -> None:
        self.put("conf/web1.runtime", "[]")
        found = self.running_config()
        self.assertEqual((found.memory, found.started_by), (256, "Ganeti"))

    def test_it_cannot_be_migrated_before_a_restart(self) -> None:
        with self.assertRaisesRegex(Refused, "was started by Ganeti.*gnt-instance reboot web1"):
            require_migratable(self.running_config(), "web1")

    def test_its_console_is_where_ganeti_has_it(self) -> None:
        guest = a_guest("web1", hypervisor="kvm")
        found = self.successResultOf(self.hypervisor().console(guest))
        self.assertEqual(found.command, ("console.py", f"{FOLDER}/ctrl/web1.serial"))

    def test_it_is_stopped_by_its_monitor_and_nothing_is_left(self) -> None:
        hypervisor = self.hypervisor()
        done = Deferred.fromCoroutine(hypervisor.stop("web1", hard=True))
        self.clock.pump([0.02] * 5)
        self.successResultOf(done)
        self.assertEqual(hypervisor.running(), {})
        left = [
            folder
            for folder in ("pid", "ctrl", "conf", "nic/web1")
            if self.host.disk.names(f"{FOLDER}/{folder}")
        ]
        self.assertEqual((left, self.notes.read_all()), ([], {}))

    def test_after_a_restart_it_is_one_of_ours(self) -> None:
        hypervisor = self.hypervisor()
        self.host.processes.alive.clear()
        guest = a_guest("web1", hypervisor="kvm", hvparams={"kernel_path": ""})
        self.successResultOf(hypervisor.start(guest, []))
        found = self.successResultOf(hypervisor.running_config(guest))
        self.assertEqual(found.started_by, "")
        self.assertEqual(GanetiGuests(FOLDER, MemoryFiles(self.host.disk)).names(), [])
        self.clock.advance(20)

    def test_nothing_waits_for_its_next_start(self) -> None:
        found = self.running_config()
        guest = a_guest(
            "web1",
            hypervisor="kvm",
            disks=[DISK],
            network_port=11001,
            hvparams=found.hvparams,
            beparams={"maxmem": 256, "minmem": 256, "vcpus": 2},
            nics=found.nics,
        )
        self.assertEqual(pending_changes(found, guest), ())
