# SPDX-License-Identifier: BSD-2-Clause
"""Ways to lose a node with guests, and what is seen of it from outside."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ganeti.luxi.methods import QueryFailover
from tests.system.partitions import PartitionedCluster
from tests.system.running import TIMEOUT, eventually


class LostNodes:
    """The nodes of a cluster that are lost, one at a time; ``ways`` are the ways to lose one."""

    def __init__(self, cluster: PartitionedCluster) -> None:
        self._cluster = cluster
        self.ways: Sequence[Callable[[int], None]] = (self.cut_off, self.lose_power, self.freeze)

    def cut_off(self, number: int) -> None:
        """Drop all packets to and from a node."""
        others = [each for each in self._cluster.numbers if each != number]
        self._cluster.network.cut([number], others)

    def lose_power(self, number: int) -> None:
        """Kill all daemons of a node at once, with its guests."""
        for daemon in ("watchdog", "noded"):
            self._cluster.send(number, daemon, signal.SIGKILL)
        shutil.rmtree(self._cluster.guest_folders()[number], ignore_errors=True)

    def freeze(self, number: int) -> None:
        """Pause the node daemon; the watchdog and the guests go on."""
        self._cluster.freeze(number, "noded")

    def bring_back(self, number: int) -> None:
        """Let a node run again, and wait until it has rejoined."""
        self._cluster.network.heal()
        self._cluster.thaw(number, "noded")
        self._cluster.start(number, "noded")
        name = self._cluster.name(number)
        eventually(lambda: self._nodes()[name]["fence"] is None, TIMEOUT)

    # --- what is seen

    def wait_for_guard(self, number: int) -> None:
        """Wait until the master knows that a watchdog guards the guests of a node."""
        name = self._cluster.name(number)
        eventually(lambda: self._nodes()[name]["guard"] == "process", TIMEOUT)

    def wait_for_move(self, names: Sequence[str], lost: int) -> None:
        """Wait until all of these guests run on other nodes than the lost one."""

        def moved() -> bool:
            homes = self.homes(names)
            return len(homes) == len(names) and lost not in homes.values()

        eventually(moved, 2 * TIMEOUT)

    def homes(self, names: Sequence[str]) -> Mapping[str, int]:
        """Return the node on which each guest runs; without those that run nowhere."""
        found: dict[str, int] = {}
        for number, folder in self._cluster.guest_folders().items():
            for name in names:
                if (folder / name.replace(".", "%2E", 1)).exists():
                    found[name] = number
        return found

    def method(self, number: int) -> str:
        """Return what has confirmed that a node is off; none while nothing has."""
        found: str = self._nodes()[self._cluster.name(number)]["method"] or "none"
        return found

    def _nodes(self) -> dict[str, dict[str, Any]]:
        [master] = self._cluster.masters()
        found = self._cluster.ask(master, QueryFailover())
        return {each["name"]: each for each in found["nodes"]}


_HELPER = """\
#!/bin/sh
case "$1" in
  power-off) : > "{folder}/asked-$2" ;;
  power-status)
    powered=true
    [ ! -e "{folder}/off-$2" ] || powered=false
    echo "{{\\"powered\\": $powered}}" ;;
  *) echo "unexpected: $*" >&2; exit 1 ;;
esac
"""


class PowerController:
    """The power supply of nodes, and the out-of-band helper that asks for it on the master's node.

    A node is off only after ``serve`` was called, as a real controller takes its time, too.
    """

    def __init__(self, cluster: PartitionedCluster, losses: LostNodes) -> None:
        self._cluster = cluster
        self._losses = losses
        self._folder = cluster.home / "power"
        self._folder.mkdir()
        self.program = self._folder / "helper"
        self.program.write_text(_HELPER.format(folder=self._folder))
        self.program.chmod(0o700)

    def serve(self, number: int) -> None:
        """Power a node off if the helper was asked to."""
        off = self._file("off", number)
        if self._file("asked", number).exists() and not off.exists():
            self._losses.lose_power(number)
            off.touch()

    def power_on(self, number: int) -> None:
        """Let a node have power again."""
        for name in ("asked", "off"):
            self._file(name, number).unlink(missing_ok=True)

    def _file(self, name: str, number: int) -> Path:
        return self._folder / f"{name}-{self._cluster.name(number)}"
