# SPDX-License-Identifier: BSD-2-Clause
"""The pid file of a daemon, whose lock ensures that only one runs per root directory."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable

from ganeti.errors import Code, Refused

_ATTEMPTS, _RETRY_DELAY = 5, 0.02
"""A process that checks whether a daemon runs also holds the lock briefly."""


def holder(path: str) -> int | None:
    """Return the process ID that holds the pid file; None if it is not locked."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        # A shared lock, so that two concurrent checks do not take each other for the daemon.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.read(descriptor, 20)
        # The holder writes its number after it has locked the file, which may still be empty.
        return int(text) if text.strip().isdigit() else 0
    finally:
        os.close(descriptor)
    return None


def signal_holder(path: str, number: int, kill: Callable[[int, int], None] = os.kill) -> bool:
    """Send a signal to the process that holds the pid file; return whether there is one.

    It is false for a process that has not written its number yet.

    :raises PermissionError: the process belongs to another user.
    """
    pid = holder(path)
    if not pid:
        return False
    try:
        kill(pid, number)
    except ProcessLookupError:  # it has just ended
        return False
    return True


class PidFile:
    """A file with the daemon's process ID, locked as long as the process lives."""

    def __init__(self, path: str, program: str) -> None:
        self._path = path
        self._program = program
        self._descriptor = -1

    def acquire(self, *, inherit: bool = False) -> None:
        """Lock the file and write the process ID.

        With ``inherit``, a program that this process executes keeps the lock.

        :raises Refused: if another process holds it.
        """
        attempts = 0
        while True:
            # Not truncated: it may have the number of the process that runs, for the message.
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pid = os.read(descriptor, 20).decode("ascii", "replace").strip()
                os.close(descriptor)
                if (attempts := attempts + 1) < _ATTEMPTS:
                    time.sleep(_RETRY_DELAY)
                    continue
                raise Refused(
                    f"{self._program} is already running as process {pid} ({self._path}); stop it"
                    " first",
                    Code.EXISTS,
                ) from None
            if self._is_current(descriptor):
                break
            os.close(descriptor)  # its previous holder has removed it in the meantime
        self._descriptor = descriptor
        os.set_inheritable(descriptor, inherit)
        os.truncate(descriptor, 0)
        os.write(descriptor, b"%d\n" % os.getpid())

    def release(self) -> None:
        """Remove the file and release the lock."""
        if self._descriptor >= 0:
            # Before the lock is released: after that, the file may be that of another process.
            os.unlink(self._path)
            os.close(self._descriptor)
            self._descriptor = -1

    def _is_current(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), os.stat(self._path))
        except FileNotFoundError:
            return False
