# SPDX-License-Identifier: BSD-2-Clause
"""The services of the node daemon on the real operating system."""

from __future__ import annotations

import os
import signal
import time
from argparse import Namespace
from collections.abc import Awaitable, Sequence
from dataclasses import replace
from typing import Any

from twisted.internet.endpoints import SSL4ServerEndpoint
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThreadPool

from ganeti.bootstrap.daemons import runs
from ganeti.bootstrap.daemons import start as start_daemon
from ganeti.daemon import rlimit
from ganeti.daemon.expiry import certificate_expiry
from ganeti.daemon.hypervisors import hypervisors
from ganeti.daemon.listening import BACKLOG, listen_at, reach
from ganeti.daemon.node_certificate import NodeServerTLS, get_peer, verify_own_certificate
from ganeti.daemon.node_metrics import default_address, serve_metrics
from ganeti.daemon.options import address_of, find_node_address
from ganeti.daemon.services import Daemon, ServicePart
from ganeti.metrics.family import MetricFamily
from ganeti.node.answers import register_handlers
from ganeti.node.assembly import Host, assemble_node
from ganeti.node.enrolment import EnrolmentForwarder
from ganeti.node.metrics import collect_host_families
from ganeti.paths import NODED_PORT, Paths, local_node_name
from ganeti.pki.authority import create_request
from ganeti.pki.enrolment import Application
from ganeti.rpc.site import RpcSite
from ganeti.system.connection_errors import explain
from ganeti.system.files import LocalFiles
from ganeti.system.images import LocalImages
from ganeti.system.names import SystemNames
from ganeti.system.pidfile import holder
from ganeti.system.processes import LocalProcesses
from ganeti.system.streams import LocalStreams

MASTER, RAPI = "ganeti-masterd", "ganeti-rapi"

MAX_OPEN_FILES = 4096
"""The limit of open files; unauthenticated clients can use a thousand of them."""

ENDING = 20.0
"""How long a daemon may take to stop before it is killed, in seconds; longer than its stop
timeout."""


async def start(daemon: Daemon, options: Namespace, paths: Paths) -> None:
    """Build and start the services of the node daemon."""
    reactor = daemon.reactor
    rlimit.allow(MAX_OPEN_FILES)
    name = local_node_name()
    verify_own_certificate(paths, name)
    tls = NodeServerTLS(paths)
    files = LocalFiles(_thread_runner(reactor))
    # A vote or member list that this daemon reports must survive a power failure.
    await files.sync_folder(paths.data)

    def reload() -> None:
        verify_own_certificate(paths, name)
        tls.reload(paths)

    host = replace(create_host(reactor, paths, name, options.port, files), reload=reload)
    enrolment = EnrolmentForwarder(files, paths, _MasterForwarder(reactor, paths))
    parts = assemble_node(host)
    await parts.exports.tidy()
    await parts.keys.tidy()
    site = RpcSite(
        register_handlers(parts),
        get_peer,
        parts.members,
        reactor,
        enrolment.open(),
        explain=explain,
    )
    address = options.bind or address_of(name, paths)
    endpoint = SSL4ServerEndpoint(reactor, options.port, tls, BACKLOG, address)
    port = await listen_at(endpoint, site, address, options.port)

    async def numbers() -> Sequence[MetricFamily]:
        own = await collect_host_families(parts.facts.describe, tuple(host.hypervisors), files)
        certificates = {"node": paths.node_certificate, "authority": paths.authority}
        return [*own, certificate_expiry(certificates)]

    for part in (
        ServicePart("copy of the journal", stop=parts.replica.close),
        ServicePart("calls", stop=site.end),
        ServicePart("transfers", stop=parts.transfers.close),
        ServicePart("membership", stop=parts.membership.close),
        ServicePart("port", stop=port.stopListening),
    ):
        daemon.add(part)
    if options.metrics_port:
        where = options.metrics_bind or default_address(address)
        metrics = serve_metrics(reactor, where, options.metrics_port, numbers)
        if metrics is not None:
            daemon.add(ServicePart("metrics", stop=metrics.stopListening))
    daemon.on_reload(reload)
    daemon.status(f"serving {name} on {address} port {options.port}")


class _MasterForwarder:
    """Forwards enrolment requests of new nodes to the master daemon on this host."""

    def __init__(self, reactor: Any, paths: Paths) -> None:
        self._reactor = reactor
        self._path = paths.master_socket

    async def __call__(self, application: Application) -> dict[str, Any] | None:
        # Imported here: needed only on the master, when a node joins.
        from ganeti.luxi.async_client import MasterClient
        from ganeti.luxi.methods import EnrolNode
        from ganeti.luxi.unreachable import MasterNotRunning

        client = MasterClient(self._reactor, self._reactor, self._path)
        try:
            return await client.ask(EnrolNode(token=application.token, request=application.request))
        except MasterNotRunning:
            return None
        finally:
            client.close()


def create_host(reactor: Any, paths: Paths, name: str, port: int, files: LocalFiles) -> Host:
    """Return the host of the node ``name``; all node daemons of the cluster listen on ``port``."""
    processes = LocalProcesses(reactor, reactor)
    return Host(
        name=name,
        paths=paths,
        files=files,
        images=LocalImages(_thread_runner(reactor)),
        processes=processes,
        names=SystemNames(_thread_runner(reactor), port),
        streams=LocalStreams(reactor),
        hypervisors=hypervisors(reactor, paths, files, processes),
        clock=reactor,
        now=time.time,
        reach=lambda host, port: reach(reactor, find_node_address(host, paths) or host, port),
        stop=reactor.stop,
        port=port,
        master_pid=lambda: holder(f"{paths.run}/{MASTER}.pid") or 0,
        request=_create_request,
        stop_master=lambda: _stop_daemons(reactor, paths, RAPI, MASTER),
        start_master=lambda: _start_daemons(reactor, paths, port, MASTER, RAPI),
    )


async def _create_request(name: str) -> tuple[bytes, bytes]:
    return create_request(name)


async def _stop_daemons(reactor: Any, paths: Paths, *daemons: str) -> bool:
    """Stop daemons of this node in the given order; return whether any of them ran."""
    any_ran = False
    for daemon in daemons:
        path, began = f"{paths.run}/{daemon}.pid", reactor.seconds()
        told = 0
        while pid := holder(path):
            any_ran = True
            wanted = signal.SIGKILL if reactor.seconds() - began > ENDING else signal.SIGTERM
            if wanted != told:
                os.kill(pid, wanted)
                told = wanted
            await deferLater(reactor, 0.05)
    return any_ran


async def _start_daemons(reactor: Any, paths: Paths, port: int, *daemons: str) -> None:
    """Start the daemons of this node that are not running, in the given order."""
    in_thread = _thread_runner(reactor)
    for daemon in daemons:
        if not runs(paths, daemon):
            options = [f"--node-port={port}"] if daemon == MASTER and port != NODED_PORT else []
            await in_thread(start_daemon, paths, daemon, *options)


def _thread_runner(reactor: Any) -> Any:
    def in_thread(function: Any, *arguments: Any, **named: Any) -> Awaitable[Any]:
        return deferToThreadPool(reactor, reactor.getThreadPool(), function, *arguments, **named)

    return in_thread
