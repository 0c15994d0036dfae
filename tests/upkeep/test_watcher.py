# SPDX-License-Identifier: BSD-2-Clause
"""A run of the watcher, on a node whose master is in memory."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Failed
from ganeti.luxi.methods import (
    AutoArchiveJobs,
    Query,
    QueryConfigValues,
    QueryGroups,
    QueryInstances,
    QueryJobs,
    QueryNodes,
)
from ganeti.luxi.unreachable import MasterNotRunning
from ganeti.opcodes.cluster import RenewCrypto
from ganeti.opcodes.group import VerifyGroupDisks
from ganeti.opcodes.instance.disks import ActivateDisks
from ganeti.opcodes.instance.lifecycle import StartInstance
from ganeti.paths import Paths
from ganeti.system.pidfile import PidFile
from ganeti.testing.master import BlockingMemoryMaster
from ganeti.upkeep.watcher import PAUSE_FILE_AGE, WatcherDependencies, is_paused, watch

NOW = 1_700_000_000.0
GROUP = "5c2e8a0c-0000-4000-8000-000000000001"


def one_after_the_other(*rows: Any) -> Callable[[Any], Any]:
    """Answers to the same question about one job, asked again and again."""
    left = iter(rows)
    return lambda _: [next(left)]


class WatcherTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.paths = Paths(os.path.abspath(self.mktemp()))
        for folder in (self.paths.data, self.paths.run, f"{self.paths.hooks}/watcher"):
            os.makedirs(folder)
        self.write(self.paths.node_certificate, "")
        self.write(f"{self.paths.data}/ssconf_master_node", "node1\n")
        self.started: list[str] = []
        self.status = "running"
        self.due = False
        self.master = BlockingMemoryMaster(
            {
                AutoArchiveJobs: [0, 0],
                QueryConfigValues: lambda _: [self.due],
                QueryGroups: [[GROUP, "default"]],
                QueryNodes: [["node1", GROUP, "boot1", False]],
                QueryInstances: lambda _: [
                    ["web1", self.status, "node1", [], GROUP, "file"],
                    ["db1", "running", "node1", [], GROUP, "file"],
                ],
            }
        )

    def write(self, path: str, text: str, mode: int = 0o600) -> None:
        Path(path).write_text(text)
        os.chmod(path, mode)

    def read(self, path: str) -> str:
        return Path(path).read_text()

    def runs(self, *daemons: str) -> None:
        for daemon in daemons:
            pid_file = PidFile(f"{self.paths.run}/{daemon}.pid", daemon)
            pid_file.acquire()
            self.addCleanup(pid_file.release)

    def start(self, _: Paths, daemon: str) -> None:
        self.started.append(daemon)
        if daemon == "ganeti-rapi":
            raise Failed("its port is taken")

    def watch(self, name: str = "node1", **options: Any) -> int:
        log = logging.Logger("test")
        self.said: list[str] = []
        handler = logging.Handler()
        handler.emit = lambda record: self.said.append(record.getMessage())  # type: ignore[method-assign]
        log.addHandler(handler)
        return watch(
            WatcherDependencies(
                paths=self.paths,
                name=name,
                connect=lambda: self.master,
                log=log,
                now=lambda: NOW,
                start=self.start,
                **options,
            )
        )

    def test_a_host_of_no_cluster_is_left_alone(self) -> None:
        os.unlink(self.paths.node_certificate)
        self.assertEqual((self.watch(), self.started), (0, []))

    def test_daemons_that_should_run_are_started(self) -> None:
        self.runs("ganeti-masterd")
        self.assertEqual(self.watch(), 0)
        self.assertEqual(self.started, ["ganeti-noded", "ganeti-rapi"])
        self.assertIn("its port is taken", self.said)

    def test_only_the_masters_daemons_are_the_masters(self) -> None:
        self.assertEqual((self.watch("node2"), self.started), (11, ["ganeti-noded"]))
        self.assertEqual(self.master.memory.asked, [])

    def test_a_candidate_serves_the_remote_api(self) -> None:
        self.write(f"{self.paths.data}/ssconf_master_candidates", "node1\nnode2\n")
        self.assertEqual((self.watch("node2"), self.started), (11, ["ganeti-noded"]))
        self.write(self.paths.rapi_certificate, "")
        self.watch("node2")
        self.assertEqual(self.started[1:], ["ganeti-noded", "ganeti-rapi"])

    def test_without_a_master_daemon_there_is_nobody_to_ask(self) -> None:
        self.assertEqual(self.watch(), 11)
        self.runs("ganeti-masterd")
        self.master.memory.away = True
        self.assertEqual(self.watch(), 1)
        self.assertIn(str(MasterNotRunning("the master daemon is not running")), self.said)

    def test_what_is_down_is_started_and_the_tries_are_kept(self) -> None:
        self.runs("ganeti-masterd")
        self.status = "ERROR_down"
        for _ in range(7):
            self.watch()
        jobs = self.master.memory.jobs
        self.assertEqual(len(jobs), 5)
        [opcode] = jobs[1]
        assert isinstance(opcode, StartInstance)
        self.assertEqual(opcode.instance_name, "web1")
        self.assertEqual(opcode.reason, (("gnt:watcher", "instance is down", int(NOW * 1e9)),))
        self.assertIn("instance web1 does not stay up; not starting it again", self.said)

    def test_a_start_is_told_as_what_it_is_until_it_has_ended(self) -> None:
        self.runs("ganeti-masterd")
        self.status = "ERROR_down"
        self.assertEqual(self.watch(), 0)
        self.assertEqual(self.said[-1], "instance web1 is down; starting it by job 1")

    def test_who_waits_learns_how_jobs_ended(self) -> None:
        self.runs("ganeti-masterd")
        self.status = "ERROR_down"
        failed = ["error", [["OpExecError", ["no memory"]]]]
        for ends, code in (
            ([["running", [None]], ["success", [None]]], 0),
            ([["running", [None]], failed], 1),
        ):
            self.master.memory.canned[QueryJobs] = one_after_the_other(*ends)
            slept: list[float] = []
            self.assertEqual(self.watch(wait=True, sleep=slept.append), code)
            self.assertEqual(slept, [1.0])
            self.assertEqual("no memory" in self.said[-1], bool(code), self.said)

    def test_tries_are_not_counted_while_a_node_does_not_answer(self) -> None:
        self.runs("ganeti-masterd")
        self.status = "ERROR_down"
        silent = ["node2", GROUP, None, False]
        self.master.memory.canned[QueryNodes] = [["node1", GROUP, "boot1", False], silent]
        for _ in range(7):
            self.watch()
        self.assertEqual(len(self.master.memory.jobs), 7)

    def test_a_node_that_is_marked_offline_need_not_answer(self) -> None:
        self.runs("ganeti-masterd")
        self.status = "ERROR_down"
        offline = ["node2", GROUP, None, True]
        self.master.memory.canned[QueryNodes] = [["node1", GROUP, "boot1", False], offline]
        for _ in range(7):
            self.watch()
        self.assertEqual(len(self.master.memory.jobs), 5)

    def test_all_its_jobs_say_whose_they_are_so_that_rules_about_jobs_can_tell(self) -> None:
        self.runs("ganeti-masterd")
        drbd = ["db1", "running", "node1", [], GROUP, "drbd"]
        self.master.memory.canned.update(
            {QueryInstances: [drbd], QueryJobs: [["success", [[{}, ["db1"], {}]]]]}
        )
        self.watch()
        found = {type(op): op.reason for (op,) in self.master.memory.jobs.values()}
        when = int(NOW * 1e9)
        self.assertEqual(
            found,
            {
                VerifyGroupDisks: (("gnt:watcher", "verification of mirrored disks", when),),
                ActivateDisks: (("gnt:watcher", "disks are not active", when),),
            },
        )

    def test_the_statuses_are_there_for_scripts(self) -> None:
        self.runs("ganeti-masterd")
        self.watch()
        path = f"{self.paths.data}/watcher.{GROUP}.instance-status"
        self.assertEqual(self.read(path), "web1 running\ndb1 running\n")
        merged = self.read(f"{self.paths.run}/instance-status")
        self.assertEqual(merged, "db1 running\nweb1 running\n")

    def test_a_replacement_of_the_authority_is_completed_by_one_job_at_a_time(self) -> None:
        self.runs("ganeti-masterd")
        self.due = True
        self.master.memory.canned[Query] = {"data": [[[0, ["INSTANCE_STARTUP(web1)"]]]]}
        self.watch()
        [opcode] = self.master.memory.last_job()
        assert isinstance(opcode, RenewCrypto)
        self.assertTrue(opcode.shared_secrets)
        self.master.memory.canned[Query] = {"data": [[[0, [opcode.summary]]]]}
        self.watch()
        self.assertEqual(len(self.master.memory.jobs), 1)

    def test_a_run_that_waits_fails_if_the_replacement_does(self) -> None:
        self.runs("ganeti-masterd")
        self.due = True
        self.master.memory.canned.update({Query: {"data": []}, QueryJobs: [["error", ["why"]]]})
        self.assertEqual(self.watch(wait=True), 1)
        self.assertIn("authority is unfinished", self.said[-1])

    def test_old_jobs_are_archived(self) -> None:
        self.runs("ganeti-masterd")
        self.watch(job_age=60)
        self.assertEqual(self.master.memory.asked[0], AutoArchiveJobs(age=60))

    def test_damaged_notes_begin_anew(self) -> None:
        self.runs("ganeti-masterd")
        for content in ("{", '{"x":' + "[" * 100_000):
            self.write(f"{self.paths.data}/watcher.{GROUP}.data", content)
            self.assertEqual(self.watch(), 0)
            text = self.read(f"{self.paths.data}/watcher.{GROUP}.data")
            self.assertEqual(text, '{"node":{"node1":{"bootid":"boot1"}},"instance":{}}')

    def test_hooks_run_in_order_and_what_they_say_of_trouble_is_logged(self) -> None:
        folder, told = f"{self.paths.hooks}/watcher", f"{self.paths.root}/told"
        self.write(f"{folder}/10-good", f"#!/bin/sh\necho good >> {told}\n", 0o755)
        self.write(f"{folder}/20-bad", f"#!/bin/sh\necho bad >> {told}; echo why; exit 3\n", 0o755)
        self.write(f"{folder}/30.off", f"#!/bin/sh\necho off >> {told}\n", 0o755)
        self.watch("node2")
        self.assertEqual(self.read(told), "good\nbad\n")
        self.assertIn(f"hook {folder}/20-bad exited with code 3: why", self.said)

    def test_a_pause_keeps_it_from_everything(self) -> None:
        self.write(f"{self.paths.data}/watcher.pause", f"{NOW + 5}\n")
        self.assertEqual((self.watch(), self.started), (0, []))
        self.assertEqual(self.watch(ignore_pause=True), 11)

    def test_the_file_of_a_pause_goes_an_hour_after_its_end(self) -> None:
        path = f"{self.paths.data}/watcher.pause"
        for text, now, paused, stays in (
            ("100", 99, True, True),
            ("100", 101, False, True),
            ("100", 101 + PAUSE_FILE_AGE, False, False),
            ("soon", NOW, False, False),
        ):
            self.write(path, text)
            self.assertEqual((is_paused(self.paths, now), os.path.exists(path)), (paused, stays))
        self.assertFalse(is_paused(self.paths, NOW))
