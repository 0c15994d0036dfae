# SPDX-License-Identifier: BSD-2-Clause
"""Start of a master whose state is in a store: leader key, local copy, first commit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as TimedOut
from twisted.internet.interfaces import IReactorTime

from ganeti.errors import Code, Failed, NotMaster, Refused
from ganeti.journal.etcd import local_copy
from ganeti.journal.etcd.etcd_store import EtcdStore
from ganeti.journal.etcd.interfaces import IEtcd, StoreFull
from ganeti.journal.etcd.leadership import Holder, Leadership
from ganeti.journal.file_journal import FileJournal
from ganeti.journal.interfaces import BEGINNING, StoreError
from ganeti.journal.marker import read_marker
from ganeti.master.checkpoints import read_state_files
from ganeti.master.current_store import CurrentTerm
from ganeti.master.master import Dependencies, Master
from ganeti.master.mastership import STOPPING
from ganeti.master.startup import StartupMandate
from ganeti.master.state_paths import StatePaths
from ganeti.master.store_replication import StoreReplication
from ganeti.master.store_term import StoreTerm
from ganeti.system.interfaces import IFiles

START_TIMEOUT = 30.0
"""Seconds for which a start waits for the store, and for the lease of another master to end."""


@dataclass(frozen=True)
class OpenedStore:
    """The store, with the leader key of this master, and the journal that is a copy of its log."""

    etcd: IEtcd
    leadership: Leadership
    store: EtcdStore
    journal: FileJournal
    own_members: bool = False


async def open_store(
    etcd: IEtcd,
    prefix: str,
    leadership: Leadership,
    files: IFiles,
    places: StatePaths,
    clock: IReactorTime,
    *,
    founded: bool,
    on_founded: Callable[[], Awaitable[None]],
    floor: int = 0,
    take_over: bool = False,
    vacant: bool = False,
    moving: bool = False,
    own_members: bool = False,
    has_ended: Callable[[Holder], bool] = lambda _: False,
) -> OpenedStore:
    """Become the master, make the files on this host equal to the store, and open the journal.

    Unless the store was ``founded``, it gets the state on this host, and ``on_founded`` is awaited.
    One that the state is ``moving`` to has it, if it is in charge. ``floor``, ``take_over``,
    ``vacant`` and ``has_ended`` are those of ``Leadership.acquire``. ``own_members`` says that the
    cluster runs the members of the store.

    :raises NotMaster: another node is the master.
    :raises StateInFiles: the store is not in charge.
    :raises Failed: the store does not answer, has lost its data, or the data is damaged.
    """
    store = EtcdStore(etcd, prefix, leadership, clock)
    how = partial(
        leadership.acquire,
        floor=floor,
        take_over=take_over,
        vacant=vacant,
        moving=moving,
        has_ended=has_ended,
    )

    async def acquire() -> None:
        try:
            await how()
        except StoreFull:
            # The leader key is a write, too, which etcd refuses without space.
            await etcd.free_space()
            await how()

    try:
        await Deferred.fromCoroutine(acquire()).addTimeout(START_TIMEOUT, clock)
        if not founded and not moving:
            await _found(store, files, places)
        if not founded:
            # From now on, an empty store means that it has lost its data.
            await on_founded()
        await _update_copy(store, prefix, files, places)
        journal = await FileJournal.open(files, places.journal, clock)
    except BaseException as error:
        # At once, so that another master need not wait for the end of the lease.
        leadership.stop(NotMaster(STOPPING))
        await leadership.delete_leader_key()
        if isinstance(error, TimedOut):
            why = leadership.problem or "another master holds the leader key, and does not stop"
            raise Failed(f"the master cannot start: {why}", Code.ENVIRONMENT) from None
        if isinstance(error, StoreError):
            why = f"the state store cannot be used: {error}"
            raise Failed(why, Code.ENVIRONMENT) from None
        raise
    return OpenedStore(etcd, leadership, store, journal, own_members)


async def _update_copy(store: EtcdStore, prefix: str, files: IFiles, places: StatePaths) -> None:
    log = await store.load()
    if log is None:
        raise Failed(
            f"the state store has no state below {prefix}, although it had one: etcd has lost its"
            " data, or the endpoints belong to another etcd. Correct the endpoints, or restore a"
            " snapshot of etcd",
            Code.ENVIRONMENT,
        )
    await local_copy.update(files, places.data, store, log)


async def _found(store: EtcdStore, files: IFiles, places: StatePaths) -> None:
    """Store the state of a new cluster, unless an earlier start has done so.

    :raises Refused: the state on this host is not that of a new cluster.
    """
    if await store.load() is not None:
        return
    if read_marker(files, places.marker).newest.mark() != BEGINNING:
        raise Refused(
            f"the state in {places.data} is not that of a new cluster, and its state store is"
            " empty; copy state-store.json from another master candidate"
        )
    await store.create(read_state_files(files, places), BEGINNING)


class StoreStartup:
    """The start of a master, from its journal to its first commit; see ``Startup``."""

    def __init__(self, around: Dependencies, opened: OpenedStore) -> None:
        """Build the master.

        :raises Failed: a file of the checkpoint is missing or damaged.
        :raises JournalDamaged: the journal does not verify.
        """
        self._around = around
        self.quorum = CurrentTerm(StoreTerm(opened.leadership, around.clock), around.clock)
        replication = partial(
            StoreReplication,
            opened.journal,
            opened.store,
            opened.etcd,
            around.clock,
            own_members=opened.own_members,
        )
        self.master = Master(around, opened.journal, self.quorum, replication=replication)

    def check_mandate(self, mandate: StartupMandate) -> None:
        """Refuse to run on a node that is not a master candidate.

        :raises Refused: it is not; the message names it.
        """
        name = self._around.name
        if not self.master.config.state().node(name).master_candidate:
            raise Refused(f"node {name} is not a master candidate and must not become the master")

    async def start_master(self, mandate: StartupMandate) -> None:
        """Run jobs once the first commit is acknowledged.

        :raises NotMaster: another node is the master.
        """
        await self.master.start()
        self.quorum.serve()
