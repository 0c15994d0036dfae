# SPDX-License-Identifier: BSD-2-Clause
"""Breaks the network of five live nodes at random, again and again, under load with failovers.

``python -m tests.system.partition_trials --trials 200 --seed 1`` prints what was acknowledged, what
of it was lost, which guests ran twice, and for how long no master acknowledged anything. What is
done follows from the seed, and when it hits from the machine: ``--first N`` begins with trial N.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import median

from ganeti.errors import GanetiError
from tests.system.acknowledgements import (
    Attempt,
    Clients,
    Ledger,
    a_shared_instance,
    look,
    lost,
    two_masters,
)
from tests.system.observer import GuestObserver
from tests.system.partitions import DAEMONS, PartitionedCluster, reason_to_skip
from tests.system.running import eventually

NODES = 5

GUESTS = 3
"""How many instances are started, stopped and moved all the time."""

RECOVERY_TIMEOUT = 180.0
"""Seconds after which a cluster whose network works must have a master that acknowledges."""

TOOL_TIMEOUT = 120.0

SHOWN = 40
"""How many problems are printed."""

CHECKED_EVERY = 20
"""After so many trials, what was acknowledged is compared with what is there."""


class Break(StrEnum):
    """What happens to the network."""

    MINORITY = "the master with fewer than half of the nodes"
    MAJORITY = "the master with more than half of the nodes"
    PIECES = "three groups, none with more than half of the nodes"
    ONE_WAY = "packets lost in one direction"
    FLAPPING = "a network that comes and goes"


class Trouble(StrEnum):
    """What happens to a daemon at the same time."""

    NONE = "nothing"
    KILL_MASTER = "kill masterd"
    KILL_NODE = "kill noded"
    FREEZE_MASTER = "SIGSTOP masterd"
    FREEZE_NODE = "SIGSTOP noded"


_OF_MASTER = (Trouble.KILL_MASTER, Trouble.FREEZE_MASTER)


class Outcome(StrEnum):
    """What becomes of a failover."""

    DONE = "done"
    REFUSED = "refused"
    KILLED = "killed in the middle"
    STUCK = "did not end in time"


@dataclass
class Figures:
    """What a run did, and what was found; ``problems`` should stay empty."""

    seed: int
    trials: int = 0
    seconds: float = 0.0
    breaks: Counter[str] = field(default_factory=Counter)
    troubles: Counter[str] = field(default_factory=Counter)
    failovers: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    ledger: Ledger = field(default_factory=Ledger)
    gaps: list[float] = field(default_factory=list)
    samples: int = 0
    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    masters: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not (self.lost or self.twice or self.masters or self.problems)

    def __str__(self) -> str:
        jobs = self.ledger.jobs
        asked = (
            f"{len(jobs)} jobs ({sum(each.succeeded for each in jobs)} seen to succeed;"
            f" {len(self.ledger.unanswered)} more were not answered,"
            f" {self.ledger.refused.total()} refused)"
        )
        found = [*self.twice, *self.masters, *self.problems, *self.lost]
        lines = [
            f"seed {self.seed}: {self.trials} trials in {self.seconds:.0f} s",
            f"networks: {_counts(self.breaks)}",
            f"daemons: {_counts(self.troubles)}",
            f"failovers: {_counts(self.failovers)}",
            f"acknowledged: {asked}",
            f"lost (jobs, numbers of jobs, changes): {len(self.lost)}",
            f"guests twice at any instant: {len(self.twice)} ({self.samples} looks)",
            f"acknowledged by a master that was replaced: {len(self.masters)}",
            f"longest time without a master that acknowledges: {_longest(self.gaps)}",
            *(f"  failover refused {count} times: {why}" for why, count in _top(self.refusals)),
            *(f"  job refused {count} times: {why}" for why, count in _top(self.ledger.refused)),
            *(f"  for an operator: {each}" for each in self.unfinished),
            *(f"PROBLEM: {each}" for each in found[:SHOWN]),
        ]
        if len(found) > SHOWN:
            lines.append(f"PROBLEM: {len(found) - SHOWN} more")
        return "\n".join(lines)


def _longest(gaps: Sequence[float]) -> str:
    if not gaps:
        return "not measured"
    return f"{max(gaps):.1f} s; half of the trials had less than {median(gaps):.1f} s"


def _counts(counter: Counter[str]) -> str:
    return "; ".join(f"{count} × {what}" for what, count in counter.most_common()) or "none"


def _top(counter: Counter[str]) -> list[tuple[str, int]]:
    return [(" ".join(text.split())[:200], count) for text, count in counter.most_common(5)]


class NoMaster(Exception):
    """The network works again, and still no master acknowledges anything."""


class Trials:
    """A cluster with clients and an observer, whose network breaks."""

    def __init__(self, cluster: PartitionedCluster, figures: Figures) -> None:
        self._cluster = cluster
        self._figures = figures
        self._attempts: list[Attempt] = []

    def run(self, first: int, last: int, until: float) -> None:
        """Run trials, of which the numbers are part of the seed, as long as there is time."""
        figures, cluster = self._figures, self._cluster
        guests = [f"roam{number}" for number in range(1, GUESTS + 1)]
        made = (a_shared_instance(name, cluster.name(1)) for name in guests)
        cluster.perform(cluster.master(), *made)
        began = time.monotonic()
        with GuestObserver(cluster.guest_folders()) as observer:
            try:
                with Clients(cluster, figures.ledger, figures.seed, moving=guests) as clients:
                    for number in range(first, last + 1):
                        if not self._has_time(number, until):
                            break
                        self._trial(number, random.Random(f"{figures.seed} {number}"))
                        if number % CHECKED_EVERY == 0:
                            with clients.paused():
                                self._check()
                        if observer.twice or not figures.good:
                            break
                self._check()
            except (NoMaster, AssertionError, GanetiError) as e:
                figures.problems.append(f"after {figures.trials} trials: {e}")
        figures.twice = list(map(str, observer.twice))
        figures.samples = observer.samples
        figures.seconds = time.monotonic() - began

    def _has_time(self, number: int, until: float) -> bool:
        if time.monotonic() > until:
            self._figures.problems.append(f"no time was left for trial {number} and later")
            return False
        return True

    # --- one trial

    def _trial(self, number: int, chance: random.Random) -> None:
        began = time.monotonic()
        master = self._acknowledging()
        what = chance.choices(list(Break), (9, 4, 2, 3, 2))[0]
        trouble = chance.choices(list(Trouble), (6, 2, 2, 2, 2))[0]
        self._figures.breaks[what] += 1
        self._figures.troubles[trouble] += 1
        others = chance.sample(
            [each for each in self._cluster.numbers if each != master], NODES - 1
        )
        fit = self._break(chance, what, master, others)
        self._make(trouble, master, chance.choice(others))
        time.sleep(chance.uniform(0.0, 3.0))
        # As cron does, at any moment, on any node.
        watchers = [
            self._cluster.start_watcher(chance.choice(self._cluster.numbers))
            for _ in range(chance.randrange(3))
        ]
        away = what in (Break.MINORITY, Break.ONE_WAY) or trouble in _OF_MASTER
        if chance.random() < (0.9 if away else 0.3):
            self._fail_over(chance, fit)
        time.sleep(chance.uniform(0.0, 2.0))
        self._mend()
        for each in watchers:
            each.communicate()
        self._go_on(chance)
        if chance.random() < 0.3:
            self._cluster.master()
        gap = self._figures.ledger.longest_gap(began, time.monotonic())
        self._figures.gaps.append(gap)
        self._figures.trials += 1
        print(f"trial {number}: {what}; {trouble}; {gap:.1f} s without a master", flush=True)

    def _break(
        self, chance: random.Random, what: Break, master: int, others: list[int]
    ) -> list[int]:
        """Break the network, and return the nodes to which the role might go."""
        network = self._cluster.network
        match what:
            case Break.MINORITY:
                with_it = others[: chance.randrange(2)]
                rest = [each for each in others if each not in with_it]
                network.cut([master, *with_it], rest)
                return rest
            case Break.MAJORITY:
                away = others[: chance.randint(1, 2)]
                rest = [each for each in others if each not in away]
                network.cut([master, *rest], away)
                return rest
            case Break.PIECES:
                network.cut([master, others[0]], others[1:3], others[3:])
                return others
            case Break.ONE_WAY:
                sides = [[master], others]
                chance.shuffle(sides)
                network.cut_one_way(*sides)
                return others
            case Break.FLAPPING:
                network.flap(
                    [master, *others[: chance.randrange(2)]],
                    others[1:],
                    times=chance.randint(2, 4),
                    seconds=chance.uniform(0.2, 1.0),
                )
                return others

    def _make(self, trouble: Trouble, master: int, other: int) -> None:
        match trouble:
            case Trouble.KILL_MASTER:
                self._cluster.kill(master, "masterd")
            case Trouble.KILL_NODE:
                self._cluster.kill(other, "noded")
            case Trouble.FREEZE_MASTER:
                self._cluster.freeze(master, "masterd")
            case Trouble.FREEZE_NODE:
                self._cluster.freeze(other, "noded")
            case Trouble.NONE:
                pass

    def _fail_over(self, chance: random.Random, fit: Sequence[int]) -> None:
        """Make one of the nodes the master: the first that can be, of two, or two at once."""
        first, second = chance.sample(fit, 2) if len(fit) > 1 else (fit[0], fit[0])
        match chance.randrange(10):
            case 0:
                self._kill_failover(first, chance.uniform(0.1, 2.0))
                self._attempt(second)
            case 1 if first != second:
                tools = [self._start(each) for each in (first, second)]
                for tool in tools:
                    self._outcome(tool)
            case _:
                if self._attempt(first) is not Outcome.DONE:
                    self._attempt(second)

    def _attempt(self, number: int) -> Outcome:
        return self._outcome(self._start(number))

    def _start(self, number: int) -> subprocess.Popen[bytes]:
        self._attempts.append(Attempt.now(number))
        return self._cluster.start_tool(number, "gnt-cluster", "master-failover", "--yes-do-it")

    def _outcome(self, tool: subprocess.Popen[bytes]) -> Outcome:
        try:
            _, text = tool.communicate(timeout=TOOL_TIMEOUT)
        except subprocess.TimeoutExpired:
            tool.kill()
            tool.communicate()
            self._figures.problems.append(f"a failover did not end within {TOOL_TIMEOUT:g} seconds")
            outcome = Outcome.STUCK
        else:
            outcome = Outcome.REFUSED if tool.returncode else Outcome.DONE
            if tool.returncode:
                self._figures.refusals[text.decode(errors="replace")] += 1
        self._figures.failovers[outcome] += 1
        return outcome

    def _kill_failover(self, number: int, seconds: float) -> None:
        tool = self._start(number)
        with suppress(subprocess.TimeoutExpired):
            tool.wait(seconds)
        tool.kill()
        tool.communicate()
        self._figures.failovers[Outcome.KILLED] += 1

    # --- afterwards

    def _mend(self) -> None:
        """Heal the network, and let every node run again."""
        self._cluster.network.heal()
        for number in self._cluster.numbers:
            for daemon in DAEMONS:
                self._cluster.thaw(number, daemon)
            self._cluster.start(number, "noded")

    def _go_on(self, chance: random.Random) -> None:
        """Do what an operator would until a master acknowledges something."""
        moment, until = time.monotonic(), time.monotonic() + RECOVERY_TIMEOUT
        for patience in (3.0, 5.0, 10.0, 20.0, 30.0, 60.0):
            with suppress(AssertionError):
                eventually(lambda: self._figures.ledger.acknowledged_since(moment), patience)
                return
            if time.monotonic() > until:
                break
            for number in self._cluster.numbers:
                self._cluster.watch(number)
            if not self._figures.ledger.acknowledged_since(moment):
                for number in chance.sample(self._cluster.numbers, NODES):
                    if self._attempt(number) is Outcome.DONE:
                        break
        raise NoMaster(
            f"no master acknowledged anything for {time.monotonic() - moment:.0f} seconds after"
            f" the network was healed; master daemons run on {self._cluster.masters() or 'no node'}"
        )

    def _acknowledging(self) -> int:
        """Return the node whose master acknowledged something last."""
        eventually(lambda: self._figures.ledger.jobs)
        return self._figures.ledger.jobs[-1].node

    def _check(self) -> None:
        """Compare what was acknowledged with what is there, now that no client asks."""
        master = self._cluster.master()
        found = look(self._cluster, master, self._figures.ledger)
        self._figures.lost = lost(self._figures.ledger, found)
        self._figures.masters = two_masters(self._figures.ledger, self._attempts)
        # What a master that was killed left half done is for the watcher, or for an operator: it
        # is not lost.
        self._cluster.watch(master)
        done = self._cluster.tool(master, "gnt-cluster", "verify")
        errors = [line.strip() for line in done.stdout.splitlines() if "ERROR" in line]
        self._figures.unfinished = [each for each in errors if ": instance " in each]
        self._figures.problems += [each for each in errors if ": instance " not in each]


def main() -> int:
    """Make a cluster, break its network, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=1, help="the number of the first trial")
    parser.add_argument("--minutes", type=float, default=120.0, help="when to stop at the latest")
    options = parser.parse_args()
    if reason := reason_to_skip():
        print(reason)
        return 2
    # Told to end, it ends what it has made.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    figures = Figures(options.seed)
    until = time.monotonic() + 60 * options.minutes
    cluster = PartitionedCluster(NODES)
    try:
        last = options.first + options.trials - 1
        Trials(cluster, figures).run(options.first, last, until)
    finally:
        left = cluster.destroy()
    figures.problems += [f"left behind: {each}" for each in left]
    print(figures)
    return 0 if figures.good else 1


if __name__ == "__main__":
    sys.exit(main())
