# SPDX-License-Identifier: BSD-2-Clause
"""``ganeti-masterd``: owns the configuration and the job queue, and asks the nodes."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Awaitable, Sequence

from ganeti.daemon.options import parser
from ganeti.daemon.service import DaemonProgram, run
from ganeti.daemon.services import Daemon
from ganeti.paths import NODED_PORT, Paths, of_this_node


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; its exit code."""
    options = parser("ganeti-masterd", "The master daemon: runs the jobs of the cluster.")
    options.add_argument(
        "--no-voting",
        action="store_true",
        help="begin even if most nodes do not answer; only if no other node is the master",
    )
    options.add_argument(
        "--take-over",
        action="store_true",
        help="become the master instead of another node; see gnt-cluster master-failover",
    )
    options.add_argument(
        "--accept-loss",
        action="store_true",
        help="begin even if acknowledged changes are missing from this node's copy",
    )
    options.add_argument(
        "--node-port",
        type=int,
        default=NODED_PORT,
        help=f"where the node daemons listen; default: {NODED_PORT}",
    )
    chosen = options.parse_args(argv)
    return run(DaemonProgram("ganeti-masterd", "master-daemon", _start), chosen, of_this_node())


def _start(daemon: Daemon, options: Namespace, paths: Paths) -> Awaitable[None]:
    # Here and not above: the process that only waits for the daemon to listen needs none of it.
    from ganeti.daemon.master_services import start

    return start(daemon, options, paths)


if __name__ == "__main__":
    sys.exit(main())
