# SPDX-License-Identifier: BSD-2-Clause
"""The client of the QEMU guest agent, which runs in a guest, freezes its file systems, shuts it
down, and may not answer at all.

Messages are JSON objects, one per line. What an earlier client has left in the channel is skipped:
the answer to ``guest-sync-delimited`` follows a byte 0xFF, which occurs in no JSON text.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, TimeoutError  # noqa: A004  (what addTimeout raises)
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IAddress, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from ganeti.errors import Code, Failed
from ganeti.schema.documents import UNREADABLE

SYNC_TIMEOUT = 3.0
"""Seconds until the agent counts as absent."""

FREEZE_TIMEOUT = 30.0
"""Seconds in which a guest has to write what it has in memory."""

REJECTION_TIMEOUT = 1.0
"""Seconds in which an agent rejects a shutdown; it answers nothing if it begins one."""

_DELIMITER = b"\xff"
_MAX_LENGTH = 1 << 20
"""Maximum length of an answer, in bytes: the guest decides what it sends."""


class AgentFailed(Failed):
    """The agent does not answer, or reports an error."""


class AgentSilent(AgentFailed):
    """The agent does not answer."""


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
        self._synced = False
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
            raise AgentSilent(f"the guest agent did not answer within {timeout:g} s") from None
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
            self._waiting.errback(AgentSilent("QEMU closed the connection to the guest agent"))


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


class GuestAgents:
    """Freezes and shuts down guests; ``endpoint`` returns the endpoint for the path of the socket
    of an agent."""

    def __init__(
        self, endpoint: Callable[[str], IStreamClientEndpoint], clock: IReactorTime
    ) -> None:
        self._endpoint = endpoint
        self._clock = clock

    @asynccontextmanager
    async def freeze(self, path: str) -> AsyncIterator[bool]:
        """Freeze the file systems of a guest until the block ends; return whether they are.

        They are not if no agent answers, or it cannot freeze them.

        :raises AgentFailed: after the block: they may still be frozen.
        """
        async with self._connect(path) as agent:
            frozen = agent is not None and await _try_freeze(agent)
            try:
                yield frozen
            finally:
                if frozen and agent is not None:
                    await _thaw(agent)

    async def shut_down(self, path: str) -> bool:
        """Request a guest to shut down; return whether its agent begins that."""
        async with self._connect(path) as agent:
            if agent is None:
                return False
            try:
                await agent.call("guest-shutdown", REJECTION_TIMEOUT)
            except AgentSilent:
                return True
            except AgentFailed:
                return False
            return True

    async def thaw(self, path: str) -> None:
        """Thaw file systems that an interrupted snapshot or backup has left frozen.

        :raises AgentFailed: no agent answers, or it cannot thaw them.
        """
        async with connect_agent(self._endpoint(path), self._clock) as agent:
            await _thaw(agent)

    @asynccontextmanager
    async def _connect(self, path: str) -> AsyncIterator[GuestAgent | None]:
        """Return a connection to the agent, which answers; None if none does."""
        async with AsyncExitStack() as stack:
            agent = None
            with suppress(AgentFailed):
                connecting = connect_agent(self._endpoint(path), self._clock)
                agent = await stack.enter_async_context(connecting)
            yield agent


async def _try_freeze(agent: GuestAgent) -> bool:
    with suppress(AgentFailed):
        # What an interrupted snapshot has left frozen cannot be frozen again.
        await agent.call("guest-fsfreeze-thaw", FREEZE_TIMEOUT)
    try:
        await agent.call("guest-fsfreeze-freeze", FREEZE_TIMEOUT)
    except AgentFailed:
        with suppress(AgentFailed):
            await agent.synchronize()
            await agent.call("guest-fsfreeze-thaw", FREEZE_TIMEOUT)
        return False
    return True


async def _thaw(agent: GuestAgent) -> None:
    try:
        await agent.call("guest-fsfreeze-thaw", FREEZE_TIMEOUT)
    except AgentFailed as e:
        raise AgentFailed(
            f"the file systems of the guest may be frozen: {e}; reboot it if it hangs", Code.STATE
        ) from e
