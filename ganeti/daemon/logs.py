# SPDX-License-Identifier: BSD-2-Clause
"""The daemons' log files: one line per event, a traceback indented below its line."""

from __future__ import annotations

import os
import time
from typing import TextIO

from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    eventAsText,
    globalLogBeginner,
)
from zope.interface import implementer


@implementer(ILogObserver)
class LogFile:
    """Writes events to a file that only its owner may read, and to ``also`` if there is one."""

    def __init__(self, path: str, program: str, *, also: TextIO | None = None) -> None:
        self._path = path
        self._program = program
        self._also = also
        self._second = (0, "")
        self._file = self._opened()

    def __call__(self, event: LogEvent) -> None:
        line = self.line(event)
        self._file.write(line)
        self._file.flush()
        if self._also is not None:
            self._also.write(line)
            self._also.flush()

    def line(self, event: LogEvent) -> str:
        """The event as it is written."""
        text = eventAsText(
            event, includeTraceback=True, includeTimestamp=False, includeSystem=False
        )
        moment = event.get("log_time", 0.0)
        level = event.get("log_level", LogLevel.info).name.upper()
        milliseconds = int(moment % 1 * 1000)
        return (
            f"{self._date(int(moment))},{milliseconds:03d}: {self._program} pid={os.getpid()}"
            f" {level} {text.strip()}\n".replace("\n", "\n\t").removesuffix("\t")
        )

    def close(self) -> None:
        """Write nothing more."""
        self._file.close()

    def reopen(self) -> None:
        """Go on in a new file, after the old one was moved away."""
        self._file.close()
        self._file = self._opened()

    def _opened(self) -> TextIO:
        descriptor = os.open(
            self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        return open(descriptor, "a", encoding="utf-8", errors="backslashreplace")

    def _date(self, second: int) -> str:
        if self._second[0] != second:
            date = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))
            self._second = (second, date)
        return self._second[1]


def begin(log: LogFile, *, debug: bool, capture: bool) -> None:
    """Send everything that is logged to ``log``; with ``capture``, what is printed too."""
    level = LogLevel.debug if debug else LogLevel.info
    observer = FilteringLogObserver(log, [LogLevelFilterPredicate(level)])
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=capture)
