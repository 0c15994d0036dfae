# SPDX-License-Identifier: BSD-2-Clause
"""An emergency power off stops instances before nodes, and what comes back is as it was."""

from __future__ import annotations

import socket
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.gnt_cluster.commands import GNT_CLUSTER
from ganeti.cli.gnt_cluster.epo import BOOT_TIMEOUT, PAUSE
from ganeti.luxi.methods import Query, QueryClusterInfo, SetWatcherPause, WaitForJobChange
from ganeti.opcodes.instance.lifecycle import ShutdownInstance, StartInstance
from ganeti.opcodes.node import CommandPower, ModifyNode, PowerCommand
from ganeti.opcodes.opcode import Opcode
from ganeti.schema.records import replace
from tests.cli.terminal import NOW, Terminal, answer

INSTANCES: dict[str, dict[str, Any]] = {
    "db1": {"pnode": "node2", "admin_state": "up", "oper_state": False},
    "off1": {"pnode": "node2", "admin_state": "down", "oper_state": False},
    "new1": {"pnode": "node2", "admin_state": "up", "oper_state": None},
    "web1": {"pnode": "node1", "admin_state": "up", "oper_state": True},
}


def node(name: str, offline: bool) -> dict[str, Any]:
    return {
        "name": name,
        "pip": "127.0.0.1",
        "offline": offline,
        "master": name == "node1",
        "group": "rack1",
        "group.uuid": "uuid1",
        "master_capable": True,
        "master_candidate": not offline,
    }


class EpoTests(SynchronousTestCase):
    instances = INSTANCES

    def epo(
        self,
        *words: str,
        offline: bool = False,
        pool: int = 2,
        broken: type[Opcode] | None = None,
    ) -> Terminal:
        """Run the command; jobs with a ``broken`` opcode fail."""
        nodes = [node("node1", False), node("node2", offline)]

        def rows(request: Query) -> Any:
            found = nodes if request.what == "node" else list(self.instances.values())
            names = list(self.instances) if request.what == "instance" else ["", ""]
            lines = [
                [name if field == "name" and name else each[field] for field in request.fields]
                for name, each in zip(names, found, strict=True)
            ]
            return answer(dict.fromkeys(request.fields, "other"), *lines)(request)

        canned: Any = {
            Query: rows,
            QueryClusterInfo: {"candidate_pool_size": pool},
            SetWatcherPause: lambda request: request.until,
        }

        def ended(request: WaitForJobChange) -> Any:
            opcodes = terminal.master.memory.jobs[request.job_id]
            if broken is not None and isinstance(opcodes[0], broken):
                return [["error", ["error"], [["OpExecError", ["the guest hangs"]]]], []]
            return [["success", ["success"] * len(opcodes), [[]] * len(opcodes)], []]

        terminal = Terminal({**canned, WaitForJobChange: ended})
        self.code = terminal.run(GNT_CLUSTER, "epo", *words)
        return terminal

    def jobs(self, terminal: Terminal) -> list[list[Opcode]]:
        jobs = terminal.master.memory.jobs.values()
        return [[replace(opcode, reason=()) for opcode in job] for job in jobs]

    def test_all_stop_before_their_nodes_are_switched_off(self) -> None:
        terminal = self.epo("-f", "--all", "--shutdown-timeout", "9")
        self.assertEqual(self.code, 0, terminal.err)
        *stops, power = self.jobs(terminal)
        self.assertEqual(
            [job[0] for job in stops],
            [
                ShutdownInstance(instance_name=name, timeout=9, no_remember=True)
                for name in ("new1", "web1")
            ],
        )
        self.assertEqual(
            power,
            [
                ModifyNode(node_name="node2", offline=True, force=True),
                CommandPower(node_names=("node2",), command=PowerCommand.POWER_OFF, timeout=60),
            ],
        )
        self.assertIn(SetWatcherPause(until=NOW + PAUSE), terminal.asked())
        self.assertIn("node1 is the master and stays on", terminal.out)

    def test_some_with_the_master_among_them_are_refused(self) -> None:
        for words in (("-f", "node1"), ("-f", "--groups", "rack1")):
            terminal = self.epo(*words)
            self.assertEqual((self.code, self.jobs(terminal)), (1, []))
            self.assertIn("node1 is the master", terminal.err)

    def test_it_must_be_said_which(self) -> None:
        for words in ((), ("--all", "node2"), ("nosuch",)):
            terminal = self.epo("-f", *words)
            self.assertEqual((self.code, self.jobs(terminal)), (1, []), terminal.out)

    def test_what_comes_back_is_as_it_was(self) -> None:
        daemon = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(daemon.close)
        port = str(daemon.getsockname()[1])
        terminal = self.epo("--on", "--node-port", port, "node2", offline=True)
        self.assertEqual(self.code, 0, terminal.err)
        power, back, start, _ = self.jobs(terminal)
        self.assertIsInstance(power[0], CommandPower)
        self.assertEqual(back, [ModifyNode(node_name="node2", master_candidate=True)])
        names = [each.instance_name for each in start if isinstance(each, StartInstance)]
        self.assertEqual(names, ["db1"])
        self.assertIn(SetWatcherPause(until=None), terminal.asked())

    def test_all_are_asked_about_first(self) -> None:
        terminal = self.epo("--all")
        self.assertEqual((self.code, self.jobs(terminal)), (13, []))
        self.assertEqual(terminal.out, "  node2\n")

    def test_where_an_instance_does_not_stop_no_node_loses_its_power(self) -> None:
        terminal = self.epo("-f", "node2", broken=ShutdownInstance)
        self.assertEqual(self.code, 1)
        kinds = [type(job[0]) for job in self.jobs(terminal)]
        self.assertEqual(kinds, [ShutdownInstance])
        self.assertIn("no node was powered off", terminal.err)

    def test_an_instance_that_does_not_start_leaves_the_watcher_at_work(self) -> None:
        daemon = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(daemon.close)
        port = str(daemon.getsockname()[1])
        self.instances = {"db1": INSTANCES["db1"]}
        terminal = self.epo("--on", "--node-port", port, "node2", broken=StartInstance)
        self.assertEqual(self.code, 1)
        self.assertIn("for db1 failed: the guest hangs", terminal.err)
        self.assertEqual(terminal.asked()[-1], SetWatcherPause(until=None))

    def test_a_group_that_there_is_not_is_named(self) -> None:
        terminal = self.epo("-f", "--groups", "rack9")
        self.assertEqual((self.code, self.jobs(terminal)), (1, []))
        self.assertIn("unknown node group rack9; see gnt-group list", terminal.err)

    def test_a_node_that_stays_away_is_told_and_left_offline(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as unused:
            port = str(unused.getsockname()[1])
        terminal = self.epo("--on", "--node-port", port, "node2", offline=True)
        self.assertEqual(self.code, 1)
        self.assertIn("the node daemon of node2 does not answer yet", terminal.err)
        self.assertGreaterEqual(sum(terminal.slept), BOOT_TIMEOUT)
        kinds = [type(opcode) for job in self.jobs(terminal) for opcode in job]
        self.assertEqual(kinds, [CommandPower])

    def test_what_the_cluster_does_not_need_comes_back_without_being_a_candidate(self) -> None:
        daemon = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(daemon.close)
        port = str(daemon.getsockname()[1])
        terminal = self.epo("--on", "--node-port", port, "node2", offline=True, pool=1)
        [back] = [job for job in self.jobs(terminal) if isinstance(job[0], ModifyNode)]
        self.assertEqual(back, [ModifyNode(node_name="node2", offline=False)])
