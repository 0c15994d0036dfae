# SPDX-License-Identifier: BSD-2-Clause
"""What this host and its guests have used over the last hours: rings of fixed step and size.

They are in memory only. For each object that is six numbers of four bytes every ``STEP`` seconds.
"""

from __future__ import annotations

import math
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from ganeti.model.guest import Counters
from ganeti.rpc.node import ReadUsage, Usage

STEP = 15.0
"""Seconds between two points."""

SIZE = 960
"""How many points are kept: four hours."""

MAX_GUESTS = 500
"""How many guests are kept; a further one takes the place of the one that was not seen longest."""

HOST = ""
"""What the host is called among guests."""

SERIES = ("cpu", "memory", "disk_read", "disk_written", "received", "sent")
"""Processors in use, memory in MiB, and bytes per second."""

GAP = math.nan

_UNKNOWN = (None,) * len(SERIES)


def rates(before: Counters | None, now: Counters, seconds: float) -> dict[str, float]:
    """Return a point: memory as it is, and how fast the counters have grown meanwhile."""
    point = {"memory": GAP if now.memory is None else now.memory / (1 << 20)}
    for field in fields(Counters):
        if field.name != "memory":
            old = None if before is None else getattr(before, field.name)
            new = getattr(now, field.name)
            # A counter that went back is that of another process or device.
            known = old is not None and new is not None and new >= old and seconds > 0
            point[field.name] = (new - old) / seconds if known else GAP
    return point


class Ring:
    """The last points of one object, by number; points that were not put are gaps."""

    def __init__(self, size: int) -> None:
        self._columns = {name: array("f", [GAP] * size) for name in SERIES}
        self._size = size
        self.newest: int | None = None

    def put(self, number: int, point: Mapping[str, float]) -> None:
        """Put a point in the place of the oldest."""
        first = number if self.newest is None else max(self.newest + 1, number - self._size + 1)
        for skipped in range(first, number):
            self._write(skipped, {})
        self._write(number, point)
        self.newest = number

    def read(self, newest: int) -> dict[str, tuple[float | None, ...]]:
        """Return the points up to the number ``newest``, from the oldest of which one is known."""
        columns = {name: tuple(self._read(each, newest)) for name, each in self._columns.items()}
        known = (
            index
            for index, point in enumerate(zip(*columns.values(), strict=True))
            if point != _UNKNOWN
        )
        first = next(known, self._size)
        return {name: values[first:] for name, values in columns.items()}

    def _write(self, number: int, point: Mapping[str, float]) -> None:
        for name, column in self._columns.items():
            column[number % self._size] = point.get(name, GAP)

    def _read(self, column: array[float], newest: int) -> Iterator[float | None]:
        own = -1 if self.newest is None else self.newest
        for number in range(newest - self._size + 1, newest + 1):
            value = column[number % self._size] if own - self._size < number <= own else GAP
            yield None if math.isnan(value) else float(f"{value:.4g}")


@dataclass
class _Known:
    """An object, and its counters when they were read last."""

    ring: Ring
    before: Counters


class UsageRings:
    """Reads counters by ``read`` in fixed steps, of the host and its guests by name.

    ``now`` in seconds since the epoch.
    """

    _log = Logger()

    def __init__(
        self,
        read: Callable[[], Mapping[str, Counters]],
        clock: IReactorTime,
        now: Callable[[], float],
        size: int = SIZE,
    ) -> None:
        self._read = read
        self._clock = clock
        self._now = now
        self._size = size
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._number = 0
        self._read_at = 0.0
        self._timer: IDelayedCall | None = None
        self.counters: Mapping[str, Counters] = {}
        """What was read last, by the names of guests; the host is ``HOST``."""

    def start(self) -> None:
        """Begin to read."""
        self._tick()

    def stop(self) -> None:
        """Read no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def read_usage(self, call: ReadUsage) -> Usage:
        """Return the points of a guest, or of the host; none if it was never seen here."""
        known = self._known.get(call.guest)
        ring = Ring(self._size) if known is None else known.ring
        age = self._clock.seconds() - self._read_at
        return Usage(step=STEP, end=self._now() - age, series=dict(ring.read(self._number)))

    def _tick(self) -> None:
        # First, so that an error does not end the readings.
        self._timer = self._clock.callLater(STEP, self._tick)
        now = self._clock.seconds()
        elapsed = now - self._read_at if self._known else 0.0
        # More than one step if the daemon was held up: what is between is unknown.
        self._number += max(1, round(elapsed / STEP))
        self._read_at = now
        try:
            found = self._read()
        except Exception:
            self._log.failure("what the host and its guests use cannot be read")
            self.counters = {}
            return
        self.counters = found
        for name, counters in found.items():
            self._put(name, counters, elapsed)

    def _put(self, name: str, counters: Counters, elapsed: float) -> None:
        known = self._known.get(name)
        if known is None:
            known = self._known[name] = _Known(Ring(self._size), counters)
            known.ring.put(self._number, rates(None, counters, elapsed))
            if len(self._known) > MAX_GUESTS + 1:
                self._known.popitem(last=False)
        else:
            seen = known.ring.newest
            steps = self._number - seen if seen is not None else 1
            missed = elapsed < STEP * (steps - 0.5)  # it did not run when the others were read
            known.ring.put(self._number, rates(None if missed else known.before, counters, elapsed))
            known.before = counters
        self._known.move_to_end(name)
