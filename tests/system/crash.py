# SPDX-License-Identifier: BSD-2-Clause
"""Kills the master daemon again and again under a stream of jobs, and looks for what was lost.

``python -m tests.system.crash --kills 100 --seed 1`` makes a cluster for it and prints figures.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ganeti.errors import GanetiError, from_wire
from ganeti.journal.frames import read_header, scan
from ganeti.journal.interfaces import LogPosition
from ganeti.luxi.methods import QueryJobs, QueryTags, SubmitJob
from ganeti.luxi.unreachable import ConnectionLost, MasterNotRunning
from ganeti.opcodes.cluster import VerifyConfig
from ganeti.opcodes.instance.lifecycle import ShutdownInstance, StartInstance
from ganeti.opcodes.opcode import Opcode
from ganeti.opcodes.tags import AddTags, TagKind
from ganeti.opcodes.test import Delay
from tests.system.running import RunningCluster, eventually
from tools.quickstart.orders import FINAL

SUBMITTERS = 2

PAUSE = 0.005
"""Seconds between the jobs of one submitter, so that a run of minutes stays readable."""

AWAY = 0.05

RESTARTED = "the master daemon restarted"


@dataclass
class Figures:
    """What a run did, and what was found afterwards; ``problems`` should stay empty."""

    seed: int
    kills: int = 0
    early: int = 0
    seconds: float = 0.0
    unanswered: int = 0
    acknowledged: dict[int, Opcode] = field(default_factory=dict)
    known: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    frames: int = 0
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        ends = ", ".join(f"{count} in {status}" for status, count in sorted(self.ended.items()))
        lines = [
            f"seed {self.seed}: {self.kills} kills in {self.seconds:.0f} s",
            f"kills of a daemon that was still starting: {self.early}",
            f"acknowledged jobs: {len(self.acknowledged)}",
            f"submissions whose answer was lost: {self.unanswered}",
            f"known afterwards: {self.known}, which ended: {ends}",
            f"the journal's chain: {self.frames} frames",
            *(f"  {count} in error: {why}" for why, count in self.errors.most_common()),
            *(f"PROBLEM: {problem}" for problem in self.problems),
        ]
        return "\n".join(lines)


class Stream:
    """Threads that submit jobs until told to stop, whatever becomes of the master."""

    def __init__(self, running: RunningCluster, figures: Figures) -> None:
        self._running = running
        self._figures = figures
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._submit, args=(number,)) for number in range(SUBMITTERS)
        ]

    def __enter__(self) -> Stream:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _submit(self, number: int) -> None:
        opcodes = _opcodes(random.Random(f"{self._figures.seed} {number}"), number)
        with self._running.client() as client:
            while not self._over.wait(PAUSE):
                opcode = next(opcodes)
                try:
                    job = client.ask(SubmitJob(ops=(opcode,)))
                except MasterNotRunning:
                    time.sleep(AWAY)
                except ConnectionLost:
                    self._figures.unanswered += 1
                else:
                    self._figures.acknowledged[job] = opcode


def _opcodes(chance: random.Random, number: int) -> Iterator[Opcode]:
    """Jobs that only wait, jobs that change the configuration, and jobs that nodes work on."""
    count = 0
    while True:
        count += 1
        match chance.randrange(4):
            case 0:
                yield AddTags(kind=TagKind.CLUSTER, tags=(f"tag-{number}-{count}",))
            case 1:
                move = chance.choice((StartInstance, ShutdownInstance))
                yield move(instance_name="first.trial")
            case _:
                yield Delay(duration=chance.uniform(0, 0.05))


def crash(running: RunningCluster, kills: int, seed: int) -> Figures:
    """Kill the master of a cluster at random moments, then look what became of the jobs."""
    figures = Figures(seed)
    chance = random.Random(seed)
    began = time.monotonic()
    with Stream(running, figures):
        while figures.kills < kills:
            if chance.random() < 0.25:
                _kill_while_it_starts(running, chance)
                figures.early += 1
            else:
                time.sleep(chance.uniform(0, 0.4))
                running.kill("masterd")
                running.daemon("masterd").start()
            figures.kills += 1
    figures.seconds = time.monotonic() - began
    _look(running, figures)
    return figures


def _kill_while_it_starts(running: RunningCluster, chance: random.Random) -> None:
    daemon = running.daemon("masterd")
    running.kill("masterd")

    def start() -> None:
        # That it is killed is the point.
        with suppress(GanetiError):
            daemon.start()

    starting = threading.Thread(target=start)
    starting.start()
    eventually(lambda: daemon.process() or not starting.is_alive())
    time.sleep(chance.uniform(0, 0.6))
    running.kill("masterd")
    starting.join()
    daemon.start()


def _look(running: RunningCluster, figures: Figures) -> None:
    """Compare what was promised with what is there."""
    eventually(lambda: set(_statuses(running)) <= FINAL)
    ids = tuple(figures.acknowledged)
    rows: list[list[Any] | None] = running.ask(
        QueryJobs(ids=ids, fields=("id", "status", "opresult"))
    )
    tags = set(running.ask(QueryTags(kind="cluster")))
    for job, row in zip(ids, rows, strict=True):
        if row is None or row[0] != job:
            figures.problems.append(f"job {job} was acknowledged and is not known")
            continue
        figures.known += 1
        figures.ended[row[1]] += 1
        opcode = figures.acknowledged[job]
        if isinstance(opcode, AddTags) and row[1] == "success" and not tags >= set(opcode.tags):
            figures.problems.append(f"job {job} ended in success, but its tags are not there")
        if row[1] == "error":
            why = re.sub(r"\(.*?\)", "", str(from_wire(row[2][0])))
            figures.errors[why] += 1
            if RESTARTED not in why:
                figures.problems.append(f"job {job} ended in error: {why}")
    if running.perform(VerifyConfig()) != [True]:
        figures.problems.append("the configuration does not verify")
    if running.quickstart("stop").returncode != 0:
        figures.problems.append("the cluster does not stop")
    try:
        figures.frames = frames(Path(running.cluster.master.paths.journal))
    except GanetiError as e:
        figures.problems.append(str(e))


def _statuses(running: RunningCluster) -> list[str]:
    return [row[0] for row in running.ask(QueryJobs(ids=None, fields=("status",))) if row]


def frames(folder: Path) -> int:
    """How many frames the segments of a journal hold, each of which follows the one before.

    :raises Damaged: a frame does not verify.
    """
    count = 0
    end: LogPosition | None = None
    for path in sorted(folder.glob("segment-*")):
        data = path.read_bytes()
        after, start = read_header(data, source=str(path))
        if end is not None and after != end:
            raise GanetiError(f"{path} does not follow the segment before it")
        end = after
        for frame in scan(data, after, source=str(path), start=start):
            count += 1
            end = frame.mark
    return count


def main() -> int:
    """Make a cluster, crash its master, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    running = RunningCluster()
    try:
        figures = crash(running, options.kills, options.seed)
    finally:
        left = running.destroy()
    figures.problems += [f"left behind: {each}" for each in left]
    print(figures)
    return 1 if figures.problems else 0


if __name__ == "__main__":
    sys.exit(main())
