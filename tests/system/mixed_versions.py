# SPDX-License-Identifier: BSD-2-Clause
"""A real guest moves between nodes with two versions of QEMU, that of the host and another one.

The other one comes from a root folder of another release, as debootstrap makes it::

    debootstrap --variant=minbase --include=qemu-system-x86,seabios trixie /var/tmp/trixie
    python -m tests.system.mixed_versions --root /var/tmp/trixie

prints for each move what became of it, and ends with 1 if one did not end as it should. It takes a
guest to boot, as ``tests.system.linux`` says, and is no part of ``./check``, because it downloads a
release.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.system.migration import NAME, CountingGuest, cluster
from tests.system.running import RunningCluster, run

NUMBERS = 20
"""How many numbers the guest must count before and after each move."""

_LIBRARIES = "usr/lib/x86_64-linux-gnu"
_DATA = ("usr/share/qemu", "usr/share/seabios")


class OtherQemu:
    """Give node 2 the QEMU of another release, and all others that of the host."""

    def __init__(self, root: Path, folder: Path, running: RunningCluster) -> None:
        own = shutil.which("qemu-system-x86_64")
        assert own is not None
        other = [
            f"{root}/lib64/ld-linux-x86-64.so.2",
            *("--library-path", f"{root}/{_LIBRARIES}", f"{root}/usr/bin/qemu-system-x86_64"),
        ]
        data = [part for folder in _DATA for part in ("-L", f"{root}/{folder}")]
        node = running.cluster.node(2)
        # Nodes of a cluster on one host have equal paths for programs, so this asks which node's
        # daemon starts it.
        self.program = folder / "qemu-of-this-node"
        self.program.write_text(
            "#!/bin/sh\n"
            "case $(tr '\\0' ' ' < /proc/$PPID/environ) in\n"
            f"*GANETI_HOSTNAME={node.name}\\ *)\n"
            f"    export QEMU_MODULE_DIR={shlex.quote(f'{root}/{_LIBRARIES}/qemu')}\n"
            f'    exec {shlex.join(other)} {shlex.join(data)} "$@" ;;\n'
            "esac\n"
            f'exec {shlex.quote(own)} "$@"\n'
        )
        self.program.chmod(0o755)
        self.versions = [run([own, "--version"]).stdout, run([*other, "--version"]).stdout]


class Trial:
    """Moves the counting guest, and writes down what becomes of it."""

    def __init__(self, running: RunningCluster) -> None:
        self._running = running
        self.failed = 0

    def tool(self, *arguments: str) -> str:
        """What ``gnt-instance`` answers; raises if it refuses."""
        done = self._running.tool("instance", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def moves(self, what: str, guest: CountingGuest, *options: str) -> None:
        """The guest has to move and count on."""

        def move() -> str:
            done = guest.move(NUMBERS, *options)
            assert not done.lost, f"lost {done.lost}"
            return f"counts on, silent for {done.silent * 1000:.0f} ms"

        self._try(what, move)

    def refused(self, what: str, words: str) -> None:
        """The move has to be refused with these words, before anything is done."""

        def move() -> str:
            done = self._running.tool("instance", "migrate", "-f", NAME)
            assert done.returncode != 0, "it was not refused"
            assert words in done.stderr, done.stderr
            return f"refused: {done.stderr.strip()}"

        self._try(what, move)

    def _try(self, what: str, move: Callable[[], str]) -> None:
        try:
            came = move()
        except AssertionError as e:
            self.failed += 1
            came = f"FAILED: {e}"
        print(f"{what}: {came}", flush=True)


def trial(root: Path, folder: Path, running: RunningCluster) -> int:
    """Make all moves; answers how many did not end as they should."""
    qemu = OtherQemu(root, folder, running)
    for number, version in enumerate(qemu.versions, start=1):
        print(f"node {number}: {version.partition(chr(10))[0]}")
    done = running.tool("cluster", "modify", "-H", f"kvm:kvm_path={qemu.program}")
    assert done.returncode == 0, done.stdout + done.stderr
    found = Trial(running)
    guest = CountingGuest(running)
    found.moves("started on node 1, to node 2", guest)
    found.refused("back to node 1", "is older than")
    found.moves("back to node 1 with --ignore-hvversions", guest, "--ignore-hvversions")
    found.moves("to node 2 again", guest)
    found.tool("reboot", NAME)
    found.refused("restarted on node 2, to node 1", "has no machine type")
    guest.close()
    return found.failed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--root", type=Path, required=True, help="the folder of the other release")
    root = parser.parse_args().root.resolve()
    running = cluster()
    try:
        with tempfile.TemporaryDirectory(prefix="gnt-qemu-") as folder:
            failed = trial(root, Path(folder), running)
    finally:
        for problem in running.destroy():
            print(problem)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
