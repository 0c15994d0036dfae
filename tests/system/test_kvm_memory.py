# SPDX-License-Identifier: BSD-2-Clause
"""The memory of a real Linux in a real QEMU changes while it runs, also of one without powers."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SkipTest

from ganeti.model.guest import Guest
from ganeti.model.running import apply_running_config
from tests.system.kvm_guests import KvmCase, Terminal

FIRST = 961_000


class MemoryTests(KvmCase):
    guest_memory = 192
    user_pool = ((FIRST, FIRST + 9),)

    def guest(self, **more: str) -> Guest:
        return super().guest(security_model="pool", **more)

    def resident(self, node: str) -> int:
        """The memory that the guest's QEMU has of the host, in MiB."""
        text = Path("/proc", str(self.pid(node)), "status").read_text()
        found = re.search(r"RssAnon:\s+(\d+) kB", text)
        assert found is not None
        return int(found[1]) >> 10

    async def sees_less_than(self, terminal: Terminal, mib: int) -> None:
        await terminal.wait_until(f"$(awk '/MemTotal/ {{print $2}}' /proc/meminfo) -lt {mib << 10}")

    async def test_a_guest_gives_memory_back_moves_and_gets_it_again(self) -> None:
        here, there, guest = self.hypervisor("node1"), self.hypervisor("node2"), self.guest()
        await here.start(guest, self.attached())
        terminal = await self.terminal()
        await terminal.see(b"tick 1")
        await terminal.run("ls /sys/bus/virtio/drivers; echo end-$((40 + 2))", b"end-42")
        if b"virtio_balloon" not in terminal.shown:
            raise SkipTest("the guest has no driver: remove its folder, and run tools/mini_guest")
        # It uses memory, and is to use less.
        await terminal.run(
            "head -c 70m /dev/zero >/fill; rm /fill; echo end-$((42 + 1))", b"end-43"
        )
        before = self.resident("node1")
        await here.set_memory(guest, 96)
        self.assertEqual(self.hypervisor().running()["web1"].memory, 96)
        self.assertLess(self.resident("node1"), before - 20)
        await self.sees_less_than(terminal, 96)
        running = await here.running_config(guest)
        runs = apply_running_config(guest, running)
        address = await there.accept(runs, self.attached(), "127.0.0.1", running)
        moved = await self.terminal("node2")
        await here.migrate(guest, address, live=True)
        await self.sent(here)
        await there.finish_incoming(guest, arrived=True)
        await here.finish_outgoing(guest, left=True)
        self.assertEqual(there.running()["web1"].memory, 96)
        await self.sees_less_than(moved, 96)
        await there.set_memory(guest, 192)
        await moved.wait_until("$(awk '/MemTotal/ {print $2}' /proc/meminfo) -gt 98304")
