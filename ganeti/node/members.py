# SPDX-License-Identifier: BSD-2-Clause
"""The member list of the cluster, by which a node identifies its callers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeAlias

import msgspec
from twisted.internet.defer import DeferredLock
from twisted.logger import Logger

from ganeti.errors import Code, Failed, Refused
from ganeti.rpc.callers import CallerRole, Peer, RpcCaller
from ganeti.rpc.members import MemberFile, MemberRecords, UpdateMembers
from ganeti.rpc.quorum import VoterState
from ganeti.schema.documents import UNREADABLE
from ganeti.system.interfaces import IFiles

Trust: TypeAlias = Callable[[Sequence[str]], Awaitable[None]]
"""Makes this node trust exactly the authorities with these certificates.

:raises Failed: it cannot; the previous authorities stay trusted.
"""


async def keep_trust(_: Sequence[str]) -> None:
    """Leave the trusted authorities unchanged."""


class MemberList:
    """Handles ``UpdateMembers`` and determines the role of a caller.

    ``name`` is the name of this node; ``accepted`` returns its vote with the accepted master. A
    node without the file has not joined a cluster yet, and treats every caller as unauthenticated.
    """

    _log = Logger()

    def __init__(
        self,
        files: IFiles,
        path: str,
        name: str,
        accepted: Callable[[], VoterState],
        trust: Trust = keep_trust,
    ) -> None:
        """``trust`` is called with the authorities of a list before its members are accepted."""
        self._files = files
        self._path = path
        self._name = name
        self._accepted = accepted
        self._trust = trust
        self._lock = DeferredLock()
        self._set_list(read(files, path))

    @property
    def members(self) -> MemberRecords | None:
        """The newest list; None if this node has none."""
        return self._file.members if self._file else None

    def identify(self, peer: Peer | None) -> RpcCaller:
        """Return the peer with its current role; see ``Callers``."""
        if peer is None:
            return RpcCaller(CallerRole.UNAUTHENTICATED, "a peer without a certificate")
        name = self._owners.get(peer.fingerprint)
        if self._file is None or name is None:
            return RpcCaller(CallerRole.UNAUTHENTICATED, peer.name)
        role = self._file.members.role(name, self._accepted().master)
        return RpcCaller(role, name, local=name == self._name)

    def is_candidate(self) -> bool:
        """Return whether this node may have the files of master candidates."""
        return self._file is not None and self._name in self._file.members.candidates

    def fingerprints(self, name: str | None = None) -> frozenset[str]:
        """Return the certificates that the named member, or any member, may present."""
        if self._file is None:
            return frozenset()
        return frozenset(shown for shown, owner in self._owners.items() if name in (None, owner))

    async def update(self, call: UpdateMembers) -> int:
        """Use a newer list; it is on disk when this returns.

        An older list changes nothing: it was overtaken on its way.

        :raises Refused: the list would lock out the master.
        :raises Failed: this node cannot use the authorities in the list.
        """
        # The master that sent the list: another one may be accepted during the wait for the lock.
        accepted = self._accepted()
        async with self._lock:
            if not call.members.certificates.get(accepted.master):
                raise Refused(
                    f"the member list has no certificate of {accepted.master}, the master of term"
                    f" {accepted.term}, and would lock it out",
                    Code.INPUT,
                )
            kept, new = self._file, MemberFile(term=accepted.term, members=call.members)
            # The term counts first: the list of a replaced master may have a higher revision.
            if kept is None or _order_key(kept) < _order_key(new):
                if kept is None or not kept.members.same_content(new.members):
                    self._log.info(
                        "using member list revision {n}: {names}",
                        n=new.members.revision,
                        names=", ".join(sorted(new.members.certificates)),
                    )
                # Before the members, whose certificates these authorities have issued.
                await self._trust(new.members.authorities)
                await write(self._files, self._path, new)
                self._set_list(new)
            assert self._file is not None
            return self._file.members.revision

    def clear(self) -> None:
        """Forget all members, because this node leaves the cluster."""
        self._set_list(None)

    def _set_list(self, kept: MemberFile | None) -> None:
        self._file = kept
        self._owners: Mapping[str, str] = dict(kept.members.names()) if kept else {}


def _order_key(kept: MemberFile) -> tuple[int, int]:
    return kept.term, kept.members.revision


def read(files: IFiles, path: str) -> MemberFile | None:
    """Return the content of the member list file; None if it does not exist.

    :raises Failed: the file is damaged.
    """
    if files.stat(path) is None:
        return None
    try:
        return msgspec.json.decode(files.read(path), type=MemberFile)
    except UNREADABLE as e:
        raise Failed(
            f"{path} is damaged ({e}); join this node to its cluster again to restore it"
            " (gnt-node add --readd on the master)",
            Code.ENVIRONMENT,
        ) from None


async def write(files: IFiles, path: str, kept: MemberFile) -> None:
    """Replace the member list file durably."""
    await files.replace(path, msgspec.json.encode(kept), mode=0o600)
