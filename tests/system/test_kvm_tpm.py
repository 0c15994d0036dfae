# SPDX-License-Identifier: BSD-2-Clause
"""A Linux uses a TPM in a real QEMU, with a real swtpm; the TPM goes where the guest goes."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from twisted.trial.unittest import SkipTest

from ganeti.hypervisor.kvm.driver import KvmHypervisor
from ganeti.model.guest import Guest
from ganeti.model.running import apply_running_config
from tests.system.kvm_guests import KvmCase, Terminal
from tests.system.linux import MINI

FIRST = 962_000
PCR = "/sys/class/tpm/tpm0/pcr-sha256/16"
"""A register for debugging, which is 0 after each start."""
CLOCK = "80010000000a00000181"
"""TPM2_ReadClock; the answer has the number of starts (TPM 2.0 specification, part 3)."""
EXTEND = f"80020000004100000182{16:08x}00000009400000090000000000{1:08x}000b{'00' * 31}2a"
"""TPM2_PCR_Extend of that register."""


class TpmTests(KvmCase):
    user_pool = ((FIRST, FIRST + 9),)

    def setUp(self) -> None:
        if shutil.which("swtpm") is None:
            raise SkipTest("there is no swtpm: install swtpm")
        super().setUp()

    def guest(self, **more: str) -> Guest:
        return super().guest(**{"kvm_tpm": "2.0", "security_model": "pool", **more})

    def tpm(self, node: str) -> int:
        """The process of the guest's TPM on a node."""
        return int(Path(self.folder, node, "kvm/web1.tpm/pid").read_text())

    def read_status(self, process: int) -> str:
        """What the kernel says about a process."""
        return Path("/proc", str(process), "status").read_text()

    async def boot(self, here: KvmHypervisor) -> Terminal:
        """Start the guest on the first node, and wait for its shell."""
        await here.start(self.guest(), self.attached())
        terminal = await self.terminal("node1")
        await terminal.see(b"tick 1")
        await terminal.run(f"cat {PCR}; echo end-$((40 + 2))", b"end-42")
        if b"0" * 64 not in terminal.shown:
            raise SkipTest(f"the kernel in {MINI} has no driver for the TPM")
        return terminal

    async def ask(self, terminal: Terminal, command: str, size: int) -> bytes:
        """Send a command to the TPM, and return its answer of this ``size``."""
        octal = "".join(f"\\{byte:03o}" for byte in bytes.fromhex(command))
        await terminal.run(
            f"exec 3<>/dev/tpm0; printf '{octal}' >/ask; cat /ask >&3; head -c {size} <&3"
            " | od -An -v -tx1 | tr -d ' \\n' | sed 's/^/said-/'; exec 3>&-"
            "; echo; echo end-$((41 + 2))",
            b"end-43",
        )
        found = re.search(rb"said-([0-9a-f]+)", terminal.shown)
        assert found is not None, terminal.shown
        return bytes.fromhex(found[1].decode())

    async def count_starts(self, terminal: Terminal) -> int:
        """How often the TPM was started, as it counts."""
        answer = await self.ask(terminal, CLOCK, 35)
        self.assertEqual(answer[6:10], bytes(4), answer)
        return int.from_bytes(answer[26:30])

    async def move(self, here: KvmHypervisor, there: KvmHypervisor) -> None:
        guest = self.guest()
        running = await here.running_config(guest)
        runs = apply_running_config(guest, running)
        address = await there.accept(runs, self.attached(), "127.0.0.1", running)
        await here.migrate(guest, address, live=True)
        await self.sent(here)
        await there.finish_incoming(guest, arrived=True)
        await here.finish_outgoing(guest, left=True)

    async def test_a_tpm_survives_a_stop_and_goes_along_with_a_migration(self) -> None:
        here, there, guest = self.hypervisor("node1"), self.hypervisor("node2"), self.guest()
        terminal = await self.boot(here)
        starts = await self.count_starts(terminal)
        process = self.tpm("node1")
        status = self.read_status(process)
        for line in (f"Uid:\t{FIRST}\t", "NoNewPrivs:\t1", "CapEff:\t0000000000000000"):
            self.assertIn(line, status)
        await here.stop("web1", hard=True)
        self.assertIsNone(here._processes.process_info(process))
        self.assertEqual(os.listdir(f"{self.folder}/node1/kvm"), [])
        kept = Path(self.folder, "node1", "firmware", f"{guest.uuid}.tpm2")
        self.assertEqual(os.stat(kept).st_mode & 0o777, 0o600)
        terminal = await self.boot(here)
        before, starts = starts, await self.count_starts(terminal)
        self.assertGreater(starts, before)
        await self.ask(terminal, EXTEND, 19)
        await terminal.run(f"cat {PCR} | sed 's/^/pcr-/'", b"\npcr-")
        await terminal.see(b"tick")
        value = re.search(rb"pcr-([0-9A-F]{64})", terminal.shown)
        assert value is not None, terminal.shown
        self.assertNotEqual(value[1], b"0" * 64)
        await self.move(here, there)
        moved = await self.terminal("node2")
        await moved.run(f"cat {PCR}", value[1])
        self.assertEqual(await self.count_starts(moved), starts)
        self.assertEqual(os.listdir(f"{self.folder}/node1/firmware"), [])
        await there.stop("web1", hard=True)
        self.assertEqual(os.listdir(f"{self.folder}/node2/firmware"), [kept.name])
