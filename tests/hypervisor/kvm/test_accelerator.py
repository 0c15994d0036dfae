# SPDX-License-Identifier: BSD-2-Clause
"""KVM is used where it certainly works."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.hypervisor.kvm.accelerator import AcceleratorSelector
from ganeti.hypervisor.kvm.qemu_command import Accelerator
from ganeti.model.parameters.kvm import Kvm
from ganeti.testing.disk import MemoryDisk, MemoryFiles
from ganeti.testing.processes import MemoryProcesses, MemoryStateFiles, Program, Script

KVM, TCG = Accelerator.KVM, Accelerator.TCG
BARE, NESTED = b"flags\t\t: fpu svm\n", b"flags\t\t: fpu svm hypervisor\n"
WORKS = Script(code=99)


class AcceleratorsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock, self.disk, self.notes = Clock(), MemoryDisk(), MemoryStateFiles()
        self.processes = MemoryProcesses(self.clock, {})

    def host(self, qemu: Program, cpuinfo: bytes = BARE, *, device: bool = True) -> None:
        if device:
            self.disk.put("/dev/kvm", b"", 0o660, 0)
        self.disk.put("/proc/cpuinfo", b"processor: 0\n" + cpuinfo, 0o444, 0)
        self.processes.programs["/qemu"] = qemu

    def choose(self, kvm: Kvm | None = None) -> Accelerator:
        chosen = AcceleratorSelector(MemoryFiles(self.disk), self.processes, self.notes)
        choosing = Deferred.fromCoroutine(chosen.choose(kvm or Kvm(), "/qemu"))
        self.clock.pump([1] * 6)
        return self.successResultOf(choosing)

    def test_a_boot_sector_that_runs_speaks_for_kvm(self) -> None:
        self.host(WORKS)
        self.assertEqual(self.choose(), KVM)
        [ran] = self.processes.ran
        self.assertEqual((len(ran.stdin), ran.stdin[-2:]), (512, b"\x55\xaa"))

    def test_anything_else_speaks_against_it(self) -> None:
        for qemu in (Script(code=1, err=b"failed to set MSR"), Script(code=-6), Script(hangs=True)):
            self.notes.remove("/qemu")
            self.host(qemu)
            self.assertEqual(self.choose(), TCG)

    def test_without_the_device_nothing_is_tried(self) -> None:
        self.host(WORKS, device=False)
        self.assertEqual((self.choose(), self.processes.ran), (TCG, []))

    def test_inside_a_virtual_machine_nothing_is_tried(self) -> None:
        self.host(WORKS, NESTED)
        self.assertEqual((self.choose(), self.processes.ran), (TCG, []))

    def test_what_was_found_out_is_remembered(self) -> None:
        self.host(WORKS)
        self.assertEqual([self.choose(), self.choose()], [KVM, KVM])
        self.assertEqual(len(self.processes.ran), 1)

    def test_a_damaged_note_has_it_found_out_again(self) -> None:
        self.host(WORKS)
        for note in (b"", b'{"x":' + b"[" * 100_000):
            self.notes.put("/qemu", note)
            self.assertEqual(self.choose(), KVM)
        self.assertEqual(len(self.processes.ran), 2)

    def test_guests_that_start_together_cause_one_test(self) -> None:
        self.host(Script(code=99, takes=1))
        chosen = AcceleratorSelector(MemoryFiles(self.disk), self.processes, self.notes)
        both = [Deferred.fromCoroutine(chosen.choose(Kvm(), "/qemu")) for _ in range(2)]
        self.clock.advance(1)
        self.assertEqual([self.successResultOf(each) for each in both], [KVM, KVM])
        self.assertEqual(len(self.processes.ran), 1)

    def test_parameters_decide_where_they_are_set(self) -> None:
        self.host(WORKS, NESTED)
        wishes = (
            Kvm(kvm_accel="kvm"), Kvm(kvm_accel="tcg"),
            Kvm(kvm_flag="enabled"), Kvm(kvm_flag="disabled"),
        )  # fmt: skip
        self.assertEqual([self.choose(wish) for wish in wishes], [KVM, TCG, KVM, TCG])
        self.assertEqual((self.processes.ran, self.notes.read_all()), ([], {}))
