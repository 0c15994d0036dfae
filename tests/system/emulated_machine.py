# SPDX-License-Identifier: BSD-2-Clause
"""A machine that QEMU emulates, with Unix sockets for its monitor and for one port of its own."""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from twisted.trial.unittest import SkipTest

from tests.system.linux import MINI
from tests.system.running import eventually

KERNEL = MINI / "host" / "vmlinuz"

TIMEOUT = 300.0
"""Seconds that a step may take on a busy machine."""

KERNEL_OPTIONS = "console=ttyS0 quiet mitigations=off nokaslr audit=0 apparmor=0"


def require_emulator(*files: Path) -> None:
    """Skip a test where there is no QEMU, or not all that a machine would boot."""
    if platform.machine() != "x86_64":
        raise SkipTest("this host's programs do not run on the x86_64 that is emulated")
    if shutil.which("qemu-system-x86_64") is None:
        raise SkipTest("there is no qemu-system-x86_64: install qemu-system-x86")
    if not all(each.exists() for each in (KERNEL, *files)):
        raise SkipTest(f"there is no host to boot in {KERNEL.parent}: run tools/mini_guest --host")


class Closeable(Protocol):
    """A connection, or a file of it."""

    def close(self) -> None: ...


class Machine:
    """A QEMU that runs until ``close``; ``port`` is a connection to one of its ports.

    ``options`` gets the option ``unix:…`` of a socket, and returns the options of QEMU that make
    that port and the rest of the machine.
    """

    def __init__(self, options: Callable[[str], Sequence[str]]) -> None:
        # Short, because sockets are in it.
        self._folder = Path(tempfile.mkdtemp(prefix="ganeti-qemu-"))
        self._events: list[dict[str, Any]] = []
        self._open: list[Closeable] = []
        port, monitor = (
            f"unix:{self._folder}/{name},server=on,wait=off" for name in ("port", "qmp")
        )
        self._qemu = subprocess.Popen(
            [
                *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none"),
                *("-M", "pc", "-cpu", "max,la57=off", "-kernel", str(KERNEL), "-qmp", monitor),
                *options(port),
            ],
            stdin=subprocess.DEVNULL,
        )
        try:
            self.port, self._monitor = self._connect("port"), self._connect("qmp")
            self._replies = self._monitor.makefile("rb")
            self._open.append(self._replies)
            self.ask("qmp_capabilities")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End QEMU, if it has not ended; to repeat this does nothing."""
        self._qemu.kill()
        self._qemu.wait()
        for each in self._open:
            each.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def wait(self) -> None:
        """Wait for a QEMU that ends by itself."""
        self._qemu.wait(TIMEOUT)

    def _connect(self, name: str) -> socket.socket:
        path = str(self._folder / name)
        eventually(lambda: os.path.exists(path))
        connection = socket.socket(socket.AF_UNIX)
        self._open.append(connection)
        connection.settimeout(TIMEOUT)
        connection.connect(path)
        return connection

    # --- the monitor

    def ask(self, command: str, **arguments: object) -> Any:
        """Return QEMU's answer to a command of its monitor."""
        question = json.dumps({"execute": command, "arguments": arguments})
        self._monitor.sendall(f"{question}\n".encode())
        while (message := self._read_message()) is not None:
            if "return" in message:
                return message["return"]
            assert "error" not in message, message
        raise AssertionError("QEMU has ended")

    def end(self) -> Sequence[dict[str, Any]]:
        """End QEMU, unless it has ended; return its events."""
        self._qemu.kill()
        while self._read_message() is not None:
            pass
        return self._events

    def _read_message(self) -> dict[str, Any] | None:
        line = self._replies.readline()
        if not line:
            return None
        message: dict[str, Any] = json.loads(line)
        if "event" in message:
            self._events.append(message)
        return message
