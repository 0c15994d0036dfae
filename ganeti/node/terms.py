# SPDX-License-Identifier: BSD-2-Clause
"""The newest term of a master that this node has accepted; it survives a crash of the node."""

from __future__ import annotations

import msgspec
from twisted.internet.defer import DeferredLock
from twisted.logger import Logger

from ganeti.errors import Code, Failed, Refused
from ganeti.rpc.node import ClaimTerm, Vote
from ganeti.schema.records import Record
from ganeti.schema.types import Count
from ganeti.system.interfaces import IFiles

MAX_STEP = 10**6
"""By how much a claimed term may be newer than the one before: each term is claimed by a person or
by the start of a daemon, so a larger step is a mistake, and would use up the numbers."""


class Accepted(Record):
    """A master and its term, as they are in the file."""

    term: Count
    master: str


NOBODY = Accepted(term=0, master="")


class Terms:
    """Accepts masters, each of a newer term than the one before, and never two of one term."""

    _log = Logger()

    def __init__(self, files: IFiles, path: str) -> None:
        self._files = files
        self._path = path
        self._accepted = self._read()
        self._turn = DeferredLock()

    @property
    def accepted(self) -> Accepted:
        """The newest master that was accepted."""
        return self._accepted

    def newest(self) -> int:
        """The newest accepted term; 0 if there was none yet."""
        return self._accepted.term

    async def claim(self, call: ClaimTerm) -> Vote:
        """Accept a master of a newer term than any before, if it may follow the one before it.

        The vote is on disk by then.

        :raises Refused: the term is so much newer that it cannot be meant.
        """
        async with self._turn:
            if call.term > self._accepted.term + MAX_STEP:
                raise Refused(
                    f"term {call.term} is claimed, but this node knows term"
                    f" {self._accepted.term}; a new term is at most {MAX_STEP} more",
                    Code.INPUT,
                )
            granted = call.term > self._accepted.term and self._may_follow(call)
            if granted:
                accepted = Accepted(term=call.term, master=call.master)
                await self._files.replace(self._path, msgspec.json.encode(accepted), mode=0o600)
                self._accepted = accepted
                self._log.info("accepted {master} for term {term}", **msgspec.to_builtins(accepted))
            now = self._accepted
            return Vote(granted=granted, term=now.term, master=now.master)

    def _may_follow(self, call: ClaimTerm) -> bool:
        # So that one who was replaced while it was away does not replace its successor.
        before = self._accepted.master
        return call.instead is None or before in ("", call.master, *call.instead)

    def _read(self) -> Accepted:
        if self._files.stat(self._path) is None:
            return NOBODY
        try:
            return msgspec.json.decode(self._files.read(self._path), type=Accepted)
        except msgspec.DecodeError as e:
            raise Failed(
                f"{self._path} is damaged ({e}); remove it only if no other node believes to be"
                " the master: it keeps a master that was replaced from acting here",
                Code.ENVIRONMENT,
            ) from None
