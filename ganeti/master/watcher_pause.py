# SPDX-License-Identifier: BSD-2-Clause
"""The pause of the watcher, in a file that the watcher reads itself."""

from __future__ import annotations

from ganeti.errors import Code, Failed
from ganeti.system.interfaces import IFiles


class WatcherPause:
    """The time until which the watcher is paused, in seconds since the epoch."""

    def __init__(self, files: IFiles, path: str) -> None:
        self._files = files
        self._path = path

    def until(self) -> float | None:
        """Return the end of the pause; None if the watcher is not paused."""
        if self._files.stat(self._path) is None:
            return None
        try:
            return float(self._files.read(self._path))
        except ValueError:
            # The watcher ignores such a file, too.
            return None

    async def set(self, until: float | None) -> float | None:
        """Pause the watcher until the given time; None ends the pause."""
        try:
            if until is None:
                await self._files.remove(self._path)
            else:
                await self._files.replace(self._path, b"%d\n" % until, mode=0o644)
        except OSError as e:
            raise Failed(f"the watcher pause could not be written: {e}", Code.ENVIRONMENT) from e
        return until
