# SPDX-License-Identifier: BSD-2-Clause
"""Nodes of two releases in one cluster: this tree, and a copy of it that is another release."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from ganeti import __version__
from ganeti.rpc.protocol_version import OWN
from tests.system.running import TIMEOUT, RunningCluster, eventually
from tools.quickstart.daemons import Daemon
from tools.quickstart.place import TREE


class TwoReleases(SynchronousTestCase):
    """A cluster of two nodes, and copies of the tree that are other releases."""

    def setUp(self) -> None:
        self.running = RunningCluster("--nodes", "2")
        self.addCleanup(lambda: self.assertEqual(self.running.destroy(), []))

    def copy_tree(self) -> Path:
        other = Path(tempfile.mkdtemp(prefix="gnt-release-"))
        self.addCleanup(shutil.rmtree, other)
        shutil.copytree(TREE / "ganeti", other / "ganeti")
        return other

    def start(self, kind: str, node: int, oldest: int, newest: int) -> None:
        """Start a daemon of a release that speaks these versions in place of the running one."""
        other = self.copy_tree()
        module = other / "ganeti" / "rpc" / "protocol_version.py"
        text = module.read_text()
        own = f"\nOWN = ProtocolVersions({OWN.oldest}, {OWN.newest})\n"
        self.assertIn(own, text)
        module.write_text(text.replace(own, f"\nOWN = ProtocolVersions({oldest}, {newest})\n"))
        daemon = self.running.daemon(kind, node)
        process = daemon.process()
        assert process is not None
        process.send(signal.SIGTERM)
        eventually(lambda: not process.alive())
        command, environment = self.command(daemon, other)
        done = subprocess.run(
            command,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
        self.assertEqual(done.returncode, 0, done.stderr)

    def command(self, daemon: Daemon, tree: Path) -> tuple[list[str], dict[str, str]]:
        """Return the command that starts a daemon from a tree, and its environment."""
        command = daemon.cluster.command(daemon.node, [sys.executable, "-P", "-m", daemon.module])
        return command, {**daemon.cluster.environment(daemon.node), "PYTHONPATH": str(tree)}

    def verify(self) -> tuple[int, str]:
        done = self.running.tool("cluster", "verify")
        return done.returncode, done.stdout + done.stderr


class ProtocolVersionTests(TwoReleases):
    def test_a_node_and_a_master_of_the_release_before_work_with_this_one(self) -> None:
        before = max(1, OWN.newest - 2), OWN.newest - 1
        for kind, node, versions in (
            ("noded", 2, (OWN.newest, OWN.newest + 1)),
            ("noded", 2, before),
            ("masterd", 1, before),
        ):
            self.start(kind, node, *versions)
            # The copy of the journal of a node that was away catches up in the background.
            eventually(lambda: self.verify()[0] == 0)

    def test_a_node_of_a_release_too_far_away_is_named_with_both_versions(self) -> None:
        self.start("noded", 2, OWN.newest + 1, OWN.newest + 2)
        code, said = self.verify()
        self.assertNotEqual(code, 0)
        self.assertIn(f"speaks versions {OWN} of the protocol between nodes", said)
        self.assertIn(f"this node speaks {OWN.newest + 1}-{OWN.newest + 2}", said)


class _Reader:
    """A client that reads a list of the remote API again and again; ``statuses`` of the answers."""

    def __init__(self, running: RunningCluster) -> None:
        self._running = running
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read)
        self.statuses: list[int] = []

    def _read(self) -> None:
        while not self._over.wait(0.05):
            self.statuses.append(self._running.curl("GET", "/2/instances?bulk=1")[0])

    def __enter__(self) -> _Reader:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


class RollingUpgradeTests(TwoReleases):
    """``gnt-cluster upgrade`` with commands that start daemons of another release."""

    def install(self, number: int, tree: Path, *kinds: str) -> None:
        """Write the restricted command of a node, which starts daemons from another tree."""
        node = self.running.cluster.node(number)
        script = Path(node.paths.restricted_commands) / "upgrade"
        script.parent.mkdir(mode=0o755, exist_ok=True)
        lines = ["#!/bin/sh", "echo installing"]
        for kind in kinds:
            daemon = self.running.daemon(kind, number)
            command, environment = self.command(daemon, tree)
            settings = [f"{name}={value}" for name, value in environment.items()]
            again = shlex.join(["env", f"PATH={os.environ['PATH']}", *settings, *command])
            pid = f"{node.paths.run}/{daemon.program}.pid"
            # In the background and in a session of its own, as a package manager is started.
            alive = f"[ -s {pid} ] && kill -0 $(cat {pid})"
            restart = f"kill $(cat {pid}); while {alive}; do sleep 0.1; done; {again}"
            lines.append(f"setsid sh -c {shlex.quote(restart)} >/dev/null 2>&1 </dev/null &")
        script.write_text("\n".join(lines) + "\n")
        script.chmod(0o755)

    def test_nodes_are_upgraded_one_after_the_other_while_clients_work(self) -> None:
        release = f"{__version__}+next"
        tree = self.copy_tree()
        init = tree / "ganeti" / "__init__.py"
        text = init.read_text()
        self.assertIn(f'"{__version__}"', text)
        init.write_text(text.replace(f'"{__version__}"', f'"{release}"'))
        self.install(1, tree, "noded", "masterd")
        self.install(2, tree, "noded")
        with _Reader(self.running) as reader:
            done = self.running.tool("cluster", "upgrade", "--to", release)
        self.assertEqual(set(reader.statuses), {200})
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        self.assertIn(f"All nodes that are online have release {release}.", done.stdout)
        eventually(lambda: self.verify()[0] == 0)
        again = self.running.tool("cluster", "upgrade", "--to", release, "--resume")
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertIn("all nodes that are online have this release", again.stdout)
        guests = self.running.tool("instance", "list", "--no-headers", "-o", "name,status")
        self.assertEqual(guests.stdout.split(), ["first.trial", "running"])
