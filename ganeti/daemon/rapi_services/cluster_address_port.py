# SPDX-License-Identifier: BSD-2-Clause
"""The port of the remote API on the address of the cluster, besides that of the node."""

from __future__ import annotations

import socket
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, Protocol

from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.logger import Logger

from ganeti.config.own_address import moves
from ganeti.daemon.connections.listening import BACKLOG
from ganeti.daemon.process.reactor import Reactor
from ganeti.paths import Paths

INTERVAL = 2.0
"""Seconds between two looks at the cluster's address."""

IPV6_FREEBIND = 78
"""As in ``linux/in6.h``; Python has no name for it."""
IP_FREEBIND = 15


class OpenPort(Protocol):
    """Opens the port at an address, which this host need not have now.

    :raises OSError: it cannot be opened.
    """

    def __call__(self, address: str) -> IListeningPort: ...


class ClusterAddressPort:
    """Listens on the cluster's address, which may change, as long as it is no node's.

    Also on candidates that are not the master, so that they serve it as soon as they become it.
    """

    _log = Logger()

    def __init__(self, find: Callable[[], str | None], open_port: OpenPort) -> None:
        self._find = find
        self._open = open_port
        self._port: IListeningPort | None = None
        self._address: str | None = None

    async def update(self) -> None:
        """Listen on the present address of the cluster, and no longer on an earlier one."""
        address = self._find()
        if address == self._address:
            return
        await self.stop()
        # Also if it cannot be opened: the reason would be logged again and again.
        self._address = address
        if address is None:
            return
        try:
            self._port = self._open(address)
        except OSError as e:
            self._log.error(
                "no clients are served on {address}, the address of the cluster: {why}",
                address=address,
                why=str(e),
            )
        else:
            self._log.info("serving clients on {address}, too", address=address)

    async def stop(self) -> None:
        """Listen no longer."""
        port, self._port, self._address = self._port, None, None
        # A Deferred if it takes time.
        if port is not None and (stopping := port.stopListening()) is not None:
            await stopping


def find_cluster_address(paths: Paths) -> str | None:
    """Return the cluster's address by the files of this node, if it moves with the master."""
    address = _read(paths, "master_ip").strip()
    lines = [
        *_read(paths, "node_primary_ips").splitlines(),
        *_read(paths, "node_secondary_ips").splitlines(),
    ]
    used = {line.partition(" ")[2].strip() for line in lines}
    return address if moves(address, used) else None


def open_free(
    reactor: Reactor, port: int, factory: IProtocolFactory, prepare: Callable[[Any], None]
) -> OpenPort:
    """Return what opens ``port`` of any address for ``factory``; ``prepare`` sets its options."""

    def open_port(address: str) -> IListeningPort:
        version = ip_address(address).version
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        with socket.socket(family, socket.SOCK_STREAM) as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            # The host has the address only while the master on it has its lease.
            if version == 4:
                listening.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
            else:
                listening.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
            listening.setblocking(False)
            listening.bind((address, port))
            listening.listen(BACKLOG)
            # Duplicates the descriptor.
            opened: IListeningPort = reactor.adoptStreamPort(listening.fileno(), family, factory)
        prepare(opened)
        return opened

    return open_port


def _read(paths: Paths, key: str) -> str:
    try:
        with open(f"{paths.data}/ssconf_{key}", encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""
