# SPDX-License-Identifier: BSD-2-Clause
"""The keys with which the two QEMUs of a migration authenticate each other and encrypt.

Each migration has a secret of its own, which the master gives to both node daemons. QEMU uses it as
a pre-shared key of TLS (RFC 8446, section 2.2), read from a file ``keys.psk``. So no QEMU, whose
guest may have taken it over, ever has the key of a node.
"""

from __future__ import annotations

import re
from contextlib import suppress

from ganeti.errors import Invalid, Problem
from ganeti.hypervisor.kvm.guest_registry import GuestRecord, GuestRegistry
from ganeti.hypervisor.kvm.monitor import CommandFailed, Monitor
from ganeti.hypervisor.kvm.qemu_files import QemuFiles
from ganeti.system.interfaces import IFiles

KEY_ID = "migration-key"
"""The id of the credentials in QEMU."""

_SECRET = re.compile(r"[0-9a-f]{32,128}")
_USER = "qemu"
"""The name of the key; QEMU's default."""


class MigrationKeys:
    """Adds the key of a migration to a QEMU, and removes it."""

    def __init__(self, guests: GuestRegistry, files: IFiles, qemu_files: QemuFiles) -> None:
        self._guests = guests
        self._files = files
        self._qemu_files = qemu_files

    async def add_key(self, qemu: Monitor, runtime: GuestRecord, secret: str, side: str) -> str:
        """Add a key for the ``side`` server or client; return its id, empty without a secret."""
        await self.remove_key(qemu, runtime.name)
        if not secret:
            return ""
        if not _SECRET.fullmatch(secret):
            raise Invalid([Problem("secret", "must be 32 to 128 digits in hex")])
        outer = self._guests.runtime_paths(runtime.name).keys
        folder = f"{outer}/psk"
        # Only the owner of the outer directory gets to the inner one by its path. A QEMU with
        # another user gets a descriptor of the inner one, and reads the file there.
        await self._files.make_folder(outer, mode=0o700)
        await self._files.make_folder(folder, mode=0o755)
        content = f"{_USER}:{secret}\n".encode()
        await self._files.replace(f"{folder}/keys.psk", content, mode=0o644)
        path = folder
        if runtime.user:
            path = await self._qemu_files.pass_folder(qemu, folder)
        await qemu.execute(
            "object-add", qom_type="tls-creds-psk", id=KEY_ID, dir=path, endpoint=side
        )
        return KEY_ID

    def has_key(self, name: str) -> bool:
        """Return whether a guest has the key of a migration."""
        return self._files.stat(self._guests.runtime_paths(name).keys) is not None

    async def remove_key(self, qemu: Monitor, name: str) -> None:
        """Remove the key of a migration that has ended; succeed if there is none."""
        outer = self._guests.runtime_paths(name).keys
        if not self.has_key(name):
            return
        with suppress(CommandFailed):  # an earlier attempt has removed it
            await qemu.execute("object-del", id=KEY_ID)
        await self._files.remove_folder(outer)
