# SPDX-License-Identifier: BSD-2-Clause
"""The host of the master daemon, as its services use it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ganeti.daemon.master_services.file_threads import FileThreads
from ganeti.daemon.process.reactor import Reactor
from ganeti.daemon.process.services import Daemon
from ganeti.daemon.store.store_connection import StoreClients
from ganeti.errors import NotMaster
from ganeti.journal.folder_lock import wait_for_lock
from ganeti.master.state_paths import StatePaths
from ganeti.paths import Paths, local_node_name
from ganeti.system.files import LocalFiles
from ganeti.system.processes import LocalProcesses


@dataclass(frozen=True)
class MasterHost:
    """What the services of the master share: files, processes and clients of the state store.

    ``name`` is the name of this node; ``lost`` is called when another master has the role.
    """

    reactor: Reactor
    name: str
    paths: Paths
    files: LocalFiles
    processes: LocalProcesses
    stores: StoreClients
    lost: Callable[[NotMaster], None]

    @property
    def places(self) -> StatePaths:
        return StatePaths(self.paths.data)


async def open_host(daemon: Daemon, paths: Paths) -> MasterHost:
    """Return the host, with the folders of the master's files, which this process owns from now on.

    :raises OSError: a folder cannot be made or written.
    :raises Failed: the node daemon of this host does not finish its writes there.
    """
    reactor = daemon.reactor
    threads = FileThreads(reactor)
    daemon.add(threads)
    host = MasterHost(
        reactor=reactor,
        name=local_node_name(),
        paths=paths,
        files=LocalFiles(threads),
        processes=LocalProcesses(reactor, reactor),
        stores=StoreClients(),
        lost=daemon.fail,
    )
    for folder in (host.places.queue, paths.sockets):
        await host.files.make_folder(folder)
    for folder in (paths.data, host.places.queue):
        await host.files.sync_folder(folder)
    # Never released: the process holds it until its last thread has ended.
    await wait_for_lock(host.files, paths.data, reactor)
    return host
