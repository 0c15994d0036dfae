# SPDX-License-Identifier: BSD-2-Clause
"""The services of the master daemon on the real operating system."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Callable
from random import SystemRandom

from twisted.internet.defer import Deferred

from ganeti.bootstrap.accounts import find_group
from ganeti.daemon.connections.node_certificate import NoCertificate
from ganeti.daemon.master_services.cluster_keys import LocalClusterKeys
from ganeti.daemon.master_services.dependencies import make_dependencies
from ganeti.daemon.master_services.local_ancillary_files import LocalAncillaryFiles
from ganeti.daemon.master_services.master_host import MasterHost, open_host
from ganeti.daemon.master_services.node_connections import NodeConnections
from ganeti.daemon.master_services.notification_senders import NotificationSenders
from ganeti.daemon.master_services.opened_state import OpenedState, open_state
from ganeti.daemon.master_services.request_answers import RequestAnswers
from ganeti.daemon.master_services.term_services import TermServices
from ganeti.daemon.master_services.votes import make_votes
from ganeti.daemon.process import rlimit
from ganeti.daemon.process.reactor import Reactor
from ganeti.daemon.process.services import Daemon, ServicePart
from ganeti.daemon.store.state_store import stay_in_files
from ganeti.errors import Refused
from ganeti.luxi.connection import LuxiService
from ganeti.master.accepted_certificates import AcceptedCertificates
from ganeti.master.current_store import CurrentTerm
from ganeti.master.master import Dependencies, Master
from ganeti.master.offline_nodes import end_calls_to_absent_nodes
from ganeti.master.startup import TAKE_OVER_TIMEOUT, Startup, StartupMandate
from ganeti.master.store_startup import StoreStartup
from ganeti.node.voter import read_voter_state
from ganeti.paths import ADMINISTRATORS, Paths
from ganeti.rpc.node_client import NodeClient
from ganeti.rpc.shared_listings import SharedListings

MAX_OPEN_FILES = 16384
"""The limit of open files; each process of the remote API uses up to a thousand connections if as
many clients wait for jobs."""

LOOK = 1.0
"""How often the files of this host's node daemon are checked, in seconds."""

STOP_GRACE = 0.7
"""Seconds in which running opcodes may end when the daemon stops. Most take less, and a planned
failover shall refuse changes for less than a second."""

FIRST_VOTES_TIMEOUT = 1.0
"""How long the start may wait for the first votes of the nodes, in seconds."""


async def start(daemon: Daemon, options: Namespace, paths: Paths) -> None:
    """Build and start the services of the master daemon.

    Jobs run when a majority of the nodes has granted this master a term.
    """
    rlimit.allow(MAX_OPEN_FILES)
    host = await open_host(daemon, paths)
    opened = await open_state(host, options)
    master = _MasterParts(daemon, host, opened, options)
    mandate = StartupMandate(
        take_over=options.take_over,
        voting=not options.no_voting,
        accept_loss=options.accept_loss,
    )
    master.startup.check_mandate(mandate)
    master.use(master.startup.master)
    beginning = master.add_services(mandate)
    # Report an error if the other nodes have another master by now.
    await _wait_up_to(
        TAKE_OVER_TIMEOUT if mandate.take_over else FIRST_VOTES_TIMEOUT, beginning, host.reactor
    )
    quorum = master.startup.quorum
    if mandate.take_over and not quorum.begun:
        why = f"{host.name} was not elected by a majority of the nodes: {quorum.explained()}"
        daemon.fail(Refused(why))
    if daemon.over.called:
        await daemon.over


