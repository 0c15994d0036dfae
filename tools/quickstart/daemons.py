# SPDX-License-Identifier: BSD-2-Clause
"""The daemons of a cluster's nodes, and the guests that outlive them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ganeti.errors import Code, Failed
from tools.quickstart.place import Cluster, Node
from tools.quickstart.processes import Process, Proof, end, proven

STARTING = 60.0
ENDING = 20.0
"""Seconds: a little more than daemons give to the work that is under way."""

DYING = 5.0


@dataclass(frozen=True)
class Daemon:
    """One daemon of one node."""

    cluster: Cluster
    node: Node
    kind: str

    @property
    def program(self) -> str:
        return f"ganeti-{self.kind}"

    @property
    def log(self) -> str:
        name = {
            "noded": "node-daemon",
            "masterd": "master-daemon",
            "rapi": "rapi-daemon",
            "watchdog": "watchdog",
        }[self.kind]
        return f"{self.node.paths.log}/{name}.log"

    @property
    def module(self) -> str:
        """The module that is run as a program."""
        return f"ganeti.daemon.{'watchdogd' if self.kind == 'watchdog' else self.kind}"

    def process(self) -> Process | None:
        """The running daemon."""
        root = f"GANETI_ROOTDIR={self.node.paths.root}"
        return proven(
            Path(self.node.paths.run) / f"{self.program}.pid",
            lambda arguments, environment: self.module in arguments and root in environment,
        )

    def start(self, *options: str, token: str = "") -> None:
        """Start the daemon; it listens when this returns.

        :raises Failed: it does not, and why.
        """
        command = [sys.executable, "-m", self.module, *options]
        try:
            done = subprocess.run(
                self.cluster.command(self.node, command),
                input=token,
                env={**os.environ, **self.cluster.environment(self.node)},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                timeout=STARTING,
            )
        except subprocess.TimeoutExpired:
            raise self._failed(f"it did not start within {STARTING:g} seconds") from None
        if done.returncode != 0:
            raise self._failed(done.stderr.strip() or f"exit code {done.returncode}")

    def _failed(self, why: str) -> Failed:
        where = f"; its log is {self.log}" if os.path.exists(self.log) else ""
        return Failed(f"{self.program} of {self.node.name}: {why}{where}", Code.ENVIRONMENT)


def daemons(cluster: Cluster) -> list[Daemon]:
    """All that should run, the node daemon of the first node first."""
    nodes = [Daemon(cluster, node, "noded") for node in cluster.nodes]
    master = master_of(cluster)
    return [*nodes, Daemon(cluster, master, "masterd"), Daemon(cluster, master, "rapi")]


def master_of(cluster: Cluster) -> Node:
    """Return the node that has the master role now, which moves by ``gnt-cluster master-failover``.

    That is where the master daemon runs, or if it runs nowhere, the node that most nodes name.
    """
    for node in cluster.nodes:
        if Daemon(cluster, node, "masterd").process() is not None:
            return node
    named = Counter(map(_known_master, cluster.nodes))
    return max(cluster.nodes, key=lambda node: named[node.name])


def _known_master(node: Node) -> str:
    """The name of the master as a node knows it."""
    try:
        return Path(f"{node.paths.data}/ssconf_master_node").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def stop(cluster: Cluster) -> None:
    """End the daemons on all nodes, those first that ask others; guests go on.

    The watchdogs are the very first: without node daemons, they would end the guests. Node daemons
    may have started others on candidates meanwhile.
    """
    for kind in ("watchdog", "rapi", "masterd", "noded", "watchdog", "masterd", "rapi"):
        found = (Daemon(cluster, node, kind).process() for node in cluster.nodes)
        end([process for process in found if process is not None], ENDING)


def end_guests(cluster: Cluster) -> int:
    """End the virtual machines of a cluster whose daemons do not run; answers how many."""
    guests = list(_guests(cluster))
    end(guests, DYING)
    return len(guests)


def _guests(cluster: Cluster) -> Iterator[Process]:
    for node in cluster.nodes:
        for pid_file in Path(node.paths.run).glob("*/**/*.pid"):
            guest = proven(pid_file, _was_told(str(pid_file)))
            if guest is not None:
                yield guest


def _was_told(path: str) -> Proof:
    """QEMU was told where to write its number."""
    return lambda arguments, _: any(path in each for each in arguments)
