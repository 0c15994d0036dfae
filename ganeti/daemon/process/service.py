# SPDX-License-Identifier: BSD-2-Clause
"""The common part of all daemons: fork, pid file, log, signals, orderly shutdown.

State changes are reported to the service manager, see ``service_manager``.

The command that starts a daemon returns when the daemon listens, or with the error that prevents
it. The reactor is created in the daemon's process only, after the forks.
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
from typing import TextIO

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.error import ReactorNotRunning
from twisted.logger import Logger
from twisted.python.failure import Failure

from ganeti.bootstrap import accounts
from ganeti.daemon.process.logs import LogFile, begin
from ganeti.daemon.process.monotonic_clock import install
from ganeti.daemon.process.periodic import PeriodicTask
from ganeti.daemon.process.reactor import Reactor
from ganeti.daemon.process.service_manager import ServiceManager
from ganeti.daemon.process.services import Daemon
from ganeti.errors import GanetiError, NotMaster, Refused
from ganeti.paths import Paths
from ganeti.system.pidfile import PidFile

FAILURE, NOT_IN_CLUSTER, NOT_MASTER, NODE_SETUP = 1, 5, 11, 12
"""Exit codes, as in Ganeti's tools."""

STOP_TIMEOUT = 15.0
"""How long the services may take to stop, in seconds."""


_GC_THRESHOLDS = (10_000, 5, 80)
"""Thresholds of the garbage collector; few objects have cycles. With Python's defaults it took 10%
of the CPU time. The second is low, as all objects of so many collections are examined at once: 20
times 10,000 take more than 20 ms."""


@dataclass(frozen=True)
class DaemonProgram:
    """A daemon: the name of its program and of its log, and its start function.

    ``start`` adds the services to the daemon, and returns when it listens; it raises
    ``GanetiError`` or ``OSError`` if it cannot.
    """

    name: str
    log: str
    start: Callable[[Daemon, Namespace, Paths], Awaitable[None]]


def run(program: DaemonProgram, options: Namespace, paths: Paths) -> int:
    """Run a daemon; return the exit code of the command that started it.

    One that has an account, and is started by root, changes to it.
    """
    account = accounts.prepare(paths, program.name)
    if account is not None:
        accounts.change_to(account)
    manager = ServiceManager.from_environment(os.environ)
    if options.foreground:
        return _DaemonRun(program, options, paths, manager, sys.stderr, sys.stderr).live()
    reader, writer = os.pipe()
    # Otherwise both processes would write what is buffered now.
    sys.stdout.flush()
    sys.stderr.flush()
    if os.fork():
        os.close(writer)
        return _wait_for_report(program, reader)
    os.close(reader)
    os.setsid()
    # The second process leads no session, so that no terminal can control it again (daemon(7)).
    if os.fork():
        os._exit(0)
    _detach_terminal()
    with open(writer, "w", encoding="utf-8") as teller:
        code = _DaemonRun(program, options, paths, manager, teller, None).live()
    os._exit(code)


def _wait_for_report(program: DaemonProgram, reader: int) -> int:
    """Read the daemon's report from the pipe: exit code and message, or ``0`` when it listens."""
    with open(reader, encoding="utf-8") as told:
        code, _, message = told.read().partition(" ")
    if code != "0":
        print(message or f"{program.name} ended before it was ready", file=sys.stderr)
    return int(code or FAILURE)


def _detach_terminal() -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(nothing, descriptor)
    os.close(nothing)
    # No mounted file system is kept in use.
    os.chdir("/")


