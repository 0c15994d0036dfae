# SPDX-License-Identifier: BSD-2-Clause
"""A watchdog device in memory, which counts how often it was opened and kept alive."""

from __future__ import annotations


class MemoryWatchdogDevice:
    """A device; ``error`` is raised when it is armed.

    If it ``stays_armed``, disarming it is an error: the real one would reset the host.
    """

    timeout = 10

    def __init__(self, error: OSError | None = None, *, stays_armed: bool = False) -> None:
        self.error = error
        self.stays_armed = stays_armed
        self.armed = False
        self.opened = self.kept_alive = 0

    def arm(self) -> None:
        if self.error is not None:
            raise self.error
        self.opened += 1
        self.armed = True

    def keep_alive(self) -> None:
        self.kept_alive += 1

    def disarm(self) -> None:
        if self.stays_armed:
            raise AssertionError("the host is reset, as its device cannot be disarmed")
        self.armed = False
