# SPDX-License-Identifier: BSD-2-Clause
"""The start of a master on the real operating system, if its state is in a store."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import msgspec

from ganeti.daemon.process.host_clock import read_boot_id
from ganeti.daemon.process.reactor import Reactor
from ganeti.daemon.store.leader_process import has_ended
from ganeti.daemon.store.store_connection import StoreClients, connect_to_store
from ganeti.errors import NotMaster, Refused
from ganeti.journal.etcd.gateway import RENEWAL_TIMEOUT, EtcdGateway
from ganeti.journal.etcd.leadership import Holder, Leadership, keep_in_files
from ganeti.journal.etcd.store_settings import (
    StateStore,
    encode_settings,
    read_last_settings,
    read_settings,
)
from ganeti.master.mastership import MasterTerm
from ganeti.master.state_paths import StatePaths
from ganeti.master.store_startup import OpenedStore, open_store
from ganeti.node.voter import read_voter_state
from ganeti.operations.operation import AncillaryFile, SharedFiles
from ganeti.paths import Paths
from ganeti.system.interfaces import IFiles


def connect(
    reactor: Reactor,
    settings: StateStore,
    paths: Paths,
    *,
    name: str,
    lost: Callable[[NotMaster], None],
    clients: StoreClients,
) -> tuple[EtcdGateway, Leadership]:
    """Return a client of etcd, and the leader key of this process of the node ``name``.

    Clients are added to ``clients``.

    :raises Failed: a certificate is unusable.
    """
    access = (reactor, settings.endpoints, paths.store_authority, paths.store_certificate)
    # A client of its own, whose requests are given up early enough for the lease.
    prompt = clients.add(connect_to_store(*access, timeout=RENEWAL_TIMEOUT))
    me = Holder(master=name, process=os.getpid(), boot=read_boot_id())
    leadership = Leadership(prompt, settings.prefix, me, reactor, lost=lost)
    return clients.add(connect_to_store(*access)), leadership


async def save_settings(files: IFiles, paths: Paths, settings: StateStore) -> None:
    """Replace the settings on this host durably."""
    mode = paths.store_files[paths.state_store]
    await files.replace(paths.state_store, encode_settings(settings), mode=mode)


async def stay_in_files(reactor: Reactor, files: IFiles, paths: Paths, name: str) -> None:
    """Undo an interrupted move to etcd, if there is one, on the node ``name`` that has the votes.

    The settings are read only then: another master may have sent them since this one was started.

    :raises NotMaster: the move was complete.
    """
    settings = read_settings(files, paths.state_store)
    if settings is None:
        return
    etcd = connect_to_store(
        reactor, settings.endpoints, paths.store_authority, paths.store_certificate
    )
    try:
        await keep_in_files(etcd, settings.prefix, name, reactor)
    finally:
        await etcd.close()
    ended = msgspec.structs.replace(settings, kind="file", moving=False)
    # After etcd has confirmed it: a crash in between repeats this step only.
    await save_settings(files, paths, ended)


@dataclass(frozen=True)
class LocalMoveTools:
    """What a move of the state needs from this host, on which the master ``name`` runs."""

    reactor: Reactor
    local: IFiles
    paths: Paths
    name: str
    lost: Callable[[NotMaster], None]
    shared: SharedFiles
    make_votes: Callable[[], MasterTerm]
    settle_uploads: Callable[[], Awaitable[None]]
    clients: StoreClients

    async def wait_for_settings(self) -> None:
        await self.settle_uploads()

    def settings(self) -> StateStore:
        settings = read_last_settings(self.local, self.paths.state_store)
        if settings is None:
            raise Refused(f"there is no {self.paths.state_store}, which says how to reach etcd")
        return settings

    async def save(self, settings: StateStore) -> None:
        await save_settings(self.local, self.paths, settings)

    async def files(self) -> Sequence[AncillaryFile]:
        ours = {path.removeprefix(self.paths.root) for path in self.paths.store_files}
        return [each for each in await self.shared.read() if each.path in ours]

    def connect(self, settings: StateStore) -> tuple[EtcdGateway, Leadership]:
        return connect(
            self.reactor,
            settings,
            self.paths,
            name=self.name,
            lost=self.lost,
            clients=self.clients,
        )

    def votes(self) -> MasterTerm:
        return self.make_votes()


async def open_state_store(
    reactor: Reactor,
    settings: StateStore,
    files: IFiles,
    paths: Paths,
    *,
    name: str,
    take_over: bool,
    vacant: bool,
    lost: Callable[[NotMaster], None],
    clients: StoreClients,
) -> OpenedStore:
    """Make this node, ``name``, the master of a cluster whose state is in etcd.

    ``lost`` is called if another master has the role later. Clients of etcd are added to
    ``clients``.

    :raises NotMaster: another node is the master.
    :raises Failed: the store cannot be used; the message says why.
    :raises StateInFiles: the state was moved to files, or was not moved to etcd yet.
    """
    etcd, leadership = connect(reactor, settings, paths, name=name, lost=lost, clients=clients)

    async def founded() -> None:
        await save_settings(
            files, paths, msgspec.structs.replace(settings, founded=True, moving=False)
        )

    return await open_store(
        etcd,
        settings.prefix,
        leadership,
        files,
        StatePaths(paths.data),
        reactor,
        founded=settings.founded,
        on_founded=founded,
        floor=read_voter_state(files, paths.term_file).term,
        take_over=take_over,
        vacant=vacant,
        moving=settings.moving,
        own_members=settings.own_members,
        has_ended=has_ended,
    )
