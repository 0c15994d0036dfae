# SPDX-License-Identifier: BSD-2-Clause
"""Another node becomes the master of a cluster of real daemons."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from ganeti.bootstrap.blocking_files import local_files
from ganeti.bootstrap.daemons import MASTERD, RAPI, runs
from ganeti.bootstrap.journal_copy import read
from ganeti.errors import GanetiError
from ganeti.luxi.methods import (
    QueryConfigValues,
    WaitForEvents,
)
from ganeti.node.voter import read_voter_state
from tests.system.event_reader import EventReader, expected
from tests.system.masters import MasterTestCase
from tests.system.running import TIMEOUT, RunningCluster, eventually, run
from tests.system.talking import NodeEndpoint

INSTANCE = "first.trial"


class FailoverTests(MasterTestCase):
    def setUp(self) -> None:
        self.running = RunningCluster()
        self.addCleanup(self.end)
        # Candidates are given their copies in the background.
        eventually(lambda: all(self.knows(number) for number in (2, 3)))

    def end(self) -> None:
        self.end_masters()
        self.running.destroy()

    def knows(self, number: int) -> bool:
        paths = self.node(number).paths
        voters = read_voter_state(local_files(), paths.term_file).replica_set
        return (
            os.path.exists(paths.config_file)
            and os.path.exists(paths.authority_key)
            and len(voters.in_sync) == len(voters.voters) == 3
            and not voters.old_voters
        )

    def failed_over(self, number: int, *options: str) -> str:
        done = self.tool(number, "master-failover", *options)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        return done.stdout

    def test_a_master_that_is_killed_is_replaced_without_loss(self) -> None:
        jobs = [self.tag(1, f"tag-{number}") for number in range(5)]
        for daemon in (RAPI, MASTERD, "ganeti-noded"):
            self.send(1, daemon, signal.SIGKILL)
        began = time.monotonic()
        said = self.failed_over(2)
        self.assertLess(time.monotonic() - began, TIMEOUT)
        self.assertIn("does not answer; continuing without it", said)
        self.assertIn("2 of 3 nodes answer", said)
        self.assertEqual({self.status(2, job) for job in jobs}, {"success"})
        self.tag(2, "after")
        self.assertEqual(
            self.ask(2, QueryConfigValues(fields=("master_node",))), [self.node(2).name]
        )
        # The remote API convinces at its new address.
        self.assertEqual(self.curled(2), INSTANCE)
        # The old master's node comes back; the instance has run all the time.
        self.running.daemon("noded", 1).start()
        eventually(lambda: self.instances(2) == f"{INSTANCE} running")
        told = self.masterd(1)
        self.assertEqual(told.returncode, 11, told.stderr)
        self.assertIn("is the master", told.stderr)
        self.assertFalse(runs(self.node(1).paths, MASTERD))
        eventually(lambda: self.tool(1, "getmaster").stdout.strip() == self.node(2).name)
        # And is a candidate, to which the office can return: this time in order.
        eventually(lambda: self.end_of(1) == self.end_of(2))
        said = self.failed_over(1)
        self.assertIn(f"the master daemon on {self.node(2).name} was stopped", said)
        self.assertEqual({self.status(1, job) for job in jobs}, {"success"})
        self.tag(1, "again")
        self.assertFalse(runs(self.node(2).paths, MASTERD))

    def test_events_go_on_from_another_master(self) -> None:
        since = self.ask(1, WaitForEvents())["position"]
        first, at = self.node(1).address, [1]
        reader = EventReader(
            lambda: self.running.cluster.rapi.replace(first, self.node(at[0]).address),
            NodeEndpoint(self.running),
            since,
        )
        self.addCleanup(reader.end)
        reader.start()
        eventually(lambda: reader.connections)
        self.tag(1, "before")
        for daemon in (RAPI, MASTERD):
            self.send(1, daemon, signal.SIGKILL)
        at[0] = 2
        self.failed_over(2)
        self.tag(2, "after")
        eventually(lambda: reader.committed() == expected(self.running, 2, since))
        self.assertEqual(reader.notices, [])

    def test_a_cut_off_candidate_refuses_and_the_master_goes_on(self) -> None:
        for number in (1, 3):
            self.send(number, "ganeti-noded", signal.SIGKILL)
        told = self.tool(2, "master-failover")
        self.assertEqual(told.returncode, 1)
        self.assertIn("only 1 of 3 nodes answer", told.stderr)
        self.assertIn("--no-voting", told.stderr)
        for number in (1, 3):
            self.running.daemon("noded", number).start()
        self.tag(1, "still")

    def test_a_master_without_a_majority_goes_on_by_the_word_of_a_person(self) -> None:
        self.assertIn("already the master", self.tool(1, "master-failover").stderr)
        for number in (2, 3):
            self.send(number, "ganeti-noded", signal.SIGKILL)
        eventually(lambda: "--no-voting" in self.tool(1, "master-failover").stderr)
        self.failed_over(1, "--no-voting", "--yes-do-it")
        self.tag(1, "alone")
        for number in (2, 3):
            self.running.daemon("noded", number).start()
        self.tag(1, "together")

    def test_a_master_that_is_replaced_while_it_runs_ends(self) -> None:
        # Its node daemon is away, so that nobody can end it.
        self.send(1, "ganeti-noded", signal.SIGKILL)
        self.failed_over(2)
        eventually(lambda: not runs(self.node(1).paths, MASTERD))
        log = Path(f"{self.node(1).paths.log}/master-daemon.log").read_text()
        self.assertIn("CRITICAL cannot continue", log)
        self.tag(2, "after")

    def instances(self, number: int) -> str:
        program = "from ganeti.cli.gnt_instance.commands import main; main()"
        environment = self.running.cluster.environment(self.node(number))
        done = run(
            [sys.executable, "-P", "-c", program, "list", "--no-headers", "-o", "name,status"],
            environment=environment,
        )
        return " ".join(done.stdout.split())

    def curled(self, number: int) -> str:
        url = f"https://{self.node(number).address}:5080/2/instances"
        done = run(["curl", "-sS", "--cacert", self.node(number).paths.authority, url])
        return INSTANCE if INSTANCE in done.stdout else f"{done.stdout}{done.stderr}"

    def end_of(self, number: int) -> int:
        try:
            return read(local_files(), self.node(number).paths.data).end
        except GanetiError:
            return -1
