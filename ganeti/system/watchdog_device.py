# SPDX-License-Identifier: BSD-2-Clause
"""The watchdog device of Linux, see Documentation/watchdog/watchdog-api.rst of the kernel."""

from __future__ import annotations

import fcntl
import os
import struct
from contextlib import suppress

DEVICE = "/dev/watchdog"

ATTRIBUTES = "/sys/class/watchdog"
"""Where the kernel shows the attributes of the devices, see ABI/testing/sysfs-class-watchdog."""

TIMEOUT = 10
"""The time-out that is requested, in seconds; a device may have another one."""

_INT = struct.Struct("i")
# _IOWR('W', 6, int) and _IOR('W', 7, int) of linux/watchdog.h
_SET_TIMEOUT, _GET_TIMEOUT = 0xC0045706, 0x80045707
_ORDERLY = b"V"
"""Closing the device after this byte disarms it, unless its driver has the option *nowayout*."""


class LinuxWatchdogDevice:
    """A device that resets the host; ``timeout`` is its time-out in seconds while it is armed.

    ``stays_armed`` is whether its driver has the option *nowayout*, which the folder ``attributes``
    tells. A kernel that does not tell it is taken to have no such option.
    """

    def __init__(self, path: str = DEVICE, attributes: str = ATTRIBUTES) -> None:
        self._path = path
        self._attributes = attributes
        self._descriptor: int | None = None
        self.timeout = TIMEOUT
        self.stays_armed = False

    @property
    def armed(self) -> bool:
        return self._descriptor is not None

    def arm(self) -> None:
        if self._descriptor is not None:
            return
        # Opening it starts the countdown.
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
        # At once, so that ``disarm`` can stop the countdown that has begun.
        self._descriptor = descriptor
        self.stays_armed = self._read_nowayout()
        with suppress(OSError):  # some devices have a fixed time-out
            fcntl.ioctl(descriptor, _SET_TIMEOUT, _INT.pack(TIMEOUT))
        try:
            (self.timeout,) = _INT.unpack(fcntl.ioctl(descriptor, _GET_TIMEOUT, _INT.pack(0)))
        except OSError:
            self.disarm()
            raise

    def _read_nowayout(self) -> bool:
        # /dev/watchdog is /dev/watchdog0.
        number = self._path.rpartition("watchdog")[2] or "0"
        try:
            with open(f"{self._attributes}/watchdog{number}/nowayout", encoding="ascii") as file:
                return file.read().strip() == "1"
        except OSError:
            return False

    def keep_alive(self) -> None:
        if self._descriptor is not None:
            os.write(self._descriptor, b"\0")

    def disarm(self) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            try:
                os.write(descriptor, _ORDERLY)
            finally:
                os.close(descriptor)


class NoWatchdogDevice:
    """A host whose administrator uses no device."""

    timeout = 0
    armed = False
    stays_armed = False

    def arm(self) -> None:
        raise FileNotFoundError("no watchdog device is used")

    def keep_alive(self) -> None:
        """Do nothing: it is never armed."""

    def disarm(self) -> None:
        """Do nothing: it is never armed."""
