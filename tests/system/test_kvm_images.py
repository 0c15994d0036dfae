# SPDX-License-Identifier: BSD-2-Clause
"""A guest that was installed from an image of the library boots, and is told its name."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time
from pathlib import Path

from ganeti.testing.image_programs import raw_image
from tests.system.linux import require_linux
from tests.system.running import SharedCluster, eventually

NAME = "web1.trial"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ somebody"

NETWORK = "ip link set eth0 up; ip addr add 10.0.2.15/24 dev eth0"
"""What DHCP would do, with the address that QEMU gives."""


class GuestTests(SharedCluster):
    options = ("--nodes", "2", "--hypervisor", "kvm")

    def setUp(self) -> None:
        require_linux()
        super().setUp()
        # Where KVM is there, but slow or broken, a guest boots all the same.
        self.said("cluster", "modify", "-H", "kvm:kvm_accel=tcg")

    def said(self, name: str, *arguments: str) -> str:
        done = self.running.tool(name, *arguments)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def read_until(self, terminal: int, text: bytes, seconds: float = 120.0) -> bytes:
        """Return what a terminal shows until ``text`` has appeared."""
        shown, end = b"", time.monotonic() + seconds
        while text not in shown:
            ready, _, _ = select.select([terminal], [], [], max(0.0, end - time.monotonic()))
            self.assertTrue(ready, shown[-2000:])
            shown += os.read(terminal, 4096)
        return shown

    def forwarded_port(self) -> int:
        [line] = [
            line
            for line in self.said("instance", "info", NAME).splitlines()
            if "forwarded ports" in line
        ]
        return int(line.partition("127.0.0.1:")[2].split()[0])

    def greeting(self) -> bytes:
        """Return what the guest says at its port 22; empty if it does not answer."""
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self.port), 5) as link,
        ):
            return link.recv(100)
        return b""

    def test_it_boots_from_its_image_reads_its_volume_and_is_reached(self) -> None:
        image = Path(self.mktemp()).absolute()
        image.write_bytes(raw_image(b"mini image\nof the library\n", 1 << 20))
        self.said("os", "image", "add", "--file", str(image), "mini")
        node = self.running.cluster.node(2).name
        self.said(
            *("instance", "add", "-t", "file", "-s", "4m", "-n", node, "-o", "image"),
            *("-O", f"image=mini,ssh_keys={KEY}", "-B", "memory=128", "--ignore-ipolicy"),
            *("--no-name-check", "--no-ip-check", NAME),
        )
        self.port = self.forwarded_port()
        with self.running.terminal("instance", "console", NAME) as (terminal, _):
            self.read_until(terminal, b"tick ")
            os.write(
                terminal, b"head -c 20 /dev/vda; echo; strings /dev/vdb; echo end-$((6 * 7))\n"
            )
            shown = self.read_until(terminal, b"end-42")
            self.assertIn(b"mini image", shown)
            self.assertIn(f'"local-hostname": "{NAME}"'.encode(), shown)
            self.assertIn(KEY.encode(), shown)
            os.write(terminal, f"{NETWORK}; echo hello | nc -l -p 22 &\n".encode())
            self.assertEqual(eventually(self.greeting), b"hello\n")
        self.said("instance", "remove", "-f", NAME)
        self.said("os", "image", "remove", "-f", "mini")
