# SPDX-License-Identifier: BSD-2-Clause
"""A cluster ends: its last node is nobody's any more."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import time
from contextlib import suppress

from ganeti.errors import Failed
from ganeti.paths import Paths


def dismantle(paths: Paths, *, patience: float = 30.0) -> list[str]:
    """End the daemons of this node and remove what made it part of a cluster; says what it did.

    Exports, disks, logs and the users of the remote API stay.

    :raises Failed: a daemon does not end.
    """
    done = []
    for daemon in ("ganeti-rapi", "ganeti-masterd", "ganeti-noded"):
        if _ended(f"{paths.run}/{daemon}.pid", daemon, patience):
            done.append(f"{daemon} was stopped")
    last = [os.path.basename(path) for path in (paths.config_file, paths.node_certificate)]
    stays = [os.path.basename(path) for path in (os.path.dirname(paths.rapi_users), paths.exports)]
    names = [name for name in sorted(os.listdir(paths.data)) if name not in (*last, *stays)]
    # What says that there is a cluster goes last, so that this can be seen to be unfinished.
    for name in (*names, *last):
        path = f"{paths.data}/{name}"
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            with suppress(FileNotFoundError):
                os.unlink(path)
    done.append(f"configuration, journal, queue and keys were removed from {paths.data}")
    return done


def _ended(pid_file: str, daemon: str, patience: float) -> bool:
    """Whether a daemon ran that does not any more: it holds a lock on its file while it does."""
    until = time.monotonic() + patience
    asked = False
    while True:
        try:
            with open(pid_file, encoding="ascii") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                    return asked
                except BlockingIOError:
                    pid = file.read().strip()
        except FileNotFoundError:
            return asked
        if not asked and pid.isdigit():
            os.kill(int(pid), signal.SIGTERM)
            asked = True
        if time.monotonic() > until:
            raise Failed(f"{daemon}, process {pid}, does not end; stop it, and do this again")
        time.sleep(0.02)
