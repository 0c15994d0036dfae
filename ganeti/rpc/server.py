# SPDX-License-Identifier: BSD-2-Clause
"""The dispatcher of calls in a node daemon, which checks permissions and terms."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Set
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from twisted.internet.defer import CancelledError
from twisted.logger import Logger

from ganeti.errors import Code, Failed, GanetiError, Invalid, Problem
from ganeti.rpc.call import Call
from ganeti.rpc.callers import CallerRole, Forbidden, RpcCaller
from ganeti.rpc.guest_lease import ExtendGuestLease
from ganeti.rpc.quorum import DescribeVote, RequestVote
from ganeti.rpc.wire import CallRequest, OldTerm, UnclaimedTerm, failure, success
from ganeti.schema.documents import MAX_DEPTH, UNREADABLE, nests_too_deep
from ganeti.schema.reading import problems

C = TypeVar("C", bound=Call[object])


class UnknownCall(GanetiError):
    """The call is unknown."""

    wire = "UnknownCall"


_WITHOUT_TERM = (DescribeVote, ExtendGuestLease, RequestVote)
"""Calls that are answered whatever term the caller has."""


@dataclass(frozen=True, slots=True)
class _Handler:
    decoder: msgspec.json.Decoder[object]
    call: type[Call[object]]
    give: Callable[[Any], Awaitable[object]]


class CallHandlers:
    """The handlers of calls, by their name on the wire.

    ``newest_term`` returns the newest term that the node has granted.
    """

    _log = Logger()

    def __init__(self, newest_term: Callable[[], int]) -> None:
        self._newest_term = newest_term
        self._by_name: dict[str, _Handler] = {}

    def to(self, call: type[C], answer: Callable[[C], Awaitable[object]]) -> None:
        """Register the handler of ``call``; it returns the result or raises a ``GanetiError``."""
        self._by_name[call.wire] = _Handler(msgspec.json.Decoder(call), call, answer)

    def calls(self) -> Iterator[type[Call[object]]]:
        """Return the calls that have a handler."""
        return (answer.call for answer in self._by_name.values())

    def finishes(self, name: str) -> bool:
        """Return whether a running call is completed after its caller has disconnected."""
        answer = self._by_name.get(name)
        return answer is None or not answer.call.ends_with_asker

    def authorize(self, name: str, term: int, caller: RpcCaller) -> None:
        """Check that ``caller`` may make the call ``name``, as a master of ``term``.

        Only the headers of a request are needed. An old master that calls gets ``OldTerm``, and one
        whose term this node has not granted gets ``UnclaimedTerm``, so that it can claim it.

        :raises UnknownCall: the call has no handler.
        :raises Forbidden: the caller's role does not permit the call.
        :raises OldTerm: this node has accepted a newer master.
        :raises UnclaimedTerm: this node has not granted the term yet, or has granted it to another
           node: if two candidates requested votes for one term, a majority may have elected the
           other.
        """
        known = self._get_handler(name)
        if caller.role in known.call.callers:
            if known.call.local_only and not caller.local:
                raise Forbidden(
                    f"{name} may only be called by the master on its own node, not by {caller.name}"
                )
            return
        if CallerRole.MASTER in known.call.callers:
            self._check_term(term)
            if caller.role is CallerRole.CANDIDATE and term == self._newest_term() > 0:
                raise granted_to_other(caller.name, term)
        raise _format_forbidden(name, known.call.callers, caller)

    async def answer_call(self, request: CallRequest, caller: RpcCaller | None) -> bytes:
        """Execute a call and return its encoded result or error.

        ``caller`` has passed ``authorize``; None means a caller in this process.

        :raises UnknownCall: the call has no handler.
        :raises Forbidden: the caller may not make the call with these fields.
        """
        known = self._get_handler(request.name)
        try:
            if known.call not in _WITHOUT_TERM:
                self._check_term(request.term)
            call = _decode_call(known, request.body)
            if caller is not None:
                call.require(caller)
            return success(await known.give(call))
        # The transport answers this one, with a status of HTTP.
        except Forbidden:
            raise
        except GanetiError as e:
            return failure(e)
        except OSError as e:
            self._log.failure("{call} failed in the operating system", call=request.name)
            return failure(Failed(f"{request.name}: {e}", Code.ENVIRONMENT))
        # In Twisted, this is an ``Exception``.
        except CancelledError:
            raise
        except Exception as e:
            self._log.failure("{call} failed unexpectedly", call=request.name)
            reason = type(e).__name__
            text = f"{request.name} failed unexpectedly ({reason}); see the node daemon's log"
            return failure(Failed(text, Code.INTERNAL))

    def _get_handler(self, name: str) -> _Handler:
        known = self._by_name.get(name)
        if known is None:
            raise UnknownCall(f"unknown call {name}")
        return known

    def _check_term(self, term: int) -> None:
        newest = self._newest_term()
        if term < newest:
            raise OldTerm(
                f"the calling master has term {term}, but this node has granted the newer term"
                f" {newest}; the older master must stop"
            )
        if term > newest:
            raise UnclaimedTerm(
                f"this node has not granted term {term}; its newest term is {newest}"
            )


def granted_to_other(name: str, term: int) -> UnclaimedTerm:
    """Return the error for a master whose term this node has granted to another node."""
    return UnclaimedTerm(f"this node has granted term {term} to another node than {name}")


def _format_forbidden(name: str, permitted: Set[CallerRole], caller: RpcCaller) -> Forbidden:
    roles = ", ".join(role for role in CallerRole if role in permitted)
    return Forbidden(
        f"{name} may only be called by roles {roles}; {caller.name} has the role {caller.role}"
    )


def _decode_call(known: _Handler, body: bytes) -> Any:
    """Decode the call in ``body``.

    :raises Invalid: with every problem of the call.
    """
    if nests_too_deep(body):
        raise Invalid(f"{known.call.wire}: the body is nested more than {MAX_DEPTH} levels deep")
    try:
        return known.decoder.decode(body)
    except UNREADABLE as e:
        raise _describe_invalid(known.call, body, e) from None


def _describe_invalid(call: type[Call[object]], body: bytes, error: Exception) -> Invalid:
    try:
        found = problems(call, msgspec.json.decode(body))
    except UNREADABLE:
        found = []
    return Invalid(
        [Problem(f"{call.wire}: {p.path}".rstrip(": "), p.message) for p in found] or str(error)
    )
