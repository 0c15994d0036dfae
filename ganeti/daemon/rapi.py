# SPDX-License-Identifier: BSD-2-Clause
"""``ganeti-rapi``: the remote API over HTTP, a client of the master daemon on the same node."""

from __future__ import annotations

import os
import sys
import time
from argparse import SUPPRESS, ArgumentTypeError, Namespace
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from twisted.internet.endpoints import SSL4ServerEndpoint, TCP4ServerEndpoint
from twisted.internet.interfaces import IProtocolFactory, IStreamServerEndpoint
from twisted.internet.threads import deferToThreadPool
from twisted.protocols.tls import TLSMemoryBIOFactory

from ganeti.access.passwords import SALT_BYTES, hashed
from ganeti.daemon import rlimit
from ganeti.daemon.expiry import certificate_expiry
from ganeti.daemon.fetching import fetcher
from ganeti.daemon.listening import BACKLOG, disable_nagle, limit_unsent, listen_at
from ganeti.daemon.options import add_address_options, address_of, parser
from ganeti.daemon.server_certificate import ServerCertificate
from ganeti.daemon.service import DaemonProgram, run
from ganeti.daemon.services import Daemon, ServicePart
from ganeti.daemon.workers import WorkerProcesses, accept_as_worker
from ganeti.errors import NotMaster
from ganeti.luxi.async_client import MAX_WAITING, MasterClient
from ganeti.luxi.interfaces import IMaster
from ganeti.metrics.family import MetricFamily, make_gauge
from ganeti.paths import RAPI_PORT, Paths, local_node_name, local_paths
from ganeti.rapi.access import Authenticator, MasterAccounts, UsersFile, UsersFileChecker
from ganeti.rapi.costly_queries import QueryLimit
from ganeti.rapi.events.hub import EventHub
from ganeti.rapi.login_limits import source_network
from ganeti.rapi.metrics import ApiMetrics
from ganeti.rapi.openid import OpenIdClient, SignIn
from ganeti.rapi.resource import Api, resource_tree
from ganeti.rapi.routes.table import ROUTES
from ganeti.rapi.site import MAX_CONNECTIONS, ApiSite
from ganeti.rapi.verbs import Services
from ganeti.system.connection_errors import explain
from ganeti.web.site import MAX_HANDSHAKES

MODULE = "ganeti.daemon.rapi"

MAX_WORKERS = 64

MAX_KERNEL_UNSENT = 128 * 1024
"""How many unsent bytes of an answer the kernel buffers for a client."""

RESERVED_FILES = 100
"""How many files and connections the daemon needs besides those of its clients."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code."""
    options = parser("ganeti-rapi", "The remote API: serves HTTP requests on the master node.")
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
    options.add_argument("--worker", type=int, help=SUPPRESS)
    options.add_argument("-i", "--interface", help=_IGNORED_HELP)
    chosen = options.parse_args(argv)
    chosen.arguments = list(sys.argv[1:] if argv is None else argv)
    name = "ganeti-rapi"
    if chosen.worker is not None:
        name, chosen.foreground = f"ganeti-rapi-worker-{chosen.worker}", True
    return run(DaemonProgram(name, "rapi-daemon", start), chosen, local_paths())


