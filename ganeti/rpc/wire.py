# SPDX-License-Identifier: BSD-2-Clause
"""The encoding of calls and answers as JSON, shared by both ends.

A request is the JSON object of the call's fields; an answer is ``[true, result]`` or
``[false, [error class, arguments]]``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

import msgspec

from ganeti.errors import Code, Failed, GanetiError, NotMaster, ProtocolError, from_wire, to_wire
from ganeti.rpc.call import Call, get_answer_type
from ganeti.schema.documents import UNREADABLE

R = TypeVar("R")


class OldTerm(NotMaster):
    """The node has accepted a newer master than the calling one."""

    wire = "OldTerm"


class UnclaimedTerm(GanetiError):
    """The node has not granted the calling master's term; the call was not executed."""

    wire = "UnclaimedTerm"


class StaleHandle(Failed):
    """The caller's handle for the node's copy of the journal is not valid any more.

    The copy was opened again, or the node daemon was started again.
    """

    wire = "StaleHandle"


@dataclass(frozen=True, slots=True)
class CallRequest:
    """An encoded call: its name, the term of the calling master, and the encoded fields."""

    name: str
    term: int
    body: bytes


_encoder = msgspec.json.Encoder()


def encode_request(call: Call[object], term: int) -> CallRequest:
    """Encode ``call`` as a master of ``term``."""
    return CallRequest(call.wire, term, _encoder.encode(call))


def success(result: object) -> bytes:
    """Encode an answer with ``result``."""
    return _encoder.encode((True, result))


def failure(error: GanetiError) -> bytes:
    """Encode an answer with ``error``."""
    return _encoder.encode((False, to_wire(error)))


def result_of(call: Call[R], answer: bytes) -> R:
    """Decode ``answer`` and return its result.

    :raises GanetiError: the error that the answer has instead.
    :raises ProtocolError: the answer is malformed.
    """
    try:
        # By the first bytes, as the decoder for results cannot decode errors.
        if answer.startswith(b"[true"):
            result: R = _decoder(type(call)).decode(answer)[1]
            return result
        match msgspec.json.decode(answer):
            case [False, ["OldTerm", [str(text)]]]:
                raise OldTerm(text)
            case [False, ["UnclaimedTerm", [str(text)]]]:
                raise UnclaimedTerm(text)
            case [False, ["StaleHandle", [str(text), *_]]]:
                raise StaleHandle(text, Code.ENVIRONMENT)
            case [False, [str(), [*_]] as error]:
                raise from_wire(error)
    except UNREADABLE as e:
        raise ProtocolError(f"the answer to {call.wire} is malformed: {e}") from None
    raise ProtocolError(f"the answer to {call.wire} is neither a result nor an error")


@cache
def _decoder(call: type[Call[object]]) -> msgspec.json.Decoder[Any]:
    answer: Any = tuple[bool, get_answer_type(call)]  # type: ignore[misc]  # known at run time only
    return msgspec.json.Decoder(answer)
