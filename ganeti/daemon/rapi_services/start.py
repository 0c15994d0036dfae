# SPDX-License-Identifier: BSD-2-Clause
"""The services of the remote API on the real operating system."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from ganeti.daemon.connections.listening import disable_nagle, limit_unsent, listen_at
from ganeti.daemon.connections.server_certificate import ServerCertificate
from ganeti.daemon.process.options import ALL_ADDRESSES, address_of
from ganeti.daemon.process.services import Daemon, ServicePart
from ganeti.daemon.rapi_services import cluster_address_port
from ganeti.daemon.rapi_services.api_server import ApiServer, create_endpoint, wrap_tls
from ganeti.daemon.rapi_services.cluster_address_port import (
    ClusterAddressPort,
    find_cluster_address,
    open_free,
)
from ganeti.daemon.rapi_services.local_files_watch import INTERVAL, LocalFilesWatch
from ganeti.daemon.rapi_services.master_connector import (
    LuxiTunnel,
    MasterConnector,
    is_candidate,
    read_master,
)
from ganeti.daemon.rapi_services.open_files import allocate_files
from ganeti.daemon.rapi_services.workers import WorkerProcesses, accept_as_worker
from ganeti.errors import Failed, NotMaster
from ganeti.luxi.async_client import MasterClient
from ganeti.luxi.socket_connector import SocketConnector
from ganeti.paths import Paths, local_node_name
from ganeti.rapi.site import ApiSite

MODULE = "ganeti.daemon.rapi"
"""The program of the worker processes."""

MAX_KERNEL_UNSENT = 128 * 1024
"""How many unsent bytes of an answer the kernel buffers for a client."""


async def start(daemon: Daemon, options: Namespace, paths: Paths) -> None:
    """Build and start the services of the remote API."""
    name = local_node_name()
    _check_candidate(paths, name)
    certificate = None if options.no_ssl else _load_certificate(options, paths)
    budget = allocate_files(options.max_clients)
    master = MasterClient(
        _create_connector(daemon, options, paths, name),
        daemon.reactor,
        most_waiting=budget.waiting,
    )
    server = ApiServer(daemon.reactor, options, paths, master, certificate, budget)
    daemon.add(ServicePart("connections to the master", stop=master.close))
    for part in server.parts():
        daemon.add(part)
    if options.worker is not None:
        port = accept_as_worker(daemon.reactor, wrap_tls(server.site, certificate))
        daemon.add(ServicePart("port", stop=port.stopListening))
    else:
        address = options.bind or address_of(name, paths)
        await _listen(daemon, options, address, server.site, certificate)
        if options.bind is None and address != ALL_ADDRESSES:
            await _serve_cluster_address(daemon, options, paths, server.site, certificate)
    if certificate is not None:
        daemon.on_reload(certificate.reload)
    watch = LocalFilesWatch(paths, name, master, certificate, daemon.fail)
    daemon.repeat(
        "watch of this node's files", INTERVAL, watch.reload_if_changed, passing=(Failed,)
    )


def _check_candidate(paths: Paths, name: str) -> None:
    """Refuse to run on a node that is not a master candidate.

    :raises NotMaster: it is not; the message names the master.
    """
    if not is_candidate(paths, name):
        raise NotMaster(
            f"{name} is not a master candidate; run the remote API on the master, which is"
            f" {read_master(paths)}, or on a master candidate"
        )


def _load_certificate(options: Namespace, paths: Paths) -> ServerCertificate:
    certificate = options.ssl_cert or options.ssl_key or paths.rapi_certificate
    return ServerCertificate(certificate, options.ssl_key or certificate)


def _create_connector(
    daemon: Daemon, options: Namespace, paths: Paths, name: str
) -> MasterConnector:
    """Return what connects to the master, on this host or on another one."""
    reactor = daemon.reactor
    return MasterConnector(
        SocketConnector(reactor, paths.master_socket),
        LuxiTunnel(reactor, paths, options.node_port),
        lambda: read_master(paths),
        reactor,
        name=name,
        wait=options.master_wait,
    )


async def _serve_cluster_address(
    daemon: Daemon,
    options: Namespace,
    paths: Paths,
    site: ApiSite,
    certificate: ServerCertificate | None,
) -> None:
    """Serve the clients that use the cluster's name or address, in this process only."""
    port = ClusterAddressPort(
        lambda: find_cluster_address(paths),
        open_free(daemon.reactor, options.port, wrap_tls(site, certificate), _set_options),
    )
    await port.update()
    daemon.add(ServicePart("port of the cluster's address", stop=port.stop))
    daemon.repeat("look at the cluster's address", cluster_address_port.INTERVAL, port.update)


def _set_options(port: Any) -> None:
    limit_unsent(port, MAX_KERNEL_UNSENT)
    disable_nagle(port)


async def _listen(
    daemon: Daemon,
    options: Namespace,
    address: str,
    site: ApiSite,
    certificate: ServerCertificate | None,
) -> None:
    """Open the port, and start the workers that share it."""
    reactor = daemon.reactor
    endpoint = create_endpoint(reactor, address, options.port, certificate)
    port = await listen_at(endpoint, site, address, options.port)
    _set_options(port)
    daemon.add(ServicePart("port", stop=port.stopListening))
    # Added last to stop first: the workers must end before the shared socket is closed.
    further = options.workers - 1
    daemon.add(WorkerProcesses(reactor, MODULE, options.arguments, port.fileno(), further))
    daemon.status(f"serving clients on {address} port {options.port}")
