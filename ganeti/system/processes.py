# SPDX-License-Identifier: BSD-2-Clause
"""Programs of this host, started without a copy of this process and awaited by descriptor.

``posix_spawn`` costs the same however large this daemon is, and makes the new session before the
program's first instruction, so there is always a whole group to kill. The kernel announces a
process's end on a pidfd: no signal handler, no scan over all children, and nothing to wait for
when a script leaves a background process holding its pipes.
"""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from types import TracebackType

from twisted.internet.defer import CancelledError, Deferred, TimeoutError, succeed  # noqa: A004  (the one Twisted raises)
from twisted.internet.interfaces import IReactorFDSet, IReactorTime, IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from ganeti.errors import Failed
from ganeti.system.interfaces import (
    MINIMAL_PATH,
    OUTPUT_LIMIT,
    TAIL,
    IProcesses,
    ProcessLifetime,
    ProcessResult,
)

_CLEAN = {"PATH": MINIMAL_PATH}
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
_PIPE, _CHUNK = 1 << 20, 1 << 16
_DYING = 5.0
_OUT_OF_THE_WAY = 64
"""Descriptors are moved above this number first, so that giving one never hides another."""


@implementer(IProcesses)
class LocalProcesses:
    """Processes of the operating system; the reactor is given as what is used of it."""

    def __init__(self, readers: IReactorFDSet, clock: IReactorTime) -> None:
        self._readers = readers
        self._clock = clock

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
        if cwd is not None:
            argv = [*_change_directory(cwd, argv), *argv]
        out, err = (_Stream(self._readers, self._clock) for _ in range(2))
        log = None
        try:
            with _told(argv), _Descriptors() as given:
                given.input(stdin)
                if output is None:
                    given.give(1, out.open())
                    given.give(2, err.open())
                else:
                    log = _Log(output)
                    given.give(1, log.descriptor)
                    given.give(2, log.descriptor)
                given.files(files or {})
                ending = self._reaped(_spawn(argv, env, given))
            out.listen()
            err.listen()
            code = await self._end(ending, argv, timeout)
            return ProcessResult(code, out.rest() if log is None else log.tail(), err.rest())
        finally:
            out.close()
            err.close()
            if log is not None:
                log.remove_if_empty()
                log.close()

    async def _end(self, ending: _Ending, argv: Sequence[str], timeout: float | None) -> int:
        """The exit code of a process that is killed by cancelling, or when its time is over."""
        try:
            return await ending.wait(timeout)
        except (CancelledError, TimeoutError) as error:
            _kill_group(ending.pid)
            # So that nobody meets a process that is said to be gone; one that hangs inside the
            # kernel (a dead disk) is left behind.
            with suppress(TimeoutError):
                await ending.wait(_DYING)
            if isinstance(error, CancelledError):
                raise
            raise Failed(f"{argv[0]} did not end within {timeout:g} s and was killed") from None

    async def start(
        self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, output: str
    ) -> int:
        log = _Log(output)
        try:
            with _told(argv), _Descriptors() as given:
                given.input(b"")
                given.give(1, log.descriptor)
                given.give(2, log.descriptor)
                return self._reaped(_spawn(argv, env, given)).pid
        finally:
            log.close()

    def life(self, pid: int) -> ProcessLifetime | None:
        try:
            with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
                # The name in parentheses may hold anything, parentheses included.
                fields = file.read(1024).rpartition(b")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        if fields[0] in (b"Z", b"X"):
            return None
        ticks = int(fields[11]) + int(fields[12])
        return ProcessLifetime(
            f"{self._boot}:{fields[19].decode()}", ticks / self._ticks_per_second
        )

    def arguments(self, pid: int) -> list[str]:
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                return [os.fsdecode(each) for each in file.read().split(b"\0")[:-1]]
        except (FileNotFoundError, ProcessLookupError):
            return []

    @cached_property
    def _boot(self) -> str:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()

    @cached_property
    def _ticks_per_second(self) -> int:
        return os.sysconf("SC_CLK_TCK")

    def kill(self, pid: int, signal: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal)

    def _reaped(self, pid: int) -> _Ending:
        """See to it that a process leaves no zombie when it ends."""
        try:
            ending = _Ending(self._readers, self._clock, pid)
        except OSError:
            # Without a descriptor for its end there is nobody who would notice it.
            _kill_group(pid)
            os.waitpid(pid, 0)
            raise
        self._readers.addReader(ending)
        return ending


def _change_directory(cwd: str, argv: Sequence[str]) -> tuple[str, ...]:
    """Return the command that runs another one in the directory ``cwd``.

    ``posix_spawn`` of Python cannot do so itself; ``env`` replaces itself by the program, so that
    the process stays the same, and leaves its environment as it is.

    :raises Failed: there is no such directory.
    """
    if not os.path.isdir(cwd):
        raise Failed(f"cannot start {argv[0]}: there is no directory {cwd} to run it in")
    return ("/usr/bin/env", f"--chdir={cwd}", "--")


def _kill_group(pid: int) -> None:
    # Its leader is not reaped before its end was told, so the number cannot mean anything else.
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _spawn(argv: Sequence[str], env: Mapping[str, str] | None, given: _Descriptors) -> int:
    environment = _CLEAN if env is None else env
    program = argv[0]
    if "/" not in program:
        program = _found(program, environment.get("PATH", MINIMAL_PATH))
    return os.posix_spawn(
        program,
        tuple(argv),
        environment,
        file_actions=given.actions(),
        setsid=True,
        setsigmask=[],
        # Python ignores these, which programs would inherit.
        setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
    )


def _found(program: str, path: str) -> str:
    """Where the program is on a search path, of which the kernel knows nothing."""
    for folder in path.split(":"):
        place = f"{folder or '.'}/{program}"
        if os.access(place, os.X_OK) and os.path.isfile(place):
            return place
    return program


@contextmanager
def _told(argv: Sequence[str]) -> Iterator[None]:
    """Tell what keeps a program from being started in our words."""
    try:
        yield
    except OSError as error:
        raise Failed(f"cannot start {argv[0]}: {error.strerror}") from error


class _Descriptors:
    """Descriptors on their way into a process; what was opened for it is closed here again."""

    def __init__(self) -> None:
        self._given: dict[int, int] = {}

    def __enter__(self) -> _Descriptors:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for descriptor in self._given.values():
            os.close(descriptor)

    def give(self, number: int, descriptor: int) -> None:
        """Let the process have a copy of ``descriptor`` as ``number``."""
        copy = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _OUT_OF_THE_WAY)
        if number in self._given:
            os.close(self._given[number])
        self._given[number] = copy

    def input(self, data: bytes) -> None:
        if not data:
            self._open(0, "/dev/null", os.O_RDONLY | os.O_CLOEXEC)
            return
        descriptor = os.memfd_create("stdin")
        with open(descriptor, "wb") as file:
            file.write(data)
            file.seek(0)
            self.give(0, descriptor)

    def files(self, files: Mapping[int, str | int]) -> None:
        for number, file in files.items():
            if isinstance(file, int):
                self.give(number, file)
            else:
                self._open(number, file, _WRITE if number else os.O_RDONLY | os.O_CLOEXEC)

    def _open(self, number: int, path: str, flags: int) -> None:
        descriptor = _opened(path, flags)
        try:
            self.give(number, descriptor)
        finally:
            os.close(descriptor)

    def actions(self) -> list[tuple[int, int, int]]:
        return [(os.POSIX_SPAWN_DUP2, ours, number) for number, ours in self._given.items()]


