# SPDX-License-Identifier: BSD-2-Clause
"""Connections to nodes follow the certificates: of this host, and those recorded for nodes."""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.defer import maybeDeferred
from twisted.internet.tcp import Connection

from ganeti.bootstrap.blocking_files import local_files
from ganeti.config.state import RecordEdit, RecordKind
from ganeti.daemon.connections.node_certificate import NoCertificate, NodeServerTLS, get_peer
from ganeti.daemon.master_services.node_connections import NodeConnections
from ganeti.errors import Unreachable
from ganeti.pki.enrolment import fingerprint
from ganeti.rpc.callers import Peer
from ganeti.rpc.node import AskVersion, Version
from ganeti.rpc.node_client import NodeClient
from ganeti.rpc.server import CallHandlers
from ganeti.rpc.site import RpcSite
from ganeti.testing.builders import a_cluster
from ganeti.testing.callers import AnyCaller
from tests.daemon.connections.test_node_certificate import (
    GOOD,
    NODE,
    NOW,
    OURS,
    Placed,
    eventually,
    open_ones,
    reactor,
)

NEW = OURS.credentials(["node1"], NOW).pem
STATE = a_cluster()


class ConnectionTests(Placed):
    """A node daemon on loopback; ``peers`` are the connections that it was called by."""

    def setUp(self) -> None:
        self.peers: list[tuple[object, str]] = []
        self.accepted = True
        handlers = CallHandlers(lambda: 0)
        handlers.to(AskVersion, self.version)
        self.site = RpcSite(handlers, self.get_peer, AnyCaller(), reactor)
        server = NodeServerTLS(self.place(GOOD))
        self.port: Any = reactor.listenSSL(0, self.site, server, interface="127.0.0.1")
        self.paths = self.place(GOOD)
        self.connections = NodeConnections(
            reactor,
            local_files(),
            self.paths,
            self.port.getHost().port,
            lambda name, fingerprint: self.accepted,
        )
        self.client = NodeClient(
            self.connections.transport, reactor, term=lambda: 0, master="node1"
        )
        self.addCleanup(self.stop)

    async def stop(self) -> None:
        self.connections.close()
        await self.site.shut_down()
        await maybeDeferred(self.port.stopListening)
        await eventually(lambda: not any(isinstance(each, Connection) for each in open_ones()))

    def get_peer(self, transport: Any) -> Peer | None:
        peer = get_peer(transport)
        assert peer is not None
        self.peers.append((transport, peer.fingerprint))
        return peer

    async def version(self, _: AskVersion) -> Version:
        return Version(protocol=1, release="3.0")

    async def call(self) -> tuple[object, str]:
        """Call the node; return the connection, and the fingerprint that this host has shown."""
        await self.client.ask(NODE, AskVersion())
        return self.peers[-1]

    def replace(self, path: str, content: bytes) -> None:
        with open(f"{path}.new", "wb") as file:
            file.write(content)
        os.replace(f"{path}.new", path)

    async def test_a_connection_is_used_again_while_nothing_has_changed(self) -> None:
        first = await self.call()
        self.connections.reload_if_changed()
        self.assertEqual(await self.call(), first)
        self.assertEqual(first[1], fingerprint(GOOD))

    async def test_a_renewed_certificate_is_shown_on_new_connections(self) -> None:
        first = await self.call()
        self.replace(self.paths.node_certificate, NEW)
        self.assertEqual(await self.call(), first)
        self.connections.reload_if_changed()
        second = await self.call()
        self.assertEqual(second[1], fingerprint(NEW))
        self.connections.reload_if_changed()
        self.assertEqual(await self.call(), second)

    async def test_a_new_authority_closes_no_connection(self) -> None:
        first = await self.call()
        self.replace(self.paths.authority, OURS.certificate + OURS.certificate)
        self.connections.reload_if_changed()
        self.assertEqual(await self.call(), first)

    async def test_files_that_cannot_be_used_change_nothing_until_they_can(self) -> None:
        first = await self.call()
        self.replace(self.paths.node_certificate, b"nonsense")
        for _ in range(2):
            self.assertRaises(NoCertificate, self.connections.reload_if_changed)
        self.assertEqual(await self.call(), first)
        self.replace(self.paths.node_certificate, NEW)
        self.connections.reload_if_changed()
        self.assertEqual((await self.call())[1], fingerprint(NEW))

    async def test_a_node_shows_its_certificate_again_when_a_recorded_one_has_changed(self) -> None:
        await self.call()
        self.accepted = False
        self.change(RecordKind.NODE)
        await self.call()
        self.change(RecordKind.NODE, RecordKind.CERTIFICATE)
        with self.assertRaises(Unreachable):
            await self.call()

    def change(self, *kinds: RecordKind) -> None:
        """Let the configuration have changed in records of these kinds."""
        edits = tuple(RecordEdit(kind=kind, key="node1", record=None) for kind in kinds)
        self.connections.certificates_changed(STATE, edits)

    def test_a_host_without_a_certificate_has_no_connections(self) -> None:
        self.assertRaises(
            NoCertificate,
            NodeConnections,
            reactor,
            local_files(),
            self.place(None),
            1811,
            lambda name, fingerprint: True,
        )
