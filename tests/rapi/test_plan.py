# SPDX-License-Identifier: BSD-2-Clause
"""With plan=1 a resource answers what its job would do, and submits nothing."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import Refused
from ganeti.luxi.methods import PlanJob
from ganeti.opcodes.instance.lifecycle import StartInstance
from ganeti.testing.master import MemoryMaster
from tests.rapi.asking import NodeClient, basic

PLAN = {"opcode": "OP_INSTANCE_STARTUP", "steps": ["Start instance web1."]}


class PlanTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.master = MemoryMaster({PlanJob: [PLAN]})
        self.asker = NodeClient(self.master, self.mktemp())

    def tearDown(self) -> None:
        self.assertEqual(self.master.jobs, {})

    def test_the_plan_of_the_same_opcode_is_answered(self) -> None:
        answer = self.asker.ask("PUT", "/2/instances/web1/startup?plan=1")
        self.assertEqual((answer.status, answer.value), (200, PLAN))
        (request,) = self.master.asked
        assert isinstance(request, PlanJob)
        self.assertIsInstance(request.ops[0], StartInstance)

    def test_who_may_not_submit_gets_no_plan(self) -> None:
        rita = basic("rita", "xyz789")
        answer = self.asker.ask("PUT", "/2/instances/web1/startup?plan=1", headers=rita)
        self.assertEqual((answer.status, self.master.asked), (403, []))

    def test_a_refusal_of_the_plan_has_the_status_of_that_of_the_job(self) -> None:
        self.master.canned[PlanJob] = Refused("instance web1 is marked offline")
        answer = self.asker.ask("PUT", "/2/instances/web1/startup?plan=1")
        self.assertEqual(answer.message, "instance web1 is marked offline")

    def test_a_wrong_parameter_is_refused_before_the_master_is_asked(self) -> None:
        answer = self.asker.ask("PUT", "/2/instances/web1/startup?plan=1", {"colour": "red"})
        self.assertEqual((answer.status, self.master.asked), (400, []))
