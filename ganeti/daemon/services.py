# SPDX-License-Identifier: BSD-2-Clause
"""The parts of a daemon: services of Twisted that start in order and stop in the opposite one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.application.service import IService, MultiService, Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger


class ServicePart(Service):
    """A service made of functions, where a class would say no more."""

    def __init__(
        self,
        name: str,
        *,
        start: Callable[[], object] | None = None,
        stop: Callable[[], object] | None = None,
    ) -> None:
        """``stop`` may return an awaitable: the part has stopped when that is done."""
        self.setName(name)
        self._start = start
        self._stop = stop

    def startService(self) -> None:
        super().startService()
        if self._start is not None:
            self._start()

    def stopService(self) -> Any:
        super().stopService()
        return self._stop() if self._stop is not None else None


class Daemon(MultiService):
    """One daemon, as the service that its parts are services of.

    ``over`` fails when the daemon cannot go on, with the reason, which sets the exit code.
    ``status`` says in one line what the daemon does, to whom manages the services of this host.
    """

    _log = Logger()

    def __init__(self, reactor: Any, status: Callable[[str], None] = lambda _: None) -> None:
        super().__init__()
        self.reactor = reactor
        self.status = status
        self.over: Deferred[None] = Deferred()
        self._reload: list[Callable[[], None]] = []

    def add(self, part: IService) -> None:
        """Start a part as the next one, if the daemon runs."""
        part.setServiceParent(self)

    def on_reload(self, reload: Callable[[], None]) -> None:
        """Have ``reload`` called when the daemon is to use its files as they are now (SIGHUP)."""
        self._reload.append(reload)

    def reload(self) -> None:
        """Use the files as they are now.

        :raises GanetiError: they cannot be used; what was in use still is.
        """
        for reload in self._reload:
            reload()

    def stopService(self) -> Deferred[None]:
        """Stop each part when those that were started after it have stopped.

        Cancelling breaks off what the part that is stopping now still waits for.
        """
        Service.stopService(self)
        return Deferred.fromCoroutine(self._stop_parts())

    async def _stop_parts(self) -> None:
        while self.services:
            part: IService = self.services.pop()
            self._log.debug("stopping: {part}", part=part.name or type(part).__name__)
            try:
                stopping: Any = part.stopService()
                if isinstance(stopping, Awaitable):
                    await stopping
            except CancelledError:
                raise
            except Exception:
                # The others are stopped all the same: one of them may have jobs to end.
                self._log.failure("{part} did not stop", part=part.name or type(part).__name__)
