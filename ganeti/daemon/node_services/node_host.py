# SPDX-License-Identifier: BSD-2-Clause
"""The host of a node daemon: the operating system, as the code of a node uses it."""

from __future__ import annotations

import time

from twisted.internet.endpoints import TCP4ClientEndpoint, UNIXClientEndpoint
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Protocol

from ganeti.bootstrap.daemons import ETCD, MASTERD, RAPI, runs
from ganeti.daemon.connections.listening import reach
from ganeti.daemon.connections.node_connection import only
from ganeti.daemon.node_services.hypervisors import hypervisors
from ganeti.daemon.node_services.local_daemons import start_daemons, start_watchdog, stop_daemons
from ganeti.daemon.process.host_clock import lease_notes, read_boot_id, read_uptime
from ganeti.daemon.process.options import find_node_address
from ganeti.daemon.process.reactor import Reactor
from ganeti.daemon.process.reactor_threads import thread_runner
from ganeti.errors import Code, Failed
from ganeti.hypervisor.interfaces import ConsoleSocket
from ganeti.node.assembly import Host
from ganeti.paths import Paths
from ganeti.pki.authority import create_request
from ganeti.repository.local import LocalDiskReader, LocalRepositories
from ganeti.system.arp import announce
from ganeti.system.files import LocalFiles
from ganeti.system.images import LocalImages
from ganeti.system.name_resolution import SystemNames
from ganeti.system.pidfile import holder
from ganeti.system.processes import LocalProcesses
from ganeti.system.state_files import LocalStateFiles
from ganeti.system.streams import LocalStreams
from ganeti.system.work_threads import WorkThreads

CONNECT_TIMEOUT = 5.0
"""Seconds until a guest's console is given up."""


def create_host(reactor: Reactor, paths: Paths, name: str, port: int, files: LocalFiles) -> Host:
    """Return the host of the node ``name``; all node daemons of the cluster listen on ``port``."""
    processes = LocalProcesses(reactor, reactor)
    return Host(
        name=name,
        paths=paths,
        files=files,
        images=LocalImages(thread_runner(reactor)),
        processes=processes,
        names=SystemNames(thread_runner(reactor), port),
        streams=LocalStreams(reactor),
        hypervisors=hypervisors(reactor, paths, files, processes),
        clock=reactor,
        now=time.time,
        reach=lambda host, port: reach(reactor, find_node_address(host, paths) or host, port),
        stop=reactor.stop,
        lease_notes=lease_notes(paths),
        address_records=LocalStateFiles(paths.master_address_records),
        uptime=read_uptime,
        boot_id=read_boot_id,
        repositories=LocalRepositories(WorkThreads(reactor)),
        disk_reader=LocalDiskReader(WorkThreads(reactor)),
        port=port,
        master_pid=lambda: holder(f"{paths.run}/{MASTERD}.pid") or 0,
        request=_create_request,
        # The remote API stays: it reaches the next master from here.
        stop_master=lambda: stop_daemons(reactor, paths, MASTERD),
        stop_member=lambda: stop_daemons(reactor, paths, ETCD),
        member_runs=lambda: runs(paths, ETCD),
        start_master=lambda: start_daemons(reactor, paths, port, MASTERD, RAPI),
        start_watchdog=lambda: start_watchdog(reactor, paths),
        connect=GuestConnector(reactor),
        announce=announce,
    )


class GuestConnector:
    """Connects to the sockets of guests on this host."""

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor

    async def __call__(self, socket: ConsoleSocket, protocol: Protocol) -> object:
        endpoint: IStreamClientEndpoint
        if socket.path is not None:
            endpoint = UNIXClientEndpoint(self._reactor, socket.path, CONNECT_TIMEOUT)
            where = socket.path
        else:
            host, port = socket.host or "127.0.0.1", socket.port or 0
            endpoint = TCP4ClientEndpoint(self._reactor, host, port, CONNECT_TIMEOUT)
            where = f"{host} port {port}"
        try:
            return await endpoint.connect(only(protocol))
        except (ConnectError, OSError) as e:
            why = f"the guest's console cannot be reached at {where}: {e}"
            raise Failed(why, Code.ENVIRONMENT) from None


async def _create_request(name: str) -> tuple[bytes, bytes]:
    return create_request(name)