def _opened(path: str, flags: int) -> int:
    try:
        return os.open(path, flags, 0o640)
    except OSError as error:
        raise Failed(f"cannot open {path}: {error.strerror}") from error


class _Log:
    """A file that a process appends to, remembered from where."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.descriptor = _opened(path, _APPEND)
        self._from = os.fstat(self.descriptor).st_size

    def tail(self) -> bytes:
        size = os.fstat(self.descriptor).st_size
        with open(self._path, "rb") as file:
            file.seek(max(self._from, size - TAIL))
            return file.read(TAIL)

    def close(self) -> None:
        os.close(self.descriptor)

    def remove_if_empty(self) -> None:
        if os.fstat(self.descriptor).st_size == 0:
            with suppress(FileNotFoundError):
                os.unlink(self._path)


@implementer(IReadDescriptor)
class _Stream:
    """Collects what comes out of a pipe; of very much, the end."""

    def __init__(self, readers: IReactorFDSet, clock: IReactorTime) -> None:
        self._readers = readers
        self._clock = clock
        self._collected = bytearray()
        self._ours = self._theirs = -1
        self._listening = False

    def open(self) -> int:
        """The end that a process writes to."""
        self._ours, self._theirs = os.pipe()
        os.set_blocking(self._ours, False)
        return self._theirs

    def listen(self) -> None:
        if self._theirs >= 0:
            os.close(self._theirs)
            self._theirs = -1
            self._listening = True
            self._readers.addReader(self)

    def rest(self) -> bytes:
        """Everything, with what is still in the pipe."""
        # A pipe holds a mebibyte at most; more comes from somebody who was left in the background.
        for _ in range(_PIPE // _CHUNK):
            if self._ours < 0 or not self._read():
                break
        return bytes(self._collected[-OUTPUT_LIMIT:])

    def close(self) -> None:
        if self._listening:
            self._readers.removeReader(self)
            # In a later turn: the reactor may hold an event for this number in its hands, and
            # give it to whoever opens the same number now.
            self._clock.callLater(0, os.close, self._ours)
        elif self._ours >= 0:
            os.close(self._ours)
        if self._theirs >= 0:
            os.close(self._theirs)
        self._ours = self._theirs = -1
        self._listening = False

    def _read(self) -> bool:
        """Whether there may be more: nothing for now, and nothing ever, are told apart later."""
        try:
            data = os.read(self._ours, _CHUNK)
        except BlockingIOError:
            return False
        self._collected += data
        if len(self._collected) > 2 * OUTPUT_LIMIT:
            del self._collected[:-OUTPUT_LIMIT]
        if not data:
            self.close()
        return bool(data)

    def doRead(self) -> Failure | None:
        self._read()
        return None

    def fileno(self) -> int:
        return self._ours

    def logPrefix(self) -> str:
        return "process output"

    def connectionLost(self, reason: Failure) -> None:
        """The writer is gone; or this was meant for who had the descriptor's number before."""
        if self._listening:
            self.rest()
        if self._listening:
            self._readers.addReader(self)


