# SPDX-License-Identifier: BSD-2-Clause
"""One daemon of a kind per root folder: whoever holds the lock on the pid file is it."""

from __future__ import annotations

import fcntl
import os

from ganeti.errors import Code, Refused


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
        while True:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pid = os.read(descriptor, 20).decode("ascii", "replace").strip()
                os.close(descriptor)
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
