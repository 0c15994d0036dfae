# SPDX-License-Identifier: BSD-2-Clause
"""``ganeti-watcher``: restarts instances and daemons; run on every node by cron or a systemd
timer."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Sequence

from ganeti import __version__
from ganeti.daemon.process.cron_log import log_of
from ganeti.errors import Refused
from ganeti.luxi.client import LuxiClient
from ganeti.paths import local_node_name, local_paths
from ganeti.system.pidfile import PidFile
from ganeti.upkeep.watcher import SUCCESS, WatcherDependencies, watch

PROGRAM = "ganeti-watcher"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code."""
    chosen = _create_parser().parse_args(argv)
    paths = local_paths()
    log = log_of(paths, "watcher", debug=chosen.debug)
    alone = PidFile(f"{paths.run}/{PROGRAM}.pid", PROGRAM)
    try:
        # Two at a time would submit the same jobs.
        alone.acquire()
    except Refused as e:
        log.info("%s", e)
        return SUCCESS
    try:
        return watch(
            WatcherDependencies(
                paths=paths,
                name=local_node_name(),
                connect=lambda: LuxiClient(paths.query_socket),
                log=log,
                job_age=chosen.job_age,
                ignore_pause=chosen.ignore_pause,
                verify_disks=chosen.verify_disks,
                wait=chosen.wait,
            )
        )
    finally:
        alone.release()


def _create_parser() -> ArgumentParser:
    options = ArgumentParser(
        prog=PROGRAM, description="Restart instances and daemons that should be running."
    )
    options.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    options.add_argument("-d", "--debug", action="store_true", help="log debug messages")
    options.add_argument(
        "-A",
        "--job-age",
        type=int,
        metavar="SECONDS",
        default=6 * 3600,
        help="archive jobs that ended longer ago than this; default: 6 hours",
    )
    options.add_argument(
        "--ignore-pause", action="store_true", help="run even if the watcher is paused"
    )
    options.add_argument(
        "--no-verify-disks",
        dest="verify_disks",
        action="store_false",
        help="do not check for inactive DRBD disks",
    )
    options.add_argument(
        "--wait-children",
        dest="wait",
        action="store_true",
        help="wait for the submitted jobs, and log those that fail",
    )
    options.add_argument(
        "--no-wait-children",
        dest="wait",
        action="store_false",
        help="do not wait for the submitted jobs (default)",
    )
    options.add_argument(
        "--rapi-ip", metavar="ADDRESS", help="accepted for compatibility, without effect"
    )
    options.add_argument(
        "--no-strict", action="store_true", help="accepted for compatibility, without effect"
    )
    return options


if __name__ == "__main__":
    sys.exit(main())
