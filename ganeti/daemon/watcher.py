# SPDX-License-Identifier: BSD-2-Clause
"""``ganeti-watcher``: run by cron or a timer on every node, it starts again what should run."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Sequence

from ganeti import __version__
from ganeti.daemon.cron_log import log_of
from ganeti.errors import Refused
from ganeti.luxi.client import LuxiClient
from ganeti.paths import name_of_this_node, of_this_node
from ganeti.system.pidfile import PidFile
from ganeti.upkeep.watcher import SUCCESS, WatcherDependencies, watch

PROGRAM = "ganeti-watcher"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; its exit code."""
    options = ArgumentParser(prog=PROGRAM, description="Starts again what should run.")
    options.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    options.add_argument("-d", "--debug", action="store_true", help="log every detail")
    options.add_argument(
        "-A",
        "--job-age",
        type=int,
        metavar="SECONDS",
        default=6 * 3600,
        help="archive jobs that ended so long ago; default: 6 hours",
    )
    options.add_argument(
        "--ignore-pause", action="store_true", help="act although the watcher is paused"
    )
    options.add_argument(
        "--no-verify-disks",
        dest="verify_disks",
        action="store_false",
        help="do not look for mirrored disks that are not active",
    )
    options.add_argument(
        "--wait-children",
        dest="wait",
        action="store_true",
        help="wait until the jobs that it submits have ended, and log those that fail",
    )
    options.add_argument(
        "--no-wait-children",
        dest="wait",
        action="store_false",
        help="do not wait for them, which is the default",
    )
    options.add_argument(
        "--rapi-ip", metavar="ADDRESS", help="accepted: whether the daemon runs is seen otherwise"
    )
    options.add_argument(
        "--no-strict", action="store_true", help="accepted: nodes that are busy are not waited for"
    )
    chosen = options.parse_args(argv)
    paths = of_this_node()
    log = log_of(paths, "watcher", debug=chosen.debug)
    alone = PidFile(f"{paths.run}/{PROGRAM}.pid", PROGRAM)
    try:
        alone.take()
    except Refused as e:
        log.info("%s", e)
        return SUCCESS
    try:
        return watch(
            WatcherDependencies(
                paths=paths,
                name=name_of_this_node(),
                connect=lambda: LuxiClient(paths.query_socket),
                log=log,
                job_age=chosen.job_age,
                ignore_pause=chosen.ignore_pause,
                verify_disks=chosen.verify_disks,
                wait=chosen.wait,
            )
        )
    finally:
        alone.give_back()


if __name__ == "__main__":
    sys.exit(main())
