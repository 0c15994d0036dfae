# SPDX-License-Identifier: BSD-2-Clause
"""Options of ``gnt-cluster init`` are the settings of the new cluster."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.bootstrap.blocking_files import local_files
from ganeti.bootstrap.etcd_members import issue_certificates
from ganeti.bootstrap.store_access import describe_store
from ganeti.cli.gnt_cluster import init_options
from ganeti.cli.gnt_cluster.commands import GNT_CLUSTER
from ganeti.cli.session import ExitTool
from ganeti.config.formats import loaded
from ganeti.config.state import ClusterState
from ganeti.errors import Invalid
from ganeti.journal.etcd.store_settings import read_settings
from ganeti.model.disk import Template
from ganeti.node.store_member import read_member
from ganeti.paths import Paths
from tests.cli.terminal import Terminal, arguments

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


class ChoiceTests(SynchronousTestCase):
    """The values of options, as arguments of the function that makes the cluster."""

    def choices(self, **values: Any) -> Any:
        given = {"cluster": "cluster1", "master_address": "192.0.2.10", "primary_ip": "192.0.2.1"}
        self.problems: list[str] = []
        return init_options.choices(
            arguments("init", **(given | values)), "node1.invalid", self.problems
        )

    def test_addresses_that_are_given_are_not_resolved(self) -> None:
        found = self.choices(secondary_ip="198.51.100.1")
        addresses = ("192.0.2.10", "192.0.2.1", "198.51.100.1")
        names = ("address", "master_address", "secondary_address")
        self.assertEqual(tuple(found[name] for name in names), addresses)
        self.assertEqual((found["primary_ip_family"], self.problems), (socket.AF_INET, []))

    def test_the_family_of_addresses_can_be_chosen(self) -> None:
        found = self.choices(primary_ip_version="6")
        self.assertEqual(found["primary_ip_family"], socket.AF_INET6)

    def test_only_settings_that_were_given_differ_from_the_defaults(self) -> None:
        found = self.choices()
        self.assertEqual(
            found.keys() - {"address", "cluster", "master_address", "master_netdev"},
            {"primary_ip_family", "secondary_address"},
        )

    def test_options_have_the_names_of_settings(self) -> None:
        found = self.choices(
            vg_name="vg1",
            drbd_helper="/bin/helper",
            uid_pool=[[100, 200], [300, 300]],
            compression_tools=["gzip", "lzop"],
            hv_state=[("kvm", {"mem_node": "512"})],
            disk_state=[("plain/vg1", {"disk_reserved": "1"})],
        )
        self.assertEqual(found["volume_group_name"], "vg1")
        self.assertEqual(found["drbd_usermode_helper"], "/bin/helper")
        self.assertEqual(found["uid_pool"], ((100, 200), (300, 300)))
        self.assertEqual(found["compression_tools"], ("gzip", "lzop"))
        self.assertEqual(found["hv_state_static"], {"kvm": {"mem_node": "512"}})
        wanted = {"plain": {"vg1": {"disk_reserved": "1"}}}
        self.assertEqual(found["disk_state_static"], wanted)

    def test_templates_are_those_that_there_are(self) -> None:
        found = self.choices(templates=["plain", "drbd"])
        self.assertEqual(found["templates"], [Template.PLAIN, Template.DRBD])
        for given in (["plain", "tape"], []):
            with self.assertRaisesRegex(ExitTool, "must be some of blockdev, "):
                self.choices(templates=given)

    def test_parameters_are_checked(self) -> None:
        with self.assertRaisesRegex(Invalid, "vcpus"):
            self.choices(beparams={"vcpus": "many"})


class StoreAccessTests(SynchronousTestCase):
    def test_state_in_files_needs_nothing(self) -> None:
        self.assertIs(init_options.store_access(arguments()), None)
        self.assertFalse(init_options.wants_own_members(arguments()))
        self.assertFalse(init_options.wants_own_members(arguments(state_store="file")))

    def test_etcd_without_a_place_is_run_by_the_cluster(self) -> None:
        given = arguments(state_store="etcd", automatic_failover=False)
        self.assertIs(init_options.store_access(given), None)
        self.assertTrue(init_options.wants_own_members(given))

    def test_an_etcd_that_runs_needs_all_of_its_options(self) -> None:
        for given, missing in (
            ({"etcd_ca": "ca"}, "--etcd-endpoints, --etcd-certificate"),
            ({"etcd_certificate": "pem"}, "--etcd-endpoints, --etcd-ca"),
        ):
            with self.assertRaisesRegex(ExitTool, f"needs {missing} as well"):
                init_options.store_access(arguments(state_store="etcd", **given))

    def test_candidates_fail_over_unless_that_is_refused(self) -> None:
        self.assertTrue(init_options.fails_over(arguments()))
        self.assertFalse(init_options.fails_over(arguments(automatic_failover=False)))

    def test_members_need_the_program(self) -> None:
        folder = os.path.abspath(self.mktemp())
        os.mkdir(folder)
        with self.assertRaisesRegex(ExitTool, "etcd is not installed here: apt-get install"):
            init_options.require_etcd(folder)
        Path(folder, "etcd").touch(0o755)
        init_options.require_etcd(folder)
