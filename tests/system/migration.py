# SPDX-License-Identifier: BSD-2-Clause
"""A real guest counts on its serial console while it moves between two nodes.

``python -m tests.system.migration`` makes a cluster, moves the guest to and fro, and prints for
each move what the job reported and how long the guest was silent; ``test_guests`` is the same as a
test. The guest keeps no clock that could tell: the time is that at which a number is read here.
"""

from __future__ import annotations

import argparse
import re
import select
import socket
import statistics
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.system.linux import MINI
from tests.system.running import TIMEOUT, RunningCluster, eventually

NAME = "counter"
_COUNTS = b"i=0; while i=$((i + 1)); do echo count-$i; sleep 0.05; done &\n"
_WRITES = (
    b"dd if=/dev/urandom of=/dev/vda bs=1M seek=8 conv=notrunc 2>/dev/null; i=0;"
    b" while i=$((i + 1)); do echo block-$i | dd of=/dev/vda bs=4k seek=$((i % 1000 + 64))"
    b" conv=notrunc,fsync 2>/dev/null; echo count-$i; done &\n"
)
"""A guest fills its disk with data, and then writes a block for each number before it counts."""
_COUNTED = re.compile(rb"count-(\d+)\r\n")
_COPIED = re.compile(r"copied \d+ MiB of disks in [\d.]+ s \(([\d.]+) MiB/s\)")
_STOOD_STILL = re.compile(r"downtime: at most (\d+) ms")
_BEFORE_AND_AFTER = 40
"""How many numbers are waited for around each move, for a gap to be seen as one."""


@dataclass(frozen=True)
class Count:
    """A number of the guest, the node it was read from and when, in seconds."""

    number: int
    node: int
    at: float


@dataclass(frozen=True)
class Move:
    """What a job said of a move, and the guest's numbers before, while and after it moved."""

    reported: float
    """The seconds that it stood still at most, as the job says."""
    counts: Sequence[Count]
    copied: float = 0.0
    """With what rate disks were copied, in MiB per second; 0 if none were."""

    @property
    def lost(self) -> list[int]:
        """Numbers that are missing, or not where they belong."""
        first = self.counts[0].number
        return [at for at, each in enumerate(self.counts, start=first) if each.number != at]

    @property
    def silent(self) -> float:
        """The seconds from the last number on the old node to the first on the new one."""
        [gap] = [b.at - a.at for a, b in self._pairs() if a.node != b.node]
        return gap

    @property
    def usual(self) -> float:
        """The seconds from one number to the next, as they mostly are."""
        return statistics.median(self._gaps())

    @property
    def longest(self) -> float:
        """The longest time from one number to the next on the same node."""
        return max(self._gaps())

    def _pairs(self) -> list[tuple[Count, Count]]:
        return list(zip(self.counts, self.counts[1:], strict=False))

    def _gaps(self) -> list[float]:
        return [b.at - a.at for a, b in self._pairs() if a.node == b.node]


class Consoles:
    """Reads a guest's console on every node that has it, the older ones first."""

    def __init__(self, running: RunningCluster) -> None:
        self._sockets = {
            node.number: Path(node.paths.run, "kvm", "control", f"{NAME}.serial")
            for node in running.cluster.nodes
        }
        self._open: dict[int, socket.socket] = {}
        self._unread = b""
        self.counts: list[Count] = []

    def write(self, text: bytes) -> None:
        [only] = self._open.values()
        only.sendall(text)

    def read(self) -> bytes:
        """Read what is there, or is within a moment; answers what the guest said last."""
        for node, path in self._sockets.items():
            if node not in self._open and path.exists():
                self._connect(node, path)
        ready, _, _ = select.select(list(self._open.values()), [], [], 0.01)
        # What one node has is older than what the next one has: the guest is on one at a time.
        for node, each in list(self._open.items()):
            if each in ready:
                self._take(node, each)
        return self._unread

    def close(self) -> None:
        for each in self._open.values():
            each.close()

    def _connect(self, node: int, path: Path) -> None:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(str(path))
        except OSError:
            connection.close()
        else:
            self._open[node] = connection

    def _take(self, node: int, connection: socket.socket) -> None:
        data = b""
        with suppress(ConnectionError):
            data = connection.recv(65536)
        now = time.monotonic()
        if not data:
            connection.close()
            del self._open[node]
        self._unread += data
        end = 0
        for found in _COUNTED.finditer(self._unread):
            self.counts.append(Count(int(found[1]), node, now))
            end = found.end()
        self._unread = self._unread[end:]


