# SPDX-License-Identifier: BSD-2-Clause
"""The daemons of a cluster with one node, in the process of the test, on loopback."""

from __future__ import annotations

import shutil
import socket
import tempfile
from argparse import Namespace
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
from twisted.internet import reactor as installed
from twisted.internet.task import deferLater
from twisted.internet.tcp import Connection
from twisted.trial.unittest import TestCase

from ganeti.bootstrap.init_cluster import init_cluster
from ganeti.daemon.master_services.start import start as start_master
from ganeti.daemon.node_services.start import start as start_node
from ganeti.daemon.process.services import Daemon
from ganeti.paths import Paths, local_node_name
from ganeti.rpc.quorum import VoterState

reactor: Any = installed

NODE_OPTIONS = Namespace(
    bind=None, port=0, metrics_port=0, metrics_bind="127.0.0.1", metrics_guests=False
)
MASTER_OPTIONS = Namespace(
    take_over=False,
    take_vacant_role=False,
    no_voting=False,
    accept_loss=False,
    node_port=0,
    sendmail="/nonexistent",
)

Start = Callable[[Daemon, Namespace, Paths], Awaitable[None]]


class OneNodeTestCase(TestCase):
    """A cluster whose only node is this host; none of its daemons runs yet."""

    def setUp(self) -> None:
        # In a short path of its own: those of sockets are bounded.
        root = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, root)
        self.paths = Paths(root)
        self.name = local_node_name()
        self.state = init_cluster(
            self.paths,
            cluster="cluster1",
            address="127.0.0.1",
            master=self.name,
            master_address="127.0.0.1",
            hypervisors=["fake"],
        )
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.port: int = listening.getsockname()[1]
        self.status: list[str] = []

    def write_vote(self, term: int, master: str) -> None:
        """Record that the node of this host has granted a term."""
        vote = msgspec.json.encode(VoterState(term=term, master=master))
        Path(self.paths.term_file).write_bytes(vote)

    async def run_node(self, **options: Any) -> Daemon:
        """Start the node daemon."""
        chosen = Namespace(**{**vars(NODE_OPTIONS), "port": self.port, **options})
        return await self._start(start_node, chosen)

    async def run_master(self, **options: Any) -> Daemon:
        """Start the master daemon."""
        chosen = Namespace(**{**vars(MASTER_OPTIONS), "node_port": self.port, **options})
        return await self._start(start_master, chosen)

    async def _start(self, start: Start, options: Namespace) -> Daemon:
        daemon = Daemon(reactor, self.status.append)
        daemon.startService()
        self.addCleanup(self._stop, daemon)
        await start(daemon, options, self.paths)
        return daemon

    async def _stop(self, daemon: Daemon) -> None:
        await daemon.stopService()
        while any(isinstance(each, Connection) for each in reactor.getReaders()):
            await deferLater(reactor, 0.005)