@implementer(IReadDescriptor)
class _Ending:
    """Takes the exit code of a process when it ends, and tells those who wait for it."""

    def __init__(self, readers: IReactorFDSet, clock: IReactorTime, pid: int) -> None:
        self._readers = readers
        self._clock = clock
        self.pid = pid
        self._descriptor = os.pidfd_open(pid)
        self._code: int | None = None
        self._waiting: list[Deferred[int]] = []

    def wait(self, timeout: float | None) -> Deferred[int]:
        """The exit code; ``TimeoutError`` if there is none within ``timeout`` seconds."""
        if self._code is not None:
            return succeed(self._code)
        waiting: Deferred[int] = Deferred(self._waiting.remove)
        self._waiting.append(waiting)
        return waiting if timeout is None else waiting.addTimeout(timeout, self._clock)

    def doRead(self) -> Failure | None:
        reaped, status = os.waitpid(self.pid, os.WNOHANG)
        if reaped:
            self._readers.removeReader(self)
            os.close(self._descriptor)
            self._descriptor = -1
            self._code = os.waitstatus_to_exitcode(status)
            # In a later turn: those who are told may open descriptors with numbers for which the
            # reactor still holds events of this turn in its hands.
            self._clock.callLater(0, self._tell, self._code)
        return None

    def _tell(self, code: int) -> None:
        while self._waiting:
            self._waiting.pop().callback(code)

    def fileno(self) -> int:
        return self._descriptor

    def logPrefix(self) -> str:
        return "process end"

    def connectionLost(self, reason: Failure) -> None:
        """Nobody can lose a pidfd: this was meant for who had its number before."""
        if self._descriptor >= 0:
            self._readers.addReader(self)
