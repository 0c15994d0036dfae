# SPDX-License-Identifier: BSD-2-Clause
"""What the event stream costs, and how long a commit takes to reach a client.

``python -m tests.bench.bench_events [--subscribers N] [--full N] [--rate JOBS] [--seconds S]``
makes a cluster with the quick start, connects subscribers, of which ``--full`` read everything and
the others what concerns one instance, submits jobs, and removes the cluster. It prints the time
from a commit to each client that reads everything, the events that are missing or come twice, and
the memory and the processor time of the remote API and the master, beside those of the same load
without subscribers.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import ssl
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from ganeti.bootstrap.blocking_files import local_files
from ganeti.events.stream_position import LAST_EDIT, STREAM_START, StreamPosition
from ganeti.journal.reading import history
from ganeti.master.change_events import CommitEntry
from tests.bench.bench_cluster import Cluster, a_delay, running
from tests.bench.loads import Luxi

HANDSHAKES = 50
"""How many subscribers connect at once."""

QUIET = 3.0
"""Seconds without an event after which a subscriber has seen everything."""


class Reader(asyncio.Protocol):
    """One subscriber; those that read ``everything`` note ids and delays."""

    def __init__(self, request: bytes, everything: bool) -> None:
        self.ids: list[str] = []
        self.delays: list[float] = []
        self.received = 0
        self.last = time.monotonic()
        self.lost = False
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._request = request
        self._everything = everything
        self._rest = b""

    def connection_made(self, transport: Any) -> None:
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        if not self.ready.done():
            if b"event: ready" in data:
                self.ready.set_result(None)
            return
        if not self._everything:
            return
        now = time.time()
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if line.startswith(b"data: {"):
                event = msgspec.json.decode(line[6:])
                if "id" in event:
                    self.ids.append(event["id"])
                    self.delays.append(now - event["at"])
                    self.last = time.monotonic()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        if not self.ready.done():
            self.ready.set_exception(exc or ConnectionError("closed"))


async def _subscribe(cluster_url: str, login: str, full: int, others: int) -> list[Reader]:
    place = urlsplit(cluster_url)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    turns = asyncio.Semaphore(HANDSHAKES)

    async def one(number: int) -> Reader:
        query = "" if number < full else f"?name=web{number}"
        head = f"GET /2/events{query} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {login}\r\n\r\n"
        async with turns:
            _, reader = await asyncio.get_running_loop().create_connection(
                lambda: Reader(head.encode(), number < full),
                place.hostname or "",
                place.port or 443,
                ssl=context,
            )
            await reader.ready
        return reader

    return list(await asyncio.gather(*(one(number) for number in range(full + others))))


def read_all(channel: Connection, url: str, login: str, full: int, others: int) -> None:
    """A process with the subscribers: sends when they are there, and what they have seen."""

    async def run() -> None:
        readers = await _subscribe(url, login, full, others)
        channel.send("ready")
        await asyncio.to_thread(channel.recv)
        while any(time.monotonic() - each.last < QUIET for each in readers[:full]):  # noqa: ASYNC110  # for what does not come
            await asyncio.sleep(0.1)
        channel.send(
            {
                "ids": [each.ids for each in readers[:full]],
                "delays": [delay for each in readers[:full] for delay in each.delays],
                "lost": sum(each.lost for each in readers),
                "bytes": sum(each.received for each in readers),
            }
        )

    asyncio.run(run())


def submit(cluster: Cluster, rate: float, seconds: float) -> float:
    """Submit jobs at a rate; the rate that came of it."""
    master, begun, count = Luxi(cluster.socket), time.monotonic(), 0
    batch = max(1, int(rate / 20))
    while (now := time.monotonic() - begun) < seconds:
        if count < now * rate:
            master("SubmitManyJobs", [[a_delay()] for _ in range(batch)])
            count += batch
        else:
            time.sleep(0.005)
    while any(row[0] not in ("success", "error") for row in master("QueryJobs", None, ["status"])):
        time.sleep(0.1)
    return count / (time.monotonic() - begun)


def usage(pid: int) -> tuple[float, float]:
    """Memory of a process in MiB, and the processor time that it has used."""
    status = Path(f"/proc/{pid}/status").read_text()
    memory = next(int(each.split()[1]) for each in status.splitlines() if "VmRSS" in each)
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return memory / 1024, sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def expected(cluster: Cluster, since: str) -> list[str]:
    folder = f"{cluster.root}/var/lib/ganeti/journal"
    return [
        str(event.cursor)
        for position, commit in history(local_files(), folder)
        if position > StreamPosition.parse(since).position
        for event in CommitEntry(position, commit, {}, lambda _: None).events(STREAM_START, 10**6)
    ]


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else 0.0


def measure(cluster: Cluster, full: int, others: int, rate: float, seconds: float) -> None:
    since = Luxi(cluster.socket)("WaitForEvents")["position"]
    here, there = multiprocessing.Pipe()
    before = {name: usage(pid) for name, pid in cluster.here().items()}
    readers = multiprocessing.get_context("spawn").Process(
        target=read_all, args=(there, cluster.url, cluster.login, full, others)
    )
    if full + others:
        readers.start()
        here.recv()
    connected = {name: usage(pid) for name, pid in cluster.here().items()}
    done = submit(cluster, rate, seconds)
    print(f"{full} + {others} subscribers, {done:.0f} jobs per second:")
    if full + others:
        here.send("end")
        seen = here.recv()
        readers.join()
        wanted = expected(cluster, since)
        wrong = 0
        for ids in seen["ids"]:
            committed = [each for each in ids if StreamPosition.parse(each).number < LAST_EDIT]
            wrong += committed != wanted
        delays = [1000 * percentile(seen["delays"], share) for share in (0.5, 0.99)]
        print(
            f"  commit to client: p50 {delays[0]:.0f} ms, p99 {delays[1]:.0f} ms;"
            f" {len(wanted)} events, {wrong} of {full} readers with a gap or a duplicate,"
            f" {seen['lost']} disconnected, {seen['bytes'] / 1e6:.0f} MB sent"
        )
    for name in ("rapi", "masterd"):
        memory, used = usage(cluster.here()[name])
        print(
            f"  {name}: {before[name][0]:.0f} MiB, {connected[name][0]:.0f} with subscribers,"
            f" {memory:.0f} after; {used - connected[name][1]:.1f} s of the processor"
        )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--subscribers", type=int, default=1000)
    options.add_argument("--full", type=int, default=10)
    options.add_argument("--rate", type=float, default=500)
    options.add_argument("--seconds", type=float, default=10)
    chosen = options.parse_args()
    with running() as cluster:
        measure(cluster, 0, 0, chosen.rate, chosen.seconds)
        measure(cluster, 1, 0, 20, chosen.seconds)
        others = max(0, chosen.subscribers - chosen.full)
        measure(cluster, chosen.full, others, chosen.rate, chosen.seconds)


if __name__ == "__main__":
    main()
