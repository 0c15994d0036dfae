# SPDX-License-Identifier: BSD-2-Clause
"""A cluster of two nodes on a host that has no IPv4 address, in namespaces of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tools.quickstart.place import TREE

HOSTS = """\
fd00::1 node1.example.com
fd00::2 node2.example.com
fd00::10 cluster.example.com
"""

# All processes end with the first one of the namespace.
ENTER = """
mount --bind "$1/hosts" /etc/hosts
mount -t proc proc /proc
ip link set lo up
ip address del 127.0.0.1/8 dev lo
for address in fd00::1 fd00::2 fd00::10; do ip -6 address add $address/64 dev lo nodad; done
exec "$2" -m tests.system.ipv6_life "$1"
"""
NAMESPACES = ("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child")


class Ipv6Tests(SynchronousTestCase):
    def test_a_cluster_lives_without_ipv4(self) -> None:
        if os.geteuid() != 0 or shutil.which("ip") is None:
            raise SkipTest("namespaces need root, and ip of iproute2")
        if subprocess.run([*NAMESPACES, "true"], capture_output=True).returncode != 0:
            raise SkipTest(f"this host does not allow it: {' '.join(NAMESPACES)}")
        folder = Path(tempfile.mkdtemp(prefix="gnt-"))
        self.addCleanup(shutil.rmtree, folder)
        (folder / "hosts").write_text(HOSTS)
        words = [*NAMESPACES, "sh", "-ec", ENTER, "sh", str(folder), sys.executable]
        done = subprocess.run(
            words, cwd=TREE, capture_output=True, text=True, timeout=300, check=False
        )
        self.assertEqual(done.returncode, 0, f"{done.stdout}{done.stderr}")
        found = json.loads(done.stdout)
        self.assertEqual(
            found,
            {
                "nodes": ["node1.example.com|fd00::1|M", "node2.example.com|fd00::2|C"],
                "moved to": "node2.example.com",
                "version of the remote API": "2",
                "next master": "node2.example.com",
            },
        )
