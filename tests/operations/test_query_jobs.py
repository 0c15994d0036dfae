# SPDX-License-Identifier: BSD-2-Clause
"""Questions that are put as jobs have the answers that anybody gets without one."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from ganeti.jobs.job import JobStatus
from ganeti.opcodes.cluster import DescribeCluster, QueryConfigValuesOpcode
from ganeti.opcodes.opcode import Opcode
from ganeti.opcodes.os import DiagnoseExtStorage, DiagnoseOSes
from ganeti.opcodes.query import QueryFieldsOpcode, QueryOpcode, Resource
from ganeti.operations.operation import NodeAnswers
from ganeti.operations.query_jobs import OPERATIONS, plan
from ganeti.testing.builders import a_cluster
from ganeti.testing.cluster import SimulatedCluster
from ganeti.testing.tools import MemoryTools


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


class EncodedAnswers(MemoryTools):
    """Answers whose rows are encoded already, as those of the master are; ``asked`` has all."""

    def __init__(self) -> None:
        super().__init__(a_cluster())
        self.asked: list[tuple[object, ...]] = []

    async def query(
        self, what: str, fields: Sequence[str], qfilter: object = None
    ) -> dict[str, object]:
        self.asked.append(("query", what, fields, qfilter))
        return {"fields": [], "data": msgspec.Raw(b'[[[0, "web1"]]]')}

    async def fields(self, what: str, names: Sequence[str] | None = None) -> dict[str, object]:
        self.asked.append(("fields", what, names))
        return {}

    async def rows(
        self, what: str, names: Sequence[str], fields: Sequence[str]
    ) -> list[list[object]]:
        self.asked.append(("rows", what, names, fields))
        return []

    async def cluster_info(self) -> object:
        return {"name": "cluster.example.com", "tags": ("a",), "ipolicy": msgspec.Raw(b"{}")}

    async def config_values(self, names: Sequence[str]) -> list[object]:
        return [f"value of {name}" for name in names]


class RunTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.answers = EncodedAnswers()

    def result(self, op: Opcode) -> Any:
        [operation] = [each for each in OPERATIONS if each.opcode is type(op)]
        planned = plan(op, a_cluster(), NodeAnswers())
        self.assertEqual(planned.locks, {})
        tools = dataclasses.replace(self.answers.tools, answers=self.answers)

        async def run() -> object:
            return await operation.run(planned, tools)

        return self.successResultOf(run())

    def test_rows_that_are_encoded_already_become_plain_values(self) -> None:
        op = QueryOpcode(what=Resource.INSTANCE, fields=("name",), qfilter=("=", "name", "web1"))
        self.assertEqual(self.result(op), {"fields": [], "data": [[[0, "web1"]]]})
        expected = [("query", "instance", ("name",), ("=", "name", "web1"))]
        self.assertEqual(self.answers.asked, expected)

    def test_the_description_of_the_cluster_has_plain_values(self) -> None:
        expected = {"name": "cluster.example.com", "tags": ["a"], "ipolicy": {}}
        self.assertEqual(self.result(DescribeCluster()), expected)

    def test_values_of_the_configuration_have_the_requested_order(self) -> None:
        op = QueryConfigValuesOpcode(output_fields=("master_node", "cluster_name"))
        self.assertEqual(self.result(op), ["value of master_node", "value of cluster_name"])

    def test_names_and_fields_are_not_mixed_up(self) -> None:
        self.result(QueryFieldsOpcode(what=Resource.NODE, fields=("pip",)))
        self.result(DiagnoseOSes(output_fields=("valid",), names=("noop",)))
        self.result(DiagnoseExtStorage(output_fields=("nodegroup_valid",), names=("provider",)))
        self.assertEqual(
            self.answers.asked,
            [
                ("fields", "node", ("pip",)),
                ("rows", "os", ("noop",), ("valid",)),
                ("rows", "extstorage", ("provider",), ("nodegroup_valid",)),
            ],
        )
