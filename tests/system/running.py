# SPDX-License-Identifier: BSD-2-Clause
"""A cluster of real daemons in a folder of its own, made by the quick start, for tests."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import GanetiError
from ganeti.luxi.client import LuxiClient
from ganeti.luxi.methods import Request
from ganeti.opcodes.opcode import Opcode
from tools.quickstart import orders
from tools.quickstart.daemons import Daemon, daemons
from tools.quickstart.place import TREE, Cluster, find

R = TypeVar("R")

TIMEOUT = 60.0
"""Seconds that any single step may take on a busy machine."""


class RunningCluster:
    """A cluster that runs until ``destroy``."""

    def __init__(
        self, *options: str, name: str = "trial", more: Mapping[str, str] | None = None
    ) -> None:
        # Short, because sockets are in it.
        self.home = Path(tempfile.mkdtemp(prefix="gnt-"))
        self.name = name
        made = self.quickstart(*options, more=more)
        found = find(self.home / name)
        if made.returncode != 0 or found is None:
            shutil.rmtree(self.home)
            raise AssertionError(f"the quick start failed: {made.stdout}{made.stderr}")
        self.cluster: Cluster = found
        self.said = made.stdout

    def quickstart(
        self, *arguments: str, more: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """What a command of the quick start does for this cluster; ``more`` is environment."""
        return run([*self.command(), *arguments], environment=more)

    def command(self) -> list[str]:
        """Return how to call the quick start for this cluster."""
        return [
            *(sys.executable, "-P", "-m", "tools.quickstart"),
            *("--folder", str(self.home), "--name", self.name),
        ]

    def tool(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """What ``gnt-NAME`` does."""
        return run([str(self.cluster.tools / f"gnt-{name}"), *arguments])

    @contextmanager
    def terminal(self, name: str, *arguments: str) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
        """``gnt-NAME`` in a terminal of its own, until the block ends; its other end."""
        terminal, its = os.openpty()
        command = [str(self.cluster.tools / f"gnt-{name}"), *arguments]
        process = subprocess.Popen(command, stdin=its, stdout=its, stderr=its)
        os.close(its)
        try:
            yield terminal, process
        finally:
            process.terminate()
            process.wait(TIMEOUT)
            os.close(terminal)

    def client(self) -> LuxiClient:
        return orders.client_of(self.cluster.master)

    def ask(self, request: Request[R]) -> R:
        with self.client() as client:
            return client.ask(request)

    def perform(self, *opcodes: Opcode) -> list[Any]:
        """Have opcodes done, as a job each; their results."""
        with self.client() as client:
            return orders.perform(client, opcodes)

    def curl(self, method: str, path: str, body: Any = None, *options: str) -> tuple[int, Any]:
        """The status and the document that curl gets from the remote API."""
        sent = [] if body is None else ["-H", "Content-Type: application/json", "-d", "@-"]
        done = run(
            [
                *("curl", "-sS", "-m", "30", "-X", method, "-w", "\n%{http_code}"),
                *("--cacert", self.cluster.master.paths.authority),
                *("--netrc-file", str(self.cluster.curl_file)),
                *(*sent, *options, f"{self.cluster.rapi}{path}"),
            ],
            said="" if body is None else json.dumps(body),
        )
        if done.returncode != 0:
            raise AssertionError(f"curl {method} {path}: {done.stderr}")
        text, _, status = done.stdout.rpartition("\n")
        return int(status), json.loads(text) if text else None

    def daemon(self, kind: str, node: int = 1) -> Daemon:
        return Daemon(self.cluster, self.cluster.node(node), kind)

    def kill(self, kind: str, node: int = 1) -> None:
        """Kill a daemon, which has no time to put anything in order."""
        process = self.daemon(kind, node).process()
        assert process is not None, f"{kind} of node {node} does not run"
        process.send(signal.SIGKILL)
        eventually(lambda: not process.alive())

    def destroy(self) -> list[str]:
        """End everything; answers what is left of it, which should be nothing."""
        try:
            done = self.quickstart("destroy")
            problems = [] if done.returncode == 0 else [done.stdout + done.stderr]
            for daemon in daemons(self.cluster):
                if process := daemon.process():
                    problems.append(f"{daemon.program} of {daemon.node.name} runs")
                    process.send(signal.SIGKILL)
            problems += [str(path) for path in self.home.rglob("*")]
            return problems + processes_of(self.home)
        finally:
            shutil.rmtree(self.home, ignore_errors=True)


class SharedCluster(SynchronousTestCase):
    """Tests of one class share a cluster: made for the first of them, gone after the last."""

    running: RunningCluster
    options: ClassVar[tuple[str, ...]] = ()
    _shared: ClassVar[RunningCluster | None] = None
    _ended: ClassVar[int] = 0

    def setUp(self) -> None:
        kind = type(self)
        if kind._shared is None:
            kind._shared = RunningCluster(*self.options)
            # For a run of only some of the tests.
            atexit.register(kind._end)
        self.running = kind._shared
        self.addCleanup(self._count)

    def _count(self) -> None:
        kind = type(self)
        kind._ended += 1
        if kind._ended == len([name for name in dir(kind) if name.startswith("test_")]):
            self.assertEqual(kind._end(), [], "left behind")

    @classmethod
    def _end(cls) -> list[str]:
        shared, cls._shared = cls._shared, None
        return shared.destroy() if shared else []


def run(
    command: list[str],
    *,
    said: str = "",
    environment: Mapping[str, str] | None = None,
    patience: float = 2 * TIMEOUT,
) -> subprocess.CompletedProcess[str]:
    """Run a program of this tree to its end."""
    return subprocess.run(
        command,
        input=said,
        env={**os.environ, "PYTHONPATH": str(TREE), **(environment or {})},
        capture_output=True,
        text=True,
        timeout=patience,
    )


def eventually(condition: Callable[[], Any], patience: float = TIMEOUT) -> Any:
    """The first true answer of ``condition``, for which nothing but asking again tells the time."""
    until = time.monotonic() + patience
    while not (answer := condition()):
        if time.monotonic() > until:
            raise AssertionError(f"not within {patience:g} seconds")
        time.sleep(0.02)
    return answer


def processes_of(folder: Path) -> list[str]:
    """Processes whose command line or environment names a folder, other than this one."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                text = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            except OSError:
                continue
            if os.fsencode(folder) in text:
                found.append(f"process {entry.name}: {(entry / 'cmdline').read_bytes()!r}")
    return found


def refusal(attempt: Callable[[], object]) -> str:
    """What an attempt is refused with."""
    try:
        attempt()
    except GanetiError as e:
        return str(e)
    raise AssertionError("it was not refused")
