# SPDX-License-Identifier: BSD-2-Clause
"""The master daemon, put together from its parts on the real operating system."""

from __future__ import annotations

import os
import time
from argparse import Namespace
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from ganeti import __version__
from ganeti.daemon import open_files
from ganeti.daemon.allocators import Allocators
from ganeti.daemon.identifiers import SystemIdentifiers
from ganeti.daemon.rotation import RotationProgram
from ganeti.daemon.service import Running
from ganeti.daemon.tls import Connector, client_context
from ganeti.errors import NotMaster
from ganeti.journal.file import FileJournal
from ganeti.luxi.connection import LuxiService
from ganeti.luxi.methods import METHODS
from ganeti.luxi.server import Answerer, Methods
from ganeti.master.master import Master, Surroundings
from ganeti.master.places import Places
from ganeti.master.reign import Reign
from ganeti.master.sharing import Sharing
from ganeti.master.spreading import Spreading
from ganeti.node.terms import Accepted, Terms
from ganeti.operations.members import issued_to
from ganeti.operations.operation import SharedFile
from ganeti.paths import Paths, name_of_this_node
from ganeti.pki.issuing import IssuingProgram
from ganeti.rpc.asking import Asker
from ganeti.rpc.client import HttpWay
from ganeti.system.files import LocalFiles
from ganeti.system.processes import LocalProcesses
from ganeti.system.tls import words

MOST_FILES = 16384
"""How many files and connections may be open; each process of the remote API has a thousand of
them if that many wait for jobs."""

LOOK = 1.0
"""Seconds between two looks at whom this host's own node daemon obeys."""

LOOK_AROUND = 5.0
"""Seconds between two questions to nodes, one after the other, whom they obey."""

FIRST_VOTES = 1.0
"""Seconds for which the nodes' votes may hold up the word that the daemon has started."""


async def start(reactor: Any, options: Namespace, paths: Paths) -> Running:
    """Answer clients; jobs run once more than half of the nodes have voted for this master."""
    open_files.allow(MOST_FILES)
    files = LocalFiles(_in_thread(reactor))
    places = Places(paths.data)
    for folder in (places.queue, paths.sockets):
        await files.make_folder(folder)
    journal = await FileJournal.open(files, places.journal, reactor)
    connector = Connector(
        reactor,
        client_context(paths),
        lambda name, fingerprint: fingerprint in issued_to(master.config.state(), name),
    )
    way = HttpWay(connector, reactor, port=options.node_port, words=words)
    name = name_of_this_node()
    over: Deferred[None] = Deferred()
    nodes = Asker(
        way,
        reactor,
        term=lambda: reign.term(),
        master=name,
        elected=lambda: reign.begun,
        deposed=lambda error: reign.heard(error),
    )
    around = Surroundings(
        files=files,
        places=places,
        nodes=nodes,
        clock=reactor,
        now=time.time,
        ids=SystemIdentifiers(),
        allocate=Allocators(
            files,
            LocalProcesses(reactor, reactor),
            paths.allocator_search_path,
            f"{paths.run}/iallocators",
        ),
        shared=_Shared(files, paths),
        machine=os.uname().machine,
        issue=IssuingProgram(
            LocalProcesses(reactor, reactor), paths.authority, paths.authority_key
        ),
        rotate=RotationProgram(LocalProcesses(reactor, reactor), paths),
    )
    master = Master(around, journal)
    known = _accepted(files, paths)
    _require_master(master, name, known)
    reign = Reign(
        nodes, name, lambda: list(master.config.state().nodes.values()), reactor, over.errback
    )
    spreading = Spreading(master.nodes, master.config.state, reactor, __version__)
    master.config.observe(spreading.changed)
    sharing = Sharing(master.nodes, master.config.state, around.shared, reactor)
    answers = _once_begun(master.answers(), reign.wait)
    sockets = LuxiService(reactor, (paths.master_socket, paths.query_socket), Methods(answers))
    sockets.start()

    async def begin() -> None:
        await reign.begin(known.term, votes_needed=not options.no_voting)
        await master.start()
        spreading.soon()
        master.config.observe(sharing.changed)
        sharing.soon()

    def failed(failure: Failure) -> None:
        if not failure.check(CancelledError) and not over.called:
            over.errback(failure)

    certificate = [files.stat(paths.node_certificate)]

    def reload() -> None:
        connector.reload(paths)
        way.close()  # nodes are about to refuse the certificate that these were opened with

    def look() -> None:
        # It is the node daemon that replaces it, at the bidding of a job.
        if (found := files.stat(paths.node_certificate)) != certificate[0]:
            certificate[0] = found
            reload()
        accepted = _accepted(files, paths)
        reign.heard_here(accepted.term, accepted.master)

    def look_around() -> Deferred[None]:
        return Deferred.fromCoroutine(reign.look_around())

    # Others may hear of a newer master long before this one has anything to ask them.
    looking = [
        _every(LOOK, look, reactor, failed),
        _every(LOOK_AROUND, look_around, reactor, failed),
    ]
    beginning = Deferred.fromCoroutine(begin()).addErrback(failed)

    async def stop() -> None:
        for loop in looking:
            if loop.running:
                loop.stop()
        await sockets.stop()
        beginning.cancel()
        spreading.stop()
        sharing.stop()
        await master.stop(replaced=reign.over)
        way.close()

    # If others have a master by now, whoever starts this one should be told.
    await _within(FIRST_VOTES, beginning, reactor)
    if over.called:
        await stop()
        await over
    return Running(stop, reload=reload, over=over)


