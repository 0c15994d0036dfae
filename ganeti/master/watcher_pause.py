# SPDX-License-Identifier: BSD-2-Clause
"""Until when the watcher is to stay quiet; a file that the watcher reads by itself."""

from __future__ import annotations

from ganeti.errors import Code, Failed
from ganeti.system.interfaces import IFiles


class WatcherPause:
    """The time, in seconds since the epoch, until which the watcher does nothing."""

    def __init__(self, files: IFiles, path: str) -> None:
        self._files = files
        self._path = path

    def until(self) -> float | None:
        """That time; None if there is no pause."""
        if self._files.stat(self._path) is None:
            return None
        try:
            return float(self._files.read(self._path))
        except ValueError:
            return None

    async def set(self, until: float | None) -> float | None:
        """Pause the watcher until then, or with None end the pause."""
        try:
            if until is None:
                await self._files.remove(self._path)
            else:
                await self._files.replace(self._path, b"%d\n" % until, mode=0o644)
        except OSError as e:
            raise Failed(f"the pause could not be written: {e}", Code.ENVIRONMENT) from e
        return until
