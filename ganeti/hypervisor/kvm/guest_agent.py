# SPDX-License-Identifier: BSD-2-Clause
"""The client of the QEMU guest agent, which runs in a guest and may not answer at all.

Messages are JSON objects, one per line. What an earlier client has left in the channel is skipped:
the answer to ``guest-sync-delimited`` follows a byte 0xFF, which occurs in no JSON text.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, TimeoutError  # noqa: A004  (what addTimeout raises)
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IAddress, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from ganeti.errors import Failed
from ganeti.schema.documents import UNREADABLE

SYNC_TIMEOUT = 3.0
"""Seconds until the agent counts as absent."""

FREEZE_TIMEOUT = 10.0
"""Seconds for the flush of all file systems of the guest."""

_DELIMITER = b"\xff"
_MAX_LENGTH = 1 << 20
"""Maximum length of an answer, in bytes: the guest decides what it sends."""


class AgentFailed(Failed):
    """The agent does not answer, or reports an error."""


class GuestAgent(Protocol):
    """A connection to the agent of a guest; one command at a time."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._pending = b""
        self._waiting: Deferred[object] | None = None
        self._synced = False

    async def synchronize(self) -> None:
        """Discard what is in the channel.

        :raises AgentFailed: no agent answers.
        """
        number = 7243
        message = {"execute": "guest-sync-delimited", "arguments": {"id": number}}
        if await self._ask(_DELIMITER + _encode(message), SYNC_TIMEOUT) != number:
            raise AgentFailed("the guest agent answered another command")

    async def call(self, command: str, timeout: float = SYNC_TIMEOUT) -> Any:
        """Execute a command without arguments, and return its result.

        :raises AgentFailed: the agent reports an error, or does not answer in time.
        """
        return await self._ask(_encode({"execute": command}), timeout)

    async def _ask(self, message: bytes, timeout: float) -> object:
        if self.transport is None or self._waiting is not None:
            raise AgentFailed("the guest agent is busy")
        self._waiting = Deferred()
        self.transport.write(message)
        try:
            return await self._waiting.addTimeout(timeout, self._clock)
        except TimeoutError:
            raise AgentFailed(f"the guest agent did not answer within {timeout:g} s") from None
        finally:
            self._waiting = None

    def dataReceived(self, data: bytes) -> None:
        self._pending += data
        if not self._synced:
            _, found, rest = self._pending.rpartition(_DELIMITER)
            self._synced, self._pending = bool(found), rest if found else b""
        *lines, self._pending = self._pending.split(b"\n")
        if len(self._pending) > _MAX_LENGTH and self.transport is not None:
            self.transport.loseConnection()
        for line in lines:
            if line.strip() and self._waiting is not None and not self._waiting.called:
                self._waiting.callback(_read_answer(line))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._waiting is not None and not self._waiting.called:
            self._waiting.errback(AgentFailed("QEMU closed the connection to the guest agent"))


def _encode(message: Mapping[str, object]) -> bytes:
    return msgspec.json.encode(message) + b"\n"


def _read_answer(line: bytes) -> object:
    try:
        content = msgspec.json.decode(line)
    except UNREADABLE:
        content = None
    match content:
        case {"return": value}:
            return value
        case {"error": {"desc": str(why)}}:
            return Failure(AgentFailed(f"the guest agent: {why[:200]}"))
    return Failure(AgentFailed("the guest agent sent something that is no answer"))


class _AgentFactory(Factory):
    """Creates the protocol of the connection."""

    noisy = False

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock

    def buildProtocol(self, addr: IAddress | None) -> GuestAgent:
        return GuestAgent(self._clock)


@asynccontextmanager
async def connect_agent(
    endpoint: IStreamClientEndpoint, clock: IReactorTime
) -> AsyncIterator[GuestAgent]:
    """Return a synchronized connection to an agent, which is closed at the end.

    :raises AgentFailed: there is no agent, or it does not answer.
    """
    try:
        agent = await endpoint.connect(_AgentFactory(clock)).addTimeout(SYNC_TIMEOUT, clock)
    except (ConnectError, TimeoutError) as e:
        raise AgentFailed(f"the guest agent cannot be reached: {e}") from None
    assert isinstance(agent, GuestAgent)
    try:
        await agent.synchronize()
        yield agent
    finally:
        assert agent.transport is not None
        agent.transport.loseConnection()
