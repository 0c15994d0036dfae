# SPDX-License-Identifier: BSD-2-Clause
"""Programs that exist only in memory and do what a test says."""

from __future__ import annotations

import signal as signals
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from ganeti.errors import Failed
from ganeti.system.interfaces import (
    MINIMAL_PATH,
    OUTPUT_LIMIT,
    TAIL,
    IProcesses,
    IStateFiles,
    ProcessInfo,
    ProcessResult,
)


@dataclass(frozen=True)
class Script:
    """What a program does: write, take some seconds and exit, or hang."""

    code: int = 0
    out: bytes = b""
    err: bytes = b""
    takes: float = 0.0
    hangs: bool = False


@dataclass(frozen=True)
class Ran:
    """How a program was called; ``pid`` is that of the process."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    stdin: bytes = b""
    output: str | None = None
    files: Mapping[int, str | int] = field(default_factory=dict)
    pid: int = 0
    cwd: str | None = None


Program = Script | Callable[[Ran], Script]


@implementer(IProcesses)
class MemoryProcesses:
    """Answers per program, by its path; what was run, written and killed can be looked at.

    A program is a ``Script``, or is asked for one each time it is called. ``logs`` holds what
    was appended to files. ``unkillable`` processes hang in the kernel.
    """

    def __init__(self, clock: IReactorTime, programs: Mapping[str, Program]) -> None:
        self._clock = clock
        self.programs = dict(programs)
        self.ran: list[Ran] = []
        self.logs: dict[str, bytes] = {}
        self.alive: dict[int, Ran] = {}
        self.killed: list[tuple[int, int]] = []
        self.unkillable: set[int] = set()
        self._next = 1000

    async def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        timeout: float | None = None,
        output: str | None = None,
        files: Mapping[int, str | int] | None = None,
        cwd: str | None = None,
    ) -> ProcessResult:
        ran, script = self._begin(argv, env, stdin, output, files, cwd)
        try:
            await self._pass(script, argv[0], timeout)
        except BaseException:
            self.killed.append((ran.pid, signals.SIGKILL))
            raise
        finally:
            self.alive.pop(ran.pid, None)
        if output is None:
            return ProcessResult(
                script.code, script.out[-OUTPUT_LIMIT:], script.err[-OUTPUT_LIMIT:]
            )
        written = script.out + script.err
        if written:
            self.logs[output] = self.logs.get(output, b"") + written
        return ProcessResult(script.code, written[-TAIL:], b"")

    async def _pass(self, script: Script, name: str, timeout: float | None) -> None:
        takes = float("inf") if script.hangs else script.takes
        if timeout is not None and takes > timeout:
            await _sleep(self._clock, timeout)
            raise Failed(f"{name} did not end within {timeout:g} s and was killed")
        if script.hangs:
            await Deferred()
        elif takes:
            await _sleep(self._clock, takes)

    async def start(
        self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, output: str
    ) -> int:
        ran, script = self._begin(argv, env, b"", output, None)
        self.logs[output] = self.logs.get(output, b"") + script.out + script.err
        if not script.hangs:
            self._clock.callLater(script.takes, self.alive.pop, ran.pid, None)
        return ran.pid

    def _begin(
        self,
        argv: Sequence[str],
        env: Mapping[str, str] | None,
        stdin: bytes,
        output: str | None,
        files: Mapping[int, str | int] | None,
        cwd: str | None = None,
    ) -> tuple[Ran, Script]:
        program = self.programs.get(argv[0])
        if program is None:
            raise Failed(f"cannot start {argv[0]}: No such file or directory")
        clean = {"PATH": MINIMAL_PATH} if env is None else dict(env)
        ran = Ran(tuple(argv), clean, stdin, output, files or {}, self.spawn(), cwd)
        self.ran.append(ran)
        self.alive[ran.pid] = ran
        return ran, program if isinstance(program, Script) else program(ran)

    def spawn(self) -> int:
        """A pid for a process that a program leaves behind; put it in ``alive`` to let it live."""
        self._next += 1
        return self._next

    def process_info(self, pid: int) -> ProcessInfo | None:
        return ProcessInfo(f"memory:{pid}", 0.0) if pid in self.alive else None

    def arguments(self, pid: int) -> list[str]:
        return list(self.alive[pid].argv) if pid in self.alive else []

    def kill(self, pid: int, signal: int) -> None:
        if pid in self.alive:
            self.killed.append((pid, signal))
            if pid not in self.unkillable:
                del self.alive[pid]


@implementer(IStateFiles)
class MemoryStateFiles:
    """Notes in a dictionary."""

    def __init__(self) -> None:
        self._notes: dict[str, bytes] = {}

    def put(self, name: str, content: bytes) -> None:
        self._notes[name] = content

    def remove(self, name: str) -> None:
        self._notes.pop(name, None)

    def read_all(self) -> dict[str, bytes]:
        return dict(sorted(self._notes.items()))


def _sleep(clock: IReactorTime, seconds: float) -> Deferred[None]:
    sleeping: Deferred[None] = Deferred(lambda _: call.cancel())
    call = clock.callLater(seconds, sleeping.callback, None)
    return sleeping
