# SPDX-License-Identifier: BSD-2-Clause
"""Job filters as clients set them, and what the whole master makes of them."""

from __future__ import annotations

import errno
import gc
from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.changes.objects import remove
from ganeti.config.writer import ChangeCause, ConfigWriter
from ganeti.errors import CommitFailed, GanetiError, Invalid, Refused, to_wire
from ganeti.jobs.job import JobStatus
from ganeti.master.filter_chain import make_rule
from ganeti.master.job_filters import JobFilters
from ganeti.opcodes.test import Delay
from ganeti.testing.builders import a_cluster
from ganeti.testing.cluster import SimulatedCluster
from tests.jobs.rig import Rig

NEWER = [["jobid", [">", "id", "watermark"]]]
TRAIL: list[list[Any]] = [["gnt:user", "maintenance", 1_700_000_000_000_000_000]]
FIELDS = ("uuid", "watermark", "priority", "predicates", "action", "reason_trail")
OTHER = "6bb0d4f5-0b0f-4a5e-8c5e-2b8b7ab3e8aa"


class FilterCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.cluster = SimulatedCluster(1)

    def tearDown(self) -> None:
        # What the coroutines of the dead cluster leave to the garbage collection.
        del self.cluster
        gc.collect()
        self.flushLoggedErrors()

    def ask(self, method: str, *arguments: Any) -> Any:
        """What the master answers, as clients have it."""
        asking: Any = self.cluster.master.answers()[method](*arguments)
        answered: Any = self.cluster.wait(asking)
        return msgspec.json.decode(msgspec.json.encode(answered))

    def set(self, action: Any, predicates: Any = (), uuid: str | None = None) -> str:
        return str(self.ask("ReplaceFilter", uuid, 5, list(predicates), action, TRAIL))

    def submit(self) -> int:
        return int(self.ask("SubmitJob", [Delay(duration=1.0)]))

    def status(self, job_id: int) -> JobStatus:
        return self.cluster.master.queue.job(job_id).status

    def restart(self) -> None:
        self.cluster.reopened()
        self.cluster.pass_time(10.0)


class SettingTests(FilterCase):
    def test_a_rule_is_shown_as_it_was_set(self) -> None:
        self.submit()
        uuid = self.set("PAUSE", NEWER)
        taken = self.ask("QueryFilters", None, ["reason_trail"])[0][0][-1]
        self.assertEqual((taken[0], taken[1], taken[2] > TRAIL[0][2]), ("luxid", "", True))
        row = [uuid, 1, 5, NEWER, "PAUSE", [*TRAIL, taken]]
        self.assertEqual(self.ask("QueryFilters", None, FIELDS), [row])
        self.assertEqual(self.ask("QueryFilters", [uuid], FIELDS), [row])
        found = self.ask("Query", "filter", ["uuid"], ["=", "uuid", uuid])
        self.assertEqual(found["data"], [[[0, uuid]]])

    def test_a_rule_that_is_set_again_keeps_its_uuid_and_gets_a_new_watermark(self) -> None:
        uuid = self.set("PAUSE", NEWER)
        self.submit()
        self.assertEqual(self.set(["RATE_LIMIT", 2], uuid=uuid), uuid)
        rows = self.ask("QueryFilters", None, ["uuid", "watermark", "predicates", "action"])
        self.assertEqual(rows, [[uuid, 1, [], ["RATE_LIMIT", 2]]])

    def test_a_rule_can_be_added_under_a_uuid_of_its_own(self) -> None:
        self.assertEqual(self.set("ACCEPT", uuid=OTHER), OTHER)
        self.ask("DeleteFilter", OTHER)
        self.assertEqual(self.ask("QueryFilters", None, ["uuid"]), [])

    def test_a_rule_that_there_is_not_is_an_error_that_clients_know(self) -> None:
        error = self.assertRaises(GanetiError, self.ask, "DeleteFilter", OTHER)
        self.assertEqual(
            to_wire(error),
            ["GenericError", [f"there is no job filter {OTHER}; see gnt-filter list"]],
        )
        self.assertRaises(Refused, self.ask, "QueryFilters", [OTHER], ["uuid"])

    def test_a_bad_rule_changes_nothing(self) -> None:
        with self.assertRaisesRegex(Invalid, r"^priority: .*; predicates\[0\]: .*; action: "):
            self.ask("ReplaceFilter", None, -1, [["job", None]], "EXPLODE", [])
        self.assertEqual(self.ask("QueryFilters", None, ["uuid"]), [])

    def test_a_rule_that_cannot_be_kept_is_not_obeyed(self) -> None:
        disk = self.cluster.hosts[0].disk
        disk.fail(disk.writes + 1, errno.ENOSPC)
        self.assertRaises(CommitFailed, self.set, "PAUSE")
        disk.heal()
        # Nobody has to submit a job for the journal to be tried again.
        self.cluster.pass_time(30.0)
        job_id = self.submit()
        self.cluster.finish_jobs()
        self.assertEqual(self.status(job_id), JobStatus.SUCCESS)


