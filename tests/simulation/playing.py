# SPDX-License-Identifier: BSD-2-Clause
"""Playing seeds from a test as ``python -m tests.simulation.seeds`` does."""

from __future__ import annotations

import os
import subprocess
import sys


def played(mode: str, *options: str) -> str:
    """Return what is wrong with seeds of a mode, one problem a line.

    They are played in a process of their own, where the order of sets is always the same: a seed
    that fails here fails there, too.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulation.seeds", mode, *options],
        env={**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr if done.returncode else ""
