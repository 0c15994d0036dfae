# SPDX-License-Identifier: BSD-2-Clause
"""The members of the cluster, as this node keeps them to tell its callers apart."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeAlias

import msgspec
from twisted.internet.defer import DeferredLock
from twisted.logger import Logger

from ganeti.errors import Code, Failed, Refused
from ganeti.rpc.callers import Caller, CallerRole, Peer
from ganeti.rpc.members import MemberFile, MemberRecords, UpdateMembers
from ganeti.rpc.quorum import VoterState
from ganeti.schema.documents import UNREADABLE
from ganeti.system.interfaces import IFiles

Trust: TypeAlias = Callable[[Sequence[str]], Awaitable[None]]
"""Makes this node trust authorities, given by their certificates, and no others.

:raises Failed: it cannot; it trusts those that it trusted before.
"""


async def trust_nothing_else(_: Sequence[str]) -> None:
    """The authorities that this node trusts stay as they are."""


class MemberList:
    """Answers ``UpdateMembers``, and says which role a caller has.

    ``name`` is that of this node; ``accepted`` is the master that it has accepted. A node without
    the file has not joined yet, and every caller is a stranger to it.
    """

    _log = Logger()

    def __init__(
        self,
        files: IFiles,
        path: str,
        name: str,
        accepted: Callable[[], VoterState],
        trust: Trust = trust_nothing_else,
    ) -> None:
        """``trust`` makes the node trust the authorities of a list before it obeys the members."""
        self._files = files
        self._path = path
        self._name = name
        self._accepted = accepted
        self._trust = trust
        self._turn = DeferredLock()
        self._use(read(files, path))

    @property
    def members(self) -> MemberRecords | None:
        """The newest list; None if this node has none."""
        return self._kept.members if self._kept else None

    def identify(self, peer: Peer | None) -> Caller:
        """Return the peer with its role at this moment; see ``Callers``."""
        if peer is None:
            return Caller(CallerRole.STRANGER, "a peer without a certificate")
        name = self._owners.get(peer.fingerprint)
        if self._kept is None or name is None:
            return Caller(CallerRole.STRANGER, peer.name)
        role = self._kept.members.role(name, self._accepted().master)
        return Caller(role, name, local=name == self._name)

    def is_candidate(self) -> bool:
        """Whether this node may keep what only master candidates have."""
        return self._kept is not None and self._name in self._kept.members.candidates

    def fingerprints(self, name: str | None = None) -> frozenset[str]:
        """Return the certificates that any member, or the one of this name, may show."""
        if self._kept is None:
            return frozenset()
        return frozenset(shown for shown, owner in self._owners.items() if name in (None, owner))

    async def update(self, call: UpdateMembers) -> int:
        """Use a newer list; it is on disk when this returns.

        An older one changes nothing: it was overtaken on its way.

        :raises Refused: the master would lock itself out.
        :raises Failed: this node cannot trust the authorities that are in the list.
        """
        # Of the master that sent it: another one may be accepted while this waits for its turn.
        accepted = self._accepted()
        async with self._turn:
            if not call.members.certificates.get(accepted.master):
                raise Refused(
                    f"the list of members has no certificate of {accepted.master}, the master of"
                    f" term {accepted.term}: no node would obey it any more",
                    Code.INPUT,
                )
            kept, new = self._kept, MemberFile(term=accepted.term, members=call.members)
            if kept is None or _age(kept) < _age(new):
                if kept is None or not kept.members.says_the_same(new.members):
                    self._log.info(
                        "members of revision {n}: {names}",
                        n=new.members.revision,
                        names=", ".join(sorted(new.members.certificates)),
                    )
                await self._trust(new.members.authorities)
                await write(self._files, self._path, new)
                self._use(new)
            assert self._kept is not None
            return self._kept.members.revision

    def forget(self) -> None:
        """Know no member any more: this node leaves the cluster."""
        self._use(None)

    def _use(self, kept: MemberFile | None) -> None:
        self._kept = kept
        self._owners: Mapping[str, str] = dict(kept.members.names()) if kept else {}


def _age(kept: MemberFile) -> tuple[int, int]:
    return kept.term, kept.members.revision


def read(files: IFiles, path: str) -> MemberFile | None:
    """Return what is in the file; None if there is none.

    :raises Failed: it is damaged.
    """
    if files.stat(path) is None:
        return None
    try:
        return msgspec.json.decode(files.read(path), type=MemberFile)
    except UNREADABLE as e:
        raise Failed(
            f"{path} is damaged ({e}); join this node to its cluster again (gnt-node add --readd"
            " on the master), which writes it",
            Code.ENVIRONMENT,
        ) from None


async def write(files: IFiles, path: str, kept: MemberFile) -> None:
    """Replace the file, durably."""
    await files.replace(path, msgspec.json.encode(kept), mode=0o600)
