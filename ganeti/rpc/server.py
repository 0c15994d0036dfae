# SPDX-License-Identifier: BSD-2-Clause
"""The calls that a node answers, and what is checked before it does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Set
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from twisted.internet.defer import CancelledError
from twisted.logger import Logger

from ganeti.errors import Code, Failed, GanetiError, Invalid, Problem
from ganeti.rpc.call import Call
from ganeti.rpc.callers import Caller, CallerRole, Forbidden
from ganeti.rpc.quorum import DescribeVote, RequestVote
from ganeti.rpc.wire import CallRequest, OldTerm, UnclaimedTerm, failure, success
from ganeti.schema.documents import MAX_DEPTH, UNREADABLE, nests_too_deep
from ganeti.schema.reading import problems

C = TypeVar("C", bound=Call[Any])


class UnknownCall(GanetiError):
    """There is no call of this name."""

    wire = "UnknownCall"


@dataclass(frozen=True, slots=True)
class _Answer:
    decoder: msgspec.json.Decoder[Any]
    call: type[Call[Any]]
    give: Callable[[Any], Awaitable[Any]]


class CallHandlers:
    """The calls a node answers, found by the name they carry on the wire.

    ``newest_term`` says which is the newest term of a master that the node has accepted.
    """

    _log = Logger()

    def __init__(self, newest_term: Callable[[], int]) -> None:
        self._newest_term = newest_term
        self._by_name: dict[str, _Answer] = {}

    def to(self, call: type[C], answer: Callable[[C], Awaitable[Any]]) -> None:
        """Answer ``call`` by what ``answer`` returns or the ``GanetiError`` that it raises."""
        self._by_name[call.wire] = _Answer(msgspec.json.Decoder(call), call, answer)

    def calls(self) -> Iterator[type[Call[Any]]]:
        """The calls that are answered."""
        return (answer.call for answer in self._by_name.values())

    def finishes(self, name: str) -> bool:
        """Whether an answer under way is carried to its end although nobody waits for it."""
        answer = self._by_name.get(name)
        return answer is None or not answer.call.ends_with_asker

    def authorize(self, name: str, term: int, caller: Caller) -> None:
        """Check that ``caller``, as a master of ``term``, may make the call ``name``.

        This needs the head of a request only. A member that takes itself for the master hears of
        the newer term, and one whose term was not claimed here that it must be.

        :raises UnknownCall: no such call is answered.
        :raises Forbidden: the caller's role does not include the call.
        :raises OldTerm: this node has accepted a newer master.
        :raises UnclaimedTerm: this node has not accepted a master of that term yet, or another one:
            of two that asked for votes in one term, a majority may have elected the other.
        """
        known = self._known(name)
        if caller.role in known.call.callers:
            if known.call.local_only and not caller.local:
                raise Forbidden(
                    f"{name} is answered to the master's own node only, and {caller.name} is"
                    " another one"
                )
            return
        if CallerRole.MASTER in known.call.callers:
            self._check(term)
            if caller.role is CallerRole.CANDIDATE and term == self._newest_term() > 0:
                raise other_master(caller.name, term)
        raise _forbidden(name, known.call.callers, caller)

    async def answer(self, request: CallRequest, caller: Caller | None) -> bytes:
        """The encoded answer; whatever goes wrong is in it.

        The caller has passed ``authorize``; None stands for one in this process.

        :raises UnknownCall: no such call is answered.
        :raises Forbidden: the caller may not ask for this.
        """
        known = self._known(request.name)
        try:
            if known.call not in (DescribeVote, RequestVote):
                self._check(request.term)
            call = _read(known, request.body)
            if caller is not None:
                call.require(caller)
            return success(await known.give(call))
        except Forbidden:
            raise
        except GanetiError as e:
            return failure(e)
        except OSError as e:
            self._log.failure("{call}: the operating system refused", call=request.name)
            return failure(Failed(f"{request.name}: {e}", Code.ENVIRONMENT))
        except CancelledError:
            raise
        except Exception as e:
            self._log.failure("{call} broke", call=request.name)
            text = f"{request.name} broke on the node ({type(e).__name__}); its log says more"
            return failure(Failed(text, Code.INTERNAL))

    def _known(self, name: str) -> _Answer:
        known = self._by_name.get(name)
        if known is None:
            raise UnknownCall(f"this node answers no call named {name}")
        return known

    def _check(self, term: int) -> None:
        newest = self._newest_term()
        if term < newest:
            raise OldTerm(
                f"the asking master is of term {term}, but this node has accepted a master of term"
                f" {newest}; the older master must not act any more"
            )
        if term > newest:
            raise UnclaimedTerm(
                f"term {term} was not claimed from this node, which knows term {newest}"
            )


def other_master(name: str, term: int) -> UnclaimedTerm:
    """Tell a master that this node has granted its term to another one."""
    return UnclaimedTerm(f"this node has not granted term {term} to {name}, but to another node")


def _forbidden(name: str, permitted: Set[CallerRole], caller: Caller) -> Forbidden:
    roles = ", ".join(role for role in CallerRole if role in permitted)
    return Forbidden(
        f"{name} may be called by: {roles}; to this node, {caller.name} is: {caller.role}"
    )


def _read(known: _Answer, body: bytes) -> Any:
    """The call in ``body``.

    :raises Invalid: with everything that is wrong with it.
    """
    if nests_too_deep(body):
        raise Invalid(f"{known.call.wire}: the body nests more than {MAX_DEPTH} levels")
    try:
        return known.decoder.decode(body)
    except UNREADABLE as e:
        raise _invalid(known.call, body, e) from None


def _invalid(call: type[Call[Any]], body: bytes, error: Exception) -> Invalid:
    try:
        found = problems(call, msgspec.json.decode(body))
    except UNREADABLE:
        found = []
    return Invalid(
        [Problem(f"{call.wire}: {p.path}".rstrip(": "), p.message) for p in found] or str(error)
    )