class ObeyingTests(FilterCase):
    def test_a_paused_job_is_neither_started_nor_lost_by_restarts(self) -> None:
        uuid = self.set("PAUSE", NEWER)
        job_id = self.submit()
        for _ in range(2):
            self.restart()
            self.assertEqual(self.status(job_id), JobStatus.QUEUED)
        self.ask("DeleteFilter", uuid)
        self.cluster.finish_jobs()
        self.assertEqual(self.status(job_id), JobStatus.SUCCESS)

    def test_older_jobs_are_told_from_newer_ones_after_a_restart_too(self) -> None:
        self.assertRaises(Invalid, self.ask, "SubmitJob", [])
        self.set("PAUSE", NEWER)
        self.cluster.kill_master()
        self.cluster.start_master()
        job_id = self.submit()
        self.cluster.pass_time(10.0)
        self.assertEqual((job_id, self.status(job_id)), (2, JobStatus.QUEUED))

    def test_rules_are_those_of_the_next_master(self) -> None:
        self.set("PAUSE")
        job_id = self.submit()
        # Until the candidates have what they need to be in sync.
        self.cluster.pass_time(10.0)
        old = self.cluster.fail_over(self.cluster.hosts[1])
        self.cluster.pass_time(10.0)
        self.assertEqual(self.status(job_id), JobStatus.QUEUED)
        old.die()
        gc.collect()
        self.flushLoggedErrors()

    def test_a_rejected_job_is_canceled_and_says_why(self) -> None:
        uuid = self.set("REJECT")
        job_id = self.submit()
        self.cluster.finish_jobs()
        fields = ["status", "opresult", "oplog"]
        ((status, results, logs),) = self.ask("QueryJobs", [job_id], fields)
        why = f"rejected by job filter {uuid}, because: maintenance"
        self.assertEqual((status, results), ("canceled", [why]))
        self.assertEqual([entry[3] for entry in logs[0]], [why])

    def test_only_so_many_run_at_once(self) -> None:
        self.set(["RATE_LIMIT", 2], [["opcode", ["=", "OP_ID", "OP_TEST_DELAY"]]])
        jobs = [self.submit() for _ in range(6)]
        most = 0
        while not all(self.status(each) is JobStatus.SUCCESS for each in jobs):
            self.cluster.pass_time(0.1)
            begun = {JobStatus.RUNNING, JobStatus.WAITING}
            most = max(most, sum(self.status(each) in begun for each in jobs))
        self.assertEqual(most, 2)


class PartTests(SynchronousTestCase):
    """The filters between a configuration and a queue."""

    def setUp(self) -> None:
        self.rig = Rig()
        rule = make_rule(
            OTHER, 0, priority=0, predicates=[], action="PAUSE", reason=[["gnt:user", "old", 1]]
        )
        state = a_cluster().put(rule)
        self.config = ConfigWriter(state, self.rig.journal, self.rig.clock.seconds)
        new = "00000000-0000-4000-8000-000000000001"
        self.filters = JobFilters(self.config, self.rig.store, self.rig.queue, lambda: new)

    def test_rules_that_there_are_hold_from_the_start(self) -> None:
        job = self.rig.submit("")
        self.rig.settle()
        self.assertEqual(self.rig.status(job), "queued")

    def test_a_rule_holds_when_it_was_changed_by_another_way(self) -> None:
        job = self.rig.submit("")
        rule = self.config.state().filters[OTHER]
        change = self.config.change(remove(rule), because=ChangeCause("test", "test"))
        self.successResultOf(change)
        self.rig.settle()
        self.assertEqual(self.rig.status(job), "success")

    def test_the_last_job_number_is_kept_with_the_rule(self) -> None:
        self.rig.submit("")
        self.successResultOf(self.filters.replace(None, 5, [], "ACCEPT", []))
        commit = self.rig.journal.commits[-1]
        self.assertEqual(commit.why, "job filter set")
        self.assertEqual({edit.kind for edit in commit.edits}, {"filter", "config", "queue"})
