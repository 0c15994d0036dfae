# SPDX-License-Identifier: BSD-2-Clause
"""What all daemons do around their own work: fork, pid file, log, signals, an orderly end.

A service manager is told what happens, too; see ``service_manager``.

Who starts a daemon is told the truth: the command returns when the daemon listens, or with the
reason why it does not. The reactor is made in the daemon's own process only.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from argparse import Namespace
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TextIO

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.error import ReactorNotRunning
from twisted.logger import Logger
from twisted.python.failure import Failure

from ganeti.daemon.logs import LogFile, begin
from ganeti.daemon.monotonic_clock import install
from ganeti.daemon.periodic import Periodic
from ganeti.daemon.service_manager import ServiceManager
from ganeti.daemon.services import Daemon
from ganeti.errors import GanetiError, NotMaster, Refused
from ganeti.paths import Paths
from ganeti.system.pidfile import PidFile

FAILURE, NOT_IN_CLUSTER, NOT_MASTER, NODE_SETUP = 1, 5, 11, 12
"""Exit codes, as existing tools use them."""

STOP_TIMEOUT = 15.0
"""Seconds that work under way may take to end once the daemon was told to stop."""


_GARBAGE = (10_000, 20, 20)
"""When to look for garbage; little of ours has cycles. By default it took a tenth of the time."""


@dataclass(frozen=True)
class DaemonProgram:
    """A daemon: the program's name, its log's, and how it starts.

    ``start`` adds the parts to the daemon, and returns when it listens or raises ``GanetiError`` or
    ``OSError`` with the reason why it cannot.
    """

    name: str
    log: str
    start: Callable[[Daemon, Namespace, Paths], Awaitable[None]]


def run(program: DaemonProgram, options: Namespace, paths: Paths) -> int:
    """Run a daemon; the exit code of the command that started it."""
    manager = ServiceManager.from_environment(os.environ)
    if options.foreground:
        return _Life(program, options, paths, manager, sys.stderr, sys.stderr).live()
    reader, writer = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    if os.fork():
        os.close(writer)
        return _report(program, reader)
    os.close(reader)
    os.setsid()
    if os.fork():
        os._exit(0)
    _leave_the_terminal()
    with open(writer, "w", encoding="utf-8") as teller:
        code = _Life(program, options, paths, manager, teller, None).live()
    os._exit(code)


def _report(program: DaemonProgram, reader: int) -> int:
    """Wait for the daemon's first words: its exit code and a message, or ``0`` when it listens."""
    with open(reader, encoding="utf-8") as told:
        code, _, message = told.read().partition(" ")
    if code != "0":
        print(message or f"{program.name} ended before it listened", file=sys.stderr)
    return int(code or FAILURE)


def _leave_the_terminal() -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(nothing, descriptor)
    os.close(nothing)
    os.chdir("/")


