# SPDX-License-Identifier: BSD-2-Clause
"""Daemons that are killed: nothing that was promised is lost, and what is started again goes on."""

from __future__ import annotations

from ganeti.errors import Failed
from ganeti.luxi.methods import QueryInstances, QueryJobs, SubmitJob
from ganeti.opcodes.instance.lifecycle import RebootInstance, RebootType
from ganeti.opcodes.test import Delay
from tests.system.crash import crash
from tests.system.running import SharedCluster, eventually

KILLS = 10
SEED = 7


class CrashTests(SharedCluster):
    """One cluster, whose daemons all run when a test begins and ends."""

    def setUp(self) -> None:
        super().setUp()
        self.assertEqual(self.running.quickstart("start").returncode, 0)

    def placed(self) -> tuple[str, str]:
        """Where the first instance is, and what it does."""
        fields = ("pnode", "status")
        ((node, status),) = self.running.ask(QueryInstances(names=(), fields=fields))
        return str(node), str(status)

    def test_guests_are_found_again_by_a_node_daemon_that_was_killed(self) -> None:
        node, status = self.placed()
        self.assertEqual(status, "running")
        number = int(node.removeprefix("node").partition(".")[0])
        self.running.kill("noded", number)
        eventually(lambda: self.placed()[1] == "ERROR_nodedown")
        self.running.daemon("noded", number).start()
        eventually(lambda: self.placed() == (node, "running"))
        self.running.perform(
            RebootInstance(instance_name="first.trial", reboot_type=RebootType.HARD)
        )

    def test_the_remote_api_is_there_again_after_it_was_killed(self) -> None:
        self.running.kill("rapi")
        self.assertRaisesRegex(AssertionError, "curl", self.running.curl, "GET", "/2/instances")
        self.running.daemon("rapi").start()
        self.assertEqual(
            self.running.curl("GET", "/2/instances"),
            (
                200,
                [{"id": "first.trial", "name": "first.trial", "uri": "/2/instances/first.trial"}],
            ),
        )

    def test_jobs_that_were_acknowledged_outlive_the_master_daemon(self) -> None:
        figures = crash(self.running, KILLS, SEED)
        self.assertEqual(figures.problems, [], str(figures))
        self.assertEqual(figures.kills, KILLS)
        self.assertEqual(figures.known, len(figures.acknowledged))

    def test_a_job_that_a_rule_holds_back_is_neither_lost_nor_started_by_a_crash(self) -> None:
        delays = [["opcode", ["=", "OP_ID", "OP_TEST_DELAY"]]]
        rule = {"priority": 5, "predicates": delays, "action": "PAUSE"}
        status, uuid = self.running.curl("POST", "/2/filters", rule)
        self.assertEqual(status, 200, uuid)
        job = self.running.ask(SubmitJob(ops=(Delay(duration=0.0),)))
        self.running.kill("masterd")
        self.running.daemon("masterd").start()
        shown = self.gnt("filter", "list", "--no-headers", "-o", "uuid,action")
        self.assertEqual(shown.split(), [uuid, "PAUSE"])
        # Another job that has its turn shows that this one could have had it.
        urgent = '[["reason", ["=", "reason", "urgent"]]]'
        other = self.gnt("filter", "add", "--action=ACCEPT", f"--predicates={urgent}").strip()
        self.gnt("debug", "delay", "--reason=urgent", "0")
        self.assertEqual(self.status(job), "queued")
        self.gnt("filter", "delete", other)
        self.gnt("filter", "delete", uuid)
        eventually(lambda: self.status(job) == "success")

    def gnt(self, tool: str, *arguments: str) -> str:
        done = self.running.tool(tool, *arguments)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def status(self, job: int) -> str:
        (row,) = self.running.ask(QueryJobs(ids=(job,), fields=("status",)))
        assert row is not None
        return str(row[0])

    def test_a_second_master_daemon_is_told_of_the_first(self) -> None:
        daemon = self.running.daemon("masterd")
        process = daemon.process()
        assert process is not None
        self.assertRaisesRegex(Failed, f"is already running as process {process.pid}", daemon.start)
        self.assertTrue(process.alive())

    def test_a_node_that_is_not_the_master_does_not_run_the_master_daemon(self) -> None:
        with self.assertRaises(Failed):
            self.running.daemon("masterd", 2).start()
        self.assertIsNone(self.running.daemon("masterd", 2).process())
