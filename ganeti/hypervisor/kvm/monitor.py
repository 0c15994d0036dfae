# SPDX-License-Identifier: BSD-2-Clause
"""The client of a QEMU monitor (QMP)."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from twisted.internet.defer import Deferred, TimeoutError  # noqa: A004  (what addTimeout raises)
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import (
    IAddress,
    IReactorTime,
    IStreamClientEndpoint,
    IUNIXTransport,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from ganeti.errors import Failed, ProtocolError
from ganeti.hypervisor.kvm import qmp

TIMEOUT = 10.0
"""Timeout of a command, in seconds; QEMU answers at once unless it hangs."""

DISK_TIMEOUT = 120.0
"""Timeout of commands that wait for disks: flushes, requests in flight, or locks of images; in
seconds.

After a premature timeout, the state of the guest would be unknown."""
_DISK_COMMANDS = frozenset(
    {
        *("blockdev-add", "blockdev-del", "blockdev-mirror"),
        *("blockdev-snapshot-delete-internal-sync", "cont", "nbd-server-stop"),
        *("qom-set", "stop", "transaction"),
    }
)


class MonitorUnavailable(Failed):
    """The monitor cannot be reached, or does not answer."""


class CommandFailed(Failed):
    """QEMU rejected a command."""


class Monitor(Protocol):
    """A connection to a QEMU monitor; commands are answered in order."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._messages = qmp.QmpParser()
        self._waiting: deque[Deferred[object]] = deque()
        self._lost: Failed | None = None
        self._greeted = False

    async def execute(self, command: str, **arguments: object) -> Any:
        """Execute a command and return its result; ``max_bandwidth`` is sent as ``max-bandwidth``.

        :raises CommandFailed: with QEMU's error message.
        :raises MonitorUnavailable: if the connection is lost, or the command times out.
        """
        if self._lost is not None:
            raise self._lost
        patience = DISK_TIMEOUT if command in _DISK_COMMANDS else TIMEOUT
        answer: Deferred[object] = Deferred()
        self._waiting.append(answer)
        spelt = {name.replace("_", "-"): value for name, value in arguments.items()}
        assert self.transport is not None
        self.transport.write(qmp.encoded(command, spelt))
        return await self._wait_for_answer(answer, command, patience)

    async def pass_descriptor(
        self, descriptor: int, command: str, **arguments: object
    ) -> Mapping[str, object]:
        """Execute a command that takes an open descriptor of this process.

        The caller closes it afterwards; QEMU has a copy.

        :raises CommandFailed: see ``execute``.
        """
        if self._lost is not None:
            raise self._lost
        # It is sent with the first byte of what is written next.
        IUNIXTransport(self.transport).sendFileDescriptor(descriptor)
        found: Mapping[str, object] = await self.execute(command, **arguments)
        return found

    async def negotiate(self) -> None:
        """Wait for the greeting and negotiate capabilities, before which commands are rejected."""
        if self._lost is not None:
            raise self._lost
        # The greeting may have arrived before this is called.
        if not self._greeted:
            greeting: Deferred[object] = Deferred()
            self._waiting.append(greeting)
            await self._wait_for_answer(greeting, "the greeting")
        await self.execute("qmp_capabilities")

    async def _wait_for_answer(
        self, answer: Deferred[object], what: str, patience: float = TIMEOUT
    ) -> Any:
        try:
            return await answer.addTimeout(patience, self._clock)
        except TimeoutError:
            raise MonitorUnavailable(f"QEMU did not answer {what} within {patience:g} s") from None

    def dataReceived(self, data: bytes) -> None:
        try:
            for message in self._messages.receive(data):
                self._handle_message(message)
        except ProtocolError as error:
            # After bytes that are no message, it is unknown which command the next answer belongs
            # to.
            self._fail_all(MonitorUnavailable(str(error)))
            assert self.transport is not None
            self.transport.loseConnection()

    def _handle_message(self, message: qmp.Message) -> None:
        match message:
            case qmp.QmpGreeting():
                self._greeted = True
                if self._waiting:
                    _resolve(self._waiting.popleft(), None)
            case qmp.QmpAnswer() if self._waiting:
                _resolve(self._waiting.popleft(), message.value)
            case qmp.QmpError() if self._waiting:
                _resolve(self._waiting.popleft(), Failure(CommandFailed(message.message)))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._fail_all(MonitorUnavailable("QEMU closed the monitor connection"))

    def _fail_all(self, error: Failed) -> None:
        self._lost = self._lost or error
        waiting, self._waiting = self._waiting, deque()
        for answer in waiting:
            _resolve(answer, Failure(self._lost))


def _resolve(answer: Deferred[object], result: object) -> None:
    # After a timeout, the entry stays in the queue until its answer arrives.
    if not answer.called:
        answer.callback(result)


class _MonitorFactory(Factory):
    """Creates the protocols of connections."""

    noisy = False

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock

    def buildProtocol(self, addr: IAddress | None) -> Monitor:
        return Monitor(self._clock)


class MonitorConnector:
    """Connects to monitors; ``endpoint`` returns the endpoint for a path."""

    def __init__(
        self, endpoint: Callable[[str], IStreamClientEndpoint], clock: IReactorTime
    ) -> None:
        self._endpoint = endpoint
        self._clock = clock

    @asynccontextmanager
    async def talk(self, path: str) -> AsyncIterator[Monitor]:
        """Return a connection that is closed at the end: QEMU serves one at a time.

        :raises MonitorUnavailable: if the connection fails.
        """
        connecting = self._endpoint(path).connect(_MonitorFactory(self._clock))
        try:
            control = await connecting.addTimeout(TIMEOUT, self._clock)
        except (ConnectError, TimeoutError) as error:
            raise MonitorUnavailable(
                f"cannot connect to the QEMU monitor at {path}: {error}"
            ) from error
        assert isinstance(control, Monitor)
        try:
            await control.negotiate()
            yield control
        finally:
            # Also after a failure: QEMU does not serve others before this connection is closed.
            assert control.transport is not None
            control.transport.loseConnection()
