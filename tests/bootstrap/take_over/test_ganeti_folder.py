# SPDX-License-Identifier: BSD-2-Clause
"""The folder of Ganeti is read, and jobs that have not ended come to an end."""

from __future__ import annotations

import json
import os

from ganeti.bootstrap.take_over.ganeti_folder import describe_version, end_job, read_folder
from ganeti.errors import Invalid, Refused
from ganeti.jobs.job import Job, JobStatus, decode
from tests.bootstrap.take_over.ganeti_host import CLUSTER, NOW, GanetiHost, a_job


class ReadTests(GanetiHost):
    def test_the_configuration_users_and_the_queue_are_read(self) -> None:
        self.put_job(15, "success")
        self.put_job(3, "error", folder="queue/archive/0")
        found = self.folder()
        self.assertEqual(found.state, CLUSTER)
        self.assertEqual((describe_version(found), found.users, found.serial), ("3.0", 2, 17))
        self.assertEqual([job.id for job in found.jobs], [15])
        self.assertEqual(found.archived, ["archive/0/job-3"])

    def test_a_job_file_that_is_none_is_named(self) -> None:
        path = self.put("queue/job-4", "{")
        self.assertEqual((self.folder().jobs, self.folder().damaged), ([], [str(path)]))

    def test_the_number_of_no_job_is_assigned_again(self) -> None:
        self.put_job(40, "success")
        self.assertEqual(self.folder().serial, 40)

    def test_a_folder_without_configuration_is_refused(self) -> None:
        os.unlink(self.paths.config_file)
        with self.assertRaisesRegex(Refused, "config.data does not exist: give the folder"):
            self.folder()

    def test_a_cluster_of_ours_is_not_taken_over(self) -> None:
        for path in (self.paths.journal, self.paths.authority):
            os.makedirs(path)
            with self.assertRaisesRegex(Refused, "there is nothing to take over"):
                self.folder()
            os.rmdir(path)

    def test_a_configuration_that_is_too_old_or_damaged_is_refused(self) -> None:
        self.configure(CLUSTER, version=2_060_000)
        with self.assertRaisesRegex(Refused, r"has version 2\.6; clusters of Ganeti 2\.7 to 3\.1"):
            read_folder(self.paths.data)
        self.put("config.data", "{")
        self.assertRaisesRegex(Invalid, "config.data is damaged", self.folder)

    def test_reservations_are_separated(self) -> None:
        document = json.loads(self.read(self.paths.config_file))
        new = {"name": "new1", "forthcoming": True, "uuid": "n1", "disks": []}
        self.configure(CLUSTER, instances={**document["instances"], "n1": new})
        found = self.folder()
        self.assertEqual(found.state, CLUSTER)
        self.assertEqual([each.name for each in found.reservations], ["new1"])


class EndJobTests(GanetiHost):
    def job(self, status: str) -> Job:
        return end_job(decode(json.dumps(a_job(7, status)).encode()), NOW)

    def test_what_has_not_started_is_canceled(self) -> None:
        for status in ("queued", "waiting", "canceling"):
            self.assertEqual(self.job(status).status, JobStatus.CANCELED, status)

    def test_what_was_running_has_failed_with_the_reason(self) -> None:
        job = self.job("running")
        self.assertEqual(job.status, JobStatus.ERROR)
        self.assertIn("taken over from Ganeti before this job had ended", str(job.ops[0].result))

    def test_what_has_ended_stays_as_it_is(self) -> None:
        before = decode(json.dumps(a_job(7, "success")).encode())
        self.assertEqual(end_job(before, NOW), before)
