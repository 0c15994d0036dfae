# SPDX-License-Identifier: BSD-2-Clause
"""``ganeti-cleaner``: run by cron or a timer once a day, it removes what nobody needs any more."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser
from collections.abc import Sequence

from ganeti import __version__
from ganeti.daemon.cron_log import log_of
from ganeti.paths import of_this_node
from ganeti.upkeep.cleaner import clean

PROGRAM = "ganeti-cleaner"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; its exit code."""
    options = ArgumentParser(prog=PROGRAM, description="Removes what nobody needs any more.")
    options.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    options.add_argument("-d", "--debug", action="store_true", help="log every detail")
    options.add_argument(
        "what",
        nargs="?",
        choices=("node", "master"),
        help="only what belongs to a node, or to the master; default: both",
    )
    chosen = options.parse_args(argv)
    paths = of_this_node()
    log = log_of(paths, "cleaner", debug=chosen.debug)
    node, master = chosen.what != "master", chosen.what != "node"
    clean(paths, time.time(), log, node=node, master=master)
    return 0


if __name__ == "__main__":
    sys.exit(main())
