# SPDX-License-Identifier: BSD-2-Clause
"""What all daemons do around their own work: fork, pid file, log, signals, an orderly end.

Who starts a daemon is told the truth: the command returns when the daemon listens, or with the
reason why it does not. The reactor is made in the daemon's own process only.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from argparse import Namespace
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

from ganeti.errors import GanetiError, NotMaster
from ganeti.paths import Paths

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

FAILURE, NOT_IN_CLUSTER, NOT_MASTER, NODE_SETUP = 1, 5, 11, 12
"""Exit codes, as existing tools use them."""

STOP_PATIENCE = 15.0
"""Seconds that work under way may take to end once the daemon was told to stop."""


_GARBAGE = (10_000, 20, 20)
"""When to look for garbage; little of ours has cycles. By default it took a tenth of the time."""


@dataclass(frozen=True)
class Running:
    """A daemon that listens. ``stop`` returns when its work has ended; ``reload`` is for SIGHUP.

    ``over`` fails when the daemon cannot go on, and with the reason, which sets the exit code.
    """

    stop: Callable[[], Coroutine[Any, Any, None]]
    reload: Callable[[], None] = lambda: None
    over: Deferred[None] | None = None


@dataclass(frozen=True)
class Program:
    """A daemon: the program's name, its log's, and how it starts.

    ``start`` gets the reactor, and returns when the daemon listens or raises ``GanetiError`` or
    ``OSError`` with the reason why it cannot.
    """

    name: str
    log: str
    start: Callable[[Any, Namespace, Paths], Awaitable[Running]]


def run(program: Program, options: Namespace, paths: Paths) -> int:
    """Run a daemon; the exit code of the command that started it."""
    if options.foreground:
        return _Life(program, options, paths, sys.stderr, sys.stderr).live()
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
        code = _Life(program, options, paths, teller, None).live()
    os._exit(code)


def _report(program: Program, reader: int) -> int:
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

    def __init__(
        self,
        program: Program,
        options: Namespace,
        paths: Paths,
        teller: TextIO,
        terminal: TextIO | None,
    ) -> None:
        self._program = program
        self._options = options
        self._paths = paths
        self._teller = teller
        self._terminal = terminal
        self._code = 0
        self._running: Running | None = None

    def live(self) -> int:
        """The exit code, when everything is over."""
        from ganeti.system.pidfile import PidFile

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
            self._failed(e)
            return self._code
        try:
            self._react()
        finally:
            pid_file.give_back()
        return self._code

    def _react(self) -> None:
        from ganeti.daemon.logs import LogFile, begin
        from ganeti.daemon.monotonic_clock import install

        real: Any = install()
        self._reactor = real
        self._log = LogFile(
            f"{self._paths.log}/{self._program.log}.log", self._program.name, also=self._terminal
        )
        begin(self._log, debug=self._options.debug, capture=self._terminal is None)
        real.callWhenRunning(self._begin)
        real.addSystemEventTrigger("before", "shutdown", self._end)
        real.run()

    def _begin(self) -> None:
        from twisted.internet.defer import Deferred

        signal.signal(signal.SIGHUP, lambda *_: self._reactor.callFromThread(self._reload))
        starting = Deferred.fromCoroutine(self._start())
        starting.addErrback(lambda failure: self._broke(failure))

    async def _start(self) -> None:
        from twisted.logger import Logger

        try:
            self._running = await self._program.start(self._reactor, self._options, self._paths)
        except (GanetiError, OSError) as e:
            Logger().error("cannot start: {why}", why=str(e))
            self._failed(e)
            self._reactor.stop()
            return
        Logger().info("started")
        self._tell(0)
        gc.freeze()
        gc.set_threshold(*_GARBAGE)
        gc.enable()
        if self._running.over is not None:
            self._running.over.addErrback(self._over)

    def _over(self, failure: Any) -> None:
        from twisted.logger import Logger

        if isinstance(failure.value, GanetiError):
            Logger().critical("cannot go on: {why}", why=failure.getErrorMessage())
        else:
            Logger().failure("broke", failure)
        self._code = _code_of(failure.value)
        self._reactor.stop()

    def _broke(self, failure: Any) -> None:
        from twisted.logger import Logger

        Logger().failure("broke while it started", failure)
        self._failed(failure.value)
        self._reactor.stop()

    def _end(self) -> Any:
        from twisted.internet.defer import Deferred
        from twisted.logger import Logger

        if self._running is None:
            return None
        Logger().info("stopping")
        ending = Deferred.fromCoroutine(self._running.stop())
        ending.addTimeout(STOP_PATIENCE, self._reactor)
        return ending.addErrback(lambda failure: Logger().failure("did not end in order", failure))

    def _reload(self) -> None:
        from twisted.logger import Logger

        steps = [self._log.reopen]
        if self._running is not None:
            steps.append(self._running.reload)
        for step in steps:
            try:
                step()
            except (GanetiError, OSError) as e:
                Logger().error("goes on as it was: {why}", why=str(e))

    def _failed(self, error: BaseException) -> None:
        self._tell(_code_of(error), f"{self._program.name}: {error}")

    def _tell(self, code: int, message: str = "") -> None:
        self._code = code
        if self._terminal is None:
            # Whoever waits reads to the end: this is all there is to say.
            self._teller.write(f"{code} {message}")
            self._teller.close()
        elif message:
            print(message, file=self._teller)


def _code_of(error: BaseException) -> int:
    default = NOT_MASTER if isinstance(error, NotMaster) else FAILURE
    return int(getattr(error, "exit_code", default))
