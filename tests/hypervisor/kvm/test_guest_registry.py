# SPDX-License-Identifier: BSD-2-Clause
"""A restarted daemon finds its guests, and takes no other process for one of them."""

from __future__ import annotations

import msgspec
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.hypervisor.interfaces import NotRunning
from ganeti.hypervisor.kvm.ganeti_guests import GanetiGuests
from ganeti.hypervisor.kvm.guest_registry import PAGE, GuestPhase, GuestRecord, GuestRegistry
from ganeti.hypervisor.kvm.runtime_paths import places
from ganeti.schema.records import replace
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from ganeti.testing.processes import MemoryProcesses, MemoryStateFiles, Ran

FOLDER, GANETI = "/run/guests", "/run/ganeti/kvm-hypervisor"
PID_FILE = places(FOLDER, "web1").pid


class RegistryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.disk, self.notes = MemoryDisk(), MemoryStateFiles()
        self.files = MemoryFiles(self.disk)
        self.processes = MemoryProcesses(Clock(), {})

    def start(self) -> GuestRegistry:
        """The registry of a daemon that starts now."""
        ganeti = GanetiGuests(GANETI, self.files)
        return GuestRegistry(FOLDER, self.notes, self.files, self.processes, ganeti)

    def run_process(self, *argv: str, name: str = "web1") -> GuestRecord:
        """A process, and the record of a guest that it would be."""
        pid = self.processes.spawn()
        self.processes.alive[pid] = Ran(argv, {}, pid=pid)
        return GuestRecord(
            name=name,
            memory=128,
            vcpus=2,
            place=GuestPhase.HERE,
            pid=pid,
            identity=f"memory:{pid}",
        )

    def put(self, path: str, text: str) -> None:
        self.disk.put(path, text.encode(), 0o600, 0.0)

    def write_note(self, record: GuestRecord) -> None:
        self.notes.put(record.name, msgspec.json.encode(record))

    # --- records and processes

    def test_a_guest_that_was_saved_is_there_after_a_restart(self) -> None:
        record = self.run_process()
        self.start().save_record(record)
        registry = self.start()
        self.assertEqual(registry.get("web1"), record)
        guest = registry.running()["web1"]
        self.assertEqual((guest.memory, guest.vcpus, guest.paused), (128, 2, False))

    def test_a_record_that_was_removed_is_gone_for_good(self) -> None:
        registry = self.start()
        registry.save_record(self.run_process())
        for _ in range(2):
            registry.remove_record("web1")
        self.assertIsNone(registry.get("web1"))
        self.assertIsNone(self.start().get("web1"))

    def test_a_guest_whose_process_has_ended_has_a_record_and_does_not_run(self) -> None:
        record = self.run_process()
        registry = self.start()
        registry.save_record(record)
        del self.processes.alive[record.pid]
        self.assertEqual((registry.get("web1"), registry.running()), (record, {}))
        with self.assertRaises(NotRunning):
            registry.alive("web1")

    def test_a_pid_that_another_process_has_now_is_not_the_guest(self) -> None:
        registry = self.start()
        registry.save_record(replace(self.run_process(), identity="an older one"))
        self.assertEqual((registry.running(), registry.counters()), ({}, {}))

    def test_only_guests_that_are_here_run_here(self) -> None:
        registry = self.start()
        for phase in GuestPhase:
            registry.save_record(replace(self.run_process(name=phase), place=phase))
        self.assertEqual(set(registry.running()), {"here"})
        self.assertEqual(registry.alive("awaited").place, GuestPhase.INCOMING)
        self.assertEqual(registry.alive("left", GuestPhase.HERE, GuestPhase.LEFT).name, "left")
        with self.assertRaises(NotRunning):
            registry.alive("left", GuestPhase.HERE)

    # --- guests whose start was interrupted

    def starting(self) -> None:
        self.write_note(GuestRecord(name="web1", memory=128, vcpus=1, place=GuestPhase.STARTING))

    def test_a_guest_that_has_started_meanwhile_is_found_by_its_pid_file(self) -> None:
        for argv, place in (((), GuestPhase.HERE), (("-incoming", "defer"), GuestPhase.INCOMING)):
            self.starting()
            process = self.run_process("qemu", "-pidfile", PID_FILE, *argv)
            self.put(PID_FILE, f"{process.pid}\n")
            found = self.start().alive("web1")
            self.assertEqual((found.pid, found.place), (process.pid, place))
            self.assertEqual(found.identity, process.identity)

    def test_an_old_pid_file_leads_to_no_guest(self) -> None:
        self.starting()
        process = self.run_process("sshd")
        for content in (f"{process.pid}\n", "9999\n", "", "x"):
            self.put(PID_FILE, content)
            self.assertEqual(self.start().running(), {})

    def test_a_damaged_record_is_that_of_a_guest_that_starts(self) -> None:
        process = self.run_process("qemu", "-pidfile", PID_FILE)
        self.put(PID_FILE, f"{process.pid}\n")
        self.notes.put("web1", b"\0\0")
        self.assertEqual(self.start().alive("web1").pid, process.pid)

    # --- guests of Ganeti

    def test_a_guest_that_ganeti_has_started_is_adopted(self) -> None:
        path = f"{GANETI}/pid/web1"
        argv = ("kvm", "-name", "web1,debug-threads=on", "-m", "256", "-smp", "2,cores=2")
        process = self.run_process(*argv, "-pidfile", path)
        self.put(path, f"{process.pid}\n")
        registry = self.start()
        found = registry.alive("web1", GuestPhase.HERE)
        self.assertEqual((found.memory, found.vcpus, found.of_ganeti), (256, 2, True))
        self.assertEqual(registry.runtime_paths("web1").pid, path)
        self.assertIn("web1", self.notes.read_all())

    def test_a_pid_file_of_ganeti_that_is_old_is_ignored(self) -> None:
        process = self.run_process("sshd")
        for content in (f"{process.pid}\n", "", "none"):
            self.put(f"{GANETI}/pid/web1", content)
            self.assertIsNone(self.start().get("web1"))

    # --- usage

    def test_counters_are_those_of_the_process_and_its_devices(self) -> None:
        record = replace(self.run_process(), taps=("tap0", "tap1"))
        proc, net = f"/proc/{record.pid}", "/sys/class/net"
        self.put(f"{proc}/statm", "100 7 3 0 0 0 0\n")
        self.put(f"{proc}/io", "rchar: 9\nread_bytes: 4096\nwrite_bytes: 512\n")
        for device in record.taps:
            self.put(f"{net}/{device}/statistics/tx_bytes", "10\n")
            self.put(f"{net}/{device}/statistics/rx_bytes", "3\n")
        registry = self.start()
        registry.save_record(record)
        found = registry.counters()["web1"]
        self.assertEqual((found.memory, found.disk_read, found.disk_written), (7 * PAGE, 4096, 512))
        self.assertEqual((found.received, found.sent), (20, 6))

    def test_what_is_not_known_is_no_number(self) -> None:
        registry = self.start()
        registry.save_record(self.run_process())
        found = registry.counters()["web1"]
        self.assertEqual((found.memory, found.disk_read, found.disk_written), (None, None, None))
        self.assertEqual((found.received, found.sent), (None, None))
