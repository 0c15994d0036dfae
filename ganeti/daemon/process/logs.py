# SPDX-License-Identifier: BSD-2-Clause
"""The log files of daemons: one line per event, followed by an indented traceback."""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from typing import TextIO

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

from ganeti.schema.types import CONTROL

THROTTLE_INTERVAL = 60.0

_CONTROL = re.compile(rf"(?!\n)[{CONTROL}]")
"""Characters that end a line or control a terminal; further lines of an event are indented."""


@implementer(ILogObserver)
class LogFile:
    """Writes events to a file with mode 0600, and to ``also`` if it is given.

    If the disk is full, lines are dropped; their number is logged when there is space again.
    """

    def __init__(self, path: str, program: str, *, also: TextIO | None = None) -> None:
        self._path = path
        self._program = program
        self._also = also
        self._second = (0, "")
        self._lost = 0
        self._midway = False
        self._descriptor = self._open()

    def __call__(self, event: LogEvent) -> None:
        line = self.line(event)
        if self._lost and self._write(self.line(_lost(self._lost, event))):
            self._lost = 0
        if self._lost or not self._write(line):
            self._lost += 1
        if self._also is not None:
            with suppress(OSError):  # the terminal was closed
                self._also.write(line)
                self._also.flush()

    def _write(self, line: str) -> bool:
        """Write a line; return whether the file has all of it."""
        # Unbuffered: a buffer would keep, and accumulate, lines that cannot be written.
        data = line.encode("utf-8", "backslashreplace")
        try:
            # What follows an incomplete line would otherwise look like its end.
            if self._midway:
                data = b"\n" + data
            written = os.write(self._descriptor, data)
        except OSError:
            return False
        self._midway = written < len(data)
        return not self._midway

    def line(self, event: LogEvent) -> str:
        """Return an event as it is written to the file."""
        text = eventAsText(
            event, includeTraceback=True, includeTimestamp=False, includeSystem=False
        )
        text = _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)
        moment = event.get("log_time", 0.0)
        level = event.get("log_level", LogLevel.info).name.upper()
        milliseconds = int(moment % 1 * 1000)
        return (
            f"{self._format_date(int(moment))},{milliseconds:03d}: {self._program} "
            f"pid={os.getpid()}"
            f" {level} {text.strip()}\n".replace("\n", "\n\t").removesuffix("\t")
        )

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def reopen(self) -> None:
        """Open the file again, after log rotation has renamed it.

        :raises OSError: if that fails; the old file remains in use.
        """
        new = self._open()
        os.close(self._descriptor)
        self._descriptor = new

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _format_date(self, second: int) -> str:
        if self._second[0] != second:
            date = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))
            self._second = (second, date)
        return self._second[1]


def _lost(count: int, event: LogEvent) -> LogEvent:
    return {
        "log_format": "{count} log lines could not be written",
        "count": count,
        "log_level": LogLevel.error,
        "log_time": event.get("log_time", 0.0),
    }


@implementer(ILogFilterPredicate)
class Throttle:
    """Passes one event per minute of each kind that Twisted logs; the next one has a count.

    If a port has no file descriptor left for a waiting client, Twisted logs that in a busy loop.
    """

    def __init__(self) -> None:
        self._passed: dict[str, float] = {}
        self._held: dict[str, int] = {}

    def __call__(self, event: LogEvent) -> object:
        kind = event.get("log_format")
        told_by = event.get("log_namespace", "")
        if kind is None or "log_failure" in event or not told_by.startswith("twisted."):
            return PredicateResult.maybe
        now = event["log_time"]
        # A clock that was set back does not hold events for longer than the interval.
        if (
            kind in self._passed
            and self._passed[kind] <= now < self._passed[kind] + THROTTLE_INTERVAL
        ):
            self._held[kind] = self._held.get(kind, 0) + 1
            return PredicateResult.no
        self._passed[kind] = now
        if held := self._held.pop(kind, 0):
            event["log_format"] = f"{kind}; repeated {held} times since the last such message"
        return PredicateResult.maybe


def begin(log: LogFile, *, debug: bool, capture: bool) -> None:
    """Send all log events to ``log``; with ``capture``, also what is printed."""
    level = LogLevel.debug if debug else LogLevel.info
    observer = FilteringLogObserver(log, [LogLevelFilterPredicate(level), Throttle()])
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=capture)
