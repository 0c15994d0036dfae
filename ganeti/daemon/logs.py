# SPDX-License-Identifier: BSD-2-Clause
"""The daemons' log files: one line per event, a traceback indented below its line."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import Any, TextIO

from twisted.logger import (
    FilteringLogObserver,
    ILogFilterPredicate,
    ILogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    PredicateResult,
    eventAsText,
    globalLogBeginner,
)
from zope.interface import implementer

MINUTE = 60.0


@implementer(ILogObserver)
class LogFile:
    """Writes events to a file that only its owner may read, and to ``also`` if there is one.

    A full disk costs lines and nothing else: how many is written when there is room again.
    """

    def __init__(self, path: str, program: str, *, also: TextIO | None = None) -> None:
        self._path = path
        self._program = program
        self._also = also
        self._second = (0, "")
        self._lost = 0
        self._midway = False
        self._descriptor = self._opened()

    def __call__(self, event: LogEvent) -> None:
        line = self.line(event)
        if self._lost and self._write(self.line(_lost(self._lost, event))):
            self._lost = 0
        if self._lost or not self._write(line):
            self._lost += 1
        if self._also is not None:
            with suppress(OSError):  # a terminal that was closed
                self._also.write(line)
                self._also.flush()

    def _write(self, line: str) -> bool:
        """Whether the file has the line, now and whole."""
        # Without a buffer: what could not be written would be kept in it, and grow.
        data = line.encode("utf-8", "backslashreplace")
        try:
            if self._midway:
                data = b"\n" + data
            written = os.write(self._descriptor, data)
        except OSError:
            return False
        self._midway = written < len(data)
        return not self._midway

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
        os.close(self._descriptor)

    def reopen(self) -> None:
        """Go on in a new file, after the old one was moved away.

        :raises OSError: there is no new file; the old one is still in use.
        """
        new = self._opened()
        os.close(self._descriptor)
        self._descriptor = new

    def _opened(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _date(self, second: int) -> str:
        if self._second[0] != second:
            date = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))
            self._second = (second, date)
        return self._second[1]


def _lost(count: int, event: LogEvent) -> LogEvent:
    return {
        "log_format": "{count} lines could not be written here",
        "count": count,
        "log_level": LogLevel.error,
        "log_time": event.get("log_time", 0.0),
    }


@implementer(ILogFilterPredicate)
class Throttle:
    """Lets pass one event a minute of each kind that Twisted tells of; the next says how many.

    A port that has no descriptor for a client tells so as fast as the processor can: it is asked
    again at once, as the client still waits.
    """

    def __init__(self) -> None:
        self._passed: dict[str, float] = {}
        self._held: dict[str, int] = {}

    def __call__(self, event: LogEvent) -> Any:
        kind = event.get("log_format")
        told_by = event.get("log_namespace", "")
        if kind is None or "log_failure" in event or not told_by.startswith("twisted."):
            return PredicateResult.maybe
        now = event["log_time"]
        if kind in self._passed and self._passed[kind] <= now < self._passed[kind] + MINUTE:
            self._held[kind] = self._held.get(kind, 0) + 1
            return PredicateResult.no
        self._passed[kind] = now
        if held := self._held.pop(kind, 0):
            event["log_format"] = f"{kind}; {held} times before, since it was told last"
        return PredicateResult.maybe


def begin(log: LogFile, *, debug: bool, capture: bool) -> None:
    """Send everything that is logged to ``log``; with ``capture``, what is printed too."""
    level = LogLevel.debug if debug else LogLevel.info
    observer = FilteringLogObserver(log, [LogLevelFilterPredicate(level), Throttle()])
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=capture)
