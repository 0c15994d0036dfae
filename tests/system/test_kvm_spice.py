# SPDX-License-Identifier: BSD-2-Clause
"""A real QEMU serves SPICE, with and without TLS, and has sound cards, also after a migration."""

from __future__ import annotations

import shutil
import socket
import ssl
import struct
import subprocess
from pathlib import Path
from typing import Any

from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SkipTest

from ganeti.errors import Invalid
from ganeti.hypervisor.interfaces import ConsoleAccess, ConsoleKind
from ganeti.model.guest import Guest
from ganeti.model.running import apply_running_config
from ganeti.schema.records import replace
from tests.system.kvm_guests import KvmCase

PORT = 18150
FIRST = 963_000
LINK = struct.pack("<4sIII", b"REDQ", 2, 2, 18) + struct.pack("<IBBIII", 0, 1, 0, 0, 0, 18)
"""The first message of a client of SPICE, for the main channel; spice-protocol, protocol.h."""


def greet(connection: socket.socket) -> bytes:
    """Return the first bytes of a SPICE server's answer."""
    with connection:
        connection.sendall(LINK)
        return connection.recv(4)


def greet_plainly() -> bytes:
    return greet(socket.create_connection(("127.0.0.1", PORT), timeout=10))


class SpiceTests(KvmCase):
    user_pool = ((FIRST, FIRST + 9),)

    def guest(self, **more: Any) -> Guest:
        over: dict[str, Any] = {
            "spice_bind": "127.0.0.1",
            "serial_console": False,
            "security_model": "pool",
        }
        return replace(super().guest(**{**over, **more}), network_port=PORT)

    async def require_spice(self) -> None:
        try:
            await self.hypervisor().validate(self.guest().hvparams)
        except Invalid as error:
            raise SkipTest(str(error)) from error

    def make_certificate(self) -> None:
        """Make a certificate that has signed itself, and a file with a password."""
        if shutil.which("openssl") is None:
            raise SkipTest("there is no openssl")
        pair, authority = (Path(self.folder, name) for name in ("spice.pem", "spice-ca.pem"))
        argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=node1"]
        argv += ["-keyout", str(pair), "-out", str(authority)]
        subprocess.run(argv, check=True, capture_output=True)
        with pair.open("a") as file:
            file.write(authority.read_text())
        Path(self.folder, "secret").write_text("hidden")

    def greet_secretly(self) -> bytes:
        context = ssl.create_default_context(cafile=f"{self.folder}/spice-ca.pem")
        plain = socket.create_connection(("127.0.0.1", PORT), timeout=10)
        return greet(context.wrap_socket(plain, server_hostname="node1"))

    async def test_a_guest_without_powers_has_spice_and_sound_and_moves(self) -> None:
        await self.require_spice()
        here, there = self.hypervisor("node1"), self.hypervisor("node2")
        for machine in ("pc", "q35"):
            guest = self.guest(machine_version=machine, soundhw="hda,ac97", use_guest_agent=True)
            await here.start(guest, self.attached(), paused=True)
            self.assertEqual(await deferToThread(greet_plainly), b"REDQ")
            expected = ConsoleAccess(kind=ConsoleKind.SPICE, host="127.0.0.1", port=PORT)
            self.assertEqual(await here.console(guest), expected)
            self.assertTrue((await here.screenshot(guest)).startswith(b"\x89PNG"))
            # Both nodes are this host, and one of them has the port.
            running = replace(await here.running_config(guest), network_port=PORT + 1)
            runs = apply_running_config(guest, running)
            address = await there.accept(runs, self.attached(), "127.0.0.1", running)
            await here.migrate(guest, address, live=True)
            await self.sent(here)
            await there.finish_incoming(guest, arrived=True)
            await here.finish_outgoing(guest, left=True)
            await there.stop("web1", hard=True)

    async def test_the_certificate_of_the_cluster_and_a_password_protect_it(self) -> None:
        await self.require_spice()
        await deferToThread(self.make_certificate)
        guest = self.guest(
            spice_bind="lo", spice_use_tls=True, spice_password_file=f"{self.folder}/secret"
        )
        await self.hypervisor().start(guest, self.attached(), paused=True)
        self.assertEqual(await deferToThread(self.greet_secretly), b"REDQ")
        async with self.monitor("node1") as qemu:
            found = await qemu.execute("query-spice")
        self.assertEqual((found["auth"], found["tls-port"]), ("spice", PORT))
        self.assertNotIn("port", found)
