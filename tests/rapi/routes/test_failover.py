# SPDX-License-Identifier: BSD-2-Clause
"""The failover of guests: its state, what would happen, and what administrators change."""

from __future__ import annotations

from typing import Any

from ganeti.errors import Invalid
from ganeti.luxi.methods import PlanJob, QueryFailover
from ganeti.model.failover import FailoverPolicy
from ganeti.opcodes.failover import (
    ConfirmNodeOff,
    ModifyFailover,
    RehearseFailure,
    SetFailoverPolicy,
    SetNodeMaintenance,
    SurveyFailures,
)
from ganeti.rapi.authentication import AccessLevel
from ganeti.rapi.routes.failover import ROUTES
from tests.rapi.routes.case import RouteCase

STATUS, REHEARSAL = "/2/failover", "/2/failover/rehearsal"
SURVIVAL = "/2/failover/survival"
POLICY = "/2/instances/{instance_name}/failover-policy"
MAINTENANCE = "/2/nodes/{node_name}/maintenance"
CONFIRM_OFF = "/2/nodes/{node_name}/confirm-off"
NODE1 = {"node_name": "node1"}


class QuestionTests(RouteCase):
    ROUTES = ROUTES

    def setUp(self) -> None:
        super().setUp()
        self.master.canned[PlanJob] = [{"preview": {"fences": []}}]

    def test_the_status_is_what_the_master_says(self) -> None:
        told: dict[str, Any] = {"settings": {}, "nodes": []}
        self.master.canned[QueryFailover] = told
        self.assertEqual(self.answer("GET", STATUS), told)

    def test_nodes_that_fail_together_are_separated_by_commas(self) -> None:
        found = self.answer("GET", REHEARSAL, query={"node_names": ["node1,node2"]})
        self.assertEqual(found, {"fences": []})
        wanted = PlanJob(ops=(RehearseFailure(node_names=("node1", "node2")),))
        self.assertEqual((self.master.asked, self.master.jobs), ([wanted], {}))

    def test_a_rehearsal_needs_a_node(self) -> None:
        for query in ({}, {"node_names": [""]}, {"node_names": [","]}):
            self.refusal(Invalid, "GET", REHEARSAL, query=query)
        self.assertEqual(self.master.asked, [])

    def test_a_survey_takes_no_parameters(self) -> None:
        self.assertEqual(self.answer("GET", SURVIVAL), {"fences": []})
        self.assertEqual(self.master.asked, [PlanJob(ops=(SurveyFailures(),))])
        self.refusal(Invalid, "GET", SURVIVAL, query={"node_names": ["node1"]})


class ChangeTests(RouteCase):
    ROUTES = ROUTES

    def test_settings_of_the_cluster_are_changed(self) -> None:
        self.answer("PUT", STATUS, {"maintenance": True, "max_nodes": 2})
        self.assertEqual(self.job(), ModifyFailover(maintenance=True, max_nodes=2))

    def test_a_setting_out_of_bounds_is_refused(self) -> None:
        for name, value in (("max_nodes", 0), ("window", -1), ("maintenance", "soon")):
            error = self.refusal(Invalid, "PUT", STATUS, {name: value})
            self.assertEqual([each.path for each in error.problems], [name])

    def test_an_instance_has_a_policy_and_a_rank(self) -> None:
        variables = {"instance_name": "web1"}
        self.answer("PUT", POLICY, {"policy": "failover", "rank": 3}, variables=variables)
        wanted = SetFailoverPolicy(instance_name="web1", policy=FailoverPolicy("failover"), rank=3)
        self.assertEqual(self.job(), wanted)

    def test_a_policy_is_one_of_three(self) -> None:
        error = self.refusal(
            Invalid, "PUT", POLICY, {"policy": "always"}, variables={"instance_name": "web1"}
        )
        self.assertEqual([each.path for each in error.problems], ["policy"])

    def test_the_maintenance_of_a_node_begins_unless_it_is_to_end(self) -> None:
        for body, begins in ((None, True), ({"maintenance": False}, False)):
            self.answer("PUT", MAINTENANCE, body, variables=NODE1)
            wanted = SetNodeMaintenance(node_name="node1", maintenance=begins)
            self.assertEqual(self.job(), wanted)

    def test_a_node_that_is_off_is_confirmed_by_its_path_only(self) -> None:
        body = {"node_name": "node2"}
        error = self.refusal(Invalid, "PUT", CONFIRM_OFF, body, variables=NODE1)
        self.assertEqual(str(error), "node_name: is given by the path")
        self.answer("PUT", CONFIRM_OFF, variables=NODE1)
        self.assertEqual(self.job(), ConfirmNodeOff(node_name="node1"))

    def test_only_administrators_change_something(self) -> None:
        changed = (STATUS, POLICY, MAINTENANCE, CONFIRM_OFF)
        asked = (STATUS, REHEARSAL, SURVIVAL)
        levels = {("PUT", path): AccessLevel.ADMIN for path in changed}
        self.check_access(levels | {("GET", path): AccessLevel.LOGIN for path in asked})