class CountingGuest:
    """A guest on two nodes, which counts on its console.

    With ``local``, the MiB of a disk that only its node can access, it also writes all the time.
    """

    def __init__(self, running: RunningCluster, local: int = 0) -> None:
        self._running = running
        self._local = bool(local)
        self._node = 1
        template, size = ("file", f"{local}m") if local else ("sharedfile", "1m")
        made = running.tool(
            *("instance", "add", "-t", template, "-s", size, "-o", "mini"),
            *("-n", running.cluster.node(1).name, "--no-ip-check", "--no-name-check", NAME),
        )
        assert made.returncode == 0, made.stdout + made.stderr
        self._consoles = Consoles(running)
        eventually(lambda: b"# " in self._consoles.read(), 2 * TIMEOUT)
        self._consoles.write(_WRITES if local else _COUNTS)
        self._counted(1)

    def close(self) -> None:
        self._consoles.close()

    def move(self, numbers: int = _BEFORE_AND_AFTER, *options: str) -> Move:
        """Let it move to the other node, with at least ``numbers`` before and after.

        ``options`` are for ``gnt-instance migrate``.
        """
        consoles = self._consoles
        start = len(consoles.counts)
        self._counted(numbers)
        command = [
            str(self._running.cluster.tools / "gnt-instance"),
            "migrate",
            "-f",
            *options,
            *self._name_target(),
            NAME,
        ]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as moving:
            while moving.poll() is None:
                consoles.read()
            assert moving.stdout is not None
            said = moving.stdout.read()
        stood_still = _STOOD_STILL.search(said)
        assert moving.returncode == 0 and stood_still, said
        self._counted(numbers)
        copied = _COPIED.search(said)
        rate = float(copied[1]) if copied else 0.0
        return Move(int(stood_still[1]) / 1000, consoles.counts[start:], rate)

    def _name_target(self) -> tuple[str, ...]:
        if not self._local:
            return ()
        self._node = 3 - self._node
        return ("-n", self._running.cluster.node(self._node).name)

    def _counted(self, more: int) -> None:
        enough = len(self._consoles.counts) + more
        eventually(lambda: self._consoles.read() is not None and self._enough(enough), 3 * TIMEOUT)

    def _enough(self, count: int) -> bool:
        return len(self._consoles.counts) >= count


def cluster() -> RunningCluster:
    """Two nodes whose guests are real."""
    environment = {"GANETI_MINI_GUEST": str(MINI)}
    return RunningCluster("--hypervisor", "kvm", "--nodes", "2", more=environment)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--times", type=int, default=10, help="how often it moves (10)")
    parser.add_argument(
        "--local",
        type=int,
        default=0,
        metavar="MIB",
        help="size of a disk that is only on its node, is full of data, and is copied (none)",
    )
    given = parser.parse_args()
    times = given.times
    running = cluster()
    try:
        # Without a limit, the figures are those of the machine.
        set_limit = running.tool("cluster", "modify", "-H", "kvm:migration_bandwidth=0")
        assert set_limit.returncode == 0, set_limit.stderr
        guest = CountingGuest(running, given.local)
        print(
            "move  reported  silent  usual  longest elsewhere  numbers  lost     (milliseconds)"
            "  MiB/s of disks"
        )
        for number in range(1, times + 1):
            move = guest.move()
            gaps = (move.reported, move.silent, move.usual, move.longest)
            reported, silent, usual, longest = (round(each * 1000) for each in gaps)
            print(
                f"{number:4}  {reported:8}  {silent:6}  {usual:5}  {longest:17}"
                f"  {len(move.counts):7}  {len(move.lost):4}  {move.copied:32}",
                flush=True,
            )
        guest.close()
    finally:
        for problem in running.destroy():
            print(problem)


if __name__ == "__main__":
    main()
