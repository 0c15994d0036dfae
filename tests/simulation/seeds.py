# SPDX-License-Identifier: BSD-2-Clause
"""Plays many seeds, or replays one: ``python -m tests.simulation.seeds crash --seeds 1000``."""

from __future__ import annotations

import os
import sys
import time
from argparse import ArgumentParser

from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
    textFileLogObserver,
)

from tests.simulation import modes
from tests.simulation.scenario import MODES, play, writes_of


def main() -> int:
    if os.environ.get("PYTHONHASHSEED") != "0":
        # The order of what is in sets is part of a history that is to be replayed.
        command = [sys.executable, "-m", "tests.simulation.seeds", *sys.argv[1:]]
        os.execve(sys.executable, command, {**os.environ, "PYTHONHASHSEED": "0"})
    options = ArgumentParser(description=__doc__)
    options.add_argument("mode", choices=[*MODES, *modes.MODES])
    options.add_argument("--first", type=int, default=0, help="the first seed")
    options.add_argument("--seeds", type=int, default=1, help="how many")
    options.add_argument("--every-write", action="store_true", help="each write in turn goes wrong")
    options.add_argument("--log", choices=("info", "warn", "error"), help="show the cluster's log")
    options.add_argument("--trace", action="store_true", help="show what was done to the cluster")
    chosen = options.parse_args()
    observers = []
    if chosen.log:
        level = LogLevelFilterPredicate(LogLevel.levelWithName(chosen.log))
        observers.append(FilteringLogObserver(textFileLogObserver(sys.stdout), [level]))
    globalLogBeginner.beginLoggingTo(observers, redirectStandardIO=False)
    began, played, bad = time.monotonic(), 0, 0
    for seed in range(chosen.first, chosen.first + chosen.seeds):
        writes = range(1, writes_of(seed) + 1) if chosen.every_write else [None]
        for write in writes:
            if chosen.mode in MODES:
                found = play(MODES[chosen.mode], seed, write=write)
            else:
                playing = modes.MODES[chosen.mode].campaign(seed)
                found = playing.play()
                if chosen.trace:
                    print("\n".join(playing.log))
            played += 1
            bad += bool(found)
            for problem in found:
                print(f"seed {seed}{f', write {write}' if write else ''}: {problem}")
    took = time.monotonic() - began
    print(f"{played} scenarios, {bad} with problems, {played / took:.1f} per second")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
