# SPDX-License-Identifier: BSD-2-Clause
"""The services of the master daemon on the real operating system."""

from __future__ import annotations

import os
import time
from argparse import Namespace
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from random import SystemRandom
from typing import Any, ParamSpec, TypeVar

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from ganeti import __version__
from ganeti.config.state import ClusterState, RecordEdit, RecordKind
from ganeti.daemon import rlimit
from ganeti.daemon.allocators import Allocators
from ganeti.daemon.cluster_keys import LocalClusterKeys
from ganeti.daemon.identifiers import SystemIdentifiers
from ganeti.daemon.node_certificate import NoCertificate, NodePolicy
from ganeti.daemon.periodic import TRANSIENT_ERRORS, PeriodicTask
from ganeti.daemon.services import Daemon, ServicePart
from ganeti.errors import Refused
from ganeti.journal.file import FileJournal
from ganeti.luxi.connection import LuxiService
from ganeti.luxi.methods import METHODS
from ganeti.luxi.server import Answerer, LuxiMethods
from ganeti.master.accepted_certificates import AcceptedCertificates
from ganeti.master.ancillary_files import AncillaryFiles
from ganeti.master.master import Dependencies, Master
from ganeti.master.mastership import MasterTerm
from ganeti.master.offline_nodes import end_calls_to_absent_nodes
from ganeti.master.ssconf_distribution import SsconfDistribution
from ganeti.master.startup import TAKE_OVER_TIMEOUT, Startup, StartupMandate
from ganeti.master.state_paths import StatePaths
from ganeti.node.voter import read_voter_state
from ganeti.operations.operation import AncillaryFile
from ganeti.paths import Paths, local_node_name
from ganeti.pki.issuing import IssuingProgram
from ganeti.rpc.agent import HttpTransport, TlsEndpoints
from ganeti.rpc.liveness import ProbedTransport
from ganeti.rpc.node_client import NodeClient
from ganeti.system.connection_errors import explain
from ganeti.system.files import LocalFiles
from ganeti.system.processes import LocalProcesses

P = ParamSpec("P")
T = TypeVar("T")

MAX_OPEN_FILES = 16384
"""The limit of open files; each process of the remote API uses up to a thousand connections if as
many clients wait for jobs."""

LOOK = 1.0
"""How often the files of this host's node daemon are checked, in seconds."""

FIRST_VOTES_TIMEOUT = 1.0
"""How long the start may wait for the first votes of the nodes, in seconds."""


async def start(daemon: Daemon, options: Namespace, paths: Paths) -> None:
    """Build and start the services of the master daemon.

    Jobs run when a majority of the nodes has granted this master a term.
    """
    reactor = daemon.reactor
    rlimit.allow(MAX_OPEN_FILES)
    threads = FileThreads(reactor)
    daemon.add(threads)
    files = LocalFiles(threads)
    places = StatePaths(paths.data)
    for folder in (places.queue, paths.sockets):
        await files.make_folder(folder)
    for folder in (paths.data, places.queue):
        await files.sync_folder(folder)
    journal = await FileJournal.open(files, places.journal, reactor)
    policy = NodePolicy(
        paths,
        # An incomplete copy of the configuration may not have the current certificates.
        lambda name, fingerprint: not startup.quorum.begun or accepted.accepts(name, fingerprint),
    )
    accepted = AcceptedCertificates(lambda: startup.master.config.state())
    http = HttpTransport(TlsEndpoints(reactor, policy, options.node_port), reactor, explain=explain)
    way = ProbedTransport(http, reactor)
    name = local_node_name()
    over = daemon.over
    nodes = NodeClient(
        way,
        reactor,
        term=lambda: startup.quorum.term(),
        master=name,
        elected=lambda: startup.quorum.elected,
        deposed=lambda error: startup.quorum.heard(error),
    )
    around = Dependencies(
        files=files,
        places=places,
        nodes=nodes,
        clock=reactor,
        now=time.time,
        ids=SystemIdentifiers(),
        run_allocator=Allocators(
            files,
            LocalProcesses(reactor, reactor),
            paths.allocator_search_path,
            f"{paths.run}/iallocators",
        ),
        shared=_LocalAncillaryFiles(files, paths),
        machine=os.uname().machine,
        issue=IssuingProgram(
            LocalProcesses(reactor, reactor), paths.authority, paths.authority_key
        ),
        keys=LocalClusterKeys(LocalProcesses(reactor, reactor), files, paths),
        name=name,
    )
    mandate = StartupMandate(
        take_over=options.take_over,
        voting=not options.no_voting,
        accept_loss=options.accept_loss,
    )
    startup = Startup(
        around,
        journal,
        lambda: read_voter_state(files, paths.term_file),
        SystemRandom(),
        process=os.getpid(),
        lost=over.errback,
        replaced=lambda master: answer_by(master),
    )
    startup.check_mandate(mandate)
    quorum = startup.quorum

    def certificates_changed(_: ClusterState, edits: tuple[RecordEdit, ...]) -> None:
        if any(edit.kind is RecordKind.CERTIFICATE for edit in edits):
            http.close()  # so that each node shows its certificate again

    methods = LuxiMethods({})
    current: list[Mapping[str, Answerer]] = [{}]

    def answer_by(master: Master) -> None:
        # Also for requests that wait: they are answered when the term has begun.
        current[0] = master.answers()
        methods.use(defer_until_ready(current, quorum), master.gate)
        master.config.observe(end_calls_to_absent_nodes(way.give_up))
        master.config.observe(accepted.changed)
        master.config.observe(certificates_changed)

    answer_by(startup.master)

    async def begin() -> None:
        await startup.begin(mandate)
        master = startup.master
        ssconf = SsconfDistribution(master.nodes, master.config.state, reactor, __version__)
        secrets = AncillaryFiles(master.nodes, master.config.state, around.shared, reactor)
        for each in (ssconf, secrets):
            master.config.observe(each.changed)
        daemon.add(ServicePart("distribution of ssconf", start=ssconf.soon, stop=ssconf.stop))
        daemon.add(ServicePart("distribution of secrets", start=secrets.soon, stop=secrets.stop))

    sockets = LuxiService(reactor, (paths.master_socket, paths.query_socket), methods)

    async def end() -> None:
        # Stop listening first, so that no client connects to a master that is stopping. The sockets
        # cannot be a later service than the master: if they cannot be opened, the files must not be
        # changed.
        await sockets.stopService()
        await startup.master.stop(replaced=quorum.lost)
        await quorum.release()

    def failed(failure: Failure) -> None:
        if not failure.check(CancelledError) and not over.called:
            over.errback(failure)

    certificate = [files.stat(paths.node_certificate)]
    authorities = [files.stat(paths.authority)]

    def reload() -> None:
        policy.reload(paths)
        http.close()  # nodes will reject the certificate that these were opened with

    def look() -> None:
        granted = read_voter_state(files, paths.term_file)
        quorum.observed(granted.term, granted.master)
        daemon.status(status_of(quorum))
        # The node daemon replaces these files when a job renews certificates.
        if (trusted := files.stat(paths.authority)) != authorities[0]:
            policy.reload(paths)
            authorities[0] = trusted
        if (found := files.stat(paths.node_certificate)) != certificate[0]:
            reload()
            certificate[0] = found

    passing = (*TRANSIENT_ERRORS, NoCertificate)
    for part in (
        ServicePart("connections to nodes", stop=http.close),
        sockets,
        ServicePart("master", stop=end),
        PeriodicTask(
            "check of the node daemon's files", LOOK, look, reactor, failed, passing=passing
        ),
    ):
        daemon.add(part)
    daemon.on_reload(reload)
    beginning = Deferred.fromCoroutine(begin()).addErrback(failed)
    daemon.add(ServicePart("start of the term", stop=beginning.cancel))

    # Report an error if the other nodes have another master by now.
    await _wait_up_to(
        TAKE_OVER_TIMEOUT if mandate.take_over else FIRST_VOTES_TIMEOUT, beginning, reactor
    )
    if mandate.take_over and not quorum.begun and not over.called:
        over.errback(
            Refused(f"{name} was not elected by a majority of the nodes: {quorum.explained()}")
        )
    if over.called:
        await over


