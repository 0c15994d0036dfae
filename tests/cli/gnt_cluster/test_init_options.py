# SPDX-License-Identifier: BSD-2-Clause
"""Options of ``gnt-cluster init`` are the settings of the new cluster."""

from __future__ import annotations

import os
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from ganeti.bootstrap.blocking_files import local_files
from ganeti.bootstrap.etcd_members import issue_certificates
from ganeti.bootstrap.store_access import describe_store
from ganeti.cli.gnt_cluster.commands import GNT_CLUSTER
from ganeti.config.formats import loaded
from ganeti.config.state import ClusterState
from ganeti.journal.etcd.store_settings import read_settings
from ganeti.node.store_member import read_member
from ganeti.paths import Paths
from tests.cli.terminal import Terminal

HERE = ("--master-address", "192.0.2.10", "--primary-ip", "192.0.2.1")


class InitCase(SynchronousTestCase):
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


class InitOptionTests(InitCase):
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


class StateStoreTests(InitCase):
    """The state is in etcd if that is wanted, and all that is needed was given."""

    def setUp(self) -> None:
        super().setUp()
        issued = issue_certificates("test", (), time.time())
        self.folder = os.path.abspath(self.mktemp())
        os.mkdir(self.folder)
        for name, content in (("ca", issued.authority), ("client", issued.client)):
            with open(f"{self.folder}/{name}", "wb") as file:
                file.write(content)

    def store(self, *endpoints: str, certificate: str = "client") -> tuple[str, ...]:
        return (
            *("--state-store", "etcd", "--etcd-endpoints", ",".join(endpoints)),
            *("--etcd-ca", f"{self.folder}/ca"),
            *("--etcd-certificate", f"{self.folder}/{certificate}"),
        )

    def test_the_store_has_a_prefix_of_the_cluster(self) -> None:
        cluster = self.init(*self.store("https://192.0.2.1:2379")).cluster
        paths = self.terminal.paths
        with open(paths.state_store, encoding="utf-8") as file:
            self.assertIn(f'"prefix": "/ganeti/{cluster.uuid}/"', file.read())
        self.assertEqual(describe_store(paths), "etcd at https://192.0.2.1:2379")
        self.assertEqual(os.stat(paths.store_certificate).st_mode & 0o777, 0o400)

    def test_an_automatic_failover_can_be_refused(self) -> None:
        for words, expected in (((), True), (("--automatic-failover", "no"), False)):
            self.terminal.paths = Paths(os.path.abspath(self.mktemp()))
            self.init(*self.store("https://192.0.2.1:2379"), *words)
            settings = read_settings(local_files(), self.terminal.paths.state_store)
            assert settings is not None
            self.assertEqual(settings.automatic_failover, expected)

    def test_without_endpoints_the_first_node_has_a_member(self) -> None:
        words = ("--state-store", "etcd")
        self.terminal.environment = {"PATH": self.terminal.paths.root}
        self.assertIn("etcd is not installed here", self.refused(*words))
        os.makedirs(self.terminal.paths.root, exist_ok=True)
        Path(self.terminal.paths.root, "etcd").touch(0o755)
        self.init(*words)
        paths = self.terminal.paths
        settings = read_settings(local_files(), paths.state_store)
        assert settings is not None
        self.assertTrue(settings.own_members)
        member = read_member(local_files(), paths.store_member)
        assert member is not None
        self.assertEqual(
            (member.founds, [member.name]), (True, [each.name for each in member.peers])
        )
        self.assertEqual(os.stat(paths.store_authority_key).st_mode & 0o777, 0o400)

    def test_without_it_the_state_is_in_files(self) -> None:
        self.init()
        self.assertEqual(describe_store(self.terminal.paths), "files")

    def test_options_that_belong_together_are_asked_for(self) -> None:
        told = self.refused("--state-store", "etcd", "--etcd-endpoints", "https://192.0.2.1:2379")
        self.assertIn("needs --etcd-ca, --etcd-certificate as well", told)
        told = self.refused("--etcd-endpoints", "https://192.0.2.1:2379")
        self.assertIn("--etcd-endpoints is for --state-store etcd only", told)

    def test_an_endpoint_without_tls_and_a_file_that_is_no_certificate_are_refused(self) -> None:
        told = self.refused(*self.store("http://192.0.2.1:2379", certificate="ca"))
        self.assertIn("http://192.0.2.1:2379 must be a URL like https://", told)
        self.assertIn("ca cannot be used", told)