class _DaemonRun:
    """One run of a daemon in its own process; ``teller`` receives the result of the start."""

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
        """Run the daemon until it ends; return its exit code."""
        os.umask(0o027)
        # Nearly all objects created at the start are permanent; collecting garbage among them makes
        # the start of a master with 1000 instances 20% slower.
        gc.disable()
        pid_file = PidFile(f"{self._paths.run}/{self._program.name}.pid", self._program.name)
        try:
            for folder in (self._paths.run, self._paths.log):
                os.makedirs(folder, mode=0o755, exist_ok=True)
            pid_file.acquire()
        except (GanetiError, OSError) as e:
            self._report_failure(Failure(e))
            return self._code
        try:
            self._run_reactor()
        finally:
            pid_file.release()
        return self._code

    def _run_reactor(self) -> None:
        self._reactor: Reactor = install()
        self._daemon = Daemon(self._reactor, self._manager.status)
        self._log = LogFile(
            f"{self._paths.log}/{self._program.log}.log", self._program.name, also=self._terminal
        )
        begin(self._log, debug=self._options.debug, capture=self._terminal is None)
        self._reactor.callWhenRunning(self._begin)
        self._reactor.addSystemEventTrigger("before", "shutdown", self._end)
        self._reactor.run()

    def _begin(self) -> None:
        # A handler of a signal may interrupt any call, so that the work is left to the reactor.
        signal.signal(signal.SIGHUP, lambda *_: self._reactor.callFromThread(self._reload))
        self._daemon.startService()
        if self._manager.watchdog is not None:
            # Twice per interval, as recommended by sd_watchdog_enabled(3).
            pause = self._manager.watchdog / 2
            self._daemon.add(
                PeriodicTask(
                    "watchdog", pause, self._manager.alive, self._reactor, self._daemon_failed
                )
            )
        self._starting = Deferred.fromCoroutine(self._start()).addErrback(self._start_failed)

    async def _start(self) -> None:
        try:
            await self._program.start(self._daemon, self._options, self._paths)
        except (GanetiError, OSError) as e:
            self._logger.error("cannot start: {why}", why=str(e))
            # The caller may start another daemon at once, so release all resources first.
            await self._stop()
            self._report_failure(Failure(e))
            self._stop_reactor()
            return
        except CancelledError:
            self._report_failure(Failure(Refused("stopped before the start was complete")))
            return
        self._logger.info("started")
        self._serves = True
        # Notify the manager first: the exit of the starting process is what it waits for.
        self._manager.ready()
        self._tell(0)
        # What exists now stays, and is not examined any more.
        gc.freeze()
        gc.set_threshold(*_GC_THRESHOLDS)
        gc.enable()
        self._daemon.over.addErrback(self._daemon_failed)

    def _daemon_failed(self, failure: Failure) -> None:
        if isinstance(failure.value, GanetiError):
            self._logger.critical("cannot continue: {why}", why=failure.getErrorMessage())
        else:
            self._logger.failure("broke", failure)
        self._manager.status(f"cannot continue: {failure.getErrorMessage()}")
        self._code = _exit_code(failure)
        self._stop_reactor()

    def _start_failed(self, failure: Failure) -> None:
        self._logger.failure("the start failed unexpectedly", failure)
        self._report_failure(failure)
        self._stop_reactor()

    def _stop_reactor(self) -> None:
        with suppress(ReactorNotRunning):  # already stopped by a signal
            self._reactor.stop()

    def _end(self) -> Deferred[None]:
        self._starting.cancel()
        return self._stop()

    def _stop(self) -> Deferred[None]:
        """Stop the services; the Deferred fires when they have stopped, or after the timeout."""
        if not self._daemon.running:
            return succeed(None)
        self._logger.info("stopping")
        self._serves = False
        self._manager.stopping()
        stopping = self._daemon.stopService()
        stopping.addTimeout(STOP_TIMEOUT, self._reactor)
        return stopping.addErrback(
            lambda failure: self._logger.failure("did not stop in order", failure)
        )

    def _reload(self) -> None:
        # During the start, READY=1 of a reload would be taken for the end of the start.
        tells = self._serves
        if tells:
            self._manager.reloading()
        for step in (self._log.reopen, self._daemon.reload):
            try:
                step()
            except (GanetiError, OSError) as e:
                self._logger.error("reload failed; continuing unchanged: {why}", why=str(e))
        if tells:
            self._manager.ready()

    def _report_failure(self, error: Failure) -> None:
        self._manager.status(f"cannot start: {error.getErrorMessage()}")
        self._tell(_exit_code(error), f"{self._program.name}: {error.getErrorMessage()}")

    def _tell(self, code: int, message: str = "") -> None:
        self._code = code
        if self._terminal is None:
            # Closing the pipe ends the report for the waiting process.
            self._teller.write(f"{code} {message}")
            self._teller.close()
        elif message:
            print(message, file=self._teller)


def _exit_code(error: Failure) -> int:
    default = NOT_MASTER if error.check(NotMaster) else FAILURE
    return int(getattr(error.value, "exit_code", default))
