# SPDX-License-Identifier: BSD-2-Clause
"""Whether KVM works on this node. A /dev/kvm alone says little: guests may still fail or hang."""

from __future__ import annotations

import re
from contextlib import suppress

import msgspec
from twisted.internet.defer import DeferredLock
from twisted.logger import Logger

from ganeti.errors import Failed
from ganeti.hypervisor.kvm.command import Accelerator
from ganeti.model.parameters.kvm import Kvm
from ganeti.schema.documents import UNREADABLE
from ganeti.schema.records import Record
from ganeti.system.interfaces import IFiles, INotes, IProcesses

_DEVICE = "/dev/kvm"
_TIMEOUT = 5.0
_PASSED = 0x63
"""The exit code that QEMU makes of 0x31 written to its debugging port: twice that plus one."""

# mov al, 0x31; out 0xf4, al; hlt; and again
_BOOT_SECTOR = bytes.fromhex("b031 e6f4 f4 ebfd").ljust(510, b"\0") + b"\x55\xaa"


class KvmTest(Record):
    """What was found out about a QEMU program, and why."""

    accelerator: Accelerator
    why: str


class Accelerators:
    """Says how guests are executed; what was found out is noted until the host restarts.

    ``auto`` takes KVM only if all of this holds: there is a /dev/kvm; this host is no virtual
    machine itself (nested KVM often starts guests that hang later); and a boot sector of our own
    runs under it within seconds. Everything else is executed in software, which is slow and
    works. Remove the note in ``<run>/kvm/verdicts`` to have it tried again, or set the hypervisor
    parameter ``kvm_accel`` to decide yourself.
    """

    _log = Logger()

    def __init__(self, files: IFiles, processes: IProcesses, notes: INotes) -> None:
        self._files = files
        self._processes = processes
        self._notes = notes
        self._turn = DeferredLock()

    async def choose(self, kvm: Kvm, binary: str) -> Accelerator:
        """How a guest with these parameters is executed by this QEMU."""
        if kvm.kvm_accel != "auto":
            return Accelerator(kvm.kvm_accel)
        if kvm.kvm_flag:
            return Accelerator.KVM if kvm.kvm_flag == "enabled" else Accelerator.TCG
        async with self._turn:
            return (await self._verdict(binary)).accelerator

    async def _verdict(self, binary: str) -> KvmTest:
        note = self._notes.all().get(binary)
        if note is not None:
            # Notes are not synced: a host that lost its power may have left an empty one.
            with suppress(*UNREADABLE):
                return msgspec.json.decode(note, type=KvmTest)
        reason = self._against() or await self._test(binary)
        verdict = KvmTest(
            accelerator=Accelerator.TCG if reason else Accelerator.KVM,
            why=reason or "a boot sector ran",
        )
        self._log.info(
            "guests of {binary} are executed by {how}: {why}",
            binary=binary,
            how=verdict.accelerator.value,
            why=verdict.why,
        )
        self._notes.put(binary, msgspec.json.encode(verdict))
        return verdict

    def _against(self) -> str:
        """What speaks against KVM before anything is tried; empty if nothing does."""
        if self._files.stat(_DEVICE) is None:
            return f"there is no {_DEVICE}"
        flags = re.search(rb"^flags\s*:(.*)$", self._files.read("/proc/cpuinfo"), re.MULTILINE)
        if flags and b"hypervisor" in flags[1].split():
            return "this host is a virtual machine itself"
        return ""

    async def _test(self, binary: str) -> str:
        """Run the boot sector; empty if it ran, or else what became of it."""
        argv = [binary, "-machine", "pc,accel=kvm", "-m", "16", "-display", "none"]
        argv += ["-no-user-config", "-nodefaults", "-no-reboot"]
        argv += ["-device", "isa-debug-exit,iobase=0xf4,iosize=1"]
        argv += ["-drive", "file=/dev/stdin,format=raw,if=floppy,readonly=on", "-boot", "a"]
        try:
            finished = await self._processes.run(argv, stdin=_BOOT_SECTOR, timeout=_TIMEOUT)
        except Failed as error:
            return str(error)
        if finished.code == _PASSED:
            return ""
        said = finished.err.decode("utf-8", "replace").strip()
        return f"a boot sector did not run ({said or f'exit code {finished.code}'})"
