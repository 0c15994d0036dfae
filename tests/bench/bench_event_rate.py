# SPDX-License-Identifier: BSD-2-Clause
"""What the event hub of the remote API costs at a rate that no master reaches for long.

``python -m tests.bench.bench_event_rate [--rate EVENTS] [--subscribers N] [--full N]`` commits
events in memory, delivers them to subscribers without sockets, of which ``--full`` read everything
and the others what concerns one instance, and prints the processor time for each second, the age of
events when they are delivered, and those that are missing.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall, react

from ganeti.daemon.process.reactor import Reactor
from ganeti.events.event import EventFilter
from ganeti.events.log import MAX_PAGE_EVENTS
from ganeti.events.stream_position import StreamPosition
from ganeti.rapi.events.hub import EventHub
from ganeti.rapi.events.server_sent import encode_events
from ganeti.testing.events import MemoryEvents
from tests.bench.bench_events import percentile

TICK = 0.01


class Sink:
    """A subscriber that reads at once."""

    encode = staticmethod(encode_events)
    paused = False

    def __init__(self, selection: EventFilter, begun: dict[int, float]) -> None:
        self.selection = selection
        self.cursor = StreamPosition(0)
        self.received = 0
        self.lagged = False
        self.ages: list[float] = []
        self._begun = begun

    def open(self, position: StreamPosition, *, ready: bool, reset: bool) -> None:
        pass

    def send(self, chunk: bytes) -> None:
        self.received += chunk.count(b"\nid: ") + chunk.startswith(b"id: ")
        self.ages.append(time.perf_counter() - self._begun[self.cursor.position])

    def reset(self, position: StreamPosition) -> None:
        self.lagged = True

    def heartbeat(self, position: StreamPosition) -> None:
        pass

    def lag(self) -> None:
        self.lagged = True

    async def confirm(self) -> None:
        pass

    def refuse(self) -> None:
        self.lagged = True


async def measure(reactor: Reactor, rate: int, full: int, others: int, seconds: float) -> None:
    begun: dict[int, float] = {0: time.perf_counter()}
    master = MemoryEvents(reactor, MAX_PAGE_EVENTS)
    hub = EventHub(master, reactor)
    selections = [EventFilter.of((), (), ())] * full
    selections += [EventFilter.of((), (f"web{number}",), ()) for number in range(others)]
    sinks = [Sink(each, begun) for each in selections]
    for each in sinks:
        await hub.subscribe(each, None)
    names = [f"web{number}" for number in range(int(rate * TICK))]

    def commit(count: int) -> None:
        for _ in range(count):
            begun[master.log.end.position + 1] = time.perf_counter()
            master.commit_change(*names)

    ticking = LoopingCall.withCount(commit)
    ticking.clock = reactor
    used, started = time.process_time(), time.perf_counter()
    ticking.start(TICK, now=False)
    done: Deferred[None] = Deferred()
    reactor.callLater(seconds, done.callback, None)
    await done
    ticking.stop()
    lasted = time.perf_counter() - started
    used = time.process_time() - used
    events = master.log.end.position * len(names)
    while any(not each.lagged and hub.position(each) < master.log.end for each in sinks):
        done = Deferred()
        reactor.callLater(TICK, done.callback, None)
        await done
    report(sinks, full, events, lasted, used)
    hub.stop()


def report(sinks: Sequence[Sink], full: int, events: int, lasted: float, used: float) -> None:
    ages = [1000 * age for each in sinks[:full] for age in each.ages]
    missing = sum(events - each.received for each in sinks[:full])
    print(
        f"{events / lasted:.0f} events per second to {full} + {len(sinks) - full} subscribers:"
        f" {used / lasted:.2f} s of the processor per second, commit to delivery p50"
        f" {percentile(ages, 0.5):.0f} ms, p99 {percentile(ages, 0.99):.0f} ms; {missing} missing,"
        f" {sum(each.lagged for each in sinks)} disconnected"
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rate", type=int, default=20000)
    options.add_argument("--subscribers", type=int, default=1000)
    options.add_argument("--full", type=int, default=10)
    options.add_argument("--seconds", type=float, default=10)
    chosen = options.parse_args()
    others = chosen.subscribers - chosen.full

    def run(reactor: Reactor) -> Deferred[None]:
        return Deferred.fromCoroutine(
            measure(reactor, chosen.rate, chosen.full, others, chosen.seconds)
        )

    react(run, (), installed)


if __name__ == "__main__":
    main()
