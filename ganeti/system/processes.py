# SPDX-License-Identifier: BSD-2-Clause
"""Programs of this host, started by posix_spawn and awaited by pidfd.

The cost of ``posix_spawn`` does not depend on the size of this daemon, and the new session exists
before the program's first instruction, so that there is always a process group to kill. The kernel
signals the end of a process on its pidfd: this needs no signal handler and no scan of all children,
and does not wait for pipes that a background process keeps open.
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
    ProcessInfo,
    ProcessResult,
)

_CLEAN = {"PATH": MINIMAL_PATH}
_APPEND = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
_PIPE, _CHUNK = 1 << 20, 1 << 16
_KILL_TIMEOUT = 5.0
_MIN_COPY = 64
"""Descriptors are first duplicated above this number, so that assigning one does not overwrite
another."""


@implementer(IProcesses)
class LocalProcesses:
    """Processes of the operating system; the reactor is passed as the interfaces that are used."""

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
        out, err = (_OutputPipe(self._readers, self._clock) for _ in range(2))
        log = None
        try:
            with _translate_errors(argv), _Descriptors() as given:
                given.input(stdin)
                if output is None:
                    given.give(1, out.open())
                    given.give(2, err.open())
                else:
                    log = _OutputFile(output)
                    given.give(1, log.descriptor)
                    given.give(2, log.descriptor)
                given.files(files or {})
                ending = self._watch(_spawn(argv, env, given))
            out.listen()
            err.listen()
            code = await self._wait_or_kill(ending, argv, timeout)
            return ProcessResult(code, out.rest() if log is None else log.tail(), err.rest())
        finally:
            out.close()
            err.close()
            if log is not None:
                log.remove_if_empty()
                log.close()

    async def _wait_or_kill(
        self, ending: _ExitWatcher, argv: Sequence[str], timeout: float | None
    ) -> int:
        """Return the exit code of a process, which is killed on cancellation or after the
        timeout."""
        try:
            return await ending.wait(timeout)
        except (CancelledError, TimeoutError) as error:
            _kill_group(ending.pid)
            # Wait, so that the process is gone when this returns; one that hangs in the kernel (for
            # example on a failed disk) is left behind.
            with suppress(TimeoutError):
                await ending.wait(_KILL_TIMEOUT)
            if isinstance(error, CancelledError):
                raise
            raise Failed(f"{argv[0]} did not end within {timeout:g} s and was killed") from None

    async def start(
        self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, output: str
    ) -> int:
        log = _OutputFile(output)
        try:
            with _translate_errors(argv), _Descriptors() as given:
                given.input(b"")
                given.give(1, log.descriptor)
                given.give(2, log.descriptor)
                return self._watch(_spawn(argv, env, given)).pid
        finally:
            log.close()

    def process_info(self, pid: int) -> ProcessInfo | None:
        try:
            with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
                # The name in parentheses may contain any character, also parentheses, see proc(5).
                fields = file.read(1024).rpartition(b")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        # A zombie has ended; only its parent has not asked for its result yet.
        if fields[0] in (b"Z", b"X"):
            return None
        # Fields 14, 15 and 22 of proc_pid_stat(5), less the three up to the state: the processor
        # time in user and kernel mode, and the start time.
        ticks = int(fields[11]) + int(fields[12])
        return ProcessInfo(f"{self._boot}:{fields[19].decode()}", ticks / self._ticks_per_second)

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
        # A process that has ended already is what the caller wants.
        with suppress(ProcessLookupError):
            os.kill(pid, signal)

    def _watch(self, pid: int) -> _ExitWatcher:
        """Watch a process, so that it leaves no zombie when it ends."""
        try:
            ending = _ExitWatcher(self._readers, self._clock, pid)
        except OSError:
            # Without a pidfd, its end would not be noticed.
            _kill_group(pid)
            os.waitpid(pid, 0)
            raise
        self._readers.addReader(ending)
        return ending


def _change_directory(cwd: str, argv: Sequence[str]) -> tuple[str, ...]:
    """Return the command prefix that runs a program in the directory ``cwd``.

    Python's ``posix_spawn`` has no option for it; ``env`` executes the program in the same process,
    and does not change its environment.

    :raises Failed: if there is no such directory.
    """
    if not os.path.isdir(cwd):
        raise Failed(f"cannot start {argv[0]}: the working directory {cwd} does not exist")
    return ("/usr/bin/env", f"--chdir={cwd}", "--")


def _kill_group(pid: int) -> None:
    # The group leader is not reaped until its end was reported, so the number is still its own.
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _spawn(argv: Sequence[str], env: Mapping[str, str] | None, given: _Descriptors) -> int:
    environment = _CLEAN if env is None else env
    program = argv[0]
    if "/" not in program:
        program = _find_program(program, environment.get("PATH", MINIMAL_PATH))
    return os.posix_spawn(
        program,
        tuple(argv),
        environment,
        file_actions=given.actions(),
        setsid=True,
        setsigmask=[],
        # Python ignores these signals, which child processes would inherit.
        setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
    )


def _find_program(program: str, path: str) -> str:
    """Return the path of a program on a search path, as posix_spawn(3) does not search."""
    for folder in path.split(":"):
        place = f"{folder or '.'}/{program}"
        if os.access(place, os.X_OK) and os.path.isfile(place):
            return place
    return program


@contextmanager
def _translate_errors(argv: Sequence[str]) -> Iterator[None]:
    """Translate errors that keep a program from being started."""
    try:
        yield
    except OSError as error:
        raise Failed(f"cannot start {argv[0]}: {error.strerror}") from error


class _Descriptors:
    """The descriptors to pass to a process; their copies in this process are closed at the end."""

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
        """Pass a copy of ``descriptor`` to the process as ``number``."""
        copy = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _MIN_COPY)
        if number in self._given:
            os.close(self._given[number])
        self._given[number] = copy

    def input(self, data: bytes) -> None:
        if not data:
            self._open(0, "/dev/null", os.O_RDONLY | os.O_CLOEXEC)
            return
        # Not a pipe: no writer has to be served while the program runs, and the program can seek.
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
        descriptor = _open_file(path, flags)
        try:
            self.give(number, descriptor)
        finally:
            os.close(descriptor)

    def actions(self) -> list[tuple[int, int, int]]:
        # dup2 clears the close-on-exec flag, so that these descriptors and no others are inherited.
        return [(os.POSIX_SPAWN_DUP2, ours, number) for number, ours in self._given.items()]


def _open_file(path: str, flags: int) -> int:
    try:
        return os.open(path, flags, 0o640)
    except OSError as error:
        raise Failed(f"cannot open {path}: {error.strerror}") from error


class _OutputFile:
    """An output file, and its size before the process appended to it."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.descriptor = _open_file(path, _APPEND)
        self._from = os.fstat(self.descriptor).st_size

    def tail(self) -> bytes:
        # Not by its name: others may have removed or replaced the file meanwhile.
        size = os.fstat(self.descriptor).st_size
        return os.pread(self.descriptor, TAIL, max(self._from, size - TAIL))

    def close(self) -> None:
        os.close(self.descriptor)

    def remove_if_empty(self) -> None:
        if os.fstat(self.descriptor).st_size == 0:
            with suppress(FileNotFoundError):
                os.unlink(self._path)


