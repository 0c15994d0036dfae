# SPDX-License-Identifier: BSD-2-Clause
"""The watchdog of a node: ends everything that runs on it when the lease of its guests has ended.

It is a process of its own, so that the guests end even if the node daemon hangs or does not run. It
keeps the watchdog device of the host from resetting it as long as there is a lease. If this process
dies, or the kernel hangs, the device resets the host.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Protocol

import msgspec
from twisted.logger import Logger

from ganeti.hypervisor.interfaces import IHypervisor
from ganeti.model.failover import GuardKind
from ganeti.node.guest_kill import kill_guests
from ganeti.node.guest_lease import (
    LEASE_NOTE,
    WATCHDOG_NOTE,
    LeaseNote,
    WatchdogNote,
    read_note,
)
from ganeti.system.interfaces import IStateFiles

INTERVAL = 0.5
"""Seconds between two looks at the lease."""

NO_DEVICE = "this host has no watchdog device; load a driver, for example: modprobe softdog"


class WatchdogDevice(Protocol):
    """A device that resets the host unless it is kept from that within its time-out."""

    timeout: int
    """The time-out in seconds, known while it is armed."""

    stays_armed: bool
    """Whether its driver does not let it be disarmed (*nowayout*), known while it is armed."""

    @property
    def armed(self) -> bool:
        """Whether it will reset the host."""
        ...

    def arm(self) -> None:
        """Begin; the host is reset unless ``keep_alive`` is called in time.

        :raises OSError: there is no such device, or another program has opened it.
        """
        ...

    def keep_alive(self) -> None:
        """Put the reset off."""
        ...

    def disarm(self) -> None:
        """End in an orderly way, without a reset."""
        ...


class Watchdog:
    """Looks at the lease with each ``tick``.

    ``hypervisors`` finds the guests that run on this host now, however they were started.
    """

    _log = Logger()

    def __init__(
        self,
        notes: IStateFiles,
        device: WatchdogDevice,
        hypervisors: Callable[[], Mapping[str, IHypervisor]],
        *,
        uptime: Callable[[], float],
        boot_id: Callable[[], str],
    ) -> None:
        self._notes = notes
        self._device = device
        self._hypervisors = hypervisors
        self._uptime = uptime
        self._boot_id = boot_id
        self._problem = ""
        self._drivers_loaded = False
        before = read_note(notes, WATCHDOG_NOTE, WatchdogNote)
        self._left_armed = (
            before is not None and before.boot_id == boot_id() and before.guard is GuardKind.DEVICE
        )

    async def tick(self) -> None:
        """Keep the device from resetting the host, or end the guests.

        :raises OSError: a note cannot be read or written. The device is then not kept alive.
        """
        note = read_note(self._notes, LEASE_NOTE, LeaseNote)
        here = note is not None and note.boot_id == self._boot_id()
        if note is None or not here or not note.protected:
            self._release()
        elif self._uptime() < note.end:
            self._keep_alive()
            self._load_drivers()
        else:
            await self._end_guests()
        # Last: the beat also tells that everything before it has worked.
        self._write_note()

    def stop(self) -> None:
        """End without the device, unless it guards guests: then the host is reset.

        A watchdog that is started again in time prevents that.
        """
        note = read_note(self._notes, LEASE_NOTE, LeaseNote)
        if not self._device.armed:
            return
        protected = note is not None and note.protected
        if not protected and not self._device.stays_armed:
            self._device.disarm()
            return
        self._log.warn(
            "the host is reset in {seconds} seconds unless the watchdog is started again; to"
            " stop it without that, {advice} before",
            seconds=self._device.timeout,
            advice="put the node into maintenance"
            if not self._device.stays_armed
            else "load the driver of the device without its option nowayout",
        )

    def _release(self) -> None:
        """Let the host run on, as nothing has to be ended: disarm the device, or keep it alive."""
        if self._left_armed and not self._device.armed:
            # By an earlier process, which was killed, or could not disarm it.
            with suppress(OSError):
                self._device.arm()
        self._left_armed = False
        if self._device.armed and self._device.stays_armed:
            self._device.keep_alive()
        elif self._device.armed:
            self._device.disarm()

    def _keep_alive(self) -> None:
        if self._device.armed:
            self._device.keep_alive()
            return
        try:
            self._device.arm()
        except FileNotFoundError:
            self._report_problem(NO_DEVICE)
        except OSError as e:
            self._report_problem(f"the watchdog device cannot be used: {e}")
        else:
            self._problem = ""

    def _load_drivers(self) -> None:
        """Load all code that ends guests: the disk that it is on may hang when it is needed."""
        if not self._drivers_loaded:
            for hypervisor in self._hypervisors().values():
                hypervisor.present()
            self._drivers_loaded = True

    def _report_problem(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            self._log.warn("{problem}", problem=problem)

    async def _end_guests(self) -> None:
        # An armed device resets the host if this does not succeed in time.
        if not await kill_guests(self._hypervisors()):
            # Nothing is left, and the node daemon starts nothing without a lease.
            self._release()

    def _write_note(self) -> None:
        armed = self._device.armed
        note = WatchdogNote(
            boot_id=self._boot_id(),
            beat=self._uptime(),
            guard=GuardKind.DEVICE if armed else GuardKind.PROCESS,
            timeout=self._device.timeout if armed else 0,
            problem=self._problem,
        )
        self._notes.put(WATCHDOG_NOTE, msgspec.json.encode(note))
