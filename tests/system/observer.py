# SPDX-License-Identifier: BSD-2-Clause
"""An observer outside a cluster, which sees guests that run on two nodes at one instant.

It reads the notes of the fake hypervisor on every node many times a second.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from urllib.parse import unquote

SAMPLE_INTERVAL = 0.01
"""Seconds between two looks at all nodes."""


@dataclass(frozen=True)
class Twice:
    """A guest that ran on two nodes at one instant."""

    guest: str
    nodes: tuple[int, int]
    at: float

    def __str__(self) -> str:
        return f"{self.guest} ran on the nodes {self.nodes[0]} and {self.nodes[1]} at once"


class GuestObserver:
    """Looks for guests that run on two nodes, as long as its block lasts."""

    def __init__(self, folders: Mapping[int, Path]) -> None:
        """``folders`` are those with the notes of each node's guests."""
        self._folders = dict(folders)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="guest observer")
        self._twice: dict[tuple[str, tuple[int, int]], Twice] = {}
        self.samples = 0

    @property
    def twice(self) -> list[Twice]:
        """Return each guest that ran twice, once for each pair of nodes."""
        return list(self._twice.values())

    def __enter__(self) -> GuestObserver:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self.look()

    def look(self) -> None:
        """Look once at all nodes."""
        self.samples += 1
        homes: dict[str, list[int]] = {}
        for number, folder in self._folders.items():
            for name in _notes(folder):
                homes.setdefault(name, []).append(number)
        for name, numbers in homes.items():
            for pair in combinations(numbers, 2):
                if self._at_once(name, *pair):
                    seen = Twice(unquote(name), pair, time.monotonic())
                    self._twice.setdefault((name, pair), seen)

    def _at_once(self, name: str, first: int, second: int) -> bool:
        """Whether a guest runs on two nodes at one instant, which two looks alone do not show.

        A note is a file that is replaced, never changed. One that is the same before and after
        the other was read was there at that instant.
        """
        before = _runs_since(self._folders[first] / name)
        if before is None or _runs_since(self._folders[second] / name) is None:
            return False
        return _runs_since(self._folders[first] / name) == before

    def _watch(self) -> None:
        while not self._over.wait(SAMPLE_INTERVAL):
            self.look()


def _notes(folder: Path) -> list[str]:
    try:
        # A name that begins with a dot is a note on its way.
        return [name for name in os.listdir(folder) if not name.startswith(".")]
    except FileNotFoundError:
        return []


def _runs_since(note: Path) -> tuple[int, int] | None:
    """Return what identifies a note that says that its guest runs there; None if none does."""
    try:
        with open(note, "rb") as file:
            text, status = file.read(), os.fstat(file.fileno())
        return (status.st_ino, status.st_ctime_ns) if json.loads(text)["place"] == "here" else None
    except FileNotFoundError:
        return None
