# SPDX-License-Identifier: BSD-2-Clause
"""Options of jobs are offered where they do something, and do it."""

from __future__ import annotations

import json
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.command import Tool
from ganeti.cli.command_options import all_options
from ganeti.cli.gnt_cluster.commands import GNT_CLUSTER
from ganeti.cli.gnt_debug.commands import GNT_DEBUG
from ganeti.cli.gnt_instance.commands import GNT_INSTANCE
from ganeti.cli.gnt_node.commands import GNT_NODE
from ganeti.cli.ipolicy_options import SPECS
from ganeti.errors import Refused
from ganeti.luxi.methods import PlanJob, SubmitJob, SubmitManyJobs
from ganeti.opcodes.registry import OPCODES
from ganeti.schema.parameters import parameters
from tests.cli.terminal import Terminal
from tests.golden.command_table import tools
from tests.readers import option_names_read

IDLE = "ccepted for compatibility"
"""How the help of an option begins that is there for scripts and changes nothing."""

JOB = ("submit", "print_jobid", "dry_run", "plan", "priority")


class OfferTests(SynchronousTestCase):
    def offered(self, tool: Tool, name: str) -> list[str]:
        command = tool.command(name)
        assert command is not None
        return [each.name for each in all_options(command) if each.name in JOB]

    def test_a_command_that_shows_what_its_job_reads_has_only_a_priority(self) -> None:
        for tool, *names in (
            (GNT_CLUSTER, "search-tags"),
            (GNT_DEBUG, "test-jobqueue"),
            (GNT_INSTANCE, "info", "console"),
            (GNT_NODE, "health", "volumes", "list-storage"),
        ):
            for name in names:
                self.assertEqual(self.offered(tool, name), ["priority"], name)

    def test_the_end_of_the_cluster_is_waited_for(self) -> None:
        self.assertEqual(self.offered(GNT_CLUSTER, "destroy"), ["dry_run", "priority"])

    def test_every_option_is_read_by_its_command(self) -> None:
        unread = []
        specs = list(SPECS.values())  # their names are read from this table
        for tool in tools():
            for command in tool.commands:
                if command.run is None or command.unsupported:
                    continue
                read = option_names_read(command) | {"debug", "reason"}
                if command.opcode:  # from which ``run`` builds it
                    read |= {each.name for each in parameters(OPCODES[command.opcode])}
                for option in all_options(command):
                    idle = option.unsupported or IDLE in option.doc or option in specs
                    if option.name not in read and not idle:
                        unread.append(f"{tool.name} {command.name} {option.flags[-1]}")
        self.assertEqual(unread, [])


class EffectTests(SynchronousTestCase):
    def test_a_renewal_that_is_only_shown_changes_nothing(self) -> None:
        terminal = Terminal()
        given = ("-f", "--dry-run", "--new-rapi-certificate", "--new-cluster-domain-secret")
        self.assertEqual(terminal.run(GNT_CLUSTER, "renew-crypto", *given), 0)
        self.assertIn("- rapi certificate\n- domain secret\n", terminal.out)
        self.assertEqual(terminal.asked(), [])

    def test_jobs_can_be_submitted_one_by_one(self) -> None:
        path = Path(self.mktemp())
        path.write_text(json.dumps([{"OP_ID": "OP_TEST_DELAY", "duration": 0.0}]))
        terminal = Terminal()
        given = ("--each", "--job-repeat=3", "--submit", str(path))
        self.assertEqual(terminal.run(GNT_DEBUG, "submit-job", *given), 0)
        sent = [each for each in terminal.asked() if isinstance(each, SubmitManyJobs)]
        self.assertEqual([len(each.jobs) for each in sent], [1, 1, 1])


PLANNED = {
    "opcode": "OP_INSTANCE_SHUTDOWN",
    "summary": "INSTANCE_SHUTDOWN(web1)",
    "steps": ["Shut down instance web1 on node node1."],
    "locks": [{"name": "instance web1", "mode": "exclusive"}],
    "asked": [],
    "nodes": ["node1"],
    "irreversible": None,
    "preview": None,
}


class PlanTests(SynchronousTestCase):
    """What ``--plan`` shows, of one job and of several; nothing is submitted."""

    def run_plan(self, answer: object, *words: str) -> tuple[int, Terminal]:
        terminal = Terminal({PlanJob: answer})
        code = terminal.run(GNT_INSTANCE, *words)
        sent = [each for each in terminal.asked() if isinstance(each, SubmitJob | SubmitManyJobs)]
        self.assertEqual(sent, [])
        return code, terminal

    def test_steps_locks_and_nodes_are_shown(self) -> None:
        code, terminal = self.run_plan([PLANNED], "shutdown", "--plan", "web1")
        self.assertEqual(
            (code, terminal.out.splitlines()),
            (
                0,
                [
                    "INSTANCE_SHUTDOWN(web1):",
                    "  - Shut down instance web1 on node node1.",
                    "  locks: instance web1 (exclusive)",
                    "  nodes: node1",
                    "  cannot be undone: nothing",
                ],
            ),
        )

    def test_each_job_of_several_is_planned_without_a_question(self) -> None:
        code, terminal = self.run_plan([PLANNED], "shutdown", "--plan", "web1", "web2")
        self.assertEqual((code, terminal.out.count("INSTANCE_SHUTDOWN")), (0, 2))

    def test_nothing_is_confirmed_for_what_is_only_planned(self) -> None:
        code, terminal = self.run_plan([PLANNED], "remove", "--plan", "web1")
        self.assertEqual((code, terminal.err), (0, ""))

    def test_a_job_that_would_be_refused_is_a_failure(self) -> None:
        def refuse(_: object) -> None:
            raise Refused("node1 is offline")

        code, terminal = self.run_plan(refuse, "shutdown", "--plan", "web1")
        self.assertEqual((code, terminal.err), (1, "Failure: node1 is offline\n"))
