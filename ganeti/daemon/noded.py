# SPDX-License-Identifier: BSD-2-Clause
"""``ganeti-noded``: the node's side of the cluster; starts guests, makes disks, keeps copies."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Awaitable, Sequence

from ganeti.daemon.options import add_address, parser, port_number
from ganeti.daemon.service import NODE_SETUP, DaemonProgram, run
from ganeti.daemon.services import Daemon
from ganeti.errors import GanetiError
from ganeti.paths import METRICS_PORT, NODED_PORT, Paths, name_of_this_node, of_this_node


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; its exit code."""
    options = parser("ganeti-noded", "The node daemon: does on this host what the master asks.")
    add_address(options, NODED_PORT)
    options.add_argument(
        "--metrics-bind",
        metavar="ADDRESS",
        help="where /metrics is served to Prometheus without a login; default: on this host only",
    )
    options.add_argument(
        "--metrics-port",
        type=port_number,
        metavar="PORT",
        default=METRICS_PORT,
        help=f"0 serves no metrics; default: {METRICS_PORT}",
    )
    options.add_argument(
        "--join",
        metavar="FILE",
        help="become a node of the cluster that gave out the token in this file; - reads the token"
        " from standard input",
    )
    options.add_argument(
        "--rejoin",
        action="store_true",
        help="with --join: although this host has a certificate of that cluster, which has"
        " expired, say",
    )
    chosen = options.parse_args(argv)
    paths = of_this_node()
    if chosen.join is not None:
        from ganeti.bootstrap.join_cluster import join

        try:
            join(_token(chosen.join), paths, name_of_this_node(), again=chosen.rejoin)
        except (GanetiError, OSError) as e:
            print(f"ganeti-noded: {e}", file=sys.stderr)
            return NODE_SETUP
    return run(DaemonProgram("ganeti-noded", "node-daemon", _start), chosen, paths)


def _token(place: str) -> str:
    """The token in a file: on a command line everybody on this host could read it."""
    if place == "-":
        return sys.stdin.read().strip()
    with open(place, encoding="utf-8") as file:
        return file.read().strip()


def _start(daemon: Daemon, options: Namespace, paths: Paths) -> Awaitable[None]:
    # Here and not above: the process that only waits for the daemon to listen needs none of it.
    from ganeti.daemon.node_services import start

    return start(daemon, options, paths)


if __name__ == "__main__":
    sys.exit(main())
