# SPDX-License-Identifier: BSD-2-Clause
"""A master in memory, as the remote API and the command-line tools see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from zope.interface import implementer

from ganeti.errors import GanetiError
from ganeti.luxi.caller import Caller
from ganeti.luxi.interfaces import IMaster
from ganeti.luxi.methods import (
    QueryObjectPages,
    QueryObjects,
    QueryPassword,
    RecordDenial,
    Request,
    SubmitJob,
    SubmitManyJobs,
)
from ganeti.luxi.unreachable import MasterNotRunning
from ganeti.opcodes.opcode import Opcode

R = TypeVar("R")

Canned = Any | GanetiError | Callable[[Any], Any]


@implementer(IMaster)
class MemoryMaster:
    """Gives canned answers by method, and numbers the jobs that it is given.

    A canned answer is a value, an error to raise, or a function of the request; ``canned`` may be
    changed at any time. Unless canned, there are no users but those of the users file.
    ``asked`` are all requests, ``callers`` those on whose behalf they were
    made, ``jobs`` what was submitted, by number.
    """

    def __init__(self, canned: dict[type[Request[object]], Canned] | None = None) -> None:
        self.canned = canned or {}
        self.asked: list[Request[object]] = []
        self.jobs: dict[int, tuple[Opcode, ...]] = {}
        self.callers: list[Caller | None] = []
        self.away = False

    async def ask(self, request: Request[R], caller: Caller | None = None) -> R:
        self.callers.append(caller)
        return self.answer(request)

    async def ask_raw(self, request: Request[object], caller: Caller | None = None) -> msgspec.Raw:
        self.callers.append(caller)
        return msgspec.Raw(msgspec.json.encode(self.answer(request)))

    def answer(self, request: Request[R]) -> R:
        """The answer, as it would come over the wire."""
        if self.away:
            raise MasterNotRunning("the master daemon is not running")
        canned = self.canned.get(type(request))
        if canned is None and isinstance(request, QueryPassword):
            nobody: Any = {"known": False, "hash": None}
            return nobody  # type: ignore[no-any-return]  # which is what R is
        if canned is None and isinstance(request, QueryObjectPages):
            return self._first_page(request)  # type: ignore[return-value]  # which is what R is
        if canned is None and isinstance(request, RecordDenial):
            return None  # type: ignore[return-value]  # which is what R is
        self.asked.append(request)
        if canned is None:
            canned = self._submitted(request)
        elif callable(canned):
            canned = canned(request)
        if isinstance(canned, GanetiError):
            raise canned
        answer: R = msgspec.json.decode(msgspec.json.encode(canned))
        return answer

    def _first_page(self, request: QueryObjectPages) -> dict[str, object]:
        """The objects that are canned for ``QueryObjects``, as the only page of a list."""
        asked = QueryObjects(what=request.what, fields=request.fields, known=request.known)
        found: object = self.answer(asked)
        if isinstance(found, dict):
            return {"tag": found["tag"], "size": 0, "pages": 1, "objects": found["objects"]}
        return {"tag": "1", "size": 0, "pages": 1, "objects": found}

    def last_job(self) -> tuple[Opcode, ...]:
        """The opcodes of the job that was submitted last."""
        return self.jobs[max(self.jobs)]

    def _submitted(self, request: Request[object]) -> Any:
        match request:
            case SubmitJob(ops=ops):
                return self._job(ops)
            case SubmitManyJobs(jobs=jobs):
                return [[True, self._job(ops)] for ops in jobs]
        raise AssertionError(f"no canned answer for {request}")

    def _job(self, opcodes: tuple[Opcode, ...]) -> int:
        self.jobs[len(self.jobs) + 1] = opcodes
        return len(self.jobs)


class BlockingMemoryMaster:
    """The same, for callers that block; a stand-in for ``ganeti.luxi.client.Client``."""

    def __init__(self, canned: dict[type[Request[object]], Canned] | None = None) -> None:
        self.memory = MemoryMaster(canned)

    def ask(self, request: Request[R]) -> R:
        return self.memory.answer(request)

    def ask_raw(self, request: Request[object]) -> msgspec.Raw:
        return msgspec.Raw(msgspec.json.encode(self.memory.answer(request)))

    def close(self) -> None:
        """There is nothing to hang up."""
