# SPDX-License-Identifier: BSD-2-Clause
"""Services of a daemon: started in order, stopped in reverse order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.application.service import IService, MultiService, Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from ganeti.daemon.process.periodic import TRANSIENT_ERRORS, PeriodicTask
from ganeti.daemon.process.reactor import Reactor


class ServicePart(Service):
    """A service made of a start and a stop function."""

    def __init__(
        self,
        name: str,
        *,
        start: Callable[[], object] | None = None,
        stop: Callable[[], object] | None = None,
    ) -> None:
        """``stop`` may return an awaitable, which is awaited."""
        self.setName(name)
        self._start = start
        self._stop = stop

    def startService(self) -> None:
        super().startService()
        if self._start is not None:
            self._start()

    def stopService(self) -> object:
        super().stopService()
        return self._stop() if self._stop is not None else None


class Daemon(MultiService):
    """A daemon, as the parent of its services.

    ``over`` fails with the reason if the daemon cannot continue; its error determines the exit
    code. ``status`` sends a one-line status to the service manager.
    """

    _log = Logger()

    def __init__(self, reactor: Reactor, status: Callable[[str], None] = lambda _: None) -> None:
        super().__init__()
        self.reactor = reactor
        self.status = status
        self.over: Deferred[None] = Deferred()
        self._reload: list[Callable[[], None]] = []

    def add(self, part: IService) -> None:
        """Add a service; start it if the daemon runs."""
        part.setServiceParent(self)

    def repeat(
        self,
        name: str,
        seconds: float,
        work: Callable[[], object],
        *,
        passing: tuple[type[Exception], ...] = (),
    ) -> None:
        """Add a periodic task; see ``PeriodicTask``.

        Transient errors of the host pass, and those of the types ``passing``; any other error ends
        the daemon.
        """
        errors = (*TRANSIENT_ERRORS, *passing)
        self.add(PeriodicTask(name, seconds, work, self.reactor, self.fail, passing=errors))

    def fail(self, error: Failure | Exception) -> None:
        """End the daemon with an error, unless it ends already; a cancellation is no error."""
        canceled = isinstance(getattr(error, "value", error), CancelledError)
        if not canceled and not self.over.called:
            self.over.errback(error)

    def on_reload(self, reload: Callable[[], None]) -> None:
        """Register a function that is called to reload files (SIGHUP)."""
        self._reload.append(reload)

    def reload(self) -> None:
        """Call the registered functions.

        :raises GanetiError: if files cannot be used; the previous ones remain in use.
        """
        for reload in self._reload:
            reload()

    def stopService(self) -> Deferred[None]:
        """Stop the services one after the other, in reverse order.

        Canceling the Deferred cancels the service that is stopping.
        """
        Service.stopService(self)
        return Deferred.fromCoroutine(self._stop_parts())

    async def _stop_parts(self) -> None:
        while self.services:
            part: IService = self.services.pop()
            self._log.debug("stopping: {part}", part=part.name or type(part).__name__)
            try:
                stopping: object = part.stopService()
                if isinstance(stopping, Awaitable):
                    await stopping
            except CancelledError:
                raise
            except Exception:
                # Stop the others anyway: one of them may have jobs to end.
                self._log.failure("stopping {part} failed", part=part.name or type(part).__name__)
