# SPDX-License-Identifier: BSD-2-Clause
"""The server of the remote API is assembled as its options say, and ends what it has begun."""

from __future__ import annotations

import os
import time
from argparse import Namespace
from typing import Any

from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase

from ganeti.daemon.connections.listening import BACKLOG
from ganeti.daemon.connections.server_certificate import ServerCertificate
from ganeti.daemon.process.services import Daemon
from ganeti.daemon.rapi_services.api_server import ApiServer, create_endpoint, wrap_tls
from ganeti.daemon.rapi_services.open_files import FileBudget
from ganeti.luxi.methods import QueryMetrics, QueryTags
from ganeti.paths import NODED_PORT, Paths
from ganeti.pki.authority import Authority
from ganeti.rapi.users_file import scrypt_line
from ganeti.testing.master import MemoryMaster
from tests.rapi.asking import Answer, answers

OPTIONS = Namespace(
    require_authentication=False, trusted_proxy=[], prometheus=None, node_port=NODED_PORT
)
BUDGET = FileBudget(clients=2, waiting=1, handshakes=1)


class ServerCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.paths = Paths(os.path.abspath(self.mktemp()))
        for folder in (self.paths.data, os.path.dirname(self.paths.rapi_users)):
            os.makedirs(folder, exist_ok=True)
        with open(self.paths.rapi_users, "w") as file:
            file.write(scrypt_line("admin", "s3cret", b"0" * 16, "write"))
        self.reactor = MemoryReactorClock()
        self.master = MemoryMaster({QueryTags: ["a"], QueryMetrics: []})

    def certificate(self) -> ServerCertificate:
        now = time.time()
        issued = Authority.founded("cluster", now).credentials(["localhost"], now)
        with open(self.paths.rapi_certificate, "wb") as file:
            file.write(issued.pem)
        return ServerCertificate(self.paths.rapi_certificate, self.paths.rapi_certificate)

    def server(self, certificate: ServerCertificate | None = None, **options: Any) -> ApiServer:
        chosen = Namespace(**{**vars(OPTIONS), **options})
        master: Any = self.master
        return ApiServer(self.reactor, chosen, self.paths, master, certificate, BUDGET)

    def connect(self, server: ApiServer) -> tuple[Any, StringTransport]:
        channel, transport = server.site.buildProtocol(None), StringTransport()
        channel.makeConnection(transport)
        return channel, transport

    def ask(self, server: ApiServer, path: str, headers: str = "") -> Answer:
        channel, transport = self.connect(server)
        head = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n"
        channel.dataReceived(head.encode())
        [answer] = answers(transport.value())
        return answer


class SiteTests(ServerCase):
    def test_resources_and_the_console_are_served(self) -> None:
        server = self.server()
        self.assertEqual(self.ask(server, "/2/tags").value, ["a"])
        self.assertEqual(self.ask(server, "/ui").headers["Location"], "/ui/")
        self.assertEqual(self.ask(server, "/none").status, 404)

    def test_a_login_of_everybody_is_required_if_that_is_wanted(self) -> None:
        self.assertEqual(self.ask(self.server(require_authentication=True), "/2/tags").status, 401)

    def test_only_so_many_clients_are_served_as_there_are_files(self) -> None:
        server = self.server()
        transports = [self.connect(server)[1] for _ in range(BUDGET.clients + 1)]
        ended = [each.disconnecting or each.disconnected for each in transports]
        self.assertEqual(sum(map(bool, ended)), 1)

    def test_without_a_history_and_a_provider_the_resources_say_so(self) -> None:
        server = self.server()
        self.assertEqual(self.ask(server, "/2/job-rates?hours=24").status, 401)


class MetricTests(ServerCase):
    def families(self, server: ApiServer) -> dict[str, Any]:
        return {each.name: each for each in server._families()}

    def test_connections_are_counted(self) -> None:
        server = self.server()
        self.connect(server)
        found = self.families(server)
        self.assertEqual(list(found), ["ganeti_api_connections"])
        self.assertEqual(found["ganeti_api_connections"].samples[0].value, 1)

    def test_the_end_of_the_certificate_is_known_where_there_is_one(self) -> None:
        found = self.families(self.server(self.certificate()))
        [name] = found.keys() - {"ganeti_api_connections"}
        [sample] = found[name].samples
        self.assertEqual(sample.labels, ("rapi",))
        self.assertGreater(sample.value, time.time())


class PartTests(ServerCase):
    def test_clients_are_disconnected_and_nothing_is_left_at_the_end(self) -> None:
        server = self.server()
        daemon = Daemon(self.reactor)
        daemon.startService()
        for part in server.parts():
            daemon.add(part)
        _, transport = self.connect(server)
        self.successResultOf(daemon.stopService())
        self.assertTrue(transport.disconnecting or transport.disconnected)


class EndpointTests(ServerCase):
    def listen(self, certificate: ServerCertificate | None, address: str) -> None:
        endpoint = create_endpoint(self.reactor, address, 5080, certificate)
        self.successResultOf(endpoint.listen(Factory()))

    def test_a_server_without_a_certificate_has_no_tls(self) -> None:
        self.listen(None, "192.0.2.1")
        [(port, _, backlog, interface)] = self.reactor.tcpServers
        self.assertEqual((port, backlog, interface), (5080, BACKLOG, "192.0.2.1"))
        self.assertEqual(self.reactor.sslServers, [])

    def test_a_server_with_a_certificate_has_tls_on_ipv6_too(self) -> None:
        certificate = self.certificate()
        self.listen(certificate, "::1")
        [(port, _, context, backlog, interface)] = self.reactor.sslServers
        self.assertEqual((port, backlog, interface), (5080, BACKLOG, "::1"))
        self.assertIs(context, certificate)
        self.assertEqual(self.reactor.tcpServers, [])

    def test_an_inherited_socket_has_tls_as_well(self) -> None:
        factory = Factory()
        self.assertIs(wrap_tls(factory, None), factory)
        wrapped = wrap_tls(factory, self.certificate())
        assert isinstance(wrapped, TLSMemoryBIOFactory)
        self.assertIs(wrapped.wrappedFactory, factory)
