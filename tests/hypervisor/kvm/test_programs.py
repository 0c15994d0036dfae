# SPDX-License-Identifier: BSD-2-Clause
"""What a QEMU program offers."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed, Refused
from ganeti.hypervisor.kvm.programs import QemuPrograms, parse_cpus, parse_machines
from ganeti.testing.disk import MemoryFiles
from ganeti.testing.processes import Script
from ganeti.testing.qemu import QemuNetwork, ScriptedHost

NEWER = """Available CPUs:
  486                   (alias configured by machine type)
  Denverton-v3          Intel Atom Processor (Denverton) (deprecated)

Recognized CPUID flags:
  3dnow
"""


class ProgramTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.host = ScriptedHost(Clock(), QemuNetwork(), ["/qemu"])
        self.programs = QemuPrograms(MemoryFiles(self.host.disk), self.host.processes)

    def test_an_alias_stands_for_the_machine_of_this_version(self) -> None:
        program = self.successResultOf(self.programs.describe("/qemu"))
        self.assertEqual(program.version, "7.2.0")
        for wanted, machine in {
            "": "pc-i440fx-7.2",
            "q35,usb=off": "pc-q35-7.2,usb=off",
            "pc-i440fx-6.2": "pc-i440fx-6.2",
        }.items():
            self.assertEqual(program.machine(wanted), machine)

    def test_a_machine_that_is_not_offered_is_refused(self) -> None:
        program = self.successResultOf(self.programs.describe("/qemu"))
        with self.assertRaisesRegex(Refused, "QEMU 7.2.0 .* has no machine type pc-q35-10.0"):
            program.machine("pc-q35-10.0")

    def test_without_a_pc_the_default_of_the_program_is_taken(self) -> None:
        text = "Supported machines are:\nnone   empty\nvirt-7.2  ARM Virtual (default)\n"
        self.assertEqual(
            parse_machines(text), ({"none": "none", "virt-7.2": "virt-7.2"}, "virt-7.2")
        )

    def test_cpu_models_are_read_with_and_without_the_architecture(self) -> None:
        self.assertEqual(parse_cpus(NEWER), {"486", "Denverton-v3"})
        older = NEWER.replace("  486", "x86 486").replace("  Denv", "x86 Denv")
        self.assertEqual(parse_cpus(older), {"486", "Denverton-v3"})

    def test_a_program_is_asked_again_when_it_was_replaced(self) -> None:
        self.host.disk.put("/qemu", b"", 0o755, 1)
        for _ in range(2):
            self.successResultOf(self.programs.describe("/qemu"))
        self.assertEqual(len(self.host.processes.ran), 4)
        self.host.disk.put("/qemu", b"", 0o755, 2)
        self.host.version = "10.0.2"
        program = self.successResultOf(self.programs.describe("/qemu"))
        self.assertEqual(program.machine("pc"), "pc-i440fx-10.0")

    def test_a_program_without_spice_is_known(self) -> None:
        self.assertTrue(self.successResultOf(self.programs.describe("/qemu")).spice)
        self.host.spice = False
        self.host.disk.put("/qemu", b"", 0o755, 3)
        self.assertFalse(self.successResultOf(self.programs.describe("/qemu")).spice)

    def test_a_program_that_cannot_be_run_says_why(self) -> None:
        self.host.processes.programs["/qemu"] = Script(code=1, err=b"libfoo.so: not found\n")
        failure = self.failureResultOf(self.programs.describe("/qemu"), Failed)
        self.assertIn("/qemu --version failed: libfoo.so", str(failure.value))
