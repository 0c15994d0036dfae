# SPDX-License-Identifier: BSD-2-Clause
"""``ganeti-rapi``: the remote API over HTTP, on each master candidate, a client of the master."""

from __future__ import annotations

import sys
from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError
from collections.abc import Sequence
from ipaddress import ip_address

from ganeti.daemon.process.options import add_address_options, parser
from ganeti.daemon.process.service import DaemonProgram, run
from ganeti.daemon.rapi_services import prometheus
from ganeti.daemon.rapi_services.master_connector import WAIT
from ganeti.daemon.rapi_services.start import start
from ganeti.paths import NODED_PORT, RAPI_PORT, local_paths
from ganeti.rapi.site import MAX_CONNECTIONS

MAX_WORKERS = 64

_IGNORED_HELP = "taken as other servers take it, and without effect; -b says where to listen"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code."""
    chosen = _create_parser().parse_args(argv)
    chosen.arguments = list(sys.argv[1:] if argv is None else argv)
    name = "ganeti-rapi"
    if chosen.worker is not None:
        name, chosen.foreground = f"ganeti-rapi-worker-{chosen.worker}", True
    return run(DaemonProgram(name, "rapi-daemon", start), chosen, local_paths())


def _create_parser() -> ArgumentParser:
    options = parser("ganeti-rapi", "The remote API: serves HTTP requests on master candidates.")
    add_address_options(options, RAPI_PORT)
    options.add_argument("--no-ssl", action="store_true", help="serve without TLS")
    options.add_argument(
        "-K",
        "--ssl-key",
        metavar="FILE",
        help="the key file; default: rapi.pem in the data directory",
    )
    options.add_argument(
        "-C", "--ssl-cert", metavar="FILE", help="the certificate file; default: the key file"
    )
    options.add_argument(
        "--require-authentication",
        action="store_true",
        help="require authentication for read requests, too",
    )
    options.add_argument(
        "--max-clients",
        type=int,
        metavar="N",
        default=MAX_CONNECTIONS,
        help=f"the maximum number of connections; default: {MAX_CONNECTIONS}",
    )
    options.add_argument(
        "--workers",
        type=_parse_worker_count,
        metavar="N",
        default=1,
        help="the number of processes; each takes about 55 MiB; default: 1",
    )
    options.add_argument(
        "--trusted-proxy",
        action="append",
        type=_address,
        metavar="ADDRESS",
        default=[],
        help="a proxy whose header X-Forwarded-For is believed; may be repeated; default: none",
    )
    options.add_argument(
        "--node-port",
        type=int,
        metavar="N",
        default=NODED_PORT,
        help=f"where the node daemons listen; default: {NODED_PORT}",
    )
    options.add_argument(
        "--master-wait",
        type=float,
        metavar="SECONDS",
        default=WAIT,
        help="how long requests wait for a master during a failover, before they are answered with"
        f" status 503; default: {WAIT:g}",
    )
    prometheus.add_options(options)
    options.add_argument("--worker", type=int, help=SUPPRESS)
    options.add_argument("-i", "--interface", help=_IGNORED_HELP)
    return options


def _parse_worker_count(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= MAX_WORKERS:
        raise ArgumentTypeError(f"must be a number from 1 to {MAX_WORKERS}")
    return int(text)


def _address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise ArgumentTypeError("must be an address of IPv4 or IPv6") from None


if __name__ == "__main__":
    sys.exit(main())
