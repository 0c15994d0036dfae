# SPDX-License-Identifier: BSD-2-Clause
"""Selection of the accelerator. The presence of /dev/kvm is not enough: guests may fail or hang."""

from __future__ import annotations

import re
from contextlib import suppress

import msgspec
from twisted.internet.defer import DeferredLock
from twisted.logger import Logger

from ganeti.errors import Failed
from ganeti.hypervisor.kvm.qemu_command import Accelerator
from ganeti.model.parameters.kvm import Kvm
from ganeti.schema.documents import UNREADABLE
from ganeti.schema.records import Record
from ganeti.system.interfaces import IFiles, IProcesses, IStateFiles

_DEVICE = "/dev/kvm"
_TIMEOUT = 5.0
_PASSED_EXIT_CODE = 0x63
"""The exit code of QEMU for 0x31 written to isa-debug-exit: (value << 1) | 1."""

# mov al, 0x31; out 0xf4, al; hlt; and again
_BOOT_SECTOR = bytes.fromhex("b031 e6f4 f4 ebfd").ljust(510, b"\0") + b"\x55\xaa"


class KvmTest(Record):
    """The result of the test of a QEMU program, and the reason."""

    accelerator: Accelerator
    why: str


class AcceleratorSelector:
    """Selects how guests are executed; test results are recorded until the host restarts.

    ``auto`` selects KVM only if /dev/kvm exists, this host is not a virtual machine itself (with
    nested KVM, guests often hang some time after their start), and a test boot sector runs under
    KVM within seconds. Otherwise guests are executed in software, which is slow but works. Remove
    the record in ``<run>/kvm/verdicts`` to repeat the test, or set the hypervisor parameter
    ``kvm_accel`` to override it.
    """

    _log = Logger()

    def __init__(self, files: IFiles, processes: IProcesses, notes: IStateFiles) -> None:
        self._files = files
        self._processes = processes
        self._notes = notes
        # Guests that start at the same time wait for one test, instead of each running its own.
        self._turn = DeferredLock()

    async def choose(self, kvm: Kvm, binary: str) -> Accelerator:
        """Return the accelerator for a guest with these parameters."""
        if kvm.kvm_accel != "auto":
            return Accelerator(kvm.kvm_accel)
        if kvm.kvm_flag:
            return Accelerator.KVM if kvm.kvm_flag == "enabled" else Accelerator.TCG
        async with self._turn:
            return (await self._cached_test(binary)).accelerator

    async def _cached_test(self, binary: str) -> KvmTest:
        note = self._notes.read_all().get(binary)
        if note is not None:
            # Records are not synced: after a power failure the file may be empty.
            with suppress(*UNREADABLE):
                return msgspec.json.decode(note, type=KvmTest)
        reason = self._find_obstacle() or await self._run_boot_sector(binary)
        verdict = KvmTest(
            accelerator=Accelerator.TCG if reason else Accelerator.KVM,
            why=reason or "the test boot sector ran",
        )
        self._log.info(
            "guests of {binary} use the accelerator {how}: {why}",
            binary=binary,
            how=verdict.accelerator.value,
            why=verdict.why,
        )
        # Failures are recorded, too: where KVM hangs, each start would otherwise wait for the test.
        self._notes.put(binary, msgspec.json.encode(verdict))
        return verdict

    def _find_obstacle(self) -> str:
        """Return a reason against KVM that needs no test; empty if there is none."""
        if self._files.stat(_DEVICE) is None:
            return f"{_DEVICE} does not exist"
        flags = re.search(rb"^flags\s*:(.*)$", self._files.read("/proc/cpuinfo"), re.MULTILINE)
        if flags and b"hypervisor" in flags[1].split():
            return "this host is a virtual machine itself"
        return ""

    async def _run_boot_sector(self, binary: str) -> str:
        """Run the boot sector; return the reason of a failure, empty if it ran."""
        # Nothing that an administrator configured for QEMU on this host may change the result.
        argv = [binary, "-machine", "pc,accel=kvm", "-m", "16", "-display", "none"]
        # -no-reboot: after a triple fault, the machine ends instead of starting again and again.
        argv += ["-no-user-config", "-nodefaults", "-no-reboot"]
        argv += ["-device", "isa-debug-exit,iobase=0xf4,iosize=1"]
        # QEMU reads the sector from its standard input, so that no file has to be written.
        argv += ["-drive", "file=/dev/stdin,format=raw,if=floppy,readonly=on", "-boot", "a"]
        try:
            finished = await self._processes.run(argv, stdin=_BOOT_SECTOR, timeout=_TIMEOUT)
        except Failed as error:
            return str(error)
        if finished.code == _PASSED_EXIT_CODE:
            return ""
        said = finished.err.decode("utf-8", "replace").strip()
        return f"the test boot sector did not run ({said or f'exit code {finished.code}'})"
