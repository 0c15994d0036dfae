# SPDX-License-Identifier: BSD-2-Clause
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet import reactor as installed
from twisted.internet.defer import maybeDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from ganeti.model.node import Node
from ganeti.rpc.agent import HttpTransport
from ganeti.rpc.call import Nodes
from ganeti.rpc.callers import Peer
from ganeti.rpc.node_client import NodeClient
from ganeti.rpc.server import CallHandlers
from ganeti.rpc.site import RpcSite
from ganeti.testing.callers import AnyCaller
from ganeti.testing.nodes import MemoryNodes
from tests.contracts.nodes import MASTER, NODE1, NODE2, TERM, NodesContract

reactor: Any = installed
ADDRESSES = {node.name: node.primary_ip for node in (NODE1, NODE2)}


class MemoryNodesTests(NodesContract, TestCase):
    def nodes(self, peers: Mapping[str, CallHandlers]) -> Nodes:
        return MemoryNodes(peers, term=lambda: TERM, master=MASTER)


class HttpNodesTests(NodesContract, TestCase):
    """Over connections of the loopback interface, without TLS, of which see tests.daemon."""

    def nodes(self, peers: Mapping[str, CallHandlers]) -> Nodes:
        self.ports: dict[str, int] = {}
        way = HttpTransport(self.endpoint, reactor)
        for name, answers in peers.items():
            site = RpcSite(answers, lambda _: Peer(MASTER, "ab"), AnyCaller(), reactor)
            port = reactor.listenTCP(0, site, interface=ADDRESSES[name])
            self.ports[ADDRESSES[name]] = port.getHost().port
            self.addCleanup(deferLater, reactor, 0.01)
            self.addCleanup(maybeDeferred, port.stopListening)
            self.addCleanup(site.shut_down)
        self.addCleanup(way.close)
        return NodeClient(way, reactor, term=lambda: TERM, master=MASTER)

    def endpoint(self, node: Node) -> TCP4ClientEndpoint:
        return TCP4ClientEndpoint(reactor, node.primary_ip, self.ports.get(node.primary_ip, 1))
