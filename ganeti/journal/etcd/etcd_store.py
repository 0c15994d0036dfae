# SPDX-License-Identifier: BSD-2-Clause
"""The log and its checkpoint in etcd, below one prefix.

===========================  ====================================================================
``head``                     position and digest of the last commit
``log/<position>/<part>``    the frames of one write, by the position of its first commit
``checkpoint``               position and digest of the checkpoint, number and digest of its parts
``checkpoints/<digest>/…``   the parts of a checkpoint, by the digest of all of them
``leader``, ``term``         see ``leadership``
===========================  ====================================================================

``head`` decides what is in the log: keys after it belong to a write that was never completed. Every
transaction that changes the log requires the leader key, and ``head`` as it was last seen. If its
answer is lost, it can therefore be repeated: it succeeds once only, and ``head`` tells which
attempt it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

import msgspec
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from zope.interface import implementer

from ganeti.errors import Code, Failed, NotMaster
from ganeti.journal.etcd.checkpoint_archive import pack, unpack
from ganeti.journal.etcd.interfaces import (
    Change,
    Condition,
    CreatedAt,
    DeleteKeys,
    Entry,
    IEtcd,
    ModifiedAt,
    PutKey,
    RevisionCompacted,
    StoreFull,
    StoreUnavailable,
    end_of_prefix,
)
from ganeti.journal.etcd.leadership import RETRY_DELAY, Leadership
from ganeti.journal.frames import previous_digest
from ganeti.journal.interfaces import BEGINNING, IReplicas, LogPosition, Position
from ganeti.journal.marker import StoredLogPosition, written
from ganeti.metrics.family import Histogram
from ganeti.schema.documents import UNREADABLE
from ganeti.schema.records import Record

PART_SIZE = 512 << 10
"""Bytes per key. etcd refuses requests of more than 1.5 MiB, and one has up to two parts."""

CHECKPOINT_DUE = 4 << 20
"""Bytes of frames after a checkpoint from which on the next one is due."""

PAGE = 16
"""Keys per read."""


class CheckpointIndex(Record):
    """The value of the key ``checkpoint``; ``digest`` is the SHA-256 of all parts."""

    at: StoredLogPosition
    parts: int
    digest: str


@dataclass(frozen=True)
class StoredLog:
    """The log as it was read: its frames, and the positions before and at the end of them.

    ``checkpoint`` is the position of the checkpoint, at ``after`` or later.
    """

    checkpoint: LogPosition
    after: LogPosition
    frames: bytes
    end: LogPosition


@implementer(IReplicas)
class EtcdStore:
    """The state in etcd, for one master at a time.

    Pass it to ``FileJournal.replicate_to``: the journal on this host is then a copy of the log in
    etcd, from which it was updated when the master started.
    """

    _log = Logger()

    def __init__(
        self, etcd: IEtcd, prefix: str, leadership: Leadership, clock: IReactorTime
    ) -> None:
        self._etcd = etcd
        self._prefix = prefix
        self._head = f"{prefix}head"
        self._leadership = leadership
        self._clock = clock
        self._head_revision = 0
        self._cut_to: LogPosition | None = None
        self._since_checkpoint = 0
        self.groups = 0
        """The number of groups that were stored."""
        self.seconds = Histogram(
            "ganeti_store_seconds",
            "Time from sending a group of commits to etcd to its acknowledgement.",
            bounds=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0),
        )

    # --- start of a master

    async def load(self) -> StoredLog | None:
        """Return the log; None if nothing was ever stored below the prefix.

        :raises StoreUnavailable: etcd does not answer.
        :raises Failed: the content is incomplete.
        """
        while True:
            try:
                return await self._load()
            except RevisionCompacted:
                continue  # the log was compacted during the read

    async def _load(self) -> StoredLog | None:
        read = await self._etcd.read(self._head)
        if not read.entries:
            return None
        [head] = read.entries
        end = _decode_position(head)
        self._head_revision = head.mod_revision
        # A write of this master would become one with parts that an earlier one has left.
        self._cut_to = end
        # At the revision of the head, so that everything that is read is of one moment.
        index = await self._read_index(read.revision)
        checkpoint = index.at.mark() if index is not None else BEGINNING
        log = f"{self._prefix}log/"
        # Without keys after the head: they belong to a write that was never completed.
        entries = await self._read_range(log, read.revision, end=f"{log}{end.position + 1:016}/")
        frames = b"".join(entry.value for entry in entries)
        self._since_checkpoint = len(frames)
        if not frames:
            return StoredLog(checkpoint, end, b"", end)
        first = int(entries[0].key.removeprefix(log).split("/")[0])
        return StoredLog(checkpoint, LogPosition(first - 1, previous_digest(frames)), frames, end)

    async def read_checkpoint(self) -> tuple[Mapping[str, bytes], LogPosition]:
        """Return the files of the checkpoint by path, and the last commit that they contain.

        :raises Failed: there is none, or it is damaged.
        :raises StoreUnavailable: etcd does not answer.
        """
        index = await self._read_index(0)
        if index is None:
            raise Failed(f"etcd has no checkpoint below {self._prefix}", Code.ENVIRONMENT)
        entries = await self._read_range(self._parts_of(index.digest), 0)
        data = b"".join(entry.value for entry in entries)
        if len(entries) != index.parts or sha256(data).hexdigest() != index.digest:
            raise Failed(
                f"the checkpoint of commit {index.at.position} in etcd is damaged; restore etcd"
                " from a snapshot",
                Code.ENVIRONMENT,
            )
        return unpack(data), index.at.mark()

    async def create(self, files: Mapping[str, bytes], end: LogPosition) -> None:
        """Store the first state: a checkpoint of ``files``, which contain everything up to ``end``.

        It replaces what is left of an earlier use of this etcd.

        :raises NotMaster: there is a newer master.
        :raises StoreError: the state was not stored.
        """
        heads = (await self._etcd.read(self._head)).entries
        self._head_revision = heads[0].mod_revision if heads else 0
        await self._put_checkpoint(files, end)
        await self._change([DeleteKeys(f"{self._prefix}log/", f"{self._prefix}log0")], end)
        self._cut_to, self._since_checkpoint = None, 0

    # --- IReplicas

    async def store_frames(self, after: LogPosition, frames: bytes, end: LogPosition) -> None:
        began = self._clock.seconds()
        if self._cut_to is not None:
            await self._settle(self._cut_to)
        first = after.position + 1
        pieces = [frames[at : at + PART_SIZE] for at in range(0, len(frames), PART_SIZE)]
        puts = [
            PutKey(f"{self._prefix}log/{first:016}/{number:04}", piece)
            for number, piece in enumerate(pieces)
        ]
        # All but the last are not part of the log before the head follows them.
        for put in puts[:-1]:
            await self._make([put], of_log=True)
        # The last part becomes valid together with the head, which saves a request.
        await self._change(puts[-1:], end)
        self._since_checkpoint += len(frames)
        self.groups += 1
        self.seconds.observe(self._clock.seconds() - began)

    async def confirm_lease(self) -> None:
        await self._leadership.held()

    def discard_after(self, end: LogPosition) -> None:
        self._cut_to = end

    async def probe(self) -> None:
        if self._cut_to is not None:
            await self._settle(self._cut_to)

    async def _settle(self, end: LogPosition) -> None:
        """Make ``end`` the head, after which no earlier transaction can succeed any more."""
        await self._change([_delete_log_after(self._prefix, end.position)], end)
        self._cut_to = None

    async def _change(self, changes: Sequence[Change], end: LogPosition) -> None:
        """Make ``changes``, and ``end`` the head; return when it is known that both are stored.

        :raises NotMaster: there is a newer master; it decides whether they are.
        :raises StoreFull: they are not, or only as a whole, which ``_settle`` reverts.
        """
        head = PutKey(self._head, msgspec.json.encode(written(end)))
        while True:
            # Read each time, as the leader key may have been created again since.
            leader = await self._leadership.revision()
            try:
                result = await self._etcd.txn(self._of_log(leader), [*changes, head])
                if result.succeeded:
                    self._head_revision = result.revision
                    return
                if await self._is_stored(head.value):
                    return
                await self._check(leader)
            except StoreFull:
                if await self._is_stored_despite_alarm(head.value):
                    return
                raise
            except StoreUnavailable as e:
                # It may have been carried out, or may be yet. This has to be known before anything
                # is acknowledged or refused, so that it is repeated for as long as this master may
                # act.
                self._leadership.report(str(e))
                await deferLater(self._clock, RETRY_DELAY)

    def _of_log(self, leader: int) -> list[Condition]:
        """Return the conditions of a change of the log."""
        return [
            CreatedAt(self._leadership.key, leader),
            ModifiedAt(self._head, self._head_revision),
        ]

    async def _check(self, leader: int) -> None:
        """Find out why conditions do not hold; return if the leadership has begun again.

        :raises NotMaster: there is a newer master, or another program has changed the log.
        """
        await self._leadership.check(leader)
        if await self._leadership.revision() == leader:
            raise NotMaster(
                f"the keys below {self._prefix} in etcd were changed by another program; find out"
                " which one, and then restart the master daemon"
            )

    async def _is_stored(self, head: bytes) -> bool:
        """Return whether an attempt whose answer was lost has stored this head."""
        entries = (await self._etcd.read(self._head)).entries
        if not entries or entries[0].value != head:
            return False
        if entries[0].mod_revision == self._head_revision:
            return False  # it was the head before
        self._head_revision = entries[0].mod_revision
        return True

    async def _is_stored_despite_alarm(self, head: bytes) -> bool:
        """Return whether the transaction that exceeded the quota was carried out: etcd reports the
        alarm in its answer."""
        while True:
            await self._leadership.revision()
            try:
                return await self._is_stored(head)
            except StoreUnavailable:
                await deferLater(self._clock, RETRY_DELAY)

    # --- checkpoints

    @property
    def checkpoint_due(self) -> bool:
        """Whether the log has grown so much that a checkpoint should replace its beginning."""
        return self._since_checkpoint >= CHECKPOINT_DUE

    async def checkpoint(self, files: Mapping[str, bytes], at: LogPosition) -> None:
        """Store a checkpoint, and delete the commits and the checkpoint that it replaces.

        :raises NotMaster: there is a newer master.
        :raises StoreError: the checkpoint was not stored; the previous one is still valid.
        """
        # Commits that are stored meanwhile count for the next checkpoint.
        size = self._since_checkpoint
        await self._put_checkpoint(files, at)
        # After the checkpoint: without it, the commits are still needed.
        await self._forget(at.position)
        self._since_checkpoint -= size

    async def _put_checkpoint(self, files: Mapping[str, bytes], at: LogPosition) -> None:
        data = pack(files)
        parts = [data[start : start + PART_SIZE] for start in range(0, len(data), PART_SIZE)]
        digest = sha256(data).hexdigest()
        folder = self._parts_of(digest)
        # Under the digest of the whole, so that parts of an interrupted attempt are not mixed with
        # others.
        for number, part in enumerate(parts):
            await self._make([PutKey(f"{folder}{number:06}", part)])
        index = CheckpointIndex(at=written(at), parts=len(parts), digest=digest)
        everything = f"{self._prefix}checkpoints/"
        # At once, so that there always is one whole checkpoint, and no parts of another remain.
        await self._make(
            [
                PutKey(f"{self._prefix}checkpoint", msgspec.json.encode(index)),
                DeleteKeys(everything, folder),
                DeleteKeys(end_of_prefix(folder), end_of_prefix(everything)),
            ],
        )

    async def _forget(self, position: Position) -> None:
        """Delete the writes all of whose commits are in the checkpoint at ``position``."""
        log = f"{self._prefix}log/"
        keys = await self._read_range(log, 0, end=f"{log}{position + 1:016}/", keys_only=True)
        firsts = sorted({entry.key.split("/")[-2] for entry in keys})
        if len(firsts) > 1:
            # The last of them may contain later commits, too.
            await self._make([DeleteKeys(log, f"{log}{firsts[-1]}/")])

    async def _make(self, changes: Sequence[Change], *, of_log: bool = False) -> None:
        """Make changes that can be repeated, and that do not change the head.

        Those ``of_log`` require it as it is, so that none is made after a later write.
        """
        while True:
            leader = await self._leadership.revision()
            try:
                mastership: list[Condition] = [CreatedAt(self._leadership.key, leader)]
                conditions = self._of_log(leader) if of_log else mastership
                if (await self._etcd.txn(conditions, changes)).succeeded:
                    return
                await self._check(leader)
            except StoreUnavailable as e:
                self._leadership.report(str(e))
                await deferLater(self._clock, RETRY_DELAY)

    # --- reading

    async def _read_index(self, revision: int) -> CheckpointIndex | None:
        read = await self._etcd.read(f"{self._prefix}checkpoint", revision=revision)
        if not read.entries:
            return None
        try:
            return msgspec.json.decode(read.entries[0].value, type=CheckpointIndex)
        except UNREADABLE as e:
            raise _damaged(read.entries[0], e) from None

    async def _read_range(
        self, start: str, revision: int, *, end: str = "", keys_only: bool = False
    ) -> list[Entry]:
        found: list[Entry] = []
        end = end or end_of_prefix(start)
        while True:
            read = await self._etcd.read(
                start,
                end,
                limit=0 if keys_only else PAGE,
                revision=revision,
                keys_only=keys_only,
            )
            found += read.entries
            # The further pages are of the same moment as the first one.
            revision = read.revision
            if not read.more:
                return found
            # The key that follows the last one in order.
            start = f"{read.entries[-1].key}\0"

    def _parts_of(self, digest: str) -> str:
        return f"{self._prefix}checkpoints/{digest}/"


def _delete_log_after(prefix: str, position: Position) -> DeleteKeys:
    return DeleteKeys(f"{prefix}log/{position + 1:016}/", end_of_prefix(f"{prefix}log/"))


def _decode_position(entry: Entry) -> LogPosition:
    try:
        return msgspec.json.decode(entry.value, type=StoredLogPosition).mark()
    except (*UNREADABLE, ValueError) as e:
        raise _damaged(entry, e) from None


def _damaged(entry: Entry, error: Exception) -> Failed:
    return Failed(
        f"the key {entry.key} in etcd cannot be read: {error}; restore etcd from a snapshot",
        Code.ENVIRONMENT,
    )
