# SPDX-License-Identifier: BSD-2-Clause
"""A terminal is attached to a console, byte for byte."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from ganeti.hypervisor.kvm import console


class AttachTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.guest, self.line = socket.socketpair()
        self.typed, self.keyboard = os.pipe()
        self.screen, self.shown = os.pipe()
        self.addCleanup(self.guest.close)
        self.addCleanup(self.line.close)
        for descriptor in (self.typed, self.keyboard, self.screen, self.shown):
            self.addCleanup(os.close, descriptor)

    def test_what_is_typed_reaches_the_guest_until_the_escape(self) -> None:
        os.write(self.keyboard, b"ls\n\x1drm\n")
        console.attach(self.line, self.typed, self.shown)
        self.assertEqual(self.guest.recv(100), b"ls\n")

    def test_what_the_guest_says_is_shown_until_it_ends(self) -> None:
        self.guest.sendall(b"login: ")
        self.guest.shutdown(socket.SHUT_WR)
        console.attach(self.line, self.typed, self.shown)
        self.assertEqual(os.read(self.screen, 100), b"login: ")

    def test_a_socket_that_is_not_there_is_an_error(self) -> None:
        path = Path(console.__file__)
        ended = subprocess.run(
            [sys.executable, path, "/nowhere"], capture_output=True, text=True, timeout=20
        )
        self.assertEqual((ended.returncode, ended.stdout), (1, ""))
        self.assertIn("cannot connect to the guest's console at /nowhere", ended.stderr)
