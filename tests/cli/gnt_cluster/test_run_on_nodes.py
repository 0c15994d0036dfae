# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-cluster command`` and ``copyfile`` reach the node daemons that were asked for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ganeti.cli.gnt_cluster.commands import GNT_CLUSTER
from ganeti.cli.gnt_cluster.run_on_nodes import command, copyfile
from ganeti.cli.session import ExitTool
from ganeti.errors import Refused
from ganeti.rpc.node import CommandResult
from ganeti.rpc.quorum import Ballot, VoterState
from ganeti.testing.builders import a_cluster, a_node, uuid_of
from tests.bootstrap.host import Host
from tests.bootstrap.node_daemons import NodeDaemons
from tests.cli.cluster_answers import answers_about
from tests.cli.terminal import Terminal, arguments

LINE = "-" * 48


class OnNodes(Host):
    """Three nodes that are online, the last in a group of its own, and one that is not."""

    def setUp(self) -> None:
        super().setUp()
        self.init_cluster()
        self.daemons = NodeDaemons(self, self.paths)
        for name in ("node1", "node2", "node3"):
            self.daemons.serve(name, self.answers(name))
        addresses = {name: each.address for name, each in self.daemons.endpoints.items()}
        groups = {"node3": "rack1"}
        nodes = [
            a_node(name, primary_ip=ip, group=groups.get(name, "default"))
            for name, ip in addresses.items()
        ]
        nodes.append(a_node("node4", primary_ip="127.0.0.4", offline=True))
        state = a_cluster(groups=["default", "rack1"], nodes=nodes)
        self.terminal = Terminal(answers_about(state), paths=self.paths)

    def answers(self, name: str) -> Any:
        def ran(fields: dict[str, Any]) -> CommandResult:
            if name == "node3":
                return CommandResult(code=3, output="no such file\n")
            return CommandResult(code=0, output=f"{fields['command']}\non {name}\n")

        def took(_: Any) -> None:
            if name == "node3":
                raise Refused("the disk is full")

        return {
            "vote_info": lambda _: Ballot(granted=False, state=VoterState(term=7)),
            "run_command": ran,
            "copy_file": took,
        }

    def run_tool(self, command: str, *words: str) -> int:
        return self.terminal.run(
            GNT_CLUSTER, command, "--node-port", str(self.daemons.port), *words
        )

    def reached(self, call: str) -> set[str]:
        """The nodes that were asked to do something."""
        return {name for name, each in self.daemons.asked if each == call}


class CommandTests(OnNodes):
    def test_each_node_is_shown_with_its_exit_code(self) -> None:
        self.assertEqual(self.run_tool("command", "-n", "node2", "cat", "-n", "/etc/motd"), 0)
        shown = f"{LINE}\nnode: node2\ncat -n /etc/motd\non node2\nreturn code = 0\n"
        self.assertEqual(self.terminal.out, shown)

    def test_every_node_that_is_online_is_meant_and_the_worst_counts(self) -> None:
        self.assertEqual(self.run_tool("command", "date"), 1)
        self.assertEqual(self.reached("run_command"), {"node1", "node2", "node3"})

    def test_only_failures_may_be_shown_with_the_node_in_each_line(self) -> None:
        self.assertEqual(self.run_tool("command", "--failure-only", "-M", "date"), 1)
        self.assertEqual(self.terminal.out, f"{LINE}\nnode3: no such file\nreturn code = 3\n")

    def test_a_node_that_does_not_answer_is_shown_with_the_reason(self) -> None:
        away = a_node("node9", primary_ip="127.0.0.9")
        state = a_cluster(nodes=[a_node("node1", primary_ip="127.0.0.1"), away])
        self.terminal.canned.update(answers_about(state))
        self.assertEqual(self.run_tool("command", "-n", "node9", "date"), 1)
        self.assertIn("node: node9\nFailure: node9 (127.0.0.9 port", self.terminal.out)

    def test_nodes_are_chosen_by_group(self) -> None:
        self.assertEqual(self.run_tool("command", "-g", "rack1", "date"), 1)
        self.assertEqual(self.reached("run_command"), {"node3"})

    def test_a_group_may_be_named_by_its_uuid(self) -> None:
        words = ("-g", uuid_of("group", "rack1"), "--failure-only", "date")
        self.assertEqual(self.run_tool("command", *words), 1)
        self.assertEqual(self.reached("run_command"), {"node3"})

    def test_a_node_must_be_of_the_group_as_well(self) -> None:
        self.assertEqual(self.run_tool("command", "-g", "rack1", "-n", "node2", "date"), 1)
        self.assertIn("node node2 is unknown or offline", self.terminal.err)
        self.assertEqual(self.reached("run_command"), set())

    def test_where_none_is_online_nothing_is_done(self) -> None:
        for words, why in (
            (("-g", "rack9"), "no selected node is online"),
            (("-n", "node4"), "node node4 is unknown or offline"),
        ):
            self.assertEqual(self.run_tool("command", *words, "date"), 1)
            self.assertIn(why, self.terminal.err)
        self.assertEqual(self.daemons.asked, [])


class CopyTests(OnNodes):
    def test_a_file_goes_to_all_nodes_but_this_one(self) -> None:
        path = f"{self.paths.root}/etc/motd"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        Path(path).write_text("hello\n")
        self.assertEqual(self.run_tool("copyfile", path), 1)
        self.assertEqual(self.reached("copy_file"), {"node2", "node3"})
        told = f"Failure: {path} was not copied to node3: the disk is full\n"
        self.assertEqual(self.terminal.err, told)
        self.assertEqual(self.run_tool("copyfile", "-n", "node2", path), 0)

    def test_a_file_that_there_is_not_is_told(self) -> None:
        path = f"{self.paths.root}/none"
        self.assertEqual(self.run_tool("copyfile", path), 1)
        self.assertEqual(self.terminal.err, f"Failure: {path}: No such file or directory\n")

    def test_a_path_is_the_same_on_all_nodes_wherever_the_tool_runs(self) -> None:
        path = f"{self.paths.root}/motd"
        Path(path).write_text("hello\n")
        self.assertEqual(self.run_tool("copyfile", "-n", "node3", os.path.relpath(path)), 1)
        self.assertIn(f"Failure: {path} was not copied to node3", self.terminal.err)

    def test_where_only_this_node_is_selected_nothing_is_copied(self) -> None:
        path = f"{self.paths.root}/motd"
        Path(path).write_text("hello\n")
        self.assertEqual(self.run_tool("copyfile", "-n", "node1", path), 0)
        self.assertEqual(self.reached("copy_file"), set())


class NameTests(Host):
    """Nodes with domains, none of which has a daemon."""

    def refused(self, action: Any, **values: Any) -> str:
        state = a_cluster(nodes=["node1.example.com", "node2.example.com", "node2.example.net"])
        terminal = Terminal(answers_about(state), paths=self.paths)
        given = arguments(command=["date"], file="/etc/motd", **values)
        return str(self.assertRaises(ExitTool, terminal.call, lambda it: action(it, given)))

    def test_a_short_name_must_mean_one_node(self) -> None:
        for action in (command, copyfile):
            for name in ("node2", "node9", "node"):
                told = f"node {name} is unknown or offline; see gnt-node list"
                self.assertEqual(self.refused(action, nodes=[name]), told)

    def test_a_group_without_nodes_selects_none(self) -> None:
        told = "no selected node is online; see gnt-node list"
        self.assertEqual(self.refused(command, group="rack9"), told)
