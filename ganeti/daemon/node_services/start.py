# SPDX-License-Identifier: BSD-2-Clause
"""The services of the node daemon on the real operating system."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace

from twisted.internet.endpoints import SSL4ServerEndpoint

from ganeti.daemon.connections.expiry import certificate_expiry
from ganeti.daemon.connections.listening import BACKLOG, listen_at
from ganeti.daemon.connections.node_certificate import (
    NodePolicy,
    NodeServerTLS,
    get_peer,
    verify_own_certificate,
)
from ganeti.daemon.node_services.daemon_watches import (
    add_candidate_api,
    add_member_keeper,
    add_standby,
)
from ganeti.daemon.node_services.master_forwarder import MasterForwarder
from ganeti.daemon.node_services.node_host import create_host
from ganeti.daemon.node_services.node_metrics import default_address, serve_metrics
from ganeti.daemon.process import rlimit
from ganeti.daemon.process.options import address_of
from ganeti.daemon.process.reactor import Reactor
from ganeti.daemon.process.reactor_threads import thread_runner
from ganeti.daemon.process.services import Daemon, ServicePart
from ganeti.errors import GanetiError
from ganeti.luxi.socket_connector import SocketConnector
from ganeti.metrics.family import MetricFamily
from ganeti.node.answers import register_handlers
from ganeti.node.assembly import Host, NodeParts, assemble_node
from ganeti.node.enrolment import EnrolmentForwarder
from ganeti.node.filter_restorer import INTERVAL
from ganeti.node.master_tunnel import MasterTunnels
from ganeti.node.metrics import collect_host_families, collect_usage_families
from ganeti.paths import Paths, local_node_name
from ganeti.rpc.agent import HttpTransport, TlsEndpoints
from ganeti.rpc.elector_client import ElectorClient
from ganeti.rpc.guest_lease import RENEWAL_INTERVAL
from ganeti.rpc.site import RpcSite
from ganeti.rpc.tunnels import LUXI_TUNNEL
from ganeti.system.connection_errors import explain
from ganeti.system.files import LocalFiles

MAX_OPEN_FILES = 4096
"""The limit of open files; unauthenticated clients can use a thousand of them."""


async def start(daemon: Daemon, options: Namespace, paths: Paths) -> None:
    """Build and start the services of the node daemon."""
    reactor = daemon.reactor
    rlimit.allow(MAX_OPEN_FILES)
    name = local_node_name()
    verify_own_certificate(paths, name)
    tls = NodeServerTLS(paths)
    files = LocalFiles(thread_runner(reactor))
    # A vote or member list that this daemon reports must survive a power failure.
    await files.sync_folder(paths.data)

    def reload() -> None:
        verify_own_certificate(paths, name)
        tls.reload(paths)
        policy.reload(paths)
        electors.close()  # peers will reject the certificate that these were opened with

    policy = NodePolicy(
        paths, lambda peer, fingerprint: fingerprint in parts.members.fingerprints(peer)
    )
    electors = HttpTransport(TlsEndpoints(reactor, policy, options.port), reactor, explain=explain)
    host = replace(
        create_host(reactor, paths, name, options.port, files),
        reload=reload,
        ask_elector=ElectorClient(electors),
    )
    parts = assemble_node(host)
    # Before the first call, which may create new ones.
    await parts.exports.remove_incomplete()
    await parts.library.remove_leftovers(host.now())
    await parts.keys.remove_expired()
    await parts.backups.end_interrupted()
    site = _create_site(reactor, paths, files, parts)
    address = options.bind or address_of(name, paths)
    endpoint = SSL4ServerEndpoint(reactor, options.port, tls, BACKLOG, address)
    port = await listen_at(endpoint, site, address, options.port)
    # Stopped in reverse order: the port, the calls in progress, and at last the files that they
    # use.
    daemon.add(ServicePart("copy of the journal", stop=parts.replica.close))
    daemon.add(ServicePart("calls", stop=site.shut_down))
    daemon.add(ServicePart("connections to electors", stop=electors.close))
    daemon.repeat(
        "lease of the guests", RENEWAL_INTERVAL, parts.guest_lease.tick, passing=(GanetiError,)
    )
    daemon.repeat("packet filters of guests", INTERVAL, parts.filters.restore)
    parts.master_address.script.resume_by_record()
    for part in _make_guest_services(parts):
        daemon.add(part)
    daemon.add(ServicePart("port", stop=port.stopListening))
    if options.metrics_port:
        where = options.metrics_bind or default_address(address)
        families = _collector(host, parts, guests=options.metrics_guests)
        metrics = serve_metrics(reactor, where, options.metrics_port, families)
        if metrics is not None:
            daemon.add(ServicePart("metrics", stop=metrics.stopListening))
    add_standby(daemon, paths, name, options.port, files)
    add_candidate_api(daemon, paths, name, options.port, files)
    add_member_keeper(daemon, paths, files)
    daemon.on_reload(reload)
    daemon.status(f"serving {name} on {address} port {options.port}")


def _create_site(reactor: Reactor, paths: Paths, files: LocalFiles, parts: NodeParts) -> RpcSite:
    """Return the site that answers calls, and forwards what is for the master on this host."""
    enrolment = EnrolmentForwarder(files, paths, MasterForwarder(reactor, paths))
    return RpcSite(
        register_handlers(parts),
        get_peer,
        parts.members,
        reactor,
        enrolment.open(),
        streams={"console": parts.consoles.open},
        tunnels={LUXI_TUNNEL: MasterTunnels(SocketConnector(reactor, paths.master_socket)).open},
        explain=explain,
    )


def _make_guest_services(parts: NodeParts) -> Iterator[ServicePart]:
    yield ServicePart("consoles", stop=parts.consoles.close)
    yield ServicePart("usage", start=parts.usage.start, stop=parts.usage.stop)
    yield ServicePart("transfers", stop=parts.transfers.close)
    yield ServicePart("membership", stop=parts.membership.close)


def _collector(
    host: Host, parts: NodeParts, *, guests: bool
) -> Callable[[], Awaitable[Sequence[MetricFamily]]]:
    """Return what collects the metrics of this node; with ``guests``, also of each guest."""
    paths = host.paths

    async def collect() -> Sequence[MetricFamily]:
        own = await collect_host_families(parts.facts.describe, tuple(host.hypervisors), host.files)
        certificates = {"node": paths.node_certificate, "authority": paths.authority}
        usage = collect_usage_families(host.name, parts.usage.counters, guests=guests)
        return [*own, *usage, certificate_expiry(certificates)]

    return collect
