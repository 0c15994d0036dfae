# SPDX-License-Identifier: BSD-2-Clause
"""The dispatcher of LUXI requests: decodes a message, calls the method, encodes the answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol
from uuid import uuid4

from twisted.internet.defer import CancelledError
from twisted.logger import Logger

from ganeti.errors import AccessDenied, Code, GanetiError, Invalid, ProtocolError, Refused, to_wire
from ganeti.luxi import framing
from ganeti.luxi.caller import Caller
from ganeti.luxi.methods import METHODS, Request, Undecodable, method

Answerer = Callable[..., Awaitable[object]]


@dataclass(frozen=True)
class Permitted:
    """A request as a caller may make it, and its handler if that differs from the usual one."""

    request: Request[object]
    answerer: Answerer | None = None


class RequestGate(Protocol):
    """Decides what callers may ask."""

    def permit(self, caller: Caller, request: Request[object]) -> Permitted:
        """Return the request as the caller may make it.

        :raises Unauthenticated: the caller is not known.
        :raises AccessDenied: the caller has no role that allows it.
        :raises GanetiError: it is about something that is not there for the caller.
        """
        ...

    async def end_if_refused(
        self, caller: Caller, request: Request[object], work: Awaitable[object]
    ) -> object:
        """Return what ``work`` does for a caller, unless the caller is refused meanwhile."""
        ...


class LocalOnly:
    """Refuses all callers, as there is nothing that knows them."""

    def permit(self, caller: Caller, request: Request[object]) -> Permitted:
        raise AccessDenied("this master daemon answers only programs that may open its socket")

    async def end_if_refused(
        self, caller: Caller, request: Request[object], work: Awaitable[object]
    ) -> object:
        return await work


class LuxiMethods:
    """The answering functions: for each method name a coroutine function.

    It is called with the positional arguments of ``Request.arguments()``. Its result is encoded by
    msgspec, so that records and ``msgspec.Raw`` are allowed.
    """

    _log = Logger()

    def __init__(self, answers: Mapping[str, Answerer], gate: RequestGate | None = None) -> None:
        self.replace_handlers(answers, gate)

    def replace_handlers(
        self, answers: Mapping[str, Answerer], gate: RequestGate | None = None
    ) -> None:
        """Have these answer from now on, also on connections that are open."""
        if unknown := answers.keys() - METHODS.keys():
            raise ValueError(f"unknown methods: {', '.join(sorted(unknown))}")
        self._answers = dict(answers)
        self._gate = gate or LocalOnly()

    async def answer_message(self, message: bytes) -> bytes:
        """Return the encoded answer to a message; errors are answers too.

        :raises CancelledError: this call, or work it waits for, was cancelled.
        """
        try:
            return await self._call_method(message)
        except CancelledError:
            # The connection knows whether its client is still there.
            raise
        except Exception:
            # Every error is answered: a client without an answer would wait until its time-out.
            return framing.failure(["GenericError", [self._log_internal_error(message)]])

    def cancelled(self, message: bytes) -> bytes:
        """Return the answer to a cancelled message whose client still waits."""
        name = _read_method_name(message)
        self._log.warn("{method} was cancelled before it was answered", method=name)
        error = Refused(
            "the request was cancelled, for example because the master daemon is stopping; it is"
            " unknown whether it will be carried out",
            Code.TEMPORARY,
        )
        return framing.failure(to_wire(error))

    async def _call_method(self, message: bytes) -> bytes:
        try:
            envelope = framing.read_envelope(message)
            request = method(envelope.method).read(envelope.args)
        except (ProtocolError, Invalid) as e:
            # As plain text, by which clients recognize a request that could not be decoded.
            return framing.failure(str(e))
        try:
            answerer: Answerer = self._answers.get(envelope.method, _refuse_unsupported)
            if envelope.caller is None:
                return framing.success(await answerer(*request.arguments()))
            return framing.success(await self._on_behalf(envelope.caller, request, answerer))
        # Also as plain text, for the same clients.
        except Undecodable as e:
            return framing.failure(str(e))
        except GanetiError as e:
            return framing.failure(to_wire(e))

    async def _on_behalf(
        self, caller: Caller, request: Request[object], answerer: Answerer
    ) -> object:
        permitted = self._gate.permit(caller, request)
        work = (permitted.answerer or answerer)(*permitted.request.arguments())
        return await self._gate.end_if_refused(caller, request, work)

    def _log_internal_error(self, message: bytes) -> str:
        reference = uuid4().hex[:12]
        self._log.failure(
            "internal error in {method}; reference {reference}",
            method=_read_method_name(message),
            reference=reference,
        )
        return f"internal error; details are in the log of the master daemon under {reference}"


def _read_method_name(message: bytes) -> str:
    """Return the method name of a message for the log; arguments may be secret."""
    try:
        return framing.read_envelope(message).method
    except ProtocolError:
        return "an unreadable request"


async def _refuse_unsupported(*_: object) -> None:
    raise GanetiError("this master daemon does not support this method")
