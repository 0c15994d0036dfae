# SPDX-License-Identifier: BSD-2-Clause
"""The life of a cluster on IPv6 addresses: created, joined, used, and given another master.

Run by ``test_ipv6`` in a network namespace without IPv4. Prints, as JSON, what it has found.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.system.running import eventually
from tools.quickstart.place import TREE

FAKE = ("--enabled-hypervisors", "fake", "--enabled-disk-templates", "file")
UNCHECKED = ("--no-name-check", "--no-ip-check")


class Host:
    """One of the nodes, with a root folder of its own."""

    def __init__(self, top: Path, number: int) -> None:
        self.name = f"node{number}.example.com"
        self.root = top / f"node{number}"
        os_folder = self.root / "srv/ganeti/os"
        os_folder.parent.mkdir(parents=True)
        shutil.copytree(TREE / "os", os_folder)

    def run(self, *words: str, said: str = "") -> str:
        """Run a program; return its output."""
        environment = {
            **os.environ,
            "GANETI_ROOTDIR": str(self.root),
            "GANETI_HOSTNAME": self.name,
            "PYTHONPATH": str(TREE),
        }
        done = subprocess.run(
            [sys.executable, "-P", *words],
            env=environment,
            input=said,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise SystemExit(f"{words}: {done.stdout}{done.stderr}")
        return done.stdout.strip()

    def daemon(self, name: str, *options: str, said: str = "") -> None:
        self.run("-m", f"ganeti.daemon.{name}", *options, said=said)

    def tool(self, name: str, *words: str) -> str:
        program = f'from ganeti.cli.program import main; main("gnt_{name}")'
        return self.run("-c", program, *words)


def main() -> None:
    """Go through the life of the cluster."""
    top = Path(sys.argv[1])
    first, second = Host(top, 1), Host(top, 2)
    found: dict[str, object] = {}
    first.tool("cluster", "init", *FAKE, "--primary-ip-version", "6", "cluster.example.com")
    for name in ("noded", "masterd", "rapi"):
        first.daemon(name)
    token = first.tool("node", "add", "--token-only", second.name)
    second.daemon("noded", "--join", "-", said=token)
    first.tool("node", "add", "--joined", second.name)
    listed = ("--no-headers", "--separator", "|", "-o", "name,pip,role")
    found["nodes"] = first.tool("node", "list", *listed).splitlines()
    add = ("add", "-t", "file", "-s", "16m", "-o", "noop", "-n", first.name)
    first.tool("instance", *add, *UNCHECKED, "web1.example.com")
    first.tool("instance", "move", "-f", "-n", second.name, "web1.example.com")
    found["moved to"] = first.tool("instance", "list", "--no-headers", "-o", "pnode")
    authority = f"{first.root}/var/lib/ganeti/ca.pem"
    asked = ["curl", "-sSg", "--cacert", authority, "https://[fd00::1]:5080/version"]
    answer = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    found["version of the remote API"] = answer.strip()
    second.tool("cluster", "master-failover")
    eventually(lambda: first.tool("cluster", "getmaster") == second.name)
    found["next master"] = second.tool("cluster", "getmaster")
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
