# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-network`` connects networks to groups, one job for each."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.command import Arguments
from ganeti.cli.gnt_network.actions import attached, connect, info, submit_per_group
from ganeti.cli.gnt_network.commands import GNT_NETWORK
from ganeti.cli.session import ExitTool
from ganeti.luxi.methods import Query, QueryClusterInfo, QueryGroups
from ganeti.opcodes.network import ConnectNetwork
from ganeti.testing.builders import a_cluster, a_network
from tests.cli.cluster_answers import answers_about
from tests.cli.terminal import Terminal, answer, arguments

CARDS = {"mode": "bridged", "link": "br0", "vlan": "", "firewall": "deny"}


class ConnectionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.connected = answer({"group_list": "other"}, [[["group2", "bridged", "br0", ""]]])
        self.terminal = Terminal(
            {
                QueryClusterInfo: {"nicparams": {"default": CARDS}},
                QueryGroups: [["group1"], ["group2"]],
                Query: self.connected,
            }
        )

    def call(self, action: Any, command: str, /, **values: Any) -> int:
        found = GNT_NETWORK.command(command)
        assert found is not None
        given = Arguments("gnt-network", found, {"network_name": "lan", **values})
        code: int = self.terminal.call(lambda session: action(session, given))
        return code

    def made(self) -> list[Any]:
        return [opcode for job in self.terminal.master.memory.jobs.values() for opcode in job]

    def groups(self) -> list[str]:
        return [each.group_name for each in self.made()]

    def test_named_groups_are_taken_as_they_are(self) -> None:
        self.call(submit_per_group, "disconnect", groups=["group1", "rack9"])
        self.assertEqual(self.groups(), ["group1", "rack9"])

    def test_an_unknown_network_is_left_to_the_master_to_refuse(self) -> None:
        self.terminal.canned[Query] = answer({"group_list": "other"})
        self.call(submit_per_group, "disconnect")
        self.assertEqual(self.groups(), ["group1", "group2"])

    def test_without_anything_to_do_that_is_told(self) -> None:
        self.terminal.canned[QueryGroups] = [["group1"]]
        self.assertEqual(self.call(submit_per_group, "disconnect"), 0)
        told = "Network lan is already disconnected from all groups.\n"
        self.assertEqual((self.made(), self.terminal.out), ([], told))

    def test_cards_are_connected_as_the_cluster_connects_them(self) -> None:
        self.call(connect, "connect", nicparams={"link": "br9"})
        [made] = self.made()
        assert isinstance(made, ConnectNetwork)
        self.assertEqual((made.group_name, made.network_link), ("group1", "br9"))
        self.assertEqual((made.network_mode, made.network_vlan), ("bridged", ""))

    def test_the_cluster_is_not_asked_if_everything_is_given(self) -> None:
        given = {"mode": "routed", "link": "br9", "vlan": ""}
        self.call(connect, "connect", groups=["group1"], nicparams=given)
        asked = [type(each) for each in self.terminal.asked()]
        self.assertNotIn(QueryClusterInfo, asked)


class AttachmentTests(SynchronousTestCase):
    def test_parameters_become_fields(self) -> None:
        found = attached(arguments(nicparams={"mode": "routed", "vlan": "7"}))
        self.assertEqual(found, {"network_mode": "routed", "network_vlan": "7"})

    def test_all_that_do_not_attach_are_named(self) -> None:
        with self.assertRaisesRegex(ExitTool, "^-N ip, name: must be some of mode"):
            attached(arguments(nicparams={"name": "x", "link": "br0", "ip": "pool"}))


class InfoTests(SynchronousTestCase):
    def test_those_that_exist_are_shown_before_the_others_are_refused(self) -> None:
        terminal = Terminal(answers_about(a_cluster(networks=[a_network("lan")])))
        with self.assertRaisesRegex(ExitTool, "^unknown network man, wan; see gnt-network list$"):
            terminal.call(lambda it: info(it, arguments(names=["man", "lan", "wan"])))
        self.assertIn("Network name: lan\n", terminal.out)
