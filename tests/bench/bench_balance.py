# SPDX-License-Identifier: BSD-2-Clause
"""How good plans and capacities are beside those of Ganeti's htools, on the same clusters.

``python -m tests.bench.bench_balance FILE.data …`` reads clusters in the text format of htools(1).
It prints for each the score by hbal's own measure: before, after hbal's moves, after ours, and what
hbal would still gain after ours; and the number of standard instances that hspace and we count. It
needs ``hbal`` and ``hspace`` of Debian's package ganeti-htools.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ganeti.placement.balance import BalanceOptions, plan_balance
from ganeti.placement.capacity import Size, compute_capacity
from ganeti.placement.cluster_model import Storage
from tests.placement.htools_text import STORAGE, TextCluster, read

MIN_GAIN = 1e-4
SIZES = (("drbd", 128, 1024, 1), ("plain", 128, 1024, 1), ("ext", 2048, 20480, 2))


def judge(path: Path) -> tuple[float | None, float | None, int]:
    """Return hbal's score of a cluster, the score that it reaches, and its number of moves."""
    command = ["hbal", "-v", "-t", str(path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    text = ended.stdout + ended.stderr
    start = re.search(r"Initial score: ([\d.]+)|overall ([\d.]+)", text)
    end = re.search(r"improved from ([\d.]+) to ([\d.]+)", text)
    length = re.search(r"Solution length=(\d+)", text)
    before = float(start[1] or start[2]) if start else None
    return before, float(end[2]) if end else before, int(length[1]) if length else 0


def compare_balance(path: Path, cluster: TextCluster, folder: Path) -> str:
    began = time.monotonic()
    plan = plan_balance(cluster.model, BalanceOptions(min_gain=MIN_GAIN), time.monotonic)
    took = time.monotonic() - began
    moves = [move for group in plan.groups for move in group.moves]
    places = {move.instance: (move.new_primary, move.new_secondary) for move in moves}
    result = folder / "balanced.data"
    result.write_text(cluster.write(places))
    before, theirs, length = judge(path)
    ours, left, _ = judge(result)
    return (
        f"score {_show(before)} | hbal {_show(theirs)} in {length} moves | ours {_show(ours)} in"
        f" {len(moves)} moves, {took:.1f} s | hbal after ours {_show(left)}"
    )


def compare_capacity(path: Path, cluster: TextCluster, size: tuple[str, int, int, int]) -> str:
    template, memory, disk, vcpus = size
    shared = template not in STORAGE
    began = time.monotonic()
    wanted = Size(
        name=template,
        memory=memory,
        disk=0 if shared else disk,
        vcpus=vcpus,
        storage=STORAGE.get(template, Storage.SHARED),
        spindles=0 if shared else 1,
        groups=tuple({node.group for node in cluster.model.nodes}),
    )
    [counted] = compute_capacity(cluster.model, [wanted]).sizes
    took = time.monotonic() - began
    command = ["hspace", "-t", str(path), "--disk-template", template, "--machine-readable"]
    command += ["--standard-alloc", f"{disk},{memory},{vcpus}", "--accept-existing-errors"]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        theirs = "more than 60 s"
    else:
        found = re.search(r"HTS_ALLOC_INSTANCES=(\d+)", ended.stdout)
        theirs = found[1] if found else "no answer"
    return f"{template} {memory} MiB: hspace {theirs} | ours {counted.count}, {took:.2f} s"


def _show(score: float | None) -> str:
    return "-" if score is None else f"{score:.4f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    given = parser.parse_args()
    if missing := [name for name in ("hbal", "hspace") if shutil.which(name) is None]:
        print(f"skipped: {' and '.join(missing)} of the package ganeti-htools are not installed")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        for path in given.files:
            cluster = read(path.read_text())
            print(path.name)
            print(" ", compare_balance(path, cluster, Path(folder)), flush=True)
            for size in SIZES:
                print(" ", compare_capacity(path, cluster, size), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
