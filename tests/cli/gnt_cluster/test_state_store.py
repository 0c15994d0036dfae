# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-cluster modify --state-store`` writes settings and asks the master to move the state."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from ganeti.bootstrap.blocking_files import local_files, write_ssconf
from ganeti.bootstrap.etcd_members import issue_certificates
from ganeti.bootstrap.store_access import describe_store
from ganeti.cli.gnt_cluster.commands import GNT_CLUSTER
from ganeti.cli.gnt_cluster.state_store import modify
from ganeti.cli.session import ExitTool
from ganeti.errors import Refused
from ganeti.journal.etcd.store_settings import read_last_settings
from ganeti.luxi.methods import MoveState, QueryClusterInfo
from ganeti.node.store_member import read_member
from ganeti.opcodes.cluster import ModifyCluster
from ganeti.paths import Paths
from tests.cli.terminal import Terminal, arguments


class MoveTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = os.path.abspath(self.mktemp())
        paths = Paths(self.folder)
        os.makedirs(paths.data)
        issued = issue_certificates("test", (), time.time())
        Path(self.folder, "ca").write_bytes(issued.authority)
        Path(self.folder, "client").write_bytes(issued.client)
        answers = [True, False]
        self.terminal = Terminal(
            {MoveState: lambda _: answers.pop(), QueryClusterInfo: {"uuid": "u-1"}}, paths=paths
        )

    def modify(self, *words: str) -> int:
        return self.terminal.run(GNT_CLUSTER, "modify", *words)

    def to_etcd(self) -> tuple[str, ...]:
        return (
            *("--state-store", "etcd", "--etcd-endpoints", "https://192.0.2.1:2379"),
            *("--etcd-ca", f"{self.folder}/ca", "--etcd-certificate", f"{self.folder}/client"),
        )

    def test_the_master_moves_the_state_with_the_settings_that_were_written(self) -> None:
        self.assertEqual(self.modify(*self.to_etcd()), 0, self.terminal.err)
        self.assertEqual(self.terminal.asked()[-1], MoveState(store="etcd"))
        self.assertIn("waiting", self.terminal.out)
        paths = self.terminal.paths
        settings = read_last_settings(local_files(), paths.state_store)
        assert settings is not None
        self.assertEqual((settings.prefix, settings.kind), ("/ganeti/u-1/", "file"))
        # Only the master knows when the state is there.
        self.assertEqual(describe_store(paths), "files")

    def test_the_settings_of_an_earlier_move_are_used_again(self) -> None:
        self.modify(*self.to_etcd())
        self.terminal.canned[MoveState] = True
        self.assertEqual(self.modify("--state-store", "etcd"), 0, self.terminal.err)
        self.assertEqual(self.modify("--state-store", "file"), 0, self.terminal.err)
        self.assertEqual(self.terminal.asked()[-1], MoveState(store="file"))

    def test_the_settings_of_a_store_that_is_in_use_are_kept(self) -> None:
        self.modify(*self.to_etcd())
        path = Path(self.terminal.paths.state_store)
        in_use = path.read_text().replace('"kind": "file"', '"kind": "etcd"')
        path.chmod(0o640)
        path.write_text(in_use)
        self.assertEqual(self.modify(*self.to_etcd()), 1)
        self.assertIn("the state is in etcd already", self.terminal.err)
        self.assertEqual(path.read_text(), in_use)

    def test_other_settings_are_changed_by_another_call(self) -> None:
        self.assertEqual(self.modify("--state-store", "file", "--mac-prefix", "aa:00:01"), 1)
        self.assertIn("give --mac-prefix separately", self.terminal.err)
        self.assertEqual(self.modify("--state-store", "file", "-H", "kvm:acpi=no"), 1)
        self.assertIn("give --hypervisor-parameters separately", self.terminal.err)

    def test_errors_of_a_move_can_be_traced(self) -> None:
        self.terminal.canned[MoveState] = Refused("not now")
        self.assertRaises(Refused, self.modify, "--state-store", "file", "--debug")
        self.assertEqual(self.modify("--etcd-endpoints", "https://192.0.2.1:2379"), 1)
        self.assertIn("need --state-store etcd as well", self.terminal.err)
        words = ("--state-store", "etcd", "--etcd-endpoints", "https://192.0.2.1:2379")
        self.assertEqual(self.modify(*words), 1)
        self.assertIn("needs --etcd-ca, --etcd-certificate as well", self.terminal.err)

    def test_without_endpoints_this_node_gets_the_first_member(self) -> None:
        self.terminal.canned[MoveState] = True
        self.terminal.canned[QueryClusterInfo] = {"uuid": "u-1", "name": "c"}
        paths = self.terminal.paths
        write_ssconf(paths, {"node_primary_ips": "node1 192.0.2.1"})
        self.terminal.environment = {"PATH": self.folder}
        self.assertEqual(self.modify("--state-store", "etcd"), 1)
        self.assertIn("etcd is not installed here", self.terminal.err)
        Path(self.folder, "etcd").touch(0o755)
        self.assertEqual(self.modify("--state-store", "etcd"), 0, self.terminal.err)
        settings = read_last_settings(local_files(), paths.state_store)
        assert settings is not None
        self.assertEqual(settings.endpoints, ("https://192.0.2.1:2379",))
        self.assertTrue(settings.own_members)
        member = read_member(local_files(), paths.store_member)
        assert member is not None
        self.assertTrue(member.founds)

    def test_without_it_a_job_changes_the_cluster(self) -> None:
        self.assertEqual(self.modify("--mac-prefix", "aa:00:01"), 0, self.terminal.err)
        [[opcode]] = self.terminal.master.memory.jobs.values()
        self.assertIsInstance(opcode, ModifyCluster)

    def test_each_option_of_etcd_needs_the_store_it_is_for(self) -> None:
        for values, why in (
            ({"automatic_failover": False}, "options of etcd need --state-store etcd as well"),
            ({"etcd_ca": "ca"}, "options of etcd need --state-store etcd as well"),
            (
                {"state_store": "file", "automatic_failover": True},
                "--automatic-failover is for --state-store etcd only",
            ),
            (
                {"state_store": "file", "etcd_ca": "ca"},
                "--etcd-ca is for --state-store etcd only",
            ),
        ):
            action = partial(modify, arguments=arguments("modify", **values))
            error = self.assertRaises(ExitTool, self.terminal.call, action)
            self.assertEqual(str(error), why)
        self.assertEqual(self.terminal.asked(), [])

    def test_settings_are_not_written_unless_the_master_answers(self) -> None:
        self.terminal.master.memory.away = True
        self.assertEqual(self.modify(*self.to_etcd()), 1)
        self.assertFalse(os.path.exists(self.terminal.paths.state_store))
