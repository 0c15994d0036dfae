# SPDX-License-Identifier: BSD-2-Clause
"""The quick start keeps its promises: it finds what there is, and leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import tempfile
from pathlib import Path

import yaml
from twisted.trial.unittest import SynchronousTestCase

from ganeti.paths import NODED_PORT
from tests.system.running import RunningCluster, SharedCluster, eventually, processes_of
from tools.quickstart.place import LONGEST_ROOT, Cluster, Description, find


class QuickstartTests(SharedCluster):
    """One cluster of two nodes, which runs when a test begins."""

    options = ("--nodes", "2")

    def setUp(self) -> None:
        super().setUp()
        self.assertEqual(self.running.quickstart("start").returncode, 0)

    def env(self) -> dict[str, str]:
        lines = self.running.quickstart("env").stdout.splitlines()
        return dict(line.split("=", 1) for line in lines)

    def test_it_says_what_it_did_and_what_to_try(self) -> None:
        for line in (
            "ganeti-masterd runs on node1.trial",
            "instance first.trial is running on",
            "Ready after",
            "run gnt-instance list",
            "curl --cacert",
            "Web console: https://127.",
        ):
            self.assertIn(line, self.running.said)

    def test_a_second_start_finds_the_first(self) -> None:
        before = self.env()
        done = self.running.quickstart()
        self.assertEqual(done.returncode, 0)
        self.assertIn("Cluster trial runs already", done.stdout)
        self.assertEqual(self.env(), before)

    def test_a_cluster_stays_what_it_was_asked_to_be(self) -> None:
        done = self.running.quickstart("--nodes", "5")
        self.assertEqual(done.returncode, 1)
        self.assertIn("2 nodes and hypervisor fake: destroy it first", done.stderr)

    def test_what_was_stopped_goes_on_where_it_was(self) -> None:
        self.assertEqual(self.running.quickstart("stop").returncode, 0)
        done = self.running.quickstart("status")
        self.assertEqual((done.returncode, done.stdout.count("does not run")), (3, 5))
        self.assertEqual(self.running.quickstart("start").returncode, 0)
        done = self.running.quickstart("status")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, "first.trial +instance +running on node")

    def test_every_description_is_yaml(self) -> None:
        run = ("run", "gnt-network", "add", "--network", "192.0.2.0/24", "lan")
        self.assertEqual(self.running.quickstart(*run).returncode, 0)
        for command, names in (
            ("gnt-cluster info", {"Cluster name", "Master node"}),
            ("gnt-cluster version", {"Software version"}),
            ("gnt-node info", {"Node name", "primary for instances"}),
            ("gnt-instance info --all", {"Instance name", "NICs", "Disks"}),
            ("gnt-group info", {"name", "ipolicy"}),
            ("gnt-network info", {"Network name", "Usage map"}),
            ("gnt-job info 1", {"Job ID", "Opcodes"}),
            ("gnt-os info", {"noop"}),
            ("gnt-os diagnose", {"noop"}),
        ):
            done = self.running.quickstart("run", *command.split())
            self.assertEqual(done.returncode, 0, done.stderr)
            found = yaml.safe_load(done.stdout)
            self.assertLessEqual(names, set(found[0] if isinstance(found, list) else found))

    def test_scripts_learn_all_they_need(self) -> None:
        known = self.env()
        self.assertEqual(known["NAME"], "trial")
        self.assertEqual(known["RAPI_URL"], self.running.cluster.rapi)
        self.assertTrue(stat.S_ISSOCK(os.stat(known["LUXI_SOCKET"]).st_mode))
        for name in ("NODED_PID_1", "NODED_PID_2", "MASTERD_PID", "RAPI_PID"):
            os.kill(int(known[name]), 0)
        done = self.running.quickstart("run", "--node", "2", "sh", "-c", "echo $GANETI_HOSTNAME")
        self.assertEqual(done.stdout, "node2.trial\n")

    def test_secrets_are_their_owners_alone(self) -> None:
        cluster = self.running.cluster
        for path in (cluster.password_file, cluster.curl_file):
            self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        password = cluster.password_file.read_text().strip()
        self.assertNotIn(password, Path(cluster.master.paths.rapi_users).read_text())

    def test_a_port_that_others_use_is_named(self) -> None:
        self.assertEqual(self.running.quickstart("stop").returncode, 0)
        address = self.running.cluster.node(2).address
        with socket.create_server((address, NODED_PORT)):
            done = self.running.quickstart("start")
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"cannot listen on {address} port {NODED_PORT}: another", done.stderr)

    def test_only_processes_that_are_the_clusters_are_ended(self) -> None:
        pid_file = Path(self.running.cluster.master.paths.run) / "ganeti-rapi.pid"
        self.running.kill("rapi")
        pid_file.write_text(f"{os.getpid()}\n")
        self.assertIsNone(self.running.daemon("rapi").process())
        # This would be the end of this process.
        self.assertEqual(self.running.quickstart("stop").returncode, 0)


class NewClusterTests(SynchronousTestCase):
    """Clusters of one node, made in unusual places."""

    def test_several_clusters_run_side_by_side_below_folders_of_any_length(self) -> None:
        one = RunningCluster("--nodes", "1")
        self.addCleanup(lambda: self.assertEqual(one.destroy(), []))
        deep = Path(tempfile.mkdtemp(prefix="gnt-")) / ("long" * 30)
        self.addCleanup(shutil.rmtree, deep.parent)
        command = ("--folder", str(deep), "--name", "other")
        done = one.quickstart(*command, "--nodes", "1")
        self.assertEqual(done.returncode, 0, done.stderr)
        other = find(deep / "other")
        assert other is not None
        self.assertNotEqual(other.said.network, one.cluster.said.network)
        self.assertLess(len(other.master.paths.root), LONGEST_ROOT)
        self.assertEqual(one.quickstart(*command, "destroy").returncode, 0)
        self.assertEqual(processes_of(deep), [])
        self.assertFalse(deep.exists() or os.path.lexists(other.reached_by))

    def test_everything_follows_the_master_to_another_node(self) -> None:
        one = RunningCluster("--nodes", "2")
        self.addCleanup(lambda: self.assertEqual(one.destroy(), []))
        failover = ("run", "--node", "2", "gnt-cluster", "master-failover")
        eventually(lambda: one.quickstart(*failover).returncode == 0)
        for restarts in (False, True):
            if restarts:
                self.assertEqual(one.quickstart("stop").returncode, 0)
                self.assertEqual(one.quickstart("start").returncode, 0)
            status = one.quickstart("status")
            self.assertEqual(status.returncode, 0, status.stdout)
            self.assertRegex(status.stdout, "node2.trial +ganeti-masterd +runs")
            known = one.quickstart("env").stdout
            self.assertIn(f"RAPI_URL=https://{one.cluster.node(2).address}:5080", known)
            listed = one.quickstart("run", "gnt-instance", "list", "--no-headers")
            self.assertIn("first.trial", listed.stdout)

    def test_every_program_is_on_the_path(self) -> None:
        one = RunningCluster("--nodes", "1")
        self.addCleanup(lambda: self.assertEqual(one.destroy(), []))
        for program in (
            "ganeti-watcher",
            "ganeti-cleaner",
            "move-instance",
            "gnt-filter",
            "gnt-access",
        ):
            done = one.quickstart("run", program, "--help")
            self.assertEqual((done.returncode, done.stderr), (0, ""), program)
        done = one.quickstart("run", "ganeti-watcher")
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_a_start_that_was_cut_off_is_begun_again(self) -> None:
        one = RunningCluster("--nodes", "1")
        self.addCleanup(lambda: self.assertEqual(one.destroy(), []))
        said = one.cluster.said
        cut = Description(
            name=said.name, hypervisor=said.hypervisor, nodes=said.nodes, network=said.network
        )
        Cluster(one.cluster.folder, cut).keep()
        left = one.daemon("masterd").process()
        assert left is not None
        left.send(signal.SIGSTOP)
        left.send(signal.SIGCONT)
        done = one.quickstart("--nodes", "1")
        self.assertIn("was cut off: starting over", done.stdout)
        self.assertIn("Ready after", done.stdout)
        self.assertFalse(left.alive())

    def test_commands_without_a_cluster_say_how_to_get_one(self) -> None:
        folder = tempfile.mkdtemp(prefix="gnt-")
        self.addCleanup(shutil.rmtree, folder)
        one = RunningCluster.__new__(RunningCluster)
        one.home, one.name = Path(folder), "none"
        for command in ("start", "stop", "status", "destroy", "env", "run"):
            done = one.quickstart(command)
            self.assertEqual(done.returncode, 1)
            self.assertIn("./quickstart --name none makes it", done.stderr)