@implementer(IReadDescriptor)
class _OutputPipe:
    """Collects the output of a pipe, limited to its end."""

    def __init__(self, readers: IReactorFDSet, clock: IReactorTime) -> None:
        self._readers = readers
        self._clock = clock
        self._collected = bytearray()
        self._ours = self._theirs = -1
        self._listening = False

    def open(self) -> int:
        """Create the pipe; return its write end."""
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
        """Return the collected output, including what is still in the pipe."""
        # A pipe holds at most 1 MiB; more comes from a background process that is still writing.
        for _ in range(_PIPE // _CHUNK):
            if self._ours < 0 or not self._read():
                break
        return bytes(self._collected[-OUTPUT_LIMIT:])

    def close(self) -> None:
        if self._listening:
            self._readers.removeReader(self)
            # In a later iteration: the reactor may hold an event for this descriptor, and deliver
            # it to a new one with the same number.
            self._clock.callLater(0, os.close, self._ours)
        elif self._ours >= 0:
            os.close(self._ours)
        if self._theirs >= 0:
            os.close(self._theirs)
        self._ours = self._theirs = -1
        self._listening = False

    def _read(self) -> bool:
        """Read once; return whether there may be more. False means no data now, or the end of the
        stream."""
        try:
            data = os.read(self._ours, _CHUNK)
        except BlockingIOError:
            return False
        self._collected += data
        # At twice the limit, so that the kept bytes are moved rarely.
        if len(self._collected) > 2 * OUTPUT_LIMIT:
            del self._collected[:-OUTPUT_LIMIT]
        # Otherwise the reactor would report the end of the stream again and again.
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
        """The writer has closed the pipe; or the event was for a previous descriptor with this
        number."""
        if self._listening:
            self.rest()
        if self._listening:
            self._readers.addReader(self)


@implementer(IReadDescriptor)
class _ExitWatcher:
    """Reaps a process when it ends, and returns its exit code to those who wait."""

    def __init__(self, readers: IReactorFDSet, clock: IReactorTime, pid: int) -> None:
        self._readers = readers
        self._clock = clock
        self.pid = pid
        self._descriptor = os.pidfd_open(pid)
        self._code: int | None = None
        self._waiting: list[Deferred[int]] = []

    def wait(self, timeout: float | None) -> Deferred[int]:
        """Return the exit code; ``TimeoutError`` if there is none within ``timeout`` seconds."""
        if self._code is not None:
            return succeed(self._code)
        waiting: Deferred[int] = Deferred(self._waiting.remove)
        self._waiting.append(waiting)
        return waiting if timeout is None else waiting.addTimeout(timeout, self._clock)

    def doRead(self) -> Failure | None:
        # Without waiting: the event may be for an earlier descriptor with this number.
        reaped, status = os.waitpid(self.pid, os.WNOHANG)
        if reaped:
            self._readers.removeReader(self)
            os.close(self._descriptor)
            self._descriptor = -1
            self._code = os.waitstatus_to_exitcode(status)
            # In a later iteration: callbacks may open descriptors with numbers for which the
            # reactor still holds events of this iteration.
            self._clock.callLater(0, self._notify, self._code)
        return None

    def _notify(self, code: int) -> None:
        while self._waiting:
            self._waiting.pop().callback(code)

    def fileno(self) -> int:
        return self._descriptor

    def logPrefix(self) -> str:
        return "process end"

    def connectionLost(self, reason: Failure) -> None:
        """A pidfd cannot be lost: the event was for a previous descriptor with this number."""
        if self._descriptor >= 0:
            self._readers.addReader(self)
