# SPDX-License-Identifier: BSD-2-Clause
"""A Linux boots by UEFI in a real QEMU, and its firmware's variables go where it goes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import cast

from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SkipTest

from ganeti.errors import Refused
from ganeti.hypervisor.kvm.driver import KvmHypervisor
from ganeti.hypervisor.kvm.firmware import find_firmware
from ganeti.model.guest import Guest
from ganeti.model.running import apply_running_config
from ganeti.system.files import LocalFiles
from ganeti.system.threads import InThread
from tests.system.kvm_guests import KvmCase, Terminal
from tests.system.linux import MINI

VARIABLES = "/sys/firmware/efi/efivars"
OURS, LATER = (
    f"{VARIABLES}/{name}-4b5ec32c-6f2e-4f0d-9d0a-3f1c8f6f7a11" for name in ("Ours", "Later")
)
"""Variables that nothing else uses; their names end with the UUID of who defines them. Linux
protects those that it has found at its start from changes."""


FILES = LocalFiles(cast(InThread, deferToThread))


class UefiTests(KvmCase):
    # In software, the firmware takes several times as long as Linux to boot.
    timeout = 600
    # With less, Linux overwrites what the firmware still uses while it unpacks itself.
    guest_memory = 512

    def setUp(self) -> None:
        super().setUp()
        try:
            find_firmware("uefi", "pc-q35-7.2", FILES)
        except Refused as error:
            raise SkipTest(str(error)) from error

    def guest(self, **more: str) -> Guest:
        return super().guest(
            **{"machine_version": "q35", "kvm_firmware": "uefi", "kvm_net": "user", **more}
        )

    def kept(self, node: str) -> list[str]:
        """The files of variables that a node has."""
        folder = Path(self.folder, node, "firmware")
        return os.listdir(folder) if folder.exists() else []

    def content(self, node: str) -> bytes:
        """The variables of the guest on a node."""
        return Path(self.folder, node, "firmware", f"{self.guest().uuid}.uefi").read_bytes()

    async def boot(self, here: KvmHypervisor) -> Terminal:
        """Start the guest on the first node, and wait for its shell with the variables."""
        await here.start(self.guest(), self.attached())
        terminal = await self.terminal("node1")
        terminal.timeout = 120
        await terminal.see(b"tick 1")
        await terminal.run(
            f"mount -t efivarfs none {VARIABLES}; ls -d {VARIABLES}/Boot*; echo seen-$((6 * 7))",
            b"seen-42",
        )
        if b"BootOrder-" not in terminal.shown:
            self.assertNotIn(b"efivars: No such file", terminal.shown)
            raise SkipTest(f"the guest in {MINI} cannot mount efivarfs: make it again")
        return terminal

    async def move(self, here: KvmHypervisor, there: KvmHypervisor, guest: Guest) -> None:
        """Migrate the guest to another node."""
        running = await here.running_config(guest)
        runs = apply_running_config(guest, running)
        address = await there.accept(runs, self.attached(), "127.0.0.1", running)
        await here.migrate(guest, address, live=True)
        await self.sent(here)
        await there.finish_incoming(guest, arrived=True)
        await here.finish_outgoing(guest, left=True)

    async def test_the_file_of_a_node_gets_the_variables_that_arrive(self) -> None:
        await self.move_variables(self.guest())

    async def test_the_file_of_a_node_gets_the_variables_that_an_unprivileged_qemu_has(
        self,
    ) -> None:
        self.user_pool = ((61990, 61990),)
        await self.move_variables(self.guest(security_model="pool"))

    async def move_variables(self, guest: Guest) -> None:
        """Migrate a guest before it boots, and look at the variables of its new node."""
        here, there = self.hypervisor("node1"), self.hypervisor("node2")
        template = find_firmware("uefi", "pc-q35-7.2", FILES).template
        content = FILES.read(template)[:-8] + b"of node1"
        await here.store_firmware_variables(guest, content)
        await here.start(guest, self.attached(), paused=True)
        await self.move(here, there, guest)
        await there.stop("web1", hard=True)
        self.assertEqual((self.kept("node1"), self.kept("node2")), ([], [f"{guest.uuid}.uefi"]))
        self.assertEqual(self.content("node2")[-8:], b"of node1")

    async def test_variables_survive_a_stop_and_go_along_with_a_migration(self) -> None:
        here, there, guest = self.hypervisor("node1"), self.hypervisor("node2"), self.guest()
        terminal = await self.boot(here)
        # The first four bytes are attributes: not volatile, for the boot loader and the system.
        value = "\\007\\000\\000\\000"
        await terminal.run(f"printf '{value}of-now' > {OURS} && echo kept-$((6 * 7))", b"kept-42")
        await here.stop("web1", hard=True)
        self.assertEqual(self.kept("node1"), [f"{guest.uuid}.uefi"])
        terminal = await self.boot(here)
        await terminal.run(f"tail -c 6 {OURS}", b"of-now")
        # As a backup of a running guest reads them.
        self.assertIn(b"of-now", await here.read_firmware_variables(guest))
        # This is in the file of the other node only if it arrives with the machine.
        await terminal.run(f"printf '{value}later!' > {LATER} && echo more-$((6 * 7))", b"more-42")
        await self.move(here, there, guest)
        await there.stop("web1", hard=True)
        self.assertTrue(b"later!" in self.content("node2"), "the file has other variables")
