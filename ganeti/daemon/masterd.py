# SPDX-License-Identifier: BSD-2-Clause
"""``ganeti-masterd``: owns the configuration and the job queue, and runs jobs on the nodes."""

from __future__ import annotations

import sys
from argparse import SUPPRESS, Namespace
from collections.abc import Awaitable, Sequence

from ganeti.bootstrap import accounts
from ganeti.bootstrap.daemons import MASTERD
from ganeti.daemon.process.options import parser
from ganeti.daemon.process.service import DaemonProgram, run
from ganeti.daemon.process.services import Daemon
from ganeti.paths import NODED_PORT, Paths, local_paths

SENDMAIL = "/usr/sbin/sendmail"
"""Where mail systems install their interface for programs (Filesystem Hierarchy Standard 3.0)."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code."""
    options = parser("ganeti-masterd", "The master daemon: runs the jobs of the cluster.")
    # What units do as root before they start this daemon or the remote API.
    options.add_argument("--prepare", action="store_true", help=SUPPRESS)
    options.add_argument(
        "--no-voting",
        action="store_true",
        help="start without the votes of most nodes; only safe if no other node is the master",
    )
    options.add_argument(
        "--take-over",
        action="store_true",
        help="become the master in place of another node; see gnt-cluster master-failover",
    )
    options.add_argument(
        "--take-vacant-role",
        action="store_true",
        help="become the master only if no other node is; for clusters whose state is in etcd",
    )
    options.add_argument(
        "--accept-loss",
        action="store_true",
        help="start even if this node's copy lacks acknowledged changes",
    )
    options.add_argument(
        "--node-port",
        type=int,
        default=NODED_PORT,
        help=f"the port of the node daemons; default: {NODED_PORT}",
    )
    options.add_argument(
        "--sendmail",
        metavar="PROGRAM",
        default=SENDMAIL,
        help=f"the program that sends the mail of notifications; default: {SENDMAIL}",
    )
    options.add_argument(
        "--wait",
        action="store_true",
        help="start when a line arrives on standard input, and end when it is closed",
    )
    chosen = options.parse_args(argv)
    if chosen.prepare:
        accounts.prepare(local_paths(), MASTERD)
        return 0
    if chosen.wait and not _wait():
        return 0
    return run(DaemonProgram("ganeti-masterd", "master-daemon", _start), chosen, local_paths())


def _start(daemon: Daemon, options: Namespace, paths: Paths) -> Awaitable[None]:
    # Imported here: the process that only waits for the daemon to start does not need it.
    from ganeti.daemon.master_services.start import start

    return start(daemon, options, paths)


def _wait() -> bool:
    """Load the modules, and wait; return whether to start."""
    from ganeti.daemon.master_services import start

    # The comparison is there for the import, which is only to load the module.
    return bool(sys.stdin.readline()) and start is not None


if __name__ == "__main__":
    sys.exit(main())
