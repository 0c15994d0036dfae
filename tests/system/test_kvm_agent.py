# SPDX-License-Identifier: BSD-2-Clause
"""A real Linux is shut down by an agent, a few lines of shell."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SkipTest

from ganeti.model.guest import Guest
from tests.system.kvm_guests import KvmCase
from tests.system.linux import MINI

AGENT = (
    "(exec 4<>/dev/vport1p1; while read -r l <&4; do case $l in"
    " *sync*) printf '\\377{\"return\": 7243}\\n' >&4;;"
    " *shutdown*) echo agent: down; poweroff -f;; esac; done) & echo agent-$((40 + 2))"
)
"""It answers as the QEMU guest agent does, and begins a shutdown without an answer."""


class AgentTests(KvmCase):
    def guest(self, **more: Any) -> Guest:
        return super().guest(use_guest_agent=True, **more)

    async def test_an_agent_shuts_its_guest_down(self) -> None:
        await self.hypervisor().start(self.guest(), self.attached())
        terminal = await self.terminal()
        await terminal.see(b"tick 1")
        await terminal.run("ls /dev/vport*; echo end-$((40 + 2))", b"end-42")
        if b"/dev/vport1p1" not in terminal.shown:
            raise SkipTest(f"the guest in {MINI} has no driver for channels: make it again")
        await terminal.run(AGENT, b"agent-42")
        await self.hypervisor().stop("web1", hard=False)
        await terminal.see(b"agent: down")
        self.assertNotIn(b"mini: down", terminal.shown)
        await self.until_down(self.hypervisor())
