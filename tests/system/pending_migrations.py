# SPDX-License-Identifier: BSD-2-Clause
"""A real guest moves between two nodes while changes of every kind wait for its next start.

``python -m tests.system.pending_migrations`` prints for each change what the tools answer, whether
the guest went on counting, and what it ran with afterwards; ``test_guests`` is the same as a test.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.system.migration import NAME, CountingGuest, cluster
from tests.system.running import RunningCluster

NUMBERS = 5
"""How many numbers the guest must count before and after each move."""


@dataclass(frozen=True)
class Change:
    """A kind of change, the options of ``gnt-instance modify`` for it, and for taking it back."""

    kind: str
    options: Sequence[str]
    back: Sequence[str]


def parameter(kind: str, name: str, value: str) -> Change:
    """The change of a hypervisor parameter."""
    return Change(kind, ["-H", f"{name}={value}"], ["-H", f"{name}=default"])


CHANGES = (
    Change("virtual processors", ["-B", "vcpus=2"], ["-B", "vcpus=default"]),
    Change("memory", ["-B", "memory=256"], ["-B", "memory=default"]),
    Change("a network card more", ["--net", "add"], ["--net", "1:remove"]),
    parameter("network card model", "nic_type", "e1000"),
    parameter("disk type", "disk_type", "ide"),
    Change("a disk more", ["--disk", "add:size=1m"], ["--disk", "1:remove"]),
    parameter("boot order", "boot_order", "network"),
    parameter("machine type", "machine_version", "q35"),
    parameter("CPU model", "cpu_type", "qemu64"),
    parameter("VNC", "vnc_bind_address", "127.0.0.1"),
    parameter("further arguments", "kvm_extra", "-device virtio-rng-pci"),
    # Last, as the card that is added in its place is another one.
    Change("a network card less", ["--net", "0:remove"], ["--net", "add"]),
)

REFUSED = (
    parameter("arguments that cannot be split", "kvm_extra", "'-device"),
    parameter("an unknown machine type", "machine_version", "pc-i440fx-99.0"),
    parameter("an unknown CPU model", "cpu_type", "Pentium9"),
    parameter("an image that is not there", "cdrom_image_path", "/nowhere.iso"),
    Change("a disk less", ["--disk", "0:remove"], []),
)
"""Changes that would keep the guest from starting, or take what it uses."""


@dataclass(frozen=True)
class Outcome:
    """What became of a move: numbers that the guest lost, and what waited for its next start."""

    kind: str
    lost: Sequence[int]
    waiting: Sequence[str]


class PendingMoves:
    """The counting guest, which moves once with each change, and is never restarted."""

    def __init__(self, running: RunningCluster) -> None:
        self._running = running
        self.guest = CountingGuest(running)

    def modify(self, *options: str) -> str:
        """What ``gnt-instance modify`` answers; raises if it refuses."""
        done = self._running.tool("instance", "modify", *options, NAME)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def refusal(self, change: Change) -> str:
        """Why a change is refused."""
        done = self._running.tool("instance", "modify", *change.options, NAME)
        assert done.returncode != 0, done.stdout
        return done.stderr.strip()

    def moves(self, changes: Sequence[Change] = CHANGES) -> Iterator[Outcome]:
        """Move the guest with each change, which is taken back afterwards."""
        for change in changes:
            said = self.modify(*change.options)
            waiting = re.search(r"these take effect: (.*?); to restart", said)
            assert waiting, said
            move = self.guest.move(NUMBERS)
            yield Outcome(change.kind, move.lost, waiting[1].split(", "))
            self.modify(*change.back)


def main() -> None:
    running = cluster()
    try:
        moves = PendingMoves(running)
        for outcome in moves.moves():
            lost = f"lost {len(outcome.lost)} numbers" if outcome.lost else "counts on"
            print(f"{outcome.kind:32} moves, {lost}; waits: {', '.join(outcome.waiting)}")
            sys.stdout.flush()
        for change in REFUSED:
            print(f"{change.kind:32} {moves.refusal(change)}")
        moves.guest.close()
    finally:
        for problem in running.destroy():
            print(problem)


if __name__ == "__main__":
    main()
