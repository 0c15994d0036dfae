# SPDX-License-Identifier: BSD-2-Clause
"""``ganeti-masterd``: owns the configuration and the job queue, and runs jobs on the nodes."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Awaitable, Sequence

from ganeti.daemon.options import parser
from ganeti.daemon.service import DaemonProgram, run
from ganeti.daemon.services import Daemon
from ganeti.paths import NODED_PORT, Paths, local_paths


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code."""
    options = parser("ganeti-masterd", "The master daemon: runs the jobs of the cluster.")
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
    chosen = options.parse_args(argv)
    return run(DaemonProgram("ganeti-masterd", "master-daemon", _start), chosen, local_paths())


def _start(daemon: Daemon, options: Namespace, paths: Paths) -> Awaitable[None]:
    # Imported here: the process that only waits for the daemon to start does not need it.
    from ganeti.daemon.master_services import start

    return start(daemon, options, paths)


if __name__ == "__main__":
    sys.exit(main())
