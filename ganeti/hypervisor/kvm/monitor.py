# SPDX-License-Identifier: BSD-2-Clause
"""A conversation with a QEMU over its control socket."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from twisted.internet.defer import Deferred, TimeoutError  # noqa: A004  (what addTimeout raises)
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IAddress, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from ganeti.errors import Failed, ProtocolError
from ganeti.hypervisor.kvm import qmp

TIMEOUT = 10.0
"""How long QEMU may take for an answer, in seconds; it answers at once unless it hangs."""

DISK_PATIENCE = 120.0
"""The same for commands that wait for disks: what the guest wrote, or the locks of its images.

Who gives up too early cannot know whether the guest runs."""
_WAIT_FOR_DISKS = frozenset({"cont", "stop"})


class NoMonitor(Failed):
    """A QEMU that is not to be reached, or does not answer."""


class CommandFailed(Failed):
    """QEMU understood a command and did not do it."""


class Monitor(Protocol):
    """One connection to a QEMU; commands are answered in their order."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._messages = qmp.QmpMessages()
        self._waiting: deque[Deferred[Any]] = deque()
        self._lost: Failed | None = None
        self._greeted = False

    async def ask(self, command: str, **arguments: Any) -> Any:
        """QEMU's answer; a name like ``max_bandwidth`` is sent as ``max-bandwidth``.

        :raises CommandFailed: with QEMU's words.
        :raises NoControl: the connection is lost, or there is no answer in time.
        """
        if self._lost is not None:
            raise self._lost
        patience = DISK_PATIENCE if command in _WAIT_FOR_DISKS else TIMEOUT
        answer: Deferred[Any] = Deferred()
        self._waiting.append(answer)
        spelt = {name.replace("_", "-"): value for name, value in arguments.items()}
        assert self.transport is not None
        self.transport.write(qmp.encoded(command, spelt))
        return await self._in_time(answer, command, patience)

    async def begin(self) -> None:
        """Exchange the greetings, before which no command is understood."""
        if self._lost is not None:
            raise self._lost
        if not self._greeted:
            greeting: Deferred[Any] = Deferred()
            self._waiting.append(greeting)
            await self._in_time(greeting, "the greeting")
        await self.ask("qmp_capabilities")

    async def _in_time(self, answer: Deferred[Any], what: str, patience: float = TIMEOUT) -> Any:
        try:
            return await answer.addTimeout(patience, self._clock)
        except TimeoutError:
            raise NoMonitor(f"QEMU does not answer {what} within {patience:g} s") from None

    def dataReceived(self, data: bytes) -> None:
        try:
            for message in self._messages.receive(data):
                self._take(message)
        except ProtocolError as error:
            self._lose(NoMonitor(str(error)))
            assert self.transport is not None
            self.transport.loseConnection()

    def _take(self, message: qmp.Message) -> None:
        match message:
            case qmp.QmpGreeting():
                self._greeted = True
                if self._waiting:
                    _fire(self._waiting.popleft(), None)
            case qmp.QmpAnswer() if self._waiting:
                _fire(self._waiting.popleft(), message.value)
            case qmp.QmpError() if self._waiting:
                _fire(self._waiting.popleft(), Failure(CommandFailed(message.message)))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._lose(NoMonitor("QEMU has closed its control connection"))

    def _lose(self, error: Failed) -> None:
        self._lost = self._lost or error
        waiting, self._waiting = self._waiting, deque()
        for answer in waiting:
            _fire(answer, Failure(self._lost))


def _fire(answer: Deferred[Any], result: Any) -> None:
    # Whoever waited may have given up: its place in the row stays until the answer comes.
    if not answer.called:
        answer.callback(result)


class _Controls(Factory):
    """Makes the protocols of new connections."""

    noisy = False

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock

    def buildProtocol(self, addr: IAddress | None) -> Monitor:
        return Monitor(self._clock)


class Monitors:
    """The way to the control sockets of this node; ``endpoint`` makes one for a path."""

    def __init__(
        self, endpoint: Callable[[str], IStreamClientEndpoint], clock: IReactorTime
    ) -> None:
        self._endpoint = endpoint
        self._clock = clock

    @asynccontextmanager
    async def talk(self, path: str) -> AsyncIterator[Monitor]:
        """A connection that is closed at the end: QEMU speaks with one at a time.

        :raises NoControl: nobody is there.
        """
        connecting = self._endpoint(path).connect(_Controls(self._clock))
        try:
            control = await connecting.addTimeout(TIMEOUT, self._clock)
        except (ConnectError, TimeoutError) as error:
            raise NoMonitor(f"QEMU is not to be reached at {path}: {error}") from error
        assert isinstance(control, Monitor)
        try:
            await control.begin()
            yield control
        finally:
            assert control.transport is not None
            control.transport.loseConnection()
