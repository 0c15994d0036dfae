# SPDX-License-Identifier: BSD-2-Clause
"""``ganeti-noded``: manages guests, disks and files of a node on behalf of the master."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Awaitable, Sequence

from ganeti.bootstrap.daemons import NODED
from ganeti.bootstrap.units import SYSTEMD
from ganeti.daemon.process.options import add_address_options, parse_port, parser
from ganeti.daemon.process.service import NODE_SETUP, DaemonProgram, run
from ganeti.daemon.process.services import Daemon
from ganeti.errors import Failed, GanetiError
from ganeti.paths import METRICS_PORT, NODED_PORT, Paths, local_node_name, local_paths


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code."""
    options = parser(
        "ganeti-noded", "The node daemon: carries out the master's calls on this host."
    )
    add_address_options(options, NODED_PORT)
    options.add_argument(
        "--metrics-bind",
        metavar="ADDRESS",
        help="the address on which /metrics is served, without authentication; default: this host"
        " only",
    )
    options.add_argument(
        "--metrics-port",
        type=parse_port,
        metavar="PORT",
        default=METRICS_PORT,
        help=f"the port of /metrics; 0 disables it; default: {METRICS_PORT}",
    )
    options.add_argument(
        "--metrics-guests",
        action="store_true",
        help="add what each guest uses to /metrics, with its name; plots of more than four hours"
        " need it",
    )
    options.add_argument(
        "--join",
        metavar="FILE",
        help="join the cluster that issued the token in this file; - reads the token from standard"
        " input",
    )
    options.add_argument(
        "--rejoin",
        action="store_true",
        help="with --join: replace an existing certificate of the same cluster, for example an"
        " expired one, or put the files of Ganeti aside whose cluster was taken over",
    )
    options.add_argument(
        "--shut-down-guests",
        type=float,
        metavar="SECONDS",
        help="ask all guests on this host to shut down, wait for so long at most, and exit; the"
        " exit code is 1 if one still runs",
    )
    options.add_argument(
        "--migrate-guests",
        type=float,
        metavar="SECONDS",
        default=0.0,
        help="with --shut-down-guests: have the master migrate the guests first, and wait for so"
        " long at most; without it, they are not migrated",
    )
    chosen = options.parse_args(argv)
    paths = local_paths()
    if chosen.shut_down_guests is not None:
        return _end_guests(paths, chosen.migrate_guests, chosen.shut_down_guests)
    if chosen.join is not None:
        from ganeti.bootstrap.join_cluster import join

        try:
            join(_read_token(chosen.join), paths, local_node_name(), again=chosen.rejoin)
        except (GanetiError, OSError) as e:
            print(f"ganeti-noded: {e}", file=sys.stderr)
            return NODE_SETUP
        if _is_plain(options, chosen) and SYSTEMD.manages(paths, NODED):
            return _start_unit()
    return run(DaemonProgram("ganeti-noded", "node-daemon", _start), chosen, paths)


def _is_plain(options: ArgumentParser, chosen: Namespace) -> bool:
    """Return whether no options are given that the daemon would have from its unit."""
    joining = {"join": None, "rejoin": False}
    return vars(chosen) | joining == vars(options.parse_args([]))


def _start_unit() -> int:
    """Let the service manager start the daemon of a node that has joined."""
    try:
        SYSTEMD.start(NODED)
    except Failed as e:
        print(f"{NODED}: {e}", file=sys.stderr)
        return NODE_SETUP
    return 0


def _end_guests(paths: Paths, migrate: float, shut_down: float) -> int:
    """Have no guest run here any more; return the exit code."""
    from ganeti.bootstrap.guest_shutdown import migrate_guests, shut_down_guests

    if migrate > 0:
        try:
            migrate_guests(paths, migrate)
        except OSError as e:
            print(f"ganeti-noded: the guests are not migrated: {e}", file=sys.stderr)
    return min(1, shut_down_guests(paths, shut_down))


def _read_token(place: str) -> str:
    """Return the token in a file; on a command line, all users of this host could read it."""
    if place == "-":
        return sys.stdin.read().strip()
    with open(place, encoding="utf-8") as file:
        return file.read().strip()


def _start(daemon: Daemon, options: Namespace, paths: Paths) -> Awaitable[None]:
    # Imported here: the process that only waits for the daemon to start does not need it.
    from ganeti.daemon.node_services.start import start

    return start(daemon, options, paths)


if __name__ == "__main__":
    sys.exit(main())
