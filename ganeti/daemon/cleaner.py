# SPDX-License-Identifier: BSD-2-Clause
"""``ganeti-cleaner``: removes outdated files; run once a day by cron or a systemd timer."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser
from collections.abc import Sequence

from ganeti import __version__
from ganeti.daemon.process.cron_log import log_of
from ganeti.paths import local_paths
from ganeti.upkeep.cleaner import clean

PROGRAM = "ganeti-cleaner"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code."""
    options = ArgumentParser(prog=PROGRAM, description="Remove outdated files of this node.")
    options.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    options.add_argument("-d", "--debug", action="store_true", help="log debug messages")
    options.add_argument(
        "what",
        nargs="?",
        choices=("node", "master"),
        help="clean only files of the node, or of the master; default: both",
    )
    chosen = options.parse_args(argv)
    paths = local_paths()
    log = log_of(paths, "cleaner", debug=chosen.debug)
    node, master = chosen.what != "master", chosen.what != "node"
    clean(paths, time.time(), log, node=node, master=master)
    return 0


if __name__ == "__main__":
    sys.exit(main())
