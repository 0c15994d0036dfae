# SPDX-License-Identifier: BSD-2-Clause
"""Connections of the remote API to the master daemon, wherever it runs.

The remote API runs on every master candidate. On the master, it uses the socket of the master
daemon; elsewhere, it opens a tunnel to that socket through the master's node daemon, with which
both show their certificates. Which node is the master is in a file that each new master sends to
all nodes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as TimedOut
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol
from twisted.internet.task import deferLater

from ganeti.bootstrap.blocking_files import read_ssconf
from ganeti.daemon.connections.node_connection import connect_to_node
from ganeti.daemon.process.reactor import Reactor
from ganeti.errors import Failed
from ganeti.luxi.async_client import Connect
from ganeti.luxi.unreachable import MasterNotRunning
from ganeti.paths import Paths
from ganeti.rpc.tunnels import LUXI_TUNNEL, TunnelClient
from ganeti.system.connection_errors import explain

WAIT = 15.0
"""Seconds for which requests wait for a master; an automatic failover takes about five."""

RETRY_DELAY = 0.25
"""Seconds between two attempts to connect."""

CONNECT_TIMEOUT = 2.0
"""Seconds to connect to the master's host, and for its answer; the host may be down."""

OpenTunnel: TypeAlias = Callable[[str, Protocol], Awaitable[None]]
"""Connects a protocol to the master daemon on the named node; fails with ``Failed``."""


class MasterConnector:
    """Connects to the master, and waits for one while there is none.

    All requests of an outage wait until the same time, so that those which are queued behind
    others do not wait for longer.
    """

    def __init__(
        self,
        local: Connect,
        tunnel: OpenTunnel,
        master: Callable[[], str],
        clock: IReactorTime,
        *,
        name: str,
        wait: float = WAIT,
    ) -> None:
        """``local`` connects on this node, ``name``; ``master`` returns the name of the master.

        Requests wait for it for ``wait`` seconds.
        """
        self._local = local
        self._tunnel = tunnel
        self._master = master
        self._clock = clock
        self._name = name
        self._wait = wait
        self._absent_since = 0.0
        self._absent_at: float | None = None

    async def __call__(self, protocol: Protocol) -> str:
        """Connect a protocol to the master, and return its name.

        :raises MasterNotRunning: there was no master for so long.
        :raises NotPermitted: this user may not use the socket of the master daemon.
        """
        while True:
            try:
                master = await self._connect(protocol)
            except MasterNotRunning:
                if self._is_outage_long():
                    raise
                await deferLater(self._clock, RETRY_DELAY)
            else:
                self._absent_at = None
                return master

    def _is_outage_long(self) -> bool:
        now = self._clock.seconds()
        if self._absent_at is None or now - self._absent_at > self._wait:
            self._absent_since = now
        self._absent_at = now
        return now - self._absent_since >= self._wait

    async def _connect(self, protocol: Protocol) -> str:
        # Again each time: during a failover, the name changes while requests wait.
        master = self._master()
        if master in ("", self._name):
            await self._local(protocol)
            return master
        try:
            await self._tunnel(master, protocol)
        except Failed as e:
            raise MasterNotRunning(
                f"the master daemon on {master} cannot be reached: {e}; if that node is down, make"
                " another master candidate the master: gnt-cluster master-failover"
            ) from None
        return master


class LuxiTunnel:
    """Opens tunnels to the master daemon through the node daemon of the master."""

    def __init__(self, reactor: Reactor, paths: Paths, port: int) -> None:
        """All node daemons listen on ``port``."""
        self._reactor = reactor
        self._paths = paths
        self._port = port

    async def __call__(self, master: str, protocol: Protocol) -> None:
        """Connect a protocol to the master daemon on the node ``master``.

        :raises Failed: the node daemon there cannot be reached, or does not open the tunnel.
        """
        known = read_ssconf(self._paths, "node_primary_ips").splitlines()
        address = dict(line.split(" ", 1) for line in known).get(master)
        if address is None:
            raise Failed(f"the address of node {master} is not known here")
        client = TunnelClient(master, LUXI_TUNNEL, protocol, explain)
        opening = Deferred.fromCoroutine(self._open(master, address, client))
        try:
            await opening.addTimeout(2 * CONNECT_TIMEOUT, self._reactor)
        except TimedOut:
            raise Failed(f"node {master} does not answer") from None

    async def _open(self, master: str, address: str, client: TunnelClient) -> None:
        await connect_to_node(
            self._reactor,
            self._paths,
            master,
            address,
            self._port,
            client,
            timeout=CONNECT_TIMEOUT,
        )
        await client.opened


def read_master(paths: Paths) -> str:
    """Return the name of the master as this node knows it; empty if it does not."""
    return _read_ssconf(paths, "master_node")


def is_candidate(paths: Paths, name: str) -> bool:
    """Return whether this node, ``name``, is a master candidate or the master, as is known here."""
    candidates = _read_ssconf(paths, "master_candidates").splitlines()
    return not candidates or name in candidates or read_master(paths) == name


def _read_ssconf(paths: Paths, key: str) -> str:
    try:
        return read_ssconf(paths, key)
    except FileNotFoundError:
        return ""
