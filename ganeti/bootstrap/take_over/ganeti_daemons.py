# SPDX-License-Identifier: BSD-2-Clause
"""The daemons of Ganeti on this host, which must not run when its cluster is taken over."""

from __future__ import annotations

from collections.abc import Callable

from ganeti.errors import Code, Refused

DAEMONS = (
    *("ganeti-masterd", "ganeti-wconfd", "ganeti-luxid", "ganeti-rapi", "ganeti-confd"),
    *("ganeti-mond", "ganeti-metad", "ganeti-kvmd", "ganeti-noded"),
)
"""The daemons of all versions."""

STOP = (
    "systemctl stop ganeti.target ganeti.service, or /etc/init.d/ganeti stop, and remove"
    " /etc/cron.d/ganeti, which starts them again; guests continue"
)
"""How to stop them."""

FindProcess = Callable[[str], int | None]
"""Returns the process ID in a pid file if that process is a daemon of Ganeti, else None."""


def find_daemon(pid_file: str) -> int | None:
    """Return the process ID in a pid file if that process is a daemon of Ganeti, else None."""
    try:
        with open(pid_file, encoding="ascii") as file:
            pid = int(file.read())
        # The number may have been given to another process.
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return pid if b"ganeti" in file.read() else None
    except (OSError, ValueError):
        return None


def list_running(run: str, find: FindProcess = find_daemon) -> list[str]:
    """Return the daemons that are running, by the pid files in the folder ``run``."""
    found = ((name, find(f"{run}/{name}.pid")) for name in DAEMONS)
    return [f"{name} (process {pid})" for name, pid in found if pid is not None]


def require_stopped(run: str) -> None:
    """Check that no daemon is running.

    :raises Refused: one is; the message says how to stop it.
    """
    if running := list_running(run):
        raise Refused(
            f"daemons of Ganeti are running on this node: {', '.join(running)}; stop them: {STOP}",
            Code.STATE,
        )
