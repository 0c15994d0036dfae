# SPDX-License-Identifier: BSD-2-Clause
"""Plants each bug in a copy of the tree and plays seeds of its modes until one finds it."""

from __future__ import annotations

import compileall
import os
import shutil
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from tests.simulation.mutants.catalog import MUTANTS
from tests.simulation.mutants.mutant import Mutant

ROOT = Path(__file__).parents[3]
COPIED = ("ganeti", "tests/simulation", "tests/__init__.py")
TIMEOUT = 900
"""Seconds that the seeds of one mode may take; a simulation that hangs has found the mutant."""


@dataclass(frozen=True)
class Finding:
    """What has found a mutant: the mode, the seed, and the first problem it shows."""

    mode: str
    seed: str
    problem: str


@dataclass(frozen=True)
class Outcome:
    """What came of a mutant, and how many seconds it took; no finding if all seeds have passed."""

    mutant: Mutant
    finding: Finding | None
    took: float

    def __str__(self) -> str:
        name = f"{self.mutant.name:36}"
        if self.finding is None:
            return f"{name} NOT FOUND in {self.took:.0f} s: {self.mutant.reason}"
        where = f"{self.finding.mode}, seed {self.finding.seed}"
        return f"{name} {where:22} {self.took:4.0f} s  {self.finding.problem[:120]}"


def main() -> int:
    options = ArgumentParser(prog="python -m tests.simulation.mutants", description=__doc__)
    options.add_argument("--only", action="append", default=[], help="the name of a mutant")
    options.add_argument("--mode", action="append", default=[], help="in place of their own modes")
    options.add_argument("--seeds", type=int, help="how many of each mode, in place of its bound")
    options.add_argument("--jobs", type=int, default=1, help="how many are played at a time")
    options.add_argument(
        "--table", type=Path, help="write what was found to this file, in Markdown"
    )
    options.add_argument("--list", action="store_true", help="show what there is, and run nothing")
    chosen = options.parse_args()
    mutants = [each for each in MUTANTS if not chosen.only or each.name in chosen.only]
    if unknown := set(chosen.only) - {each.name for each in mutants}:
        options.error(f"unknown mutants: {', '.join(sorted(unknown))}")
    if chosen.list:
        for mutant in mutants:
            print(f"{mutant.name:36} {mutant.file}: {mutant.reason}")
        return 0

    outcomes = []
    with (
        tempfile.TemporaryDirectory(prefix="mutants-") as name,
        ThreadPoolExecutor(chosen.jobs) as pool,
    ):
        code = Path(name)
        _copy_code(code)

        def played(mutant: Mutant) -> Outcome:
            began = time.monotonic()
            finding = find(mutant, chosen.mode or mutant.modes, chosen.seeds or mutant.seeds, code)
            return Outcome(mutant, finding, time.monotonic() - began)

        for outcome in pool.map(played, mutants):
            print(outcome, flush=True)
            outcomes.append(outcome)
    missed = [each.mutant.name for each in outcomes if each.finding is None]
    print(f"{len(mutants)} mutants, {len(mutants) - len(missed)} found")
    if missed:
        print(f"not found: {', '.join(missed)}")
    if chosen.table is not None:
        chosen.table.write_text(table(outcomes))
    return bool(missed)


def table(outcomes: Iterable[Outcome]) -> str:
    """Return what was found as a table in Markdown."""
    rows = [
        f"| `{each.mutant.name}` | {each.mutant.reason} | {_cells(each.finding)} |"
        for each in outcomes
    ]
    return "\n".join(
        ["| planted | what is wrong then | mode | seeds |", "|---|---|---|---|", *rows, ""]
    )


def _cells(finding: Finding | None) -> str:
    if finding is None:
        return "– | not found"
    # Seeds are counted from 0.
    needed = int(finding.seed) + 1 if finding.seed else "hangs"
    return f"{finding.mode} | {needed}"


def find(mutant: Mutant, modes: Iterable[str], seeds: int, code: Path) -> Finding | None:
    """Play seeds of the modes with the mutant in a copy of ``code``; None if all of them pass."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as name:
        tree = Path(name) / "tree"
        shutil.copytree(code, tree)
        file = tree / mutant.file
        file.write_text(mutant.planted_in(file.read_text()))
        for mode in modes:
            if (finding := _played(tree, mode, "--seeds", str(seeds))) is not None:
                if finding.seed and _played(code, mode, "--first", finding.seed) is not None:
                    problem = f"IT FAILS WITHOUT THE MUTANT, TOO: {finding.problem}"
                    return replace(finding, problem=problem)
                return finding
    return None


def _copy_code(to: Path) -> None:
    """Copy what is played, so that work on it meanwhile changes nothing, and compile it once."""
    for part in COPIED:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, to / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            (to / part).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / part, to / part)
    compileall.compile_dir(to, quiet=2)


def _played(tree: Path, mode: str, *which: str) -> Finding | None:
    command = [sys.executable, "-m", "tests.simulation.seeds", mode, "--until-found", *which]
    try:
        played = subprocess.run(
            command,
            cwd=tree,
            env={**os.environ, "PYTHONPATH": str(tree)},
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Finding(mode, "", f"it takes more than {TIMEOUT} s")
    if not played.returncode:
        return None
    first = (played.stdout or played.stderr).splitlines()[0]
    seed, _, problem = first.removeprefix("seed ").partition(": ")
    return Finding(mode, seed, problem)


if __name__ == "__main__":
    sys.exit(main())
