# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-node`` takes hosts in, shows and changes them."""

from __future__ import annotations

import os
import socket
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.bootstrap.init_cluster import init_cluster
from ganeti.cli.gnt_node.commands import GNT_NODE
from ganeti.luxi.methods import Query
from ganeti.opcodes.instance.moves import FailoverInstance
from ganeti.opcodes.node import (
    AddNode,
    CommandPower,
    EvacuateNode,
    ModifyNode,
    RunRestrictedCommand,
)
from ganeti.paths import Paths
from ganeti.pki.enrolment import read_token
from ganeti.schema.records import replace
from tests.cli.terminal import Terminal, answer


def _helpers(**programs: str) -> Any:
    """The answer about the out-of-band helpers of nodes, by name."""
    rows = [[name, {"oob_program": program}] for name, program in programs.items()]
    return answer({"name": "text", "ndparams": "other"}, *rows)


class AddTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.terminal = Terminal(paths=Paths(os.path.abspath(self.mktemp())))
        init_cluster(
            self.terminal.paths,
            cluster="cluster1",
            address="127.0.0.1",
            master="node1",
            master_address="127.0.0.1",
            hypervisors=["fake"],
        )
        self.daemon = socket.socket()
        self.addCleanup(self.daemon.close)
        self.daemon.bind(("127.0.0.1", 0))
        self.port = str(self.daemon.getsockname()[1])

    def add(self, *words: str) -> int:
        where = ("--primary-ip", "127.0.0.1", "--port", self.port)
        return self.terminal.run(GNT_NODE, "add", *where, *words, "node2")

    def test_a_token_can_be_had_alone(self) -> None:
        self.assertEqual(self.add("--token-only"), 0)
        self.assertEqual(read_token(self.terminal.out).names, ("node2", "127.0.0.1"))
        self.assertEqual(self.terminal.asked(), [])

    def test_the_node_is_waited_for_and_added(self) -> None:
        self.terminal.sleeping = self.daemon.listen
        self.assertEqual(self.add(), 0)
        self.assertIsInstance(self.terminal.job(), AddNode)
        self.assertEqual(self.terminal.slept, [0.5])
        self.assertIn("ganeti-noded --join -\n", self.terminal.out)
        self.assertIn("... it answers.\n", self.terminal.out)

    def test_a_node_that_answers_is_added_at_once(self) -> None:
        self.daemon.listen()
        self.assertEqual(self.add("-s", "10.0.0.2", "-g", "rack1", "--no-node-setup"), 0)
        self.assertEqual(
            replace(self.terminal.job(), reason=()),
            AddNode(
                node_name="node2", primary_ip="127.0.0.1", secondary_ip="10.0.0.2", group="rack1"
            ),
        )
        self.assertEqual(self.terminal.out, "")

    def test_one_that_should_answer_and_does_not_has_an_exit_code(self) -> None:
        self.assertEqual(self.add("--joined"), 12)
        self.assertIn("no node daemon answers at 127.0.0.1", self.terminal.err)


class ChangeTests(SynchronousTestCase):
    def made(self, *words: str, **terminal: Any) -> Any:
        used = Terminal(**terminal)
        self.assertEqual(used.run(GNT_NODE, *words), 0, used.err)
        return replace(used.job(), reason=())

    def test_roles_and_parameters_change(self) -> None:
        self.assertEqual(
            self.made("modify", "-C", "no", "-O", "yes", "--node-parameters", "ssh_port=23", "n1"),
            ModifyNode(
                node_name="n1", master_candidate=False, offline=True, ndparams={"ssh_port": "23"}
            ),
        )

    def test_evacuation_follows_its_jobs(self) -> None:
        made = self.made("evacuate", "-f", "-p", "-I", "hail", "node1", result={"jobs": []})
        self.assertEqual(
            made,
            EvacuateNode(
                node_name="node1",
                mode="primary-only",  # type: ignore[arg-type]
                iallocator="hail",
            ),
        )

    def test_a_new_secondary_is_for_second_copies_only(self) -> None:
        made = self.made("evacuate", "-f", "-n", "node3", "node1", result={"jobs": []})
        self.assertEqual((made.mode, made.remote_node), ("secondary-only", "node3"))
        terminal = Terminal()
        self.assertEqual(terminal.run(GNT_NODE, "evacuate", "-f", "-p", "-n", "n3", "n1"), 1)
        self.assertIn("does not go together with -p", terminal.err)

    def test_failing_over_a_node_is_one_job_for_each_instance(self) -> None:
        rows = answer({"pinst_list": "other"}, [["db1", "web1"]])
        terminal = Terminal({Query: rows}, answers=["y"])
        self.assertEqual(terminal.run(GNT_NODE, "failover", "node1"), 0)
        jobs = [job[0] for job in terminal.master.memory.jobs.values()]
        self.assertEqual(
            [each.instance_name for each in jobs if isinstance(each, FailoverInstance)],
            ["db1", "web1"],
        )

    def test_nodes_are_marked_offline_before_they_lose_their_power(self) -> None:
        for words, before in (
            ([], [ModifyNode(node_name="node2", offline=True)]),
            (["--auto-promote"], [ModifyNode(node_name="node2", offline=True, auto_promote=True)]),
            (["--ignore-status"], []),
        ):
            terminal = Terminal({Query: _helpers(node2="/bin/helper")}, result=[])
            self.assertEqual(terminal.run(GNT_NODE, "power", "-f", *words, "off", "node2"), 0)
            *first, switch = terminal.master.memory.last_job()
            self.assertEqual([replace(each, reason=()) for each in first], before)
            self.assertIsInstance(switch, CommandPower)

    def test_a_node_without_a_helper_stays_online(self) -> None:
        terminal = Terminal({Query: _helpers(node2="")})
        self.assertEqual(terminal.run(GNT_NODE, "power", "-f", "off", "node2"), 1)
        self.assertIn("node node2 has no out-of-band helper; name one: gnt-node", terminal.err)
        self.assertEqual([type(each) for each in terminal.asked()], [Query])

    def test_power_that_no_helper_could_switch_is_a_failure(self) -> None:
        for what, code in (("status", 0), ("on", 1), ("cycle", 1)):
            terminal = Terminal(result=[[[0, "node2"], [3, None]]])
            self.assertEqual(terminal.run(GNT_NODE, "power", "-f", what, "node2"), code, what)

    def test_what_interrupts_nodes_wants_their_names(self) -> None:
        for what in ("off", "cycle"):
            terminal = Terminal()
            self.assertEqual(terminal.run(GNT_NODE, "power", "-f", what), 1)
            self.assertIn(f"power {what}: name the nodes", terminal.err)

    def test_a_power_cycle_is_asked_about(self) -> None:
        self.assertEqual(Terminal().run(GNT_NODE, "powercycle", "-f", "node2"), 13)
        self.assertEqual(Terminal().run(GNT_NODE, "powercycle", "--yes", "node2"), 0)


