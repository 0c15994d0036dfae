# SPDX-License-Identifier: BSD-2-Clause
"""How many commits a second the journal makes durable in etcd, beside bare puts of etcd.

Run it as ``python -m tests.bench.bench_etcd [seconds [members]]``; it starts members of etcd on the
loopback device. Each row compares commits that arrive together with puts of the same size, one
after the other, by the same client and to the same members, taken in turns with them. The journal
on files, without copies, is measured in the same run.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import react

from ganeti.daemon.store.store_connection import connect_to_store
from ganeti.errors import NotMaster
from ganeti.journal.etcd.etcd_store import EtcdStore
from ganeti.journal.etcd.interfaces import IEtcd, PutKey
from ganeti.journal.etcd.leadership import Holder, Leadership
from ganeti.journal.file_journal import FileJournal
from ganeti.journal.frames import encode
from ganeti.journal.interfaces import BEGINNING, ZERO_DIGEST
from ganeti.system.files import LocalFiles
from tests.bench.bench_journal import a_commit, in_thread
from tests.system.etcd_members import RealEtcd

CONCURRENT = (1, 50, 500)
ROUNDS = 3


@dataclass
class Figure:
    """Latencies of what was done, and the seconds that all of it took."""

    latencies: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds

    @property
    def median(self) -> float:
        """Milliseconds."""
        return 1000 * statistics.median(self.latencies)

    @property
    def longest(self) -> float:
        """Milliseconds."""
        return 1000 * max(self.latencies)


@dataclass
class Row:
    """Commits by so many authors at a time, and the puts that stand beside them."""

    files: Figure = field(default_factory=Figure)
    store: Figure = field(default_factory=Figure)
    puts: Figure = field(default_factory=Figure)
    batches: int = 0

    @property
    def batch(self) -> float:
        """Commits per transaction."""
        return len(self.store.latencies) / self.batches


async def appending(journal: FileJournal, authors: int, seconds: float, figure: Figure) -> None:
    """Let so many append one commit after the other."""
    began = time.perf_counter()

    async def one() -> None:
        while (sent := time.perf_counter()) < began + seconds:
            await journal.append(a_commit())
            figure.latencies.append(time.perf_counter() - sent)

    await gatherResults([Deferred.fromCoroutine(one()) for _ in range(authors)])
    figure.seconds += time.perf_counter() - began


async def putting(etcd: IEtcd, size: int, seconds: float, figure: Figure) -> None:
    """Put values of one size, one after the other."""
    began, value = time.perf_counter(), bytes(size)
    while (sent := time.perf_counter()) < began + seconds:
        await etcd.txn([], [PutKey("/bare", value)])
        figure.latencies.append(time.perf_counter() - sent)
    figure.seconds += time.perf_counter() - began


async def measured(clock: Any, etcds: RealEtcd, seconds: float, folder: str) -> None:
    """Print a line for each number of authors."""
    etcd = connect_to_store(clock, etcds.endpoints, etcds.authority, etcds.certificate)
    leadership = Leadership(etcd, "/bench/", Holder(master="bench"), clock)
    await leadership.acquire()
    store = EtcdStore(etcd, "/bench/", leadership, clock)
    await store.create({}, BEGINNING)
    files = LocalFiles(in_thread)
    alone = await FileJournal.open(files, f"{folder}/alone", clock)
    journal = await FileJournal.open(files, f"{folder}/journal", clock)
    journal.replicate_to(store)
    size = len(encode(a_commit(), ZERO_DIGEST, 0))
    rows = {authors: Row() for authors in CONCURRENT}
    share = seconds / ROUNDS / (3 * len(rows))
    for _ in range(ROUNDS):
        for authors, row in rows.items():
            await appending(alone, authors, share, row.files)
            before = store.groups
            await appending(journal, authors, share, row.store)
            row.batches += store.groups - before
            await putting(etcd, round(row.batch * size), share, row.puts)
    leadership.stop(NotMaster("the measurement is over"))
    await journal.close()
    await alone.close()
    await etcd.close()
    print(f"{len(etcds.members)} members of etcd; a commit has {size} bytes")
    print(
        f"{'authors':>8} {'files/s':>8} {'etcd/s':>8} {'p50 ms':>7} {'max ms':>7} {'batch':>6}"
        f" {'put p50':>8} {'put max':>8} {'batches to puts':>16}"
    )
    for authors, row in rows.items():
        ratio = row.batches / row.store.seconds / row.puts.rate
        print(
            f"{authors:>8} {row.files.rate:>8.0f} {row.store.rate:>8.0f} {row.store.median:>7.1f}"
            f" {row.store.longest:>7.1f} {row.batch:>6.0f} {row.puts.median:>8.1f}"
            f" {row.puts.longest:>8.1f} {ratio:>16.2f}"
        )


async def with_members(clock: Any, seconds: str = "18", members: str = "3") -> None:
    """Measure with members that are gone afterwards."""
    etcds = RealEtcd(int(members))
    try:
        with tempfile.TemporaryDirectory() as folder:
            await measured(clock, etcds, float(seconds), folder)
    finally:
        etcds.stop()


if __name__ == "__main__":
    react(with_members, sys.argv[1:])
