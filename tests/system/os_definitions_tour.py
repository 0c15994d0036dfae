# SPDX-License-Identifier: BSD-2-Clause
"""The life of an instance with the OS definitions of Debian's packages.

Run by ``test_os_definitions`` in a mount namespace in which the packages are installed. Prints, as
JSON, what each step said if it failed, and what was on the disk then.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.system.running import RunningCluster

DEBOOTSTRAP = (
    *("-o", "debootstrap+default", "-t", "file", "-s", "600m", "--no-start"),
    *("--no-name-check", "--no-ip-check", "--no-nics"),
)


class Tour:
    """A cluster, and what was found there, step by step."""

    def __init__(self, running: RunningCluster) -> None:
        self._running = running
        self.node = running.cluster.node(1)
        self.found: dict[str, Any] = {}

    def do(self, step: str, *words: str) -> None:
        """Run a tool; what it says counts only if it fails."""
        tool, *rest = words
        done = self._running.tool(tool, *rest)
        self.found[step] = "" if done.returncode == 0 else f"{done.stdout}{done.stderr}".strip()

    def look(self, step: str, instance: str, *files: str) -> None:
        """Read files of the file system on an instance's disk, without mounting it."""
        [image] = Path(self.node.paths.file_storage, instance).iterdir()
        self.found[step] = [_content(image, file) for file in files]

    def run(self) -> None:
        """Install, change, rename, export, import and remove."""
        on_node = ("-n", self.node.name)
        self.do("diagnose", "os", "diagnose")
        self.do("noop", "instance", "add", *DEBOOTSTRAP, "-o", "noop", *on_node, "idle.os")
        self.do("wrong", "instance", "add", *DEBOOTSTRAP, "-O", "filesystem=xfs", *on_node, "w.os")
        self.do("create", "instance", "add", *DEBOOTSTRAP, *on_node, "web1.os")
        self.look("created", "web1.os", "/etc/hostname", "/etc/from-cache")
        self.do("modify", "instance", "modify", "-O", "filesystem=ext3", "web1.os")
        self.do("reinstall", "instance", "reinstall", "-f", "web1.os")
        self.look("reinstalled", "web1.os", "/etc/hostname", "/etc/from-cache")
        names = ("--no-name-check", "--no-ip-check", "web1.os", "web2.os")
        self.do("rename", "instance", "rename", *names)
        self.look("renamed", "web2.os", "/etc/hostname", "/etc/mailname")
        self.do("export", "backup", "export", *on_node, "web2.os")
        self.do("remove", "instance", "remove", "-f", "web2.os")
        source = ("--src-node", self.node.name, "-t", "file", "--no-name-check", "--no-ip-check")
        self.do("import", "backup", "import", *source, *on_node, "web2.os")
        self.look("imported", "web2.os", "/etc/hostname", "/etc/from-cache")


def _content(image: Path, file: str) -> str:
    words = ["/sbin/debugfs", "-R", f"cat {file}", str(image)]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def main() -> None:
    """Make a cluster, go through its instances' life, and end it."""
    running = RunningCluster("--nodes", "1", name="os")
    tour = Tour(running)
    try:
        tour.run()
    finally:
        left = running.destroy()
        words = ["losetup", "--list", "--noheadings", "--output", "BACK-FILE"]
        loops = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
        left += [file for file in loops if file.startswith(str(running.home))]
    json.dump({**tour.found, "left behind": left}, sys.stdout)


if __name__ == "__main__":
    main()
