# SPDX-License-Identifier: BSD-2-Clause
"""Messages as bytes: JSON objects, each ended by one ETX; knows no transport."""

from __future__ import annotations

from typing import Any

import msgspec

from ganeti.errors import GanetiError, Invalid, ProtocolError, from_wire
from ganeti.luxi.caller import Caller
from ganeti.schema.documents import MAX_DEPTH, UNREADABLE, nests_too_deep

END = b"\x03"
"""Ends a message; JSON escapes control characters, so it cannot occur inside."""

MAX_BYTES = 64 * 1024 * 1024
"""The longest request that is taken: some ten thousand jobs at once."""


LONG = 65536
"""To see whether an answer of more bytes is JSON takes longer than all else that is done with it,
and whoever needs to know what it says will see that anyway."""

_SUCCESS = b'{"success":true,"result":'
_CLOSE = b"}"


class MessageBuffer:
    """Collects bytes and gives back whole messages."""

    def __init__(self, limit: int | None = MAX_BYTES) -> None:
        self._limit = limit
        self._pieces: list[bytes] = []
        self._size = 0

    def receive(self, data: bytes) -> list[bytes]:
        """The messages that ``data`` completes, without their ends.

        :raises ProtocolError: a message is longer than the limit; nothing more can be read.
        """
        # Most pieces of a long message end none: to look for that is quicker than to split them.
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

    Without a ``caller`` it is of whoever may open the socket, who may do everything.
    """

    method: str
    args: msgspec.Raw
    caller: Caller | None = None


class LuxiAnswer(msgspec.Struct):
    """An answer as it comes, its result still encoded."""

    success: bool
    result: msgspec.Raw


_encoder = msgspec.json.Encoder()
_envelopes = msgspec.json.Decoder(Envelope)
_answers = msgspec.json.Decoder(LuxiAnswer)


def read_envelope(message: bytes) -> Envelope:
    """The request in ``message``.

    :raises ProtocolError: it is no request, and why.
    """
    if nests_too_deep(message):
        raise ProtocolError(f"the request cannot be read: it nests more than {MAX_DEPTH} levels")
    try:
        return _envelopes.decode(message)
    except UNREADABLE as e:
        raise ProtocolError(f"the request cannot be read: {e}") from None


def request(method: str, arguments: Any, caller: Caller | None = None) -> bytes:
    """A request, ready to be sent; on behalf of a ``caller`` if there is one."""
    behalf = b"" if caller is None else b',"caller":%b' % _encoder.encode(caller)
    encoded = _encoder.encode(method), _encoder.encode(arguments), behalf
    return b'{"method":%b,"args":%b%b}\x03' % encoded


def success(result: Any) -> bytes:
    """An answer, ready to be sent; a ``msgspec.Raw`` goes out as it is."""
    encoded = result if isinstance(result, msgspec.Raw) else _encoder.encode(result)
    # One copy and no more: lists may be long.
    return b"".join((_SUCCESS, encoded, _CLOSE, END))


def failure(error: Any) -> bytes:
    """A failed answer: ``[class, [argument, …]]``, or text if the request was not understood."""
    return b'{"success":false,"result":%b}\x03' % _encoder.encode(error)


def result_of(message: bytes) -> msgspec.Raw:
    """The encoded result in an answer; that of a long one is taken without a look inside.

    :raises GanetiError: the one that the answer carries; :class:`~ganeti.errors.Invalid` if the
        master did not understand the request.
    :raises ProtocolError: this is no answer.
    """
    if len(message) > LONG and message.startswith(_SUCCESS) and message.endswith(_CLOSE):
        return msgspec.Raw(memoryview(message)[len(_SUCCESS) : -len(_CLOSE)])
    try:
        answer = _answers.decode(message)
    except UNREADABLE as e:
        raise _no_answer(e) from None
    if answer.success:
        return answer.result
    raise _error(decoded(answer.result))


def decoded(result: msgspec.Raw) -> Any:
    """The value of an encoded result.

    :raises ProtocolError: it cannot be read.
    """
    try:
        return msgspec.json.decode(result)
    except UNREADABLE as e:
        raise _no_answer(e) from None


def _no_answer(why: Exception) -> ProtocolError:
    return ProtocolError(f"the master's answer cannot be read: {why}")


def _error(value: Any) -> GanetiError:
    return Invalid(value) if isinstance(value, str) else from_wire(value)