class _Life:
    """One run of a daemon in its own process; ``teller`` hears how the start went."""

    _logger = Logger(namespace="ganeti.daemon")

    def __init__(
        self,
        program: DaemonProgram,
        options: Namespace,
        paths: Paths,
        manager: ServiceManager,
        teller: TextIO,
        terminal: TextIO | None,
    ) -> None:
        self._program = program
        self._options = options
        self._paths = paths
        self._manager = manager
        self._teller = teller
        self._terminal = terminal
        self._code = 0
        self._serves = False

    def live(self) -> int:
        """The exit code, when everything is over."""
        os.umask(0o027)
        # What is made while the daemon starts is nearly all there to stay: to look for garbage
        # among it again and again made a master of 1000 instances start a fifth later.
        gc.disable()
        pid_file = PidFile(f"{self._paths.run}/{self._program.name}.pid", self._program.name)
        try:
            for folder in (self._paths.run, self._paths.log):
                os.makedirs(folder, mode=0o755, exist_ok=True)
            pid_file.take()
        except (GanetiError, OSError) as e:
            self._failed(Failure(e))
            return self._code
        try:
            self._react()
        finally:
            pid_file.give_back()
        return self._code

    def _react(self) -> None:
        self._reactor: Any = install()
        self._daemon = Daemon(self._reactor, self._manager.status)
        self._log = LogFile(
            f"{self._paths.log}/{self._program.log}.log", self._program.name, also=self._terminal
        )
        begin(self._log, debug=self._options.debug, capture=self._terminal is None)
        self._reactor.callWhenRunning(self._begin)
        self._reactor.addSystemEventTrigger("before", "shutdown", self._end)
        self._reactor.run()

    def _begin(self) -> None:
        signal.signal(signal.SIGHUP, lambda *_: self._reactor.callFromThread(self._reload))
        self._daemon.startService()
        if self._manager.watchdog is not None:
            # Twice in the time that is given, as sd_watchdog_enabled(3) wants it.
            pause = self._manager.watchdog / 2
            self._daemon.add(
                Periodic("watchdog", pause, self._manager.alive, self._reactor, self._over)
            )
        self._starting = Deferred.fromCoroutine(self._start()).addErrback(self._broke)

    async def _start(self) -> None:
        try:
            await self._program.start(self._daemon, self._options, self._paths)
        except (GanetiError, OSError) as e:
            self._logger.error("cannot start: {why}", why=str(e))
            # Whoever waits may start another daemon at once, and nothing may be in its way.
            await self._stop()
            self._failed(Failure(e))
            self._leave()
            return
        except CancelledError:
            self._failed(Failure(Refused("it was told to stop before it served")))
            return
        self._logger.info("started")
        self._serves = True
        # First, as one that went into the background is awaited by the process that was started.
        self._manager.ready()
        self._tell(0)
        gc.freeze()
        gc.set_threshold(*_GARBAGE)
        gc.enable()
        self._daemon.over.addErrback(self._over)

    def _over(self, failure: Failure) -> None:
        if isinstance(failure.value, GanetiError):
            self._logger.critical("cannot go on: {why}", why=failure.getErrorMessage())
        else:
            self._logger.failure("broke", failure)
        self._manager.status(f"cannot go on: {failure.getErrorMessage()}")
        self._code = _code_of(failure)
        self._leave()

    def _broke(self, failure: Failure) -> None:
        self._logger.failure("broke while it started", failure)
        self._failed(failure)
        self._leave()

    def _leave(self) -> None:
        with suppress(ReactorNotRunning):  # it ends already, as a signal has told it
            self._reactor.stop()

    def _end(self) -> Deferred[None]:
        self._starting.cancel()
        return self._stop()

    def _stop(self) -> Deferred[None]:
        """Stop what runs of the daemon; done when it has ended, or taken too long."""
        if not self._daemon.running:
            return succeed(None)
        self._logger.info("stopping")
        self._serves = False
        self._manager.stopping()
        stopping = self._daemon.stopService()
        stopping.addTimeout(STOP_TIMEOUT, self._reactor)
        return stopping.addErrback(
            lambda failure: self._logger.failure("did not end in order", failure)
        )

    def _reload(self) -> None:
        # The manager would take the end of a reload for that of the start.
        tells = self._serves
        if tells:
            self._manager.reloading()
        for step in (self._log.reopen, self._daemon.reload):
            try:
                step()
            except (GanetiError, OSError) as e:
                self._logger.error("goes on as it was: {why}", why=str(e))
        if tells:
            self._manager.ready()

    def _failed(self, error: Failure) -> None:
        self._manager.status(f"does not start: {error.getErrorMessage()}")
        self._tell(_code_of(error), f"{self._program.name}: {error.getErrorMessage()}")

    def _tell(self, code: int, message: str = "") -> None:
        self._code = code
        if self._terminal is None:
            # Whoever waits reads to the end: this is all there is to say.
            self._teller.write(f"{code} {message}")
            self._teller.close()
        elif message:
            print(message, file=self._teller)


def _code_of(error: Failure) -> int:
    default = NOT_MASTER if error.check(NotMaster) else FAILURE
    return int(getattr(error.value, "exit_code", default))
