# SPDX-License-Identifier: BSD-2-Clause
"""The virtual processors of a real QEMU run on the processors of the host that they are given."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest

from ganeti.errors import Failed
from ganeti.model.guest import Guest
from ganeti.schema.records import replace
from tests.system.kvm_guests import KvmCase

FIRST = 964_000


class ProcessorTests(KvmCase):
    user_pool = ((FIRST, FIRST + 9),)

    def guest(self, **more: Any) -> Guest:
        guest = super().guest(security_model="pool", **more)
        return replace(guest, beparams={**guest.beparams, "vcpus": 2})

    def read_allowed(self, thread: int) -> str:
        """The processors of the host that a thread may use."""
        text = Path("/proc", str(thread), "status").read_text()
        found = re.search(r"^Cpus_allowed_list:\s+(\S+)", text, re.MULTILINE)
        assert found is not None
        return found[1]

    async def test_each_virtual_processor_has_its_own(self) -> None:
        own, *others = sorted(os.sched_getaffinity(0))
        if not others:
            raise SkipTest("this host has one processor")
        guest = self.guest(cpu_mask=f"{own}:{others[0]}")
        await self.hypervisor().start(guest, self.attached(), paused=True)
        async with self.monitor("node1") as qemu:
            threads = [each["thread-id"] for each in await qemu.execute("query-cpus-fast")]
        self.assertEqual(list(map(self.read_allowed, threads)), [str(own), str(others[0])])
        self.assertNotEqual(self.read_allowed(self.pid("node1")), str(own))

    async def test_processors_that_the_host_does_not_have_start_nothing(self) -> None:
        with self.assertRaisesRegex(Failed, "the processors 4000 of this node cannot be used"):
            await self.hypervisor().start(self.guest(cpu_mask="all:4000"), self.attached())
        self.assertEqual(self.hypervisor().running(), {})
