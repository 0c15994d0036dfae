# SPDX-License-Identifier: BSD-2-Clause
"""Connections of the remote API to node daemons, for the consoles of guests."""

from __future__ import annotations

from twisted.internet.protocol import Protocol

from ganeti.daemon.connections.node_connection import connect_to_node
from ganeti.daemon.process.reactor import Reactor
from ganeti.errors import Code, Refused
from ganeti.luxi.interfaces import IMaster
from ganeti.luxi.methods import QueryNodes
from ganeti.paths import Paths


class NodeConnector:
    """Connects protocols to the daemons of nodes, which must prove their names."""

    def __init__(self, reactor: Reactor, paths: Paths, master: IMaster, port: int) -> None:
        self._reactor = reactor
        self._paths = paths
        self._master = master
        self._port = port

    async def __call__(self, node: str, protocol: Protocol) -> None:
        """Connect to the daemon of a node of the cluster.

        :raises Refused: there is no such node.
        :raises Failed: it cannot be reached, or does not prove its name.
        """
        rows = await self._master.ask(QueryNodes(names=(), fields=("name", "pip")))
        address = dict(rows).get(node)
        if address is None:
            raise Refused("this is no ticket for a console of this cluster", Code.STATE)
        await connect_to_node(self._reactor, self._paths, node, address, self._port, protocol)
