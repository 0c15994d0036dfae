# SPDX-License-Identifier: BSD-2-Clause
"""``ganeti-watchdog``: ends the guests of a node that has lost the contact to its cluster."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Awaitable, Sequence

from ganeti.daemon.process.options import parser
from ganeti.daemon.process.service import DaemonProgram, run
from ganeti.daemon.process.services import Daemon
from ganeti.paths import Paths, local_paths
from ganeti.system.watchdog_device import DEVICE


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code."""
    paths = local_paths()
    options = parser(
        "ganeti-watchdog",
        "Ends the guests of this node, or resets it, when it has lost the contact to its cluster.",
    )
    options.add_argument(
        "--device",
        metavar="PATH",
        default="" if paths.root else DEVICE,
        help="the watchdog device that resets this host; an empty text uses none, which is weaker;"
        f" default: {DEVICE}, or none if several nodes share this host",
    )
    chosen = options.parse_args(argv)
    return run(DaemonProgram("ganeti-watchdog", "watchdog", _start), chosen, paths)


def _start(daemon: Daemon, options: Namespace, paths: Paths) -> Awaitable[None]:
    # Imported here: the process that only waits for the daemon to start does not need it.
    from ganeti.daemon.watchdog_services import start

    return start(daemon, options, paths)


if __name__ == "__main__":
    sys.exit(main())
