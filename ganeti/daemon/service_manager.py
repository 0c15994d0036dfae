# SPDX-License-Identifier: BSD-2-Clause
"""Telling systemd, or whatever manages this service, how the daemon is: sd_notify(3)."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import MutableMapping

from ganeti.schema.types import CONTROL

SEND_TIMEOUT = 5.0
"""Seconds for which a change of state may wait while the manager does not read. After that it is
lost: a daemon does its work whether or not somebody watches it."""

_CONTROL = re.compile(f"[{CONTROL}]")
"""A line end would begin another assignment."""


class ServiceManager:
    """Sends notifications to the socket ``address``, or nowhere if that is empty.

    ``watchdog`` is the time in seconds within which the manager wants a sign of life, again and
    again; None if it does not.
    """

    def __init__(self, address: str = "", *, watchdog: float | None = None) -> None:
        self._address = address
        self.watchdog = watchdog if address else None
        self._status = ""

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str]) -> ServiceManager:
        """Return the manager that has started this process.

        The variables are removed: programs that a daemon starts are no service of their own.
        """
        address = environment.pop("NOTIFY_SOCKET", "")
        microseconds = environment.pop("WATCHDOG_USEC", "")
        process = environment.pop("WATCHDOG_PID", "")
        mine = process in ("", str(os.getpid()))
        wanted = microseconds.isascii() and microseconds.isdigit() and int(microseconds) > 0
        return cls(address, watchdog=int(microseconds) / 1e6 if mine and wanted else None)

    def ready(self) -> None:
        """Say that the daemon serves, or has taken its new files.

        With its process id: a daemon that went into the background is not the process that the
        manager has started.
        """
        self._send(f"READY=1\nMAINPID={os.getpid()}")

    def reloading(self) -> None:
        """Say that the daemon takes its files anew; ``ready`` says that it has."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Say that the daemon ends."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """Say that the daemon is well: the sign of life that ``watchdog`` is about."""
        # Without waiting: a sign of life that is late is worth nothing, and the next one follows.
        self._send("WATCHDOG=1", timeout=0)

    def status(self, text: str) -> None:
        """Say in one line what the daemon does, for ``systemctl status``; only if it is new."""
        if text != self._status and self._send(f"STATUS={_CONTROL.sub(' ', text)}"):
            self._status = text

    def _send(self, message: str, timeout: float = SEND_TIMEOUT) -> bool:
        # A leading @ stands for the NUL of an abstract socket.
        address = re.sub("^@", "\0", self._address)
        if not address.startswith(("/", "\0")):
            return False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
                sending.settimeout(timeout)
                sending.sendto(message.encode(errors="backslashreplace"), address)
        except OSError:
            return False
        return True