def status_of(quorum: MasterTerm) -> str:
    """Return in one line whether this master is in charge, and if not, what it waits for."""
    return f"master in term {quorum.term()}" if quorum.holds() else quorum.explained()


async def _wait_up_to(seconds: float, work: Deferred[None], reactor: Any) -> None:
    """Wait for ``work``, but for at most this many seconds."""
    waiting: Deferred[None] = Deferred()
    timer = reactor.callLater(seconds, waiting.callback, None)

    def ended(result: None) -> None:
        if timer.active():
            timer.cancel()
            waiting.callback(None)

    work.addCallback(ended)
    await waiting


def defer_until_ready(
    current: Sequence[Mapping[str, Answerer]], quorum: MasterTerm
) -> dict[str, Answerer]:
    """Return the ``current`` answerers; those that change something wait until the master is ready.

    A waiting request is answered by the answerers that are current then: the master may have been
    rebuilt from a longer journal, and the previous one must not accept jobs.
    """
    [answers] = current

    def waiting(name: str) -> Answerer:
        async def wait(*arguments: Any) -> Any:
            await quorum.ready()
            # If the majority is lost from now on, the client must not wait forever.
            return await quorum.bounded(current[0][name](*arguments))

        return wait

    return {
        name: waiting(name) if METHODS[name].changes else answer for name, answer in answers.items()
    }


@dataclass(frozen=True)
class _LocalAncillaryFiles:
    """The files that are distributed to master candidates."""

    files: LocalFiles
    paths: Paths

    async def read(self) -> Sequence[AncillaryFile]:
        found = []
        for path, mode in self.paths.shared_files.items():
            if self.files.stat(path) is not None:
                content = self.files.read(path)
                found.append(AncillaryFile(path.removeprefix(self.paths.root), content, mode))
        return found


class FileThreads(Service):
    """Threads for disk access only, so that a hanging name lookup does not delay it."""

    def __init__(self, reactor: Any) -> None:
        self.setName("threads for files")
        self._reactor = reactor
        self._pool = ThreadPool(minthreads=0, maxthreads=4, name="files")

    def startService(self) -> None:
        super().startService()
        self._pool.start()
        # Not earlier: cancelled work may need a thread for its cleanup.
        self._reactor.addSystemEventTrigger("after", "shutdown", self._pool.stop)

    def __call__(
        self, function: Callable[P, T], /, *arguments: P.args, **named: P.kwargs
    ) -> Awaitable[T]:
        """Call the function in one of the threads."""
        return deferToThreadPool(self._reactor, self._pool, function, *arguments, **named)