def _parse_worker_count(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= MAX_WORKERS:
        raise ArgumentTypeError(f"must be a number from 1 to {MAX_WORKERS}")
    return int(text)


def _address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise ArgumentTypeError("must be an address of IPv4 or IPv6") from None


_IGNORED_HELP = "taken as other servers take it, and without effect; -b says where to listen"


async def start(daemon: Daemon, options: Namespace, paths: Paths) -> None:
    """Build and start the services of the remote API."""
    reactor = daemon.reactor
    name = local_node_name()
    _require_master(paths, name)
    certificate = None if options.no_ssl else _load_certificate(options, paths)
    shares = _allocate_files(options.max_clients)
    master = MasterClient(reactor, reactor, paths.master_socket, most_waiting=shares.waiting)
    users = UsersFile(paths.rapi_users, reactor.seconds)
    users.look()
    checker = UsersFileChecker(users, _thread_runner(reactor), MasterAccounts(master))
    authenticator = Authenticator(
        users,
        checker,
        reactor.seconds,
        login_always=options.require_authentication,
    )
    events = EventHub(master, reactor)

    def around() -> Iterator[MetricFamily]:
        connections = len(site.connections)
        yield make_gauge("ganeti_api_connections", "Open connections of clients.", connections)
        if certificate is not None:
            yield certificate_expiry({"rapi": certificate.path})

    api = Api(
        QueryLimit(master),
        authenticator,
        time.time,
        events,
        ApiMetrics(around),
        _services(reactor, checker, master),
        frozenset(options.trusted_proxy),
    )
    site = ApiSite(
        resource_tree(ROUTES, api),
        reactor,
        max_connections=shares.clients,
        max_handshakes=shares.handshakes,
        explain=explain,
    )
    daemon.add(ServicePart("connections to the master", stop=master.close))
    daemon.add(ServicePart("denials", stop=api.admission.stop))
    daemon.add(ServicePart("clients", stop=site.hang_up))
    daemon.add(ServicePart("events", stop=events.stop))
    daemon.add(ServicePart("events of limited roles", stop=api.streams.stop))
    if options.worker is not None:
        port = accept_as_worker(reactor, _wrap_tls(site, certificate))
        daemon.add(ServicePart("port", stop=port.stopListening))
    else:
        address = options.bind or address_of(name, paths)
        endpoint = _create_endpoint(reactor, address, options.port, certificate)
        port = await listen_at(endpoint, site, address, options.port)
        limit_unsent(port, MAX_KERNEL_UNSENT)
        disable_nagle(port)
        daemon.add(ServicePart("port", stop=port.stopListening))
        # Added last to stop first: the workers must end before the shared socket is closed.
        further = options.workers - 1
        daemon.add(WorkerProcesses(reactor, MODULE, options.arguments, port.fileno(), further))
        daemon.status(f"serving clients on {address} port {options.port}")
    if certificate is not None:
        daemon.on_reload(certificate.reload)


def _create_endpoint(
    reactor: Any, address: str, port: int, certificate: ServerCertificate | None
) -> IStreamServerEndpoint:
    # TCP4 in their names notwithstanding, both accept IPv6 addresses.
    if certificate is None:
        return TCP4ServerEndpoint(reactor, port, BACKLOG, address)
    return SSL4ServerEndpoint(reactor, port, certificate, BACKLOG, address)


def _wrap_tls(factory: IProtocolFactory, certificate: ServerCertificate | None) -> IProtocolFactory:
    """Wrap a factory as an SSL endpoint does, for a socket that was inherited."""
    return factory if certificate is None else TLSMemoryBIOFactory(certificate, False, factory)


def _require_master(paths: Paths, name: str) -> None:
    """Refuse to start on a node that is not the master."""
    try:
        with open(f"{paths.data}/ssconf_master_node", encoding="utf-8") as file:
            known = file.read().strip()
    except FileNotFoundError:
        return
    if known != name:
        raise NotMaster(f"{known} is the master; run the remote API there instead of on {name}")


def _load_certificate(options: Namespace, paths: Paths) -> ServerCertificate:
    certificate = options.ssl_cert or options.ssl_key or paths.rapi_certificate
    return ServerCertificate(certificate, options.ssl_key or certificate)


@dataclass(frozen=True)
class _FileBudget:
    """How the open files are allotted."""

    clients: int
    waiting: int
    """Requests that wait for jobs; each also uses a connection to the master."""
    handshakes: int
    """Connections in the TLS handshake."""


def _allocate_files(wanted: int) -> _FileBudget:
    """Return the allotment for ``wanted`` clients, reduced to what the host's limit permits."""
    files = rlimit.allow(wanted + MAX_WAITING + MAX_HANDSHAKES + RESERVED_FILES)
    room = files - RESERVED_FILES
    waiting = max(1, min(MAX_WAITING, room // 4))
    handshakes = max(1, min(MAX_HANDSHAKES, room // 4))
    return _FileBudget(max(1, min(wanted, room - waiting - handshakes)), waiting, handshakes)


def _thread_runner(reactor: Any) -> Callable[[Callable[[], bool]], Awaitable[bool]]:
    def in_thread(check: Callable[[], bool]) -> Awaitable[bool]:
        return deferToThreadPool(reactor, reactor.getThreadPool(), check)

    return in_thread


def _services(reactor: Any, checker: UsersFileChecker, master: IMaster) -> Services:
    async def hash_password(password: str, source: str) -> str:
        # In the same turns as the checks of passwords, which take as much.
        hashes: list[str] = []

        def work() -> bool:
            hashes.append(hashed(password, os.urandom(SALT_BYTES)))
            return True

        await checker.checks.run(source_network(source), work)
        return hashes[0]

    client = OpenIdClient(fetcher(reactor), reactor.seconds, time.time, os.urandom)
    return Services(os.urandom, hash_password, SignIn(client, master))


if __name__ == "__main__":
    sys.exit(main())
