# SPDX-License-Identifier: BSD-2-Clause
"""Processes that are ours: found by pid files, proven by what the kernel says of them, ended."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

Proof = Callable[[list[str], list[str]], bool]
"""Whether a process with these arguments and this environment is the one that is meant."""


@dataclass(frozen=True)
class Process:
    """A process, told from a later one with the same number by the moment it was started."""

    pid: int
    started: int

    def alive(self) -> bool:
        return _started(self.pid) == self.started

    def send(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens if the process is gone."""
        if self.alive():
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


def proven(pid_file: Path, proof: Proof) -> Process | None:
    """The process that a pid file names, if it runs and is the one that is meant."""
    try:
        pid = int(pid_file.read_text())
        process = Process(pid, _started(pid))
        arguments, environment = (_words(pid, what) for what in ("cmdline", "environ"))
    except (OSError, ValueError):
        return None
    return process if proof(arguments, environment) and process.alive() else None


def end(processes: Iterable[Process], patience: float) -> list[Process]:
    """Ask processes to end, and after ``patience`` seconds make them; answers which needed that."""
    left = list(processes)
    for process in left:
        process.send(signal.SIGTERM)
    stubborn = _wait(left, patience)
    for process in stubborn:
        process.send(signal.SIGKILL)
    _wait(stubborn, patience)
    return stubborn


def _wait(processes: list[Process], patience: float) -> list[Process]:
    until = time.monotonic() + patience
    while (left := [process for process in processes if process.alive()]) and (
        time.monotonic() < until
    ):
        time.sleep(0.01)
    return left


def _started(pid: int) -> int:
    """When a process was started, in ticks of the kernel; -1 if it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return -1
    # The second field, the program's name in brackets, may hold anything.
    state, *fields = text.rpartition(")")[2].split()
    return -1 if state == "Z" else int(fields[18])


def _words(pid: int, what: str) -> list[str]:
    text = Path(f"/proc/{pid}/{what}").read_text(errors="replace")
    return text.rstrip("\0").split("\0")
