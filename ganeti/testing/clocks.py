# SPDX-License-Identifier: BSD-2-Clause
"""The clocks of simulated hosts and processes: skewed, jumping, paused, stopped by a crash."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from itertools import count
from typing import Any

from twisted.internet.base import DelayedCall
from twisted.internet.error import AlreadyCalled, AlreadyCancelled
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import Clock
from zope.interface import implementer


@implementer(IReactorTime)
class SimulatedTime:
    """The true time of a simulation, and all that waits for it.

    What is due at the same time is called in the order in which it was scheduled. Twisted's
    ``Clock`` sorts all calls whenever one is added or made, which took a sixth of a simulation.
    """

    def __init__(self, now: float = 0.0) -> None:
        self._now = now
        self._heap: list[tuple[float, int, DelayedCall]] = []
        self._numbers = count()

    def seconds(self) -> float:
        return self._now

    def callLater(
        self,
        delay: float,
        callable: Callable[..., Any],  # noqa: A002  # the name that the interface gives it
        *args: object,
        **kwargs: object,
    ) -> IDelayedCall:
        time = self._now + delay
        call = DelayedCall(time, callable, args, kwargs, _leave, self._push, self.seconds)
        self._push(call)
        return call

    def getDelayedCalls(self) -> Sequence[IDelayedCall]:
        waiting = {call: None for _, _, call in self._heap if call.active()}
        return sorted(waiting, key=DelayedCall.getTime)

    def next_time(self) -> float | None:
        """Return when the next call is due, or None if nothing waits."""
        while self._heap:
            time, _, call = self._heap[0]
            if call.active() and call.getTime() == time:
                return time
            heappop(self._heap)
            if call.active() and call.getTime() > time:
                self._push(call)
            # Otherwise it was canceled, or was moved forward and has another entry.
        return None

    def advance(self, seconds: float) -> None:
        """Let time pass, and call what is due by then."""
        self._now += seconds
        while (time := self.next_time()) is not None and time <= self._now:
            _, _, call = heappop(self._heap)
            call.called = 1
            call.func(*call.args, **call.kw)

    def _push(self, call: DelayedCall) -> None:
        heappush(self._heap, (call.getTime(), next(self._numbers), call))


def _leave(call: DelayedCall) -> None:
    """Leave a canceled call in the heap: it is dropped when its time comes."""


class HostClock:
    """How time passes on one host.

    ``rate`` is the number of seconds that its monotonic clock counts in one true second; ``offset``
    is what its wall clock is ahead of that, in seconds.
    """

    def __init__(self, clock: IReactorTime, *, rate: float = 1.0) -> None:
        self.true = clock
        self.rate = rate
        self.offset = 0.0
        self._since = clock.seconds()

    def seconds(self) -> float:
        """Return the monotonic time, on which nothing but the rate has an influence."""
        if self.rate == 1.0:
            return self.true.seconds()
        return self._since + (self.true.seconds() - self._since) * self.rate

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward, or back."""
        self.offset += seconds


@implementer(IDelayedCall)
class ProcessCall:
    """A call that a process waits for."""

    def __init__(self, clock: ProcessClock, delay: float, function: Callable[[], object]) -> None:
        self._clock = clock
        self._function = function
        self._called = self._cancelled = False
        self._schedule(delay)

    def _schedule(self, delay: float) -> None:
        host = self._clock.host
        self._time = host.seconds() + delay
        # A clock that runs too fast reaches the end of a delay earlier.
        self._waiting: IDelayedCall | None = host.true.callLater(delay / host.rate, self._due)

    def _due(self) -> None:
        self._waiting = None
        if self._clock.paused:
            self._clock.due.append(self)
        else:
            self._run()

    def run_late(self) -> None:
        """Run the call, which became due while its process was paused."""
        # By a call of its own, before which the process may be paused again or die.
        self._waiting = self._clock.host.true.callLater(0, self._due)

    def _run(self) -> None:
        self._called = True
        self._clock.calls.pop(self, None)
        self._function()

    def getTime(self) -> float:
        return self._time

    def cancel(self) -> None:
        self._require_active()
        self._cancelled = True
        self._clock.calls.pop(self, None)
        self._unschedule()

    def _unschedule(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        elif self in self._clock.due:
            self._clock.due.remove(self)

    def delay(self, secondsLater: float) -> None:
        self.reset(self._time - self._clock.seconds() + secondsLater)

    def reset(self, secondsFromNow: float) -> None:
        self._require_active()
        self._unschedule()
        self._schedule(max(0.0, secondsFromNow))

    def active(self) -> bool:
        return not (self._called or self._cancelled)

    def stop(self) -> None:
        """Let the call never run, although its caller believes that it will."""
        self._unschedule()

    def _require_active(self) -> None:
        if self._cancelled:
            raise AlreadyCancelled
        if self._called:
            raise AlreadyCalled


@implementer(IReactorTime)
class ProcessClock:
    """The clock of one process, which can be paused like by SIGSTOP, or die.

    While a process is paused, nothing that it waits for happens, and time goes on; what became due
    meanwhile happens, in its order, when it is resumed. After its death nothing happens any more.
    """

    def __init__(self, host: HostClock) -> None:
        self.host = host
        self.paused = self.dead = False
        self.calls: dict[ProcessCall, None] = {}
        self.due: list[ProcessCall] = []
        self._resuming: list[Callable[[], None]] = []
        self._graveyard: list[object] = []

    def seconds(self) -> float:
        return self.host.seconds()

    def now(self) -> float:
        """Return the time of day, in seconds since the epoch, as this host believes it to be."""
        return self.host.seconds() + self.host.offset

    def callLater(
        self,
        delay: float,
        callable: Callable[..., Any],  # noqa: A002  # the name that the interface gives it
        *args: object,
        **kwargs: object,
    ) -> IDelayedCall:
        if self.dead:
            # Garbage collection may still run ``finally`` clauses of the dead.
            return Clock().callLater(delay, callable, *args, **kwargs)
        made = ProcessCall(self, delay, lambda: callable(*args, **kwargs))
        self.calls[made] = None
        return made

    def getDelayedCalls(self) -> Sequence[IDelayedCall]:
        return list(self.calls)

    def pause(self) -> None:
        """Stop the process until ``resume``; messages to it wait in the socket's buffer."""
        self.paused = True

    def resume(self) -> None:
        """Let the process go on."""
        self.paused = False
        due, self.due = self.due, []
        for call in due:
            call.run_late()
        # After the timers, which a reactor looks at before its sockets.
        resuming, self._resuming = self._resuming, []
        for wake in resuming:
            self.host.true.callLater(0, self.when_running, wake)

    def when_running(self, wake: Callable[[], None]) -> None:
        """Call ``wake`` when the process runs: now, on ``resume``, or never if it is dead."""
        if self.dead:
            self.keep_referenced(wake)
        elif self.paused:
            self._resuming.append(wake)
        else:
            wake()

    def die(self) -> None:
        """End the process where it is."""
        if self.dead:
            return
        self.dead = True
        for call in self.calls:
            call.stop()
        # A coroutine that is collected runs its ``finally`` clauses, and a process that was killed
        # does not: so its coroutines live, asleep, as long as the simulation.
        self._graveyard += [*self.calls, *self._resuming]
        self.calls, self.due, self._resuming = {}, [], []

    def keep_referenced(self, thing: object) -> None:
        """Keep the unfinished work of the process from being collected."""
        self._graveyard.append(thing)
