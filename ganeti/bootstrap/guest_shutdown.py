# SPDX-License-Identifier: BSD-2-Clause
"""Shutdown of all guests of this host, for that of the host; it needs no other daemon.

If it is wanted, the master is first asked to migrate them, by the node daemon.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from ganeti.paths import Paths

ANSWER = 10.0
"""Seconds that QEMU may take to answer."""

BUSY = 2.0
"""Seconds after which a monitor that does not answer is taken to be in use."""

QUIET = 30.0
"""Seconds without any migration after which no more is expected: the node daemon reports within
two seconds, and jobs of the same instances may have to end first."""

LOOK = 0.2
"""Seconds between two looks at which guests are left."""

ASK_INTERVAL = 5.0
"""Seconds after which a guest is asked again: one that boots ignores its power button."""


@dataclass(frozen=True)
class LocalGuest:
    """A guest that runs on this host: its name, process, pid file, and socket of its monitor."""

    name: str
    process: int
    pid_file: str
    monitor: str

    def alive(self) -> bool:
        """Return whether this QEMU is still running."""
        try:
            command = Path(f"/proc/{self.process}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            return False
        # The number may have been given to another process.
        return is_guest([os.fsdecode(each) for each in command.split(b"\0")], self.pid_file)


def is_guest(command: Sequence[str], pid_file: str) -> bool:
    """Return whether a command line is that of the QEMU which has written ``pid_file``.

    ``/run`` may have been given by another name.
    """
    wanted = ("-pidfile", pid_file.removeprefix("/var"))
    return any(
        (option, value.removeprefix("/var")) == wanted for option, value in pairwise(command)
    )


def find_guests(paths: Paths) -> list[LocalGuest]:
    """Return the QEMU guests that run on this host, by their pid files.

    Among them are guests that Ganeti has started before its cluster was taken over; see
    ``hypervisor.kvm.ganeti_guests``.
    """
    own, ganeti = Path(paths.run, "kvm", "control"), Path(paths.run, "kvm-hypervisor")
    files = [(file.stem, file, file.with_suffix(".qmp")) for file in sorted(own.glob("*.pid"))]
    for file in sorted(ganeti.glob("pid/*")):
        files.append((file.name, file, ganeti / "ctrl" / f"{file.name}.qmp"))
    found = []
    for name, file, monitor in files:
        try:
            guest = LocalGuest(name, int(file.read_bytes()), str(file), str(monitor))
        except (FileNotFoundError, ValueError):  # it has just ended, or is starting
            continue
        found += [guest] if guest.alive() else []
    return found


def press_power_button(monitor: str) -> None:
    """Ask the guest of a monitor to shut down (QMP's ``system_powerdown``).

    :raises OSError: if QEMU does not answer.
    """
    _execute(monitor, "system_powerdown", ANSWER)


def is_migrating(guest: LocalGuest) -> bool:
    """Return whether a guest is being migrated (QMP's ``query-migrate``)."""
    try:
        line = _execute(guest.monitor, "query-migrate", BUSY)
        status = json.loads(line).get("return", {}).get("status")
    except TimeoutError:
        # The node daemon has its monitor all the time while it migrates a guest.
        return True
    except (OSError, ValueError, AttributeError):
        return False
    return status not in (None, "none", "failed", "cancelled")


def _execute(monitor: str, command: str, timeout: float) -> bytes:
    """Run a command of QMP; return the line after it, which is its answer or an event."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout)
        connection.connect(monitor)
        with connection.makefile("rwb") as lines:
            lines.readline()  # the greeting
            # QEMU rejects commands before the capabilities are negotiated.
            for each in ("qmp_capabilities", command):
                lines.write(json.dumps({"execute": each}).encode() + b"\n")
                lines.flush()
                line = lines.readline()
    return line


def migrate_guests(paths: Paths, timeout: float, write: Callable[[str], None] = print) -> None:
    """Ask the master to migrate all guests away; wait until they are gone, or nothing happens.

    The node daemon tells the master that the marker is there. It stays, so that no guest is
    expected back here before the host has been booted again.

    :raises OSError: the marker cannot be written.
    """
    left = find_guests(paths)
    if not left:
        return
    Path(paths.stop_marker).touch()
    write(
        f"the master is asked to migrate all guests ({len(left)}), for {timeout:g} seconds at most"
    )
    deadline = time.monotonic() + timeout
    quiet_since = time.monotonic()
    while left and (now := time.monotonic()) < deadline and now < quiet_since + QUIET:
        time.sleep(LOOK)
        remaining = [guest for guest in left if guest.alive()]
        if len(remaining) < len(left) or any(map(is_migrating, remaining)):
            quiet_since = time.monotonic()
        left = remaining
    for guest in left:
        write(f"instance {guest.name} was not migrated; the jobs of the cluster say why")


def shut_down_guests(paths: Paths, timeout: float, write: Callable[[str], None] = print) -> int:
    """Ask all guests to shut down; wait up to ``timeout`` seconds; return how many are left."""
    left = find_guests(paths)
    for guest in left:
        write(f"instance {guest.name} is asked to shut down")
    deadline, ask = time.monotonic() + timeout, 0.0
    while left:
        now = time.monotonic()
        if now >= ask:
            ask = now + ASK_INTERVAL
            for guest in left:
                _ask(guest, write)
        if now >= deadline:
            break
        time.sleep(LOOK)
        left = [guest for guest in left if guest.alive()]
    for guest in left:
        write(f"instance {guest.name} has not shut down within {timeout:g} seconds")
    return len(left)


def _ask(guest: LocalGuest, write: Callable[[str], None]) -> None:
    try:
        press_power_button(guest.monitor)
    except OSError as e:
        # A guest that has ended in the meantime need not be asked.
        if guest.alive():
            write(f"instance {guest.name} cannot be asked: {e}")
