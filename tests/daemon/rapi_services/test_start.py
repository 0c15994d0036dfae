# SPDX-License-Identifier: BSD-2-Clause
"""The remote API daemon on loopback, from TLS to the master's socket."""

from __future__ import annotations

import http.client
import os
import shutil
import ssl
import tempfile
import time
from argparse import Namespace
from typing import Any

from twisted.internet import reactor as installed
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from ganeti.daemon.process.services import Daemon
from ganeti.daemon.rapi_services.start import start
from ganeti.errors import Failed, NotMaster
from ganeti.luxi.connection import LuxiService
from ganeti.luxi.server import LuxiMethods
from ganeti.paths import NODED_PORT, Paths
from ganeti.pki.authority import Authority
from ganeti.rapi.users_file import scrypt_line
from ganeti.testing.gates import OpenGate

reactor: Any = installed
OPTIONS = Namespace(
    no_ssl=False,
    ssl_key=None,
    ssl_cert=None,
    require_authentication=False,
    trusted_proxy=[],
    prometheus=None,
    max_clients=10,
    node_port=NODED_PORT,
    bind="127.0.0.1",
    port=0,
    worker=None,
    workers=1,
    master_wait=0.0,
    arguments=[],
)


async def _tags(kind: str, name: str | None) -> list[str]:
    return [kind]


async def _nobody(user: str) -> dict[str, Any]:
    return {"known": False, "hash": None}


class RemoteApiTests(TestCase):
    def setUp(self) -> None:
        # In a short path of its own: those of sockets are bounded.
        self.root = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.root)
        self.paths = Paths(self.root)
        os.makedirs(self.paths.sockets)
        os.makedirs(os.path.dirname(self.paths.rapi_users))
        self.authority = Authority.founded("cluster", time.time())
        line = scrypt_line("admin", "s3cret", b"0" * 16, "write")
        self.write(self.paths.rapi_users, line.encode())

    def write(self, path: str, content: bytes) -> None:
        with open(path, "wb") as file:
            file.write(content)

    async def serve(self, **options: Any) -> int:
        """Start the daemon; its port."""
        ports: list[Any] = []

        class Noting:
            def __getattr__(self, name: str) -> Any:
                return getattr(reactor, name)

            def listenSSL(self, *arguments: Any, **named: Any) -> Any:
                ports.append(reactor.listenSSL(*arguments, **named))
                return ports[0]

            def adoptStreamPort(self, *arguments: Any) -> Any:
                ports.append(reactor.adoptStreamPort(*arguments))
                return ports[-1]

        daemon = Daemon(Noting())
        daemon.startService()
        self.addCleanup(daemon.stopService)
        await start(daemon, Namespace(**{**vars(OPTIONS), **options}), self.paths)
        self.addresses = [each.getHost().host for each in ports]
        port: int = ports[0].getHost().port
        return port

    async def ask(self, port: int, path: str, **headers: str) -> tuple[int, bytes]:
        context = ssl.create_default_context(cadata=self.authority.certificate.decode())
        context.check_hostname = False

        def ask() -> tuple[int, bytes]:
            connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=5)
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            body = answer.read()
            connection.close()
            return answer.status, body

        return await deferToThread(ask)

    async def test_a_question_goes_all_the_way(self) -> None:
        credentials = self.authority.credentials(["localhost"], time.time())
        self.write(self.paths.rapi_certificate, credentials.pem)
        master = LuxiService(
            reactor,
            [self.paths.master_socket],
            LuxiMethods({"QueryTags": _tags, "QueryPassword": _nobody}, OpenGate()),
        )
        port = await self.serve()
        status, body = await self.ask(port, "/2/tags")
        self.assertEqual((status, b"ganeti-masterd" in body), (503, True))
        master.startService()
        try:
            answer = await self.ask(port, "/2/tags", Authorization="Basic YWRtaW46czNjcmV0")
            self.assertEqual(answer, (200, b'["cluster"]\n'))
            wrong = await self.ask(port, "/2/tags", Authorization="Basic YWRtaW46d3Jvbmc=")
            self.assertEqual(wrong[0], 401)
        finally:
            await master.stopService()

    async def test_it_serves_the_address_of_the_cluster_besides_that_of_the_node(self) -> None:
        credentials = self.authority.credentials(["localhost"], time.time())
        self.write(self.paths.rapi_certificate, credentials.pem)
        self.write(f"{self.paths.data}/bind", b"127.0.0.1\n")
        self.write(f"{self.paths.data}/ssconf_master_ip", b"203.0.113.77\n")
        await self.serve(bind=None)
        self.assertEqual(self.addresses, ["127.0.0.1", "203.0.113.77"])

    async def test_an_address_that_was_given_is_the_only_one(self) -> None:
        credentials = self.authority.credentials(["localhost"], time.time())
        self.write(self.paths.rapi_certificate, credentials.pem)
        self.write(f"{self.paths.data}/ssconf_master_ip", b"203.0.113.77\n")
        await self.serve()
        self.assertEqual(self.addresses, ["127.0.0.1"])

    async def test_without_a_certificate_it_says_what_to_do(self) -> None:
        with self.assertRaisesRegex(Failed, "no certificate in .*rapi.pem"):
            await self.serve()
        self.write(self.paths.rapi_certificate, b"nonsense")
        with self.assertRaisesRegex(Failed, "rapi.pem cannot be used"):
            await self.serve()

    async def test_it_runs_on_master_candidates_only(self) -> None:
        self.write(f"{self.paths.data}/ssconf_master_node", b"node9.example.com\n")
        self.write(f"{self.paths.data}/ssconf_master_candidates", b"node9.example.com\n")
        with self.assertRaisesRegex(NotMaster, r"on the master, which is node9\.example\.com"):
            await self.serve()
