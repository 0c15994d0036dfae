# SPDX-License-Identifier: BSD-2-Clause
"""The part of etcd's interface that a state store needs, as values without a transport.

Keys are ASCII text. A revision numbers a change of the whole store; every key has the revision in
which it was created and the one in which it was last modified.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from zope.interface import Interface

from ganeti.errors import GanetiError
from ganeti.journal.etcd.member_changes import Member
from ganeti.journal.interfaces import StoreError


class StoreUnavailable(StoreError):
    """No usable answer arrived; it is unknown whether the request was or will be carried out."""


class StoreFull(StoreError):
    """The store has exceeded its space quota; the request may still have been carried out."""


class RevisionCompacted(GanetiError):
    """The requested revision was removed by a compaction."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A key with its value; ``lease`` is 0 without a lease."""

    key: str
    value: bytes
    create_revision: int
    mod_revision: int
    lease: int = 0


@dataclass(frozen=True, slots=True)
class CreatedAt:
    """The condition that a key was created in ``revision``; 0: that it does not exist."""

    key: str
    revision: int


@dataclass(frozen=True, slots=True)
class ModifiedAt:
    """The condition that a key was last modified in ``revision``; 0: that it does not exist."""

    key: str
    revision: int


Condition: TypeAlias = CreatedAt | ModifiedAt


@dataclass(frozen=True, slots=True)
class PutKey:
    """Sets a key to a value, and attaches it to a lease unless that is 0."""

    key: str
    value: bytes
    lease: int = 0


@dataclass(frozen=True, slots=True)
class DeleteKeys:
    """Deletes the keys from ``start`` on that precede ``end``."""

    start: str
    end: str


Change: TypeAlias = PutKey | DeleteKeys


@dataclass(frozen=True, slots=True)
class TxnResult:
    """Whether the conditions of a transaction held, and the revision of the store after it."""

    succeeded: bool
    revision: int


@dataclass(frozen=True, slots=True)
class ReadResult:
    """Entries in the order of their keys, and the revision in which they were read.

    ``more`` states that the limit has left some out.
    """

    entries: tuple[Entry, ...]
    revision: int
    more: bool = False


@dataclass(frozen=True, slots=True)
class MemberHealth:
    """What one member reports; ``problem`` is empty if it is usable."""

    endpoint: str
    version: str = ""
    leads: bool = False
    size: int = 0
    size_in_use: int = 0
    seconds: float = 0.0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class StoreHealth:
    """The health of all members, and the alarms that the store has raised (``NOSPACE``, …)."""

    members: tuple[MemberHealth, ...]
    alarms: tuple[str, ...] = ()


class IEtcd(Interface):
    """A client of etcd. All reads are linearizable.

    Every method raises ``StoreUnavailable`` if no usable answer arrives in time.
    """

    async def txn(conditions: Sequence[Condition], changes: Sequence[Change]) -> TxnResult:
        """Make all ``changes`` at once if all ``conditions`` hold, and none otherwise.

        No key may be changed twice.

        :raises StoreFull: the changes may have been made.
        """

    async def read(
        start: str, end: str = "", *, limit: int = 0, revision: int = 0, keys_only: bool = False
    ) -> ReadResult:
        """Return the key ``start``, or all keys from there on that precede ``end``.

        ``revision`` reads the store as it was then; ``keys_only`` leaves out the values.

        :raises RevisionCompacted: that revision is no longer available.
        """

    async def grant(seconds: int) -> int:
        """Return a new lease, after whose end its keys are deleted.

        :raises StoreFull: no lease was granted.
        """

    async def keep_alive(lease: int) -> int:
        """Renew a lease; return for how many seconds, or 0 if it has ended."""

    async def revoke(lease: int) -> None:
        """End a lease now, and delete its keys; one that has ended already is no error."""

    async def free_space() -> None:
        """Make room after the alarm NOSPACE, and clear it.

        All old revisions are removed. Each member answers nothing while it gives their space back
        to its file system; those that are down are left out. If there is not enough room even then,
        the alarm is raised again by the next change.
        """

    async def health() -> StoreHealth:
        """Return the health of every member; members that do not answer are no error."""


class IEtcdMembers(Interface):
    """A client of etcd that changes its members.

    Every method raises ``StoreUnavailable`` if no usable answer arrives in time, or if etcd refuses
    the change for now.
    """

    async def health() -> StoreHealth:
        """Return the health of every member that is used; ones that do not answer are no error."""

    async def members() -> Sequence[Member]:
        """Return all members."""

    async def add_learner(peer: str) -> Member:
        """Add a member without a vote, with this peer URL, and return it."""

    async def promote(member: int) -> None:
        """Give the learner with this ID a vote; etcd refuses it until the learner has all data."""

    async def remove(member: int) -> None:
        """Remove the member with this ID; one that is gone already is no error."""

    def use_endpoints(endpoints: Sequence[str]) -> None:
        """Use these endpoints from now on."""


def end_of_prefix(prefix: str) -> str:
    """Return the end of the range of all keys that begin with ``prefix``."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)
