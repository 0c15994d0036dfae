# SPDX-License-Identifier: BSD-2-Clause
"""Notifications to systemd, or another service manager: sd_notify(3)."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import MutableMapping

from ganeti.schema.types import CONTROL

SEND_TIMEOUT = 5.0
"""How long a notification may block if the manager does not read, in seconds; then it is
dropped."""

_CONTROL = re.compile(f"[{CONTROL}]")
"""A newline would start another assignment."""


class ServiceManager:
    """Sends notifications to the socket ``address``, or nothing if it is empty.

    ``watchdog`` is the interval in seconds within which the manager expects a keep-alive; None if
    it expects none.
    """

    def __init__(self, address: str = "", *, watchdog: float | None = None) -> None:
        self._address = address
        self.watchdog = watchdog if address else None
        self._status = ""

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str]) -> ServiceManager:
        """Return the service manager of this process.

        The variables are removed from the environment, as child processes are not services.
        """
        address = environment.pop("NOTIFY_SOCKET", "")
        microseconds = environment.pop("WATCHDOG_USEC", "")
        process = environment.pop("WATCHDOG_PID", "")
        # The variables may be those of the parent process, see sd_watchdog_enabled(3).
        mine = process in ("", str(os.getpid()))
        wanted = microseconds.isascii() and microseconds.isdigit() and int(microseconds) > 0
        return cls(address, watchdog=int(microseconds) / 1e6 if mine and wanted else None)

    def ready(self) -> None:
        """Notify that the daemon is ready, or has completed a reload.

        MAINPID is included, as a daemon that forks is not the process that the manager started.
        """
        self._send(f"READY=1\nMAINPID={os.getpid()}")

    def reloading(self) -> None:
        """Notify that the daemon reloads its files; ``ready`` ends the reload."""
        # ``Type=notify-reload`` of systemd requires the time (sd_notify(3)).
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Notify that the daemon is stopping."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """Send the keep-alive of the watchdog."""
        # Do not wait: the next one follows soon.
        self._send("WATCHDOG=1", timeout=0)

    def status(self, text: str) -> None:
        """Send a one-line status for ``systemctl status``, if it has changed."""
        if text != self._status and self._send(f"STATUS={_CONTROL.sub(' ', text)}"):
            self._status = text

    def _send(self, message: str, timeout: float = SEND_TIMEOUT) -> bool:
        # A leading @ stands for the NUL of an abstract socket, see unix(7).
        address = re.sub("^@", "\0", self._address)
        if not address.startswith(("/", "\0")):
            return False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
                sending.settimeout(timeout)
                sending.sendto(message.encode(errors="backslashreplace"), address)
        # A daemon works without its service manager, so that a lost message must not end it.
        except OSError:
            return False
        return True
