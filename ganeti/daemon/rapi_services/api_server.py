# SPDX-License-Identifier: BSD-2-Clause
"""The server of the remote API: its site, what its resources use, and its socket."""

from __future__ import annotations

import os
import time
from argparse import Namespace
from collections.abc import Iterator

from twisted.internet.endpoints import SSL4ServerEndpoint, TCP4ServerEndpoint
from twisted.internet.interfaces import IProtocolFactory, IStreamServerEndpoint
from twisted.protocols.tls import TLSMemoryBIOFactory

from ganeti.access.passwords import SALT_BYTES, hashed
from ganeti.daemon.connections.expiry import certificate_expiry
from ganeti.daemon.connections.listening import BACKLOG
from ganeti.daemon.connections.server_certificate import ServerCertificate
from ganeti.daemon.process.reactor import Reactor
from ganeti.daemon.process.reactor_threads import thread_runner
from ganeti.daemon.process.services import ServicePart
from ganeti.daemon.rapi_services import prometheus
from ganeti.daemon.rapi_services.console_connector import NodeConnector
from ganeti.daemon.rapi_services.fetching import fetcher
from ganeti.daemon.rapi_services.open_files import FileBudget
from ganeti.daemon.rapi_services.upload_files import LocalUploads
from ganeti.luxi.async_client import MasterClient
from ganeti.metrics.family import MetricFamily, make_gauge
from ganeti.paths import CONSOLE, Paths, local_node_name
from ganeti.rapi.api_metrics import ApiMetrics
from ganeti.rapi.authentication import Authenticator, MasterAccounts, UsersFile, UsersFileChecker
from ganeti.rapi.console import resource as console
from ganeti.rapi.console.console_files import ConsoleFiles
from ganeti.rapi.console.console_visitors import MasterRights
from ganeti.rapi.console.relay import ConsoleRelay
from ganeti.rapi.costly_queries import QueryLimit
from ganeti.rapi.events.hub import EventHub
from ganeti.rapi.image_uploads import ImageUploads
from ganeti.rapi.login_limits import source_network
from ganeti.rapi.openid import OpenIdClient, SignIn
from ganeti.rapi.resource import Api, resource_tree
from ganeti.rapi.routes.route_table import ROUTES
from ganeti.rapi.site import ApiSite
from ganeti.rapi.verbs import Services
from ganeti.system.connection_errors import explain


class ApiServer:
    """Builds the site of the remote API on real services; ``site`` serves connections."""

    def __init__(
        self,
        reactor: Reactor,
        options: Namespace,
        paths: Paths,
        master: MasterClient,
        certificate: ServerCertificate | None,
        budget: FileBudget,
    ) -> None:
        """``certificate`` is None for a server without TLS."""
        self._reactor = reactor
        self._master = master
        self._certificate = certificate
        self._uploads = paths.uploads
        users = UsersFile(paths.rapi_users, reactor.seconds)
        users.reload_if_changed()
        self._checker = UsersFileChecker(users, thread_runner(reactor), MasterAccounts(master))
        authenticator = Authenticator(
            users, self._checker, reactor.seconds, login_always=options.require_authentication
        )
        self._events = EventHub(master, reactor)
        connect = NodeConnector(reactor, paths, master, options.node_port)
        self._api = Api(
            QueryLimit(master),
            authenticator,
            time.time,
            self._events,
            ApiMetrics(self._families),
            self._services(options),
            frozenset(options.trusted_proxy),
            ConsoleRelay(connect, MasterRights(authenticator, master), reactor),
        )
        root = resource_tree(ROUTES, self._api)
        root.putChild(console.PATH.encode("ascii"), console.ConsoleResource(ConsoleFiles(CONSOLE)))
        self.site = ApiSite(
            root,
            reactor,
            max_connections=budget.clients,
            max_handshakes=budget.handshakes,
            explain=explain,
        )

    def parts(self) -> Iterator[ServicePart]:
        """Return the services that end what the site has begun."""
        yield ServicePart("denials", stop=self._api.admission.stop)
        yield ServicePart("clients", stop=self.site.hang_up)
        yield ServicePart("events", stop=self._events.stop)
        yield ServicePart("events of limited roles", stop=self._api.streams.stop)

    def _families(self) -> Iterator[MetricFamily]:
        connections = len(self.site.connections)
        yield make_gauge("ganeti_api_connections", "Open connections of clients.", connections)
        if self._certificate is not None:
            yield certificate_expiry({"rapi": self._certificate.path})

    def _services(self, options: Namespace) -> Services:
        reactor = self._reactor
        fetch = fetcher(reactor, "the OpenID provider")
        client = OpenIdClient(fetch, reactor.seconds, time.time, os.urandom)
        return Services(
            os.urandom,
            self._hash_password,
            SignIn(client, self._master),
            prometheus.connect(reactor, options),
            ImageUploads(LocalUploads(self._uploads, thread_runner(reactor)), local_node_name()),
        )

    async def _hash_password(self, password: str, source: str) -> str:
        # In the same turns as the checks of passwords, which take as much.
        hashes: list[str] = []

        def work() -> bool:
            hashes.append(hashed(password, os.urandom(SALT_BYTES)))
            return True

        await self._checker.checks.run(source_network(source), work)
        return hashes[0]


def create_endpoint(
    reactor: Reactor, address: str, port: int, certificate: ServerCertificate | None
) -> IStreamServerEndpoint:
    """Return the endpoint to listen on, with TLS if there is a certificate."""
    # TCP4 in their names notwithstanding, both accept IPv6 addresses.
    if certificate is None:
        return TCP4ServerEndpoint(reactor, port, BACKLOG, address)
    return SSL4ServerEndpoint(reactor, port, certificate, BACKLOG, address)


def wrap_tls(factory: IProtocolFactory, certificate: ServerCertificate | None) -> IProtocolFactory:
    """Wrap a factory as an SSL endpoint does, for a socket that was inherited."""
    return factory if certificate is None else TLSMemoryBIOFactory(certificate, False, factory)