class _MasterParts:
    """The master with its connections to nodes and clients.

    They refer to each other: calls to nodes carry the term, which the answers of nodes grant.
    """

    def __init__(
        self, daemon: Daemon, host: MasterHost, opened: OpenedState, options: Namespace
    ) -> None:
        self._daemon = daemon
        self._host = host
        self._accepted = AcceptedCertificates(lambda: self.startup.master.config.state())
        self._connections = NodeConnections(
            host.reactor, host.files, host.paths, options.node_port, self._accepts
        )
        nodes = NodeClient(
            self._connections.transport,
            host.reactor,
            term=lambda: self.startup.quorum.term(),
            master=host.name,
            elected=lambda: self.startup.quorum.elected,
            deposed=lambda error: self.startup.quorum.observe_newer_master(error),
        )
        self._senders = NotificationSenders(host.reactor, host.processes, options.sendmail)
        shared = LocalAncillaryFiles(host.files, host.paths)
        keys = LocalClusterKeys(host.processes, host.files, host.paths)
        self._term_services = TermServices(daemon, host, shared, keys)
        around = make_dependencies(
            host,
            SharedListings(nodes, host.reactor),
            shared=shared,
            keys=keys,
            senders=self._senders,
            make_votes=lambda: make_votes(
                host, nodes, opened.journal, lambda: self.startup.master.config.state()
            ),
            settle_uploads=self._term_services.settle_uploads,
        )
        self.startup = _make_startup(host, around, opened, replaced=self.use)
        self._answers = RequestAnswers(lambda: self.startup.quorum)

    def _accepts(self, name: str, fingerprint: str) -> bool:
        # An incomplete copy of the configuration may not have the current certificates.
        return not self.startup.quorum.begun or self._accepted.accepts(name, fingerprint)

    def use(self, master: Master) -> None:
        """Answer requests by this master, and follow its configuration."""
        self._answers.use(master)
        master.config.observe(end_calls_to_absent_nodes(self._connections.transport.give_up))
        master.config.observe(self._accepted.config_changed)
        master.config.observe(self._connections.certificates_changed)

    def add_services(self, mandate: StartupMandate) -> Deferred[None]:
        """Add the services, and return when the term has begun or the daemon cannot continue."""
        daemon, paths = self._daemon, self._host.paths
        quorum = self.startup.quorum
        sockets = LuxiService(
            self._host.reactor,
            (paths.master_socket, paths.query_socket),
            self._answers.methods,
            group=find_group(paths, ADMINISTRATORS),
        )

        async def end() -> None:
            # Stop listening first, so that no client connects to a master that is stopping. The
            # sockets cannot be a later service than the master: if they cannot be opened, the files
            # must not be changed.
            await sockets.stopService()
            self._answers.refuse_changes()
            await self.startup.master.stop(replaced=quorum.lost, grace=STOP_GRACE)
            # Last, as another master may begin as soon as the lease is released.
            await quorum.release_lease(stopped=not daemon.over.called)

        # Stopped in reverse order: connections outlive what uses them.
        daemon.add(ServicePart("connections to nodes", stop=self._connections.close))
        daemon.add(ServicePart("connections to webhooks", stop=self._senders.close))
        daemon.add(sockets)
        daemon.add(ServicePart("master", stop=end))
        daemon.repeat(
            "check of the node daemon's files", LOOK, self._look, passing=(NoCertificate,)
        )
        daemon.on_reload(self._connections.reload)
        beginning = Deferred.fromCoroutine(self._begin(mandate)).addErrback(daemon.fail)
        daemon.add(ServicePart("start of the term", stop=beginning.cancel))
        return beginning

    async def _begin(self, mandate: StartupMandate) -> None:
        await self.startup.start_master(mandate)
        self._term_services.start(self.startup.master)

    def _look(self) -> None:
        granted = read_voter_state(self._host.files, self._host.paths.term_file)
        self.startup.quorum.observed(granted.term, granted.master)
        self._daemon.status(status_of(self.startup.quorum))
        self._connections.reload_if_changed()


def _make_startup(
    host: MasterHost,
    around: Dependencies,
    opened: OpenedState,
    *,
    replaced: Callable[[Master], None],
) -> Startup | StoreStartup:
    """Return the start of the master whose state was opened."""
    if opened.store is not None:
        return StoreStartup(around, opened.store)
    return Startup(
        around,
        opened.journal,
        lambda: read_voter_state(host.files, host.paths.term_file),
        SystemRandom(),
        process=os.getpid(),
        lost=host.lost,
        replaced=replaced,
        on_elected=lambda: stay_in_files(host.reactor, host.files, host.paths, host.name),
    )


def status_of(quorum: CurrentTerm) -> str:
    """Return in one line whether this master is in charge, and if not, what it waits for."""
    return f"master in term {quorum.term()}" if quorum.holds_lease() else quorum.explained()


async def _wait_up_to(seconds: float, work: Deferred[None], reactor: Reactor) -> None:
    """Wait for ``work``, but for at most this many seconds."""
    waiting: Deferred[None] = Deferred()
    timer = reactor.callLater(seconds, waiting.callback, None)

    def ended(result: None) -> None:
        if timer.active():
            timer.cancel()
            waiting.callback(None)

    work.addCallback(ended)
    await waiting
