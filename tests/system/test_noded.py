# SPDX-License-Identifier: BSD-2-Clause
"""The node daemon as a program: how it starts, refuses to start, lets nodes join, and ends."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from ganeti.bootstrap.init_cluster import init_cluster
from ganeti.bootstrap.join_cluster import create_token
from ganeti.paths import Paths
from ganeti.pki.enrolment import encode_token, read_token

HOME = os.getcwd()


class NodeDaemonTests(SynchronousTestCase):
    """A node1 that has certificates, and a node2 that has nothing yet."""

    def setUp(self) -> None:
        # Not below the folder of the tests: the path of a socket must be short.
        root = tempfile.mkdtemp(prefix="gnt-")
        self.addCleanup(shutil.rmtree, root)
        self.paths = {name: Paths(f"{root}/{name}") for name in ("node1", "node2")}
        self.ports = {name: _free_port() for name in self.paths}
        init_cluster(
            self.paths["node1"],
            cluster="cluster1",
            address="127.0.0.1",
            master="node1",
            master_address="127.0.0.1",
            hypervisors=["fake"],
        )
        self.addCleanup(self.end)

    def run_it(self, name: str, *options: str, said: str = "") -> tuple[int, str]:
        return self.run_daemon(name, "noded", "-p", str(self.ports[name]), *options, said=said)

    def run_master(self) -> None:
        """Start both daemons of node1: nodes join through the master."""
        self.assertEqual(self.run_it("node1"), (0, ""))
        port = str(self.ports["node1"])
        self.assertEqual(self.run_daemon("node1", "masterd", "--node-port", port), (0, ""))

    def run_daemon(self, name: str, daemon: str, *options: str, said: str = "") -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", f"ganeti.daemon.{daemon}", *options],
            env={
                **os.environ,
                "GANETI_ROOTDIR": self.paths[name].root,
                "GANETI_HOSTNAME": name,
                "PYTHONPATH": HOME,
            },
            input=said,
            capture_output=True,
            text=True,
            timeout=30,
        )
        return done.returncode, done.stderr

    def token(self) -> str:
        port = self.ports["node1"]
        return create_token(self.paths["node1"], node="node2", addresses=["127.0.0.1"], port=port)

    def pid(self, name: str, daemon: str = "noded") -> int | None:
        try:
            with open(f"{self.paths[name].run}/ganeti-{daemon}.pid") as file:
                return int(file.read())
        except FileNotFoundError:
            return None

    def end(self) -> None:
        for daemon in ("masterd", "noded"):
            for name in self.paths:
                if pid := self.pid(name, daemon):
                    os.kill(pid, signal.SIGTERM)
            for _ in range(6000):
                if not any(self.pid(name, daemon) for name in self.paths):
                    break
                time.sleep(0.01)
            else:
                self.fail(f"{daemon} did not remove its pid file")

    def log(self, name: str, daemon: str = "node") -> str:
        with open(f"{self.paths[name].log}/{daemon}-daemon.log") as file:
            return file.read()

    def test_a_node_without_a_certificate_says_how_to_get_one(self) -> None:
        code, told = self.run_it("node2")
        self.assertEqual(code, 5)
        self.assertIn("this node is not part of a cluster; add it to one", told)

    def test_a_daemon_listens_when_its_command_returns_and_is_the_only_one(self) -> None:
        self.assertEqual(self.run_it("node1"), (0, ""))
        socket.create_connection(("127.0.0.1", self.ports["node1"]), timeout=5).close()
        code, told = self.run_it("node1")
        self.assertEqual(code, 1)
        self.assertIn(f"is already running as process {self.pid('node1')}", told)

    def test_a_port_in_use_is_named(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            self.ports["node1"] = other.getsockname()[1]
            code, told = self.run_it("node1")
        self.assertEqual(code, 1)
        self.assertRegex(told, "cannot listen on 127.0.0.1 port .* another program uses this port")

    def test_a_node_joins_by_its_token_once(self) -> None:
        self.run_master()
        token = self.token()
        self.assertEqual(self.run_it("node2", "--join", "-", said=token), (0, ""))
        self.assertIn("certificate issued to node node2", self.log("node1", "master"))
        code, told = self.run_it("node2", "--join", "-", said=token)
        self.assertEqual(code, 12)
        self.assertIn("already part of a cluster", told)
        os.unlink(self.paths["node2"].node_certificate)
        code, told = self.run_it("node2", "--join", "-", said=token)
        self.assertIn("the token was already used", told)

    def test_a_node_does_not_join_where_no_master_runs(self) -> None:
        self.run_it("node1")
        code, told = self.run_it("node2", "--join", "-", said=self.token())
        self.assertEqual(code, 12)
        self.assertIn("the master is node1", told)

    def test_a_token_is_read_from_a_file_that_must_be_there(self) -> None:
        self.run_master()
        path = self.mktemp()
        code, told = self.run_it("node2", "--join", path)
        self.assertEqual(code, 12)
        self.assertIn(f"No such file or directory: '{path}'", told)
        with open(path, "w") as file:
            file.write(self.token() + "\n")
        self.assertEqual(self.run_it("node2", "--join", path), (0, ""))

    def test_a_node_does_not_join_who_is_not_of_the_cluster_that_invites(self) -> None:
        self.run_it("node1")
        said = msgspec.structs.replace(read_token(self.token()), authority="0" * 64)
        code, told = self.run_it("node2", "--join", "-", said=encode_token(said, b"whatever"))
        self.assertEqual(code, 12)
        self.assertIn("is not the one in the token", told)
        self.assertFalse(os.path.exists(self.paths["node2"].authority))

    def test_a_log_is_its_owners_alone_and_is_reopened_when_it_was_moved(self) -> None:
        self.run_it("node1")
        path = f"{self.paths['node1'].log}/node-daemon.log"
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        os.rename(path, path + ".1")
        pid = self.pid("node1")
        assert pid is not None
        os.kill(pid, signal.SIGHUP)
        for _ in range(6000):
            if os.path.exists(path):
                break
            time.sleep(0.01)
        self.end()
        self.assertRegex(self.log("node1"), f"ganeti-noded pid={pid} INFO stopping\n")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