def _every(
    seconds: float, work: Callable[[], Any], reactor: Any, failed: Callable[[Failure], None]
) -> LoopingCall:
    loop = LoopingCall(work)
    loop.clock = reactor
    loop.start(seconds, now=False).addErrback(failed)
    return loop


async def _within(seconds: float, work: Deferred[None], reactor: Any) -> None:
    """Return when ``work`` has ended, or goes on for longer than so many seconds."""
    waiting: Deferred[None] = Deferred()
    timer = reactor.callLater(seconds, waiting.callback, None)

    def ended(result: None) -> None:
        if timer.active():
            timer.cancel()
            waiting.callback(None)

    work.addCallback(ended)
    await waiting


def _require_master(master: Master, name: str, known: Accepted) -> None:
    """Refuse to run on a node that the configuration or the node daemon does not call the master.

    :raises NotMaster: says which node is.
    """
    named = master.config.state().master.name
    for other in (named, known.master or named):
        if other != name:
            raise NotMaster(
                f"{other} is the master, and this is {name}; to make this node the master:"
                " gnt-cluster master-failover"
            )


def _once_begun(
    answers: Mapping[str, Answerer], begun: Callable[[], Awaitable[None]]
) -> dict[str, Answerer]:
    """The answers, with those that change anything waiting until the master may act."""

    def waiting(answer: Answerer) -> Answerer:
        async def wait(*arguments: Any) -> Any:
            await begun()
            return await answer(*arguments)

        return wait

    return {
        name: waiting(answer) if METHODS[name].changes else answer
        for name, answer in answers.items()
    }


def _accepted(files: LocalFiles, paths: Paths) -> Accepted:
    """The master that this host's own node daemon obeys."""
    return Terms(files, paths.term_file).accepted


@dataclass(frozen=True)
class _Shared:
    """The files that master candidates have a copy of."""

    files: LocalFiles
    paths: Paths

    async def read(self) -> Sequence[SharedFile]:
        found = []
        for path, mode in (
            (self.paths.rapi_certificate, 0o440),
            (self.paths.rapi_users, 0o640),
            (self.paths.domain_secret, 0o640),
            (self.paths.authority, 0o644),
            (self.paths.authority_key, 0o400),
        ):
            if self.files.stat(path) is not None:
                content = self.files.read(path)
                found.append(SharedFile(path.removeprefix(self.paths.root), content, mode))
        return found


def _in_thread(reactor: Any) -> Any:
    # Its own threads: a name look-up that hangs must not hold up the disk.
    pool = ThreadPool(minthreads=0, maxthreads=4, name="files")
    reactor.callWhenRunning(pool.start)
    reactor.addSystemEventTrigger("after", "shutdown", pool.stop)

    def in_thread(function: Any, *arguments: Any, **named: Any) -> Awaitable[Any]:
        return deferToThreadPool(reactor, pool, function, *arguments, **named)

    return in_thread