class TableTests(SynchronousTestCase):
    def test_volumes_come_as_a_job_and_show_as_a_list(self) -> None:
        terminal = Terminal(result=[["node1", "/dev/sda", "xenvg", "a", "2048", None]])
        self.assertEqual(terminal.run(GNT_NODE, "volumes", "--separator=:"), 0)
        self.assertEqual(
            terminal.out, "Node:Phys:Vg:Name:Size:Instance\nnode1:/dev/sda:xenvg:a:2048:-\n"
        )

    def test_the_minors_of_a_node_are_listed(self) -> None:
        fields = {"name": "text", "pinst_list": "other", "sinst_list": "other"}
        row = ["node1", ["web1"], ["db1"]]
        drbd = {"primary_minor": 3, "secondary_minor": 0}
        here = {**drbd, "primary_node": "node1", "secondary_node": "node2"}
        there = {**drbd, "primary_node": "node2", "secondary_node": "node1"}
        disks = [{"iv_name": "disk/0", "drbd_info": here}, {"iv_name": "disk/1", "drbd_info": None}]
        instances = {
            "1": {"name": "web1", "disks": disks},
            "2": {"name": "db1", "disks": [{"iv_name": "disk/0", "drbd_info": there}]},
        }
        terminal = Terminal({Query: answer(fields, row)}, result=instances)
        self.assertEqual(terminal.run(GNT_NODE, "list-drbd", "--separator=:", "node1"), 0)
        self.assertEqual(
            terminal.out,
            "Node:Minor:Instance:Disk:Role:PeerNode\n"
            "node1:0:db1:disk/0:secondary:node2\nnode1:3:web1:disk/0:primary:node2\n",
        )

    def test_a_restricted_command_runs_where_it_can_and_says_how_it_went(self) -> None:
        rows = answer({"name": "text"}, ["node1"], ["node2"])
        terminal = Terminal({Query: rows}, result=[[True, "well\nso far\n"], [False, "no"]])
        self.assertEqual(terminal.run(GNT_NODE, "restricted-command", "-g", "a", "look"), 1)
        self.assertEqual(terminal.out, "--- node1\nwell\nso far\n--- node2: failed\nno\n")
        self.assertEqual(
            replace(terminal.job(), reason=()),
            RunRestrictedCommand(nodes=("node1", "node2"), command="look"),
        )
        terminal = Terminal(result=[[True, "well\n"]])
        self.assertEqual(terminal.run(GNT_NODE, "restricted-command", "-M", "look", "node3"), 0)
        self.assertEqual(terminal.out, "node3: well\n")

    def test_power_is_told_by_node(self) -> None:
        said = [[0, {"powered": True}], [3, None], [0, [["fan", "OK"], ["disk", "WARNING"]]]]
        terminal = Terminal(result=[[[0, f"node{n}"], each] for n, each in enumerate(said)])
        self.assertEqual(terminal.run(GNT_NODE, "power", "--separator=:", "status"), 0)
        told = "Node:Said\nnode0:powered\nnode1:(unavail)\nnode2:fan=OK, disk=WARNING\n"
        self.assertEqual(terminal.out, told)
        terminal = Terminal(result=[[[0, "node1"], [2, None]]])
        self.assertEqual(terminal.run(GNT_NODE, "health"), 1)
        self.assertIn("(nodata)", terminal.out)
