# SPDX-License-Identifier: BSD-2-Clause
"""Questions that are put as jobs have the answers that anybody gets without one."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.jobs.job import JobStatus
from ganeti.opcodes.opcode import Opcode
from ganeti.opcodes.os import DiagnoseExtStorage, DiagnoseOSes
from ganeti.testing.cluster import SimulatedCluster


class QuestionTests(SynchronousTestCase):
    def asked(self, *opcodes: Opcode) -> list[tuple[JobStatus, Any]]:
        cluster = SimulatedCluster(seed=1)
        cluster.submit(*opcodes)
        cluster.finish_jobs()
        [job_id] = cluster.acknowledged
        return [(op.status, op.result) for op in cluster.master.queue.job(job_id).ops]

    def test_definitions_are_rows_of_the_fields_asked_for(self) -> None:
        found = self.asked(DiagnoseOSes(output_fields=("name", "valid")))
        self.assertEqual(found, [(JobStatus.SUCCESS, [["noop", True]])])

    def test_there_are_no_external_storage_providers(self) -> None:
        fields = ("name", "node_status")
        found = self.asked(DiagnoseExtStorage(output_fields=fields))
        self.assertEqual(found, [(JobStatus.SUCCESS, [])])

    def test_a_field_that_there_is_not_is_refused(self) -> None:
        [(status, result)] = self.asked(DiagnoseExtStorage(output_fields=("colour",)))
        self.assertEqual(status, JobStatus.ERROR)
        self.assertIn("colour: unknown output field", str(result))
