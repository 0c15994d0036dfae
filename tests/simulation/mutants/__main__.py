# SPDX-License-Identifier: BSD-2-Clause
"""Plants each bug in a copy of the tree and plays seeds of its modes until one finds it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from dataclasses import dataclass
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


def main() -> int:
    options = ArgumentParser(prog="python -m tests.simulation.mutants", description=__doc__)
    options.add_argument("--only", action="append", default=[], help="the name of a mutant")
    options.add_argument("--seeds", type=int, help="how many of each mode, in place of its bound")
    options.add_argument("--list", action="store_true", help="show what there is, and run nothing")
    chosen = options.parse_args()
    mutants = [each for each in MUTANTS if not chosen.only or each.name in chosen.only]
    if unknown := set(chosen.only) - {each.name for each in mutants}:
        options.error(f"unknown mutants: {', '.join(sorted(unknown))}")
    if chosen.list:
        for mutant in mutants:
            print(f"{mutant.name:32} {mutant.file}: {mutant.reason}")
        return 0
    missed = [each.name for each in mutants if not _report(each, chosen.seeds or each.seeds)]
    print(f"{len(mutants)} mutants, {len(mutants) - len(missed)} found")
    if missed:
        print(f"not found: {', '.join(missed)}")
    return bool(missed)


def _report(mutant: Mutant, seeds: int) -> bool:
    began = time.monotonic()
    finding = find(mutant, seeds)
    took = time.monotonic() - began
    if finding is None:
        print(f"{mutant.name:32} NOT FOUND in {took:.0f} s: {mutant.reason}", flush=True)
        return False
    where = f"{finding.mode}, seed {finding.seed}"
    print(f"{mutant.name:32} {where:22} {took:4.0f} s  {finding.problem[:120]}", flush=True)
    return True


def find(mutant: Mutant, seeds: int) -> Finding | None:
    """Play seeds of a mutant's modes; None if all of them pass."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as name:
        tree = Path(name)
        for part in COPIED:
            (tree / part).parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / part).is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(ROOT / part, tree / part, ignore=ignored)
            else:
                shutil.copy(ROOT / part, tree / part)
        file = tree / mutant.file
        file.write_text(mutant.planted_in(file.read_text()))
        for mode in mutant.modes:
            if (finding := _played(tree, mode, seeds)) is not None:
                return finding
    return None


def _played(tree: Path, mode: str, seeds: int) -> Finding | None:
    command = [sys.executable, "-m", "tests.simulation.seeds", mode]
    try:
        played = subprocess.run(
            [*command, "--seeds", str(seeds), "--until-found"],
            cwd=tree,
            env={**os.environ, "PYTHONPATH": str(tree)},
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Finding(mode, "?", f"it takes more than {TIMEOUT} s")
    if not played.returncode:
        return None
    first = (played.stdout or played.stderr).splitlines()[0]
    seed, _, problem = first.removeprefix("seed ").partition(": ")
    return Finding(mode, seed, problem)


if __name__ == "__main__":
    sys.exit(main())
