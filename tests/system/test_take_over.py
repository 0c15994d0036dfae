# SPDX-License-Identifier: BSD-2-Clause
"""A cluster of three nodes whose folders are Ganeti's is taken over, works, and is given back."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.system.running import RunningCluster
from tools.quickstart.place import Node

OURS = ("journal", "access.json", "ca.pem", "ca.key", "members", "term")
"""What the data folder of a node of ours has, and one of Ganeti's has not."""


class TakeOverTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.running = RunningCluster("--nodes", "3")
        self.addCleanup(lambda: self.assertEqual(self.running.destroy(), []))
        self.master, *self.others = self.running.cluster.nodes
        self.data = self.master.paths.data

    def on(self, node: Node, name: str, *words: str) -> str:
        """What a tool prints on a node."""
        command = ["run", "--node", str(node.number), name, *words]
        done = self.running.quickstart(*command)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def become_ganetis(self) -> None:
        """Stop the cluster, and leave only what Ganeti would have of it."""
        self.assertEqual(self.running.quickstart("stop").returncode, 0)
        for node in self.running.cluster.nodes:
            data = Path(node.paths.data)
            for name in OURS:
                path = data / name
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
            (data / "server.pem").write_text("the key of Ganeti")

    def start(self, kind: str, node: Node, *options: str, token: str = "") -> None:
        self.running.daemon(kind, node.number).start(*options, token=token)

    def configuration(self) -> Any:
        return json.loads(Path(self.data, "config.data").read_text())

    def listed(self) -> list[str]:
        out = self.running.tool("instance", "list", "--no-headers", "-o", "name,pnode,status")
        return out.stdout.split()

    def test_it_is_taken_over_works_and_is_given_back(self) -> None:
        before = self.listed()
        self.become_ganetis()
        told = self.running.daemon("noded")
        self.assertRaisesRegex(Exception, "gnt-cluster adopt --check", told.start)
        self.assertIn("Nothing stands in the way", self.adopt("--check"))
        tokens = dict(re.findall(r"^  (\S+): echo (\S+) \|", self.adopt(), re.MULTILINE))
        self.assertEqual(set(tokens), {node.name for node in self.others})
        for kind in ("noded", "masterd", "rapi"):
            self.start(kind, self.master)
        for node in self.others:
            self.start("noded", node, "--join", "-", "--rejoin", token=tokens[node.name])
            self.on(self.master, "gnt-node", "add", "--readd", "--joined", node.name)
        self.on(self.master, "gnt-cluster", "verify")
        self.assertEqual(self.listed(), before)
        self.assertIn("C", self.roles())
        instance = before[0]
        self.on(self.master, "gnt-instance", "modify", "-B", "memory=200M", instance)
        self.give_back(instance)

    def adopt(self, *options: str) -> str:
        return self.on(self.master, "gnt-cluster", "adopt", *options, self.data)

    def roles(self) -> list[str]:
        out = self.running.tool("node", "list", "--no-headers", "-o", "role").stdout
        return out.split()

    def give_back(self, changed: str) -> None:
        serial = self.configuration()["serial_no"]
        self.assertEqual(self.running.quickstart("stop").returncode, 0)
        for node in (*self.others, self.master):
            self.on(node, "gnt-cluster", "adopt", "--give-back")
            key = Path(node.paths.node_certificate).read_text()
            self.assertEqual(key, "the key of Ganeti", node.name)
        found = self.configuration()
        self.assertGreater(found["serial_no"], serial)
        [instance] = [i for i in found["instances"].values() if i["name"] == changed]
        self.assertEqual(instance["beparams"]["maxmem"], 200)
        flags = [(n["master_candidate"], n["offline"]) for n in found["nodes"].values()]
        self.assertEqual(flags, [(True, False)] * 3)
