# SPDX-License-Identifier: BSD-2-Clause
"""Plays many seeds, or replays one: ``python -m tests.simulation.seeds crash --seeds 1000``."""

from __future__ import annotations

import os
import sys
import time
import traceback
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from functools import partial

from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
    textFileLogObserver,
)

from tests.simulation import modes
from tests.simulation.campaign import STEPS
from tests.simulation.scenario import MODES, play, writes_of

ALL = (*MODES, *modes.MODES)


def main() -> int:
    if os.environ.get("PYTHONHASHSEED") != "0":
        # The order of what is in sets is part of a history that is to be replayed.
        command = [sys.executable, "-m", "tests.simulation.seeds", *sys.argv[1:]]
        os.execve(sys.executable, command, {**os.environ, "PYTHONHASHSEED": "0"})
    options = ArgumentParser(prog="python -m tests.simulation.seeds", description=__doc__)
    options.add_argument("mode", choices=("all", *ALL))
    options.add_argument("--first", type=int, default=0, help="the first seed")
    options.add_argument("--seeds", type=int, default=1, help="how many of each mode")
    options.add_argument("--every-write", action="store_true", help="each write in turn goes wrong")
    options.add_argument("--until-found", action="store_true", help="stop at the first problem")
    options.add_argument("--trace", action="store_true", help="show what was done to the cluster")
    options.add_argument(
        "--minimize", action="store_true", help="find the steps that a problem needs; implies trace"
    )
    options.add_argument("--log", choices=("info", "warn", "error"), help="show the cluster's log")
    chosen = options.parse_args()
    observers = []
    if chosen.log:
        level = LogLevelFilterPredicate(LogLevel.levelWithName(chosen.log))
        observers.append(FilteringLogObserver(textFileLogObserver(sys.stdout), [level]))
    globalLogBeginner.beginLoggingTo(observers, redirectStandardIO=False)
    bad = 0
    for mode in ALL if chosen.mode == "all" else [chosen.mode]:
        bad += _play_all(mode, chosen)
        if bad and chosen.until_found:
            break
    return bool(bad)


def _play_all(mode: str, chosen: Namespace) -> int:
    """Play the chosen seeds of a mode; answers in how many there is a problem."""
    began, played, bad = time.monotonic(), 0, 0
    for seed in range(chosen.first, chosen.first + chosen.seeds):
        for where, found in _histories(mode, seed, chosen):
            played += 1
            bad += bool(found)
            for problem in found:
                print(f"seed {seed}{where}: {problem}", flush=True)
            if found and chosen.until_found:
                return bad
    took = time.monotonic() - began
    print(f"{mode}: {played} scenarios, {bad} with problems, {played / took:.1f} per second")
    return bad


def _histories(mode: str, seed: int, chosen: Namespace) -> Iterator[tuple[str, list[str]]]:
    """Play all histories of a seed; each with what tells it from the others, and what is wrong."""
    if mode in modes.MODES:
        found = _campaign(mode, seed, range(STEPS), trace=chosen.trace)
        if found and chosen.minimize:
            _minimize(mode, seed)
        yield "", found
    elif chosen.every_write:
        for write in range(1, writes_of(seed) + 1):
            yield f", write {write}", _guarded(partial(play, MODES[mode], seed, write=write))
    else:
        yield "", _guarded(partial(play, MODES[mode], seed))


def _campaign(mode: str, seed: int, steps: list[int] | range, *, trace: bool) -> list[str]:
    campaign = modes.MODES[mode].campaign(seed)
    found = _guarded(partial(campaign.play, steps))
    if trace:
        print("\n".join(campaign.log))
    return found


def _minimize(mode: str, seed: int) -> None:
    """Leave out steps as long as there is still a problem, and show what is left."""
    steps = list(range(STEPS))
    for step in range(STEPS):
        fewer = [each for each in steps if each != step]
        if _campaign(mode, seed, fewer, trace=False):
            steps = fewer
    print(f"steps {steps} are enough:")
    for problem in _campaign(mode, seed, steps, trace=True):
        print(f"seed {seed}, steps {steps}: {problem}")


def _guarded(playing: Callable[[], list[str]]) -> list[str]:
    """Return what is wrong; that a simulation breaks or hangs is one of these things."""
    try:
        return playing()
    except Exception as e:
        return [f"{type(e).__name__}: {e}", *traceback.format_exc().splitlines()]


if __name__ == "__main__":
    sys.exit(main())
