# SPDX-License-Identifier: BSD-2-Clause
"""A call and its answer as bytes: the one place where both ends agree on the form.

A request is the JSON object of the call's fields; an answer is ``[true, result]`` or
``[false, [error class, arguments]]``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

import msgspec

from ganeti.errors import GanetiError, NotMaster, ProtocolError, from_wire, to_wire
from ganeti.rpc.call import Call, answer_type
from ganeti.schema.documents import UNREADABLE

R = TypeVar("R")


class OldTerm(NotMaster):
    """The node has accepted a newer master than the one that asks."""

    wire = "OldTerm"


class UnclaimedTerm(GanetiError):
    """The asking master has not claimed its term from this node yet; nothing was done."""

    wire = "UnclaimedTerm"


@dataclass(frozen=True, slots=True)
class CallRequest:
    """A call on its way: its name, the term of the master that asks, and the encoded fields."""

    name: str
    term: int
    body: bytes


_encoder = msgspec.json.Encoder()


def request_of(call: Call[Any], term: int) -> CallRequest:
    """``call`` as a master of ``term`` sends it."""
    return CallRequest(call.wire, term, _encoder.encode(call))


def success(result: object) -> bytes:
    """The answer that carries ``result``."""
    return _encoder.encode((True, result))


def failure(error: GanetiError) -> bytes:
    """The answer that carries ``error``."""
    return _encoder.encode((False, to_wire(error)))


def result_of(call: Call[R], answer: bytes) -> R:
    """The result that ``answer`` carries.

    :raises GanetiError: the error that it carries instead.
    :raises ProtocolError: it carries neither.
    """
    try:
        if answer.startswith(b"[true"):
            result: R = _decoder(type(call)).decode(answer)[1]
            return result
        match msgspec.json.decode(answer):
            case [False, ["OldTerm", [str(text)]]]:
                raise OldTerm(text)
            case [False, ["UnclaimedTerm", [str(text)]]]:
                raise UnclaimedTerm(text)
            case [False, [str(), [*_]] as error]:
                raise from_wire(error)
    except UNREADABLE as e:
        raise ProtocolError(f"the answer to {call.wire} makes no sense: {e}") from None
    raise ProtocolError(f"the answer to {call.wire} is neither a result nor an error")


@cache
def _decoder(call: type[Call[Any]]) -> msgspec.json.Decoder[Any]:
    answer: Any = tuple[bool, answer_type(call)]  # type: ignore[misc]  # known at run time only
    return msgspec.json.Decoder(answer)
