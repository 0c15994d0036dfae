# SPDX-License-Identifier: BSD-2-Clause
"""What the quick start says: each step as it is done, with the time since the command was given."""

from __future__ import annotations

import os
import sys
import threading
import time

from ganeti.errors import GanetiError


class Progress:
    """Says what has been done; several threads may report."""

    def __init__(self) -> None:
        # Set by the shell script, which may have installed packages before this began.
        self._began = float(os.environ.get("QUICKSTART_BEGAN") or time.time())
        self._turn = threading.Lock()

    @property
    def seconds(self) -> float:
        """The time since the command was given."""
        return time.time() - self._began

    def done(self, what: str) -> None:
        with self._turn:
            print(f"{self.seconds:6.1f} s  {what}", flush=True)


def say(text: str = "") -> None:
    print(text, flush=True)


def complain(error: GanetiError | OSError) -> None:
    sys.stdout.flush()
    print(f"quickstart: {error}", file=sys.stderr)
