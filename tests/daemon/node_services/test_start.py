# SPDX-License-Identifier: BSD-2-Clause
"""The node daemon on real files and sockets."""

from __future__ import annotations

import os
import socket

from twisted.web.client import Agent, readBody

from ganeti.daemon.connections.node_certificate import NoCertificate, NodePolicy
from ganeti.errors import Refused
from ganeti.rpc.agent import HttpTransport, TlsEndpoints
from ganeti.rpc.node import AskVersion
from ganeti.rpc.node_client import NodeClient
from ganeti.system.connection_errors import explain
from tests.daemon.one_node import OneNodeTestCase, reactor


class NodeStartTests(OneNodeTestCase):
    async def test_a_call_is_answered_also_after_a_reload(self) -> None:
        self.write_vote(1, self.name)
        daemon = await self.run_node()
        endpoints = TlsEndpoints(reactor, NodePolicy(self.paths), self.port)
        http = HttpTransport(endpoints, reactor, explain=explain)
        client = NodeClient(http, reactor, term=lambda: 1, master=self.name)
        try:
            version = await client.ask(self.state.master, AskVersion())
            daemon.reload()
            self.assertEqual(await client.ask(self.state.master, AskVersion()), version)
        finally:
            http.close()
        self.assertEqual(self.status, [f"serving {self.name} on 127.0.0.1 port {self.port}"])

    async def test_its_metrics_have_the_expiry_of_its_certificates(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port = listening.getsockname()[1]
        await self.run_node(metrics_port=port)
        url = f"http://127.0.0.1:{port}/metrics".encode()
        body = await readBody(await Agent(reactor).request(b"GET", url))
        for name in (b"node", b"authority"):
            self.assertIn(
                b'ganeti_certificate_expiry_timestamp_seconds{certificate="%b"}' % name, body
            )

    async def test_a_port_that_is_used_is_named(self) -> None:
        listening = socket.create_server(("127.0.0.1", self.port))
        self.addCleanup(listening.close)
        with self.assertRaisesRegex(Refused, f"127.0.0.1 port {self.port}: another program"):
            await self.run_node()

    async def test_a_host_without_a_certificate_has_no_node_daemon(self) -> None:
        os.unlink(self.paths.node_certificate)
        with self.assertRaises(NoCertificate):
            await self.run_node()
