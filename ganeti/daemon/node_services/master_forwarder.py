# SPDX-License-Identifier: BSD-2-Clause
"""Enrolment requests of new nodes, on their way to the master daemon."""

from __future__ import annotations

from ganeti.daemon.process.reactor import Reactor
from ganeti.luxi.socket_connector import SocketConnector
from ganeti.paths import Paths
from ganeti.pki.enrolment import Application


class MasterForwarder:
    """Forwards enrolment requests of new nodes to the master daemon on this host."""

    def __init__(self, reactor: Reactor, paths: Paths) -> None:
        self._reactor = reactor
        self._path = paths.master_socket

    async def __call__(self, application: Application) -> dict[str, object] | None:
        # Imported here: needed only on the master, when a node joins.
        from ganeti.luxi.async_client import MasterClient
        from ganeti.luxi.methods import EnrolNode
        from ganeti.luxi.unreachable import MasterNotRunning

        client = MasterClient(SocketConnector(self._reactor, self._path), self._reactor)
        try:
            return await client.ask(EnrolNode(token=application.token, request=application.request))
        except MasterNotRunning:
            return None
        finally:
            client.close()
