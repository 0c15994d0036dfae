# SPDX-License-Identifier: BSD-2-Clause
"""Removal of the cluster from its last node."""

from __future__ import annotations

import os
import shutil
import signal
import time
from contextlib import suppress

from ganeti.errors import Failed
from ganeti.paths import Paths
from ganeti.system.pidfile import holder, signal_holder


def leave_cluster(paths: Paths, *, patience: float = 30.0) -> list[str]:
    """Stop the daemons of this node and remove its cluster files; return what was done.

    Exports, disks, logs and the users of the remote API stay.

    :raises Failed: a daemon does not end.
    """
    done = []
    # The member of etcd last: the node daemon would start it again.
    for daemon in ("ganeti-rapi", "ganeti-masterd", "ganeti-noded", "ganeti-etcd"):
        if stop_daemon(f"{paths.run}/{daemon}.pid", daemon, patience):
            done.append(f"{daemon} was stopped")
    last = [os.path.basename(path) for path in (paths.config_file, paths.node_certificate)]
    stays = [os.path.basename(path) for path in (os.path.dirname(paths.rapi_users), paths.exports)]
    names = [name for name in sorted(os.listdir(paths.data)) if name not in (*last, *stays)]
    # The files that mark a cluster are removed last, so that an incomplete removal is detected.
    for name in (*names, *last):
        path = f"{paths.data}/{name}"
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            with suppress(FileNotFoundError):
                os.unlink(path)
    done.append(f"configuration, journal, queue and keys were removed from {paths.data}")
    return done


def stop_daemon(pid_file: str, daemon: str, patience: float) -> bool:
    """Stop a running daemon, which holds a lock on its pid file; return whether it was running."""
    until = time.monotonic() + patience
    asked = False
    # A process that ends releases its lock, even if it was killed and has left the file.
    while (pid := holder(pid_file)) is not None:
        asked = asked or signal_holder(pid_file, signal.SIGTERM)
        if time.monotonic() > until:
            raise Failed(f"{daemon} (process {pid}) does not end; stop it, then repeat the command")
        time.sleep(0.02)
    return asked
