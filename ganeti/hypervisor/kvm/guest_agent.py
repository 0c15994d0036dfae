# SPDX-License-Identifier: BSD-2-Clause
"""The QEMU guest agent, a program in the guest that freezes its file systems.

Its protocol is that of QEMU's monitor without a greeting (``docs/interop/qemu-ga-ref``). Commands
wait in the guest if no agent runs there, and an agent that starts later answers them; therefore
each connection begins with a number that the agent has to return (``guest-sync``).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from twisted.internet.defer import Deferred, TimeoutError  # noqa: A004  (what addTimeout raises)
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IAddress, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from ganeti.errors import Code, Failed, ProtocolError
from ganeti.hypervisor.kvm import qmp

SYNC_TIMEOUT = 3.0
"""Seconds; an agent that runs answers at once."""
FREEZE_TIMEOUT = 30.0
"""Seconds in which a guest has to write what it has in memory."""


class AgentFailed(Failed):
    """The agent does not answer, or rejects a command."""


class AgentConnection(Protocol):
    """A connection to an agent; one command at a time."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._messages = qmp.QmpParser()
        self._waiting: Deferred[qmp.Message] | None = None

    async def synchronize(self) -> None:
        """Make sure that an agent runs, and that the next answer is that of the next command.

        :raises AgentFailed: none answers.
        """
        number = int(self._clock.seconds() * 1000) & 0x7FFFFFFF
        self._send("guest-sync", id=number)
        deadline = self._clock.seconds() + SYNC_TIMEOUT
        while True:
            found = await self._read(deadline - self._clock.seconds())
            # Others are the answers to commands of earlier connections.
            if isinstance(found, qmp.QmpAnswer) and found.value == number:
                return

    async def execute(self, command: str, timeout: float = SYNC_TIMEOUT) -> object:
        """Execute a command and return its result.

        :raises AgentFailed: with the reason.
        """
        self._send(command)
        found = await self._read(timeout)
        if isinstance(found, qmp.QmpAnswer):
            return found.value
        raise AgentFailed(
            f"the guest agent rejects {command}: {getattr(found, 'message', found)}", Code.STATE
        )

    def _send(self, command: str, **arguments: object) -> None:
        assert self.transport is not None
        self._waiting = None
        self.transport.write(qmp.encoded(command, arguments))

    async def _read(self, timeout: float) -> qmp.Message:
        self._waiting = Deferred()
        try:
            return await self._waiting.addTimeout(max(timeout, 0), self._clock)
        except TimeoutError:
            raise AgentFailed("the guest agent does not answer", Code.STATE) from None

    def dataReceived(self, data: bytes) -> None:
        try:
            for message in self._messages.receive(data):
                self._finish(message)
        except ProtocolError as error:
            self._finish(Failure(AgentFailed(str(error), Code.STATE)))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._finish(Failure(AgentFailed("QEMU closed the connection to the guest agent")))

    def _finish(self, result: qmp.Message | Failure) -> None:
        if self._waiting is not None and not self._waiting.called:
            waiting, self._waiting = self._waiting, None
            waiting.callback(result)


class _AgentFactory(Factory):
    """Creates the protocols of connections."""

    noisy = False

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock

    def buildProtocol(self, addr: IAddress | None) -> AgentConnection:
        return AgentConnection(self._clock)


class GuestAgents:
    """Connects to agents; ``endpoint`` returns the endpoint for the path of a socket."""

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

    async def thaw(self, path: str) -> None:
        """Thaw file systems that an interrupted snapshot has left frozen, if an agent answers."""
        async with self._connect(path) as agent:
            if agent is not None:
                with suppress(AgentFailed):
                    await agent.execute("guest-fsfreeze-thaw", FREEZE_TIMEOUT)

    @asynccontextmanager
    async def _connect(self, path: str) -> AsyncIterator[AgentConnection | None]:
        """Return a connection to the agent, which answers; None if none does."""
        connecting = self._endpoint(path).connect(_AgentFactory(self._clock))
        try:
            agent = await connecting.addTimeout(SYNC_TIMEOUT, self._clock)
        except (ConnectError, TimeoutError):
            yield None
            return
        assert isinstance(agent, AgentConnection)
        try:
            found: AgentConnection | None = agent
            try:
                await agent.synchronize()
            except AgentFailed:
                found = None
            yield found
        finally:
            assert agent.transport is not None
            agent.transport.loseConnection()


async def _try_freeze(agent: AgentConnection) -> bool:
    with suppress(AgentFailed):
        # What an interrupted snapshot has left frozen cannot be frozen again.
        await agent.execute("guest-fsfreeze-thaw", FREEZE_TIMEOUT)
    try:
        await agent.execute("guest-fsfreeze-freeze", FREEZE_TIMEOUT)
    except AgentFailed:
        with suppress(AgentFailed):
            await agent.synchronize()
            await agent.execute("guest-fsfreeze-thaw", FREEZE_TIMEOUT)
        return False
    return True


async def _thaw(agent: AgentConnection) -> None:
    try:
        await agent.execute("guest-fsfreeze-thaw", FREEZE_TIMEOUT)
    except AgentFailed as e:
        raise AgentFailed(
            f"the file systems of the guest may be frozen: {e}; reboot it if it hangs", Code.STATE
        ) from e
