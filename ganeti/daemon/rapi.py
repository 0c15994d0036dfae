# SPDX-License-Identifier: BSD-2-Clause
"""``ganeti-rapi``: the remote API over HTTP, a client of the master daemon on the same node."""

from __future__ import annotations

import sys
from argparse import SUPPRESS, ArgumentTypeError, Namespace
from collections.abc import Awaitable, Sequence
from typing import Any

from ganeti.daemon.options import add_address, parser
from ganeti.daemon.service import Program, Running, run
from ganeti.paths import RAPI_PORT, Paths, of_this_node

MOST_CLIENTS = 4000
MOST_WORKERS = 64


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; its exit code."""
    options = parser("ganeti-rapi", "The remote API: serves HTTP requests on the master node.")
    add_address(options, RAPI_PORT)
    options.add_argument("--no-ssl", action="store_true", help="serve without TLS")
    options.add_argument(
        "-K", "--ssl-key", metavar="FILE", help="the key; default: rapi.pem among the node's data"
    )
    options.add_argument(
        "-C", "--ssl-cert", metavar="FILE", help="the certificate; default: as the key"
    )
    options.add_argument(
        "--require-authentication", action="store_true", help="want a login for reading, too"
    )
    options.add_argument(
        "--max-clients",
        type=int,
        metavar="N",
        default=MOST_CLIENTS,
        help=f"how many connections are open at once; default: {MOST_CLIENTS}",
    )
    options.add_argument(
        "--workers",
        type=_count,
        metavar="N",
        default=1,
        help="how many processes serve; each takes some 25 MiB; default: 1",
    )
    options.add_argument("--worker", type=int, help=SUPPRESS)
    options.add_argument("-i", "--interface", help=_IGNORED)
    chosen = options.parse_args(argv)
    chosen.arguments = list(sys.argv[1:] if argv is None else argv)
    name = "ganeti-rapi"
    if chosen.worker is not None:
        name, chosen.foreground = f"ganeti-rapi-worker-{chosen.worker}", True
    return run(Program(name, "rapi-daemon", _start), chosen, of_this_node())


def _count(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= MOST_WORKERS:
        raise ArgumentTypeError(f"must be a number from 1 to {MOST_WORKERS}")
    return int(text)


_IGNORED = "taken as other servers take it, and without effect; -b says where to listen"


def _start(reactor: Any, options: Namespace, paths: Paths) -> Awaitable[Running]:
    # Here and not above: the process that only waits for the daemon to listen needs none of it.
    from ganeti.daemon.remote_api import start

    return start(reactor, options, paths)


if __name__ == "__main__":
    sys.exit(main())
