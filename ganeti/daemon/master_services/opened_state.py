# SPDX-License-Identifier: BSD-2-Clause
"""The journal that the master starts from, in files or as the copy of a state store."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass

from ganeti.daemon.master_services.master_host import MasterHost
from ganeti.daemon.store.state_store import open_state_store
from ganeti.errors import NotMaster
from ganeti.journal.etcd.leadership import StateInFiles
from ganeti.journal.etcd.store_settings import read_settings
from ganeti.journal.file_journal import FileJournal
from ganeti.master.store_startup import OpenedStore


@dataclass(frozen=True)
class OpenedState:
    """The journal, and the store that it is a copy of; without one, the files are in charge."""

    journal: FileJournal
    store: OpenedStore | None = None


async def open_state(host: MasterHost, options: Namespace) -> OpenedState:
    """Open the state; if it is in a store, this node becomes the master.

    :raises NotMaster: another node is the master of the store, or the state is in files, whose
        master role is never vacant.
    :raises Failed: the store cannot be used; the message says why.
    """
    settings = read_settings(host.files, host.paths.state_store)
    if settings is not None:
        try:
            store = await open_state_store(
                host.reactor,
                settings,
                host.files,
                host.paths,
                name=host.name,
                take_over=options.take_over,
                vacant=options.take_vacant_role,
                lost=host.lost,
                clients=host.stores,
            )
            return OpenedState(store.journal, store)
        except StateInFiles as e:
            if options.take_vacant_role:
                raise NotMaster(str(e)) from None
    return OpenedState(await FileJournal.open(host.files, host.places.journal, host.reactor))
