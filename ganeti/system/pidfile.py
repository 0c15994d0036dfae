# SPDX-License-Identifier: BSD-2-Clause
"""One daemon of a kind per root folder: whoever holds the lock on the pid file is it."""

from __future__ import annotations

import fcntl
import os
import time

from ganeti.errors import Code, Refused

_ATTEMPTS, _PAUSE = 5, 0.02
"""Who only looks whether a daemon runs holds the lock for a moment, too."""


def holder(path: str) -> int | None:
    """The id of the process that holds the pid file; None if nobody does."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        # Shared, so that two who look at once do not take each other for the daemon.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.read(descriptor, 20)
        return int(text) if text.strip().isdigit() else 0
    finally:
        os.close(descriptor)
    return None


class PidFile:
    """A file with the daemon's process id, locked for as long as the process lives."""

    def __init__(self, path: str, program: str) -> None:
        self._path = path
        self._program = program
        self._descriptor = -1

    def take(self) -> None:
        """Lock the file and write the process id.

        :raises Refused: another process holds it.
        """
        attempts = 0
        while True:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pid = os.read(descriptor, 20).decode("ascii", "replace").strip()
                os.close(descriptor)
                if (attempts := attempts + 1) < _ATTEMPTS:
                    time.sleep(_PAUSE)
                    continue
                raise Refused(
                    f"{self._program} runs already, as process {pid} ({self._path}); stop it first",
                    Code.EXISTS,
                ) from None
            if self._is(descriptor):
                break
            os.close(descriptor)  # the one before us has removed it in the meantime
        self._descriptor = descriptor
        os.truncate(descriptor, 0)
        os.write(descriptor, b"%d\n" % os.getpid())

    def give_back(self) -> None:
        """Remove the file and the lock with it."""
        if self._descriptor >= 0:
            os.unlink(self._path)
            os.close(self._descriptor)
            self._descriptor = -1

    def _is(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), os.stat(self._path))
        except FileNotFoundError:
            return False
