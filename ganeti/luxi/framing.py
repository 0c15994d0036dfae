# SPDX-License-Identifier: BSD-2-Clause
"""The encoding of LUXI messages: JSON objects, each terminated by ETX (0x03); no transport."""

from __future__ import annotations

from typing import Any

import msgspec

from ganeti.errors import GanetiError, Invalid, ProtocolError, from_wire
from ganeti.luxi.caller import Caller
from ganeti.schema.documents import MAX_DEPTH, UNREADABLE, nests_too_deep

END = b"\x03"
"""Terminates a message; JSON escapes control characters, so that it cannot occur inside."""

MAX_BYTES = 64 * 1024 * 1024
"""Maximum size of a request: about ten thousand jobs at once."""


LONG = 65536
"""Size above which an answer is not checked for valid JSON here.

The check would take longer than all other work on the answer, and its reader decodes it anyway.
"""

_SUCCESS = b'{"success":true,"result":'
_CLOSE = b"}"


class MessageBuffer:
    """Collects received bytes and returns complete messages."""

    def __init__(self, limit: int | None = MAX_BYTES) -> None:
        self._limit = limit
        self._pieces: list[bytes] = []
        self._size = 0

    def receive(self, data: bytes) -> list[bytes]:
        """Return the messages that ``data`` completes, without their terminators.

        :raises ProtocolError: a message exceeds the limit; nothing more can be received.
        """
        # Most pieces of a long message contain no terminator: the search is faster than the split.
        first, *rest = data.split(END) if END in data else (data,)
        self._size += len(first)
        if self._limit is not None and self._size > self._limit:
            raise ProtocolError(f"the message is longer than {self._limit} bytes")
        self._pieces.append(first)
        if not rest:
            return []
        whole = [b"".join(self._pieces), *rest[:-1]]
        self._pieces = [rest[-1]]
        self._size = len(rest[-1])
        return whole


class Envelope(msgspec.Struct):
    """A request as it comes: other keys, such as ``version``, are of no interest.

    Without a ``caller`` it is of a local program that may open the socket, and may do everything.
    """

    method: str
    args: msgspec.Raw
    caller: Caller | None = None


class LuxiAnswer(msgspec.Struct):
    """A received answer; its result is still encoded."""

    success: bool
    result: msgspec.Raw


_encoder = msgspec.json.Encoder()
_envelopes = msgspec.json.Decoder(Envelope)
_answers = msgspec.json.Decoder(LuxiAnswer)


def read_envelope(message: bytes) -> Envelope:
    """Return the request in ``message``.

    :raises ProtocolError: the message is not a request.
    """
    if nests_too_deep(message):
        raise ProtocolError(f"the request cannot be decoded: it nests more than {MAX_DEPTH} levels")
    try:
        return _envelopes.decode(message)
    except UNREADABLE as e:
        raise ProtocolError(f"the request cannot be decoded: {e}") from None


def request(method: str, arguments: object, caller: Caller | None = None) -> bytes:
    """A request, ready to be sent; on behalf of a ``caller`` if there is one."""
    behalf = b"" if caller is None else b',"caller":%b' % _encoder.encode(caller)
    encoded = _encoder.encode(method), _encoder.encode(arguments), behalf
    return b'{"method":%b,"args":%b%b}\x03' % encoded


def success(result: object) -> bytes:
    """Return an encoded answer with its terminator; a ``msgspec.Raw`` is not encoded again."""
    encoded = result if isinstance(result, msgspec.Raw) else _encoder.encode(result)
    # Exactly one copy, because lists may be long.
    return b"".join((_SUCCESS, encoded, _CLOSE, END))


def failure(error: object) -> bytes:
    """Return an encoded error answer: ``[class, [argument, …]]``, or text for a bad request."""
    return b'{"success":false,"result":%b}\x03' % _encoder.encode(error)


def result_of(message: bytes) -> msgspec.Raw:
    """Return the encoded result of an answer; long results are not checked for valid JSON.

    :raises GanetiError: the error in the answer; :class:`~ganeti.errors.Invalid` if the master
        could not decode the request.
    :raises ProtocolError: the message is not an answer.
    """
    if len(message) > LONG and message.startswith(_SUCCESS) and message.endswith(_CLOSE):
        return msgspec.Raw(memoryview(message)[len(_SUCCESS) : -len(_CLOSE)])
    try:
        answer = _answers.decode(message)
    except UNREADABLE as e:
        raise _make_protocol_error(e) from None
    if answer.success:
        return answer.result
    raise _decode_error(decoded(answer.result))


def decoded(result: msgspec.Raw) -> Any:
    """Return the value of an encoded result.

    :raises ProtocolError: it is not valid JSON.
    """
    try:
        return msgspec.json.decode(result)
    except UNREADABLE as e:
        raise _make_protocol_error(e) from None


def _make_protocol_error(why: Exception) -> ProtocolError:
    return ProtocolError(f"the master's answer cannot be decoded: {why}")


def _decode_error(value: object) -> GanetiError:
    return Invalid(value) if isinstance(value, str) else from_wire(value)
