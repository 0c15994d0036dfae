# SPDX-License-Identifier: BSD-2-Clause
"""How many commits a second the journal makes durable, beside a bare write and fdatasync.

Run it as ``python -m tests.bench.bench_journal [seconds [folder]]``. The bare figure is taken with
frames of the same size on the same disk, in turns with the others, since disks have moods.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import react
from twisted.internet.threads import deferToThread

from ganeti.journal.file_journal import FileJournal
from ganeti.journal.frames import encode
from ganeti.journal.interfaces import ZERO_DIGEST, Commit, Put
from ganeti.system.files import LocalFiles
from ganeti.system.threads import P, T

CONCURRENT = (1, 50, 500)
ROUNDS = 3


@dataclass
class Figure:
    """Commits made durable, and the seconds and processor seconds that took."""

    commits: int = 0
    seconds: float = 0.0
    processor: float = 0.0

    def add(self, commits: int, began: float, worked: float) -> None:
        self.commits += commits
        self.seconds += time.perf_counter() - began
        self.processor += time.process_time() - worked

    @property
    def rate(self) -> float:
        return self.commits / self.seconds


def a_commit() -> Commit:
    """What a move of a job looks like, in size."""
    operation = {"input": {"OP_ID": "OP_TEST_DELAY", "duration": 0.0}, "status": "running"}
    times = {"received_ts": [1, 2], "start_ts": [3, 4], "end_ts": None}
    job = msgspec.json.encode({"id": 4711, "ops": [operation | times], **times})
    edit = Put(kind="job", key="4711", value=msgspec.Raw(job))
    return Commit(at=1700000000.25, who="admin", why="job 4711 runs", job=4711, edits=(edit,))


def bare(folder: str, seconds: float, figure: Figure) -> None:
    """Write frames to a file, each with a sync of its own and nothing around it."""
    frame = encode(a_commit(), ZERO_DIGEST, 0)
    descriptor = os.open(f"{folder}/bare", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    began, worked, commits = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() < began + seconds:
        os.write(descriptor, frame)
        os.fdatasync(descriptor)
        commits += 1
    figure.add(commits, began, worked)
    os.close(descriptor)


async def appending(journal: FileJournal, concurrent: int, seconds: float, figure: Figure) -> None:
    """Let so many append one commit after the other."""
    began, worked, commits = time.perf_counter(), time.process_time(), 0

    async def one() -> None:
        nonlocal commits
        while time.perf_counter() < began + seconds:
            await journal.append(a_commit())
            commits += 1

    await gatherResults([Deferred.fromCoroutine(one()) for _ in range(concurrent)])
    figure.add(commits, began, worked)


async def measured(clock: IReactorTime, seconds: float, folder: str) -> None:
    """Print a line for each number of commits that are under way together."""
    journal = await FileJournal.open(LocalFiles(in_thread), f"{folder}/journal", clock)
    limit, figures = Figure(), {concurrent: Figure() for concurrent in CONCURRENT}
    share = seconds / ROUNDS / (1 + len(figures))
    for _ in range(ROUNDS):
        bare(folder, share, limit)
        for concurrent, figure in figures.items():
            await appending(journal, concurrent, share, figure)
    await journal.close()
    size = len(encode(a_commit(), ZERO_DIGEST, 0))
    print(f"bare write and fdatasync of {size} bytes: {limit.rate:.0f} per second")
    print(f"{'together':>8} {'commits/s':>10} {'to bare':>8} {'CPU us each':>12}")
    for concurrent, figure in figures.items():
        ratio, each = figure.rate / limit.rate, figure.processor / figure.commits * 1e6
        print(f"{concurrent:>8} {figure.rate:>10.0f} {ratio:>8.2f} {each:>12.1f}")


def in_thread(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
    """What a daemon does with work that blocks."""
    return deferToThread(function, *args, **kwargs)


async def in_folder(clock: Any, seconds: str = "6", folder: str | None = None) -> None:
    """Measure in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        await measured(clock, float(seconds), place)


if __name__ == "__main__":
    react(in_folder, sys.argv[1:])
