# SPDX-License-Identifier: BSD-2-Clause
"""An instance moves between two clusters of real daemons, whole or not at all."""

from __future__ import annotations

import atexit
import hashlib
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from twisted.trial.unittest import SynchronousTestCase

from ganeti.luxi.methods import QueryInstances
from ganeti.model.disk import Template
from ganeti.opcodes.instance.create import CreateInstance, CreationMode
from tests.system.running import RunningCluster
from tools.quickstart.place import TREE

MIB = 1 << 20
SIZES = (6, 192)
NAME = "traveller.trial"


class MoveTests(SynchronousTestCase):
    """Two clusters of one node each; every test begins with the instance at the first."""

    clusters: ClassVar[list[RunningCluster]] = []
    ended: ClassVar[int] = 0

    def setUp(self) -> None:
        if not self.clusters:
            self.clusters[:] = [
                RunningCluster("--nodes", "1", name=name) for name in ("one", "two")
            ]
            secret = Path(self.clusters[0].cluster.master.paths.domain_secret).read_bytes()
            Path(self.clusters[1].cluster.master.paths.domain_secret).write_bytes(secret)
            # For a run of only some of the tests.
            atexit.register(self.destroy)
        self.addCleanup(self.end)
        self.source, self.target = self.clusters
        self.create()

    def end(self) -> None:
        kind = type(self)
        kind.ended += 1
        if kind.ended == len([name for name in dir(kind) if name.startswith("test_")]):
            self.assertEqual(self.destroy(), [])
        else:
            for cluster in self.clusters:
                cluster.quickstart("start")
                cluster.tool("instance", "remove", "-f", NAME)
                # Of a node whose daemon was dead, disks could not be removed.
                shutil.rmtree(self.folder(cluster), ignore_errors=True)

    @classmethod
    def destroy(cls) -> list[str]:
        """End the clusters; answers what is left of them."""
        ending, cls.clusters[:] = list(cls.clusters), []
        return [each for cluster in ending for each in cluster.destroy()]

    def create(self) -> None:
        """The instance, at the first cluster, with random data on its disks."""
        self.source.perform(
            CreateInstance(
                instance_name=NAME,
                mode=CreationMode.CREATE,
                disk_template=Template.FILE,
                disks=tuple({"size": size} for size in SIZES),
                nics=({},),
                os_type="mini",
                beparams={"memory": 64},
                name_check=False,
                ip_check=False,
            )
        )
        chance = random.Random(1)
        for path in self.disks(self.source):
            path.write_bytes(chance.randbytes(path.stat().st_size))
        self.sums = self.checksums(self.source)

    def folder(self, cluster: RunningCluster) -> Path:
        return Path(f"{cluster.cluster.master.paths.file_storage}/{NAME}")

    def disks(self, cluster: RunningCluster) -> list[Path]:
        files = self.folder(cluster).glob("*")
        return sorted(files, key=lambda path: path.name.rpartition("disk")[2])

    def checksums(self, cluster: RunningCluster) -> list[str]:
        return [hashlib.sha256(path.read_bytes()).hexdigest() for path in self.disks(cluster)]

    def status(self, cluster: RunningCluster) -> str | None:
        rows = cluster.ask(QueryInstances(names=(), fields=("name", "status")))
        return next((status for name, status in rows if name == NAME), None)

    def move(self, *options: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-P", "-m", "ganeti.rapi.move", *options]
        for side, cluster in (("src", self.source), ("dest", self.target)):
            place = cluster.cluster
            said = re.findall(r"login (\S+)", place.curl_file.read_text())
            address = urlsplit(place.rapi)
            command += [f"--{side}-address", str(address.hostname)]
            command += [f"--{side}-rapi-port", str(address.port), f"--{side}-username", said[0]]
            command += [f"--{side}-ca-file", place.master.paths.authority]
            command += [f"--{side}-password-file", str(place.password_file)]
        return subprocess.Popen(
            [*command, "one", "two", NAME],
            env={"PYTHONPATH": str(TREE), "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def watched(self, moving: subprocess.Popen[str], act: Callable[[], Any] | None = None) -> str:
        """What a move says; ``act`` is called once the large disk is on its way."""
        lines = []
        assert moving.stdout is not None
        with moving, moving.stdout:
            for line in moving.stdout:
                lines.append(line)
                if act is not None and "disk/1: transfer started" in line:
                    act()
                    act = None
        self.assertIsNone(act, "".join(lines))
        return "".join(lines)

    def keys(self) -> list[Path]:
        """The short-lived keys of both clusters; those of moves that broke off last a day."""
        folders = [Path(each.cluster.master.paths.crypto) for each in (self.source, self.target)]
        return [key for folder in folders for key in folder.glob("*")]

    def test_disks_arrive_as_they_were_and_the_source_is_gone(self) -> None:
        before = self.keys()
        moving = self.move()
        said = self.watched(moving)
        self.assertEqual(moving.returncode, 0, said)
        self.assertEqual(self.checksums(self.target), self.sums)
        self.assertEqual((self.status(self.source), self.status(self.target)), (None, "running"))
        self.assertEqual(self.disks(self.source), [])
        self.assertRegex(said, r"disk/1: done, 192.0 MiB at [0-9.]+ MiB/s")
        self.assertEqual(self.keys(), before)

    def test_another_secret_is_refused(self) -> None:
        path = Path(self.target.cluster.master.paths.domain_secret)
        ours = path.read_bytes()
        self.addCleanup(path.write_bytes, ours)
        path.write_bytes(b"another\n")
        moving = self.move()
        said = self.watched(moving)
        self.assertEqual(moving.returncode, 1)
        self.assertIn("was not signed with this cluster's domain secret", said)
        self.assertEqual((self.status(self.source), self.status(self.target)), ("running", None))

    def survives(self, act: Callable[[], Any]) -> str:
        """Move, ``act`` in the middle; the instance is at one of the clusters, and whole."""
        moving = self.move()
        said = self.watched(moving, act)
        for cluster in (self.source, self.target):
            cluster.quickstart("start")
        where = [each for each in (self.source, self.target) if self.status(each)]
        self.assertEqual(len(where), 1, said)
        self.assertEqual(self.checksums(where[0]), self.sums, said)
        self.assertEqual(moving.returncode, 0 if where == [self.target] else 1, said)
        return said

    def test_a_receiving_node_daemon_that_is_killed(self) -> None:
        said = self.survives(lambda: self.target.kill("noded"))
        self.assertIn("the instance is still at one", said)
        self.assertEqual(self.status(self.source), "running")

    def test_a_sending_node_daemon_that_is_killed(self) -> None:
        said = self.survives(lambda: self.source.kill("noded"))
        self.assertRegex(said, f"{NAME} is complete but stopped.*gnt-instance start {NAME}")

    def test_a_receiving_master_that_is_killed_and_comes_back(self) -> None:
        def again() -> None:
            self.target.kill("masterd")
            self.target.quickstart("start")

        said = self.survives(again)
        self.assertIn("the instance is still at one", said)

    def test_a_mover_that_is_killed_leaves_the_jobs_to_end_by_themselves(self) -> None:
        moving = self.move()
        self.watched(moving, moving.kill)
        self.assertIn(self.status(self.source), ("ADMIN_down", "running"))
        self.assertEqual(self.checksums(self.source), self.sums)
