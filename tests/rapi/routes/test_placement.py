# SPDX-License-Identifier: BSD-2-Clause
"""A balance is planned or carried out, and capacity is counted; a question submits nothing."""

from __future__ import annotations

from ganeti.errors import Invalid, Refused
from ganeti.luxi.methods import PlanJob
from ganeti.model.disk import Template
from ganeti.opcodes.placement import BalanceCluster, CountCapacity
from ganeti.rapi.authentication import AccessLevel
from ganeti.rapi.routes.placement import ROUTES
from tests.rapi.routes.case import RouteCase

BALANCE, CAPACITY = "/2/balance", "/2/capacity"


class PlacementTests(RouteCase):
    ROUTES = ROUTES

    def setUp(self) -> None:
        super().setUp()
        self.master.canned[PlanJob] = [{"preview": {"found": 1}, "summary": "X"}]

    def planned(self) -> object:
        [request] = self.master.asked
        assert isinstance(request, PlanJob)
        [opcode] = request.ops
        return opcode

    def test_a_plan_is_the_preview_of_the_opcode(self) -> None:
        self.assertEqual(self.answer("GET", BALANCE), {"found": 1})
        self.assertEqual(self.planned(), BalanceCluster())
        self.assertEqual(self.master.jobs, {})

    def test_parameters_of_a_plan_are_those_of_the_opcode(self) -> None:
        query = {
            "group_name": ["rack1"],
            "nodes": ["node1,node2"],
            "max_moves": ["3"],
            "min_gain": ["0.5"],
            "disk_moves": ["0"],
            "time_limit": ["20"],
        }
        self.answer("GET", BALANCE, query=query)
        wanted = BalanceCluster(
            group_name="rack1",
            nodes=("node1", "node2"),
            max_moves=3,
            min_gain=0.5,
            disk_moves=False,
            time_limit=20.0,
        )
        self.assertEqual(self.planned(), wanted)

    def test_a_parameter_out_of_bounds_is_refused(self) -> None:
        for path, query in (
            (BALANCE, {"time_limit": ["241"]}),
            (BALANCE, {"min_gain": ["-1"]}),
            (BALANCE, {"max_moves": ["many"]}),
            (BALANCE, {"seed": ["1"]}),
            (CAPACITY, {"memory": ["-1"]}),
            (CAPACITY, {"disk_template": ["tape"]}),
        ):
            error = self.refusal(Invalid, "GET", path, query=query)
            self.assertEqual([each.path for each in error.problems], list(query))
        self.assertEqual(self.master.asked, [])

    def test_capacity_is_counted_for_a_size(self) -> None:
        query = {"memory": ["512"], "vcpus": ["2"], "disk_template": ["drbd"]}
        self.assertEqual(self.answer("GET", CAPACITY, query=query), {"found": 1})
        wanted = CountCapacity(memory=512, vcpus=2, disk_template=Template.DRBD)
        self.assertEqual(self.planned(), wanted)

    def test_a_balance_is_carried_out_by_a_job(self) -> None:
        self.assertEqual(self.answer("PUT", BALANCE, {"group_name": "rack1", "seed": 7}), 1)
        self.assertEqual(self.job(), BalanceCluster(group_name="rack1", seed=7))

    def test_what_the_master_refuses_is_refused(self) -> None:
        self.master.canned[PlanJob] = Refused("node group rack9 does not exist")
        error = self.refusal(Refused, "GET", BALANCE, query={"group_name": ["rack9"]})
        self.assertEqual(str(error), "node group rack9 does not exist")

    def test_a_question_has_no_body(self) -> None:
        for path in (BALANCE, CAPACITY):
            error = self.refusal(Invalid, "GET", path, {"memory": 1})
            self.assertEqual([each.path for each in error.problems], ["memory"])

    def test_who_may_ask_and_who_may_move(self) -> None:
        self.check_access(
            {
                ("GET", BALANCE): AccessLevel.ADMIN,
                ("PUT", BALANCE): AccessLevel.WRITE,
                ("GET", CAPACITY): AccessLevel.LOGIN,
            }
        )
