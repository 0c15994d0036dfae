# SPDX-License-Identifier: BSD-2-Clause
"""Options of ``gnt-cluster init`` are the settings of the new cluster."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.gnt_cluster.commands import GNT_CLUSTER
from ganeti.config.formats import loaded
from ganeti.config.state import ClusterState
from ganeti.paths import Paths
from tests.cli.terminal import Terminal

HERE = ("--master-address", "192.0.2.10", "--primary-ip", "192.0.2.1")


class InitOptionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.terminal = Terminal(paths=Paths(os.path.abspath(self.mktemp())))

    def init(self, *words: str) -> ClusterState:
        code = self.terminal.run(GNT_CLUSTER, "init", *HERE, *words, "cluster1")
        self.assertEqual(code, 0, self.terminal.err)
        with open(self.terminal.paths.config_file, "rb") as file:
            return loaded(file.read(), ids=lambda: "")

    def refused(self, *words: str) -> str:
        code = self.terminal.run(GNT_CLUSTER, "init", *HERE, *words, "cluster1")
        self.assertEqual(code, 1)
        self.assertFalse(os.path.exists(self.terminal.paths.config_file))
        return self.terminal.err

    def test_settings_become_those_of_the_cluster(self) -> None:
        cluster = self.init(
            *("--master-netmask", "24", "-m", "aa:00:10"),
            *("--enabled-hypervisors", "fake", "--no-etc-hosts", "--master-netdev", "lo"),
        ).cluster
        self.assertEqual((cluster.master_netmask, cluster.master_netdev), (24, "lo"))
        self.assertEqual((cluster.mac_prefix, cluster.modify_etc_hosts), ("aa:00:10", False))

    def test_a_policy_may_be_given_whole(self) -> None:
        words = ("--ipolicy-vcpu-ratio", "3", "--ipolicy-disk-templates", "file,diskless")
        policy = self.init(*words).cluster.ipolicy
        self.assertEqual(policy["vcpu-ratio"], 3.0)
        self.assertEqual(policy["disk-templates"], ["file", "diskless"])

    def test_the_device_of_the_address_is_a_bridge_where_none_has_it(self) -> None:
        self.assertEqual(self.init().cluster.master_netdev, "br0")

    def test_a_template_that_there_is_not_is_refused(self) -> None:
        told = self.refused("--enabled-disk-templates", "file,tape")
        self.assertIn("--enabled-disk-templates file,tape: must be some of", told)

    def test_bounds_of_the_older_form_have_three_names(self) -> None:
        told = self.refused("--specs-cpu-count", "most=4")
        self.assertIn("--specs-cpu-count most: must be min, max or std", told)
