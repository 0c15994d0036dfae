# SPDX-License-Identifier: BSD-2-Clause
"""What was used is asked of the master, and over a longer time of Prometheus, if there is one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from ganeti.errors import AccessDenied, Code, Invalid, Refused, Unauthenticated
from ganeti.luxi.caller import Caller
from ganeti.luxi.methods import QueryJobRates, QueryObjects, QueryUsage
from ganeti.model.users import Role
from ganeti.rapi.authentication import AccessLevel
from ganeti.rapi.prometheus_queries import Prometheus, Selector
from ganeti.rapi.usage_history import MAX_HOURS, UsageHistory
from ganeti.rapi.usage_verbs import HISTORY_ERRORS, HOURS, job_rates, shows_usage
from ganeti.rapi.verbs import ANYBODY, NO_SERVICES, Admitted, ApiCall, Services, asks
from ganeti.testing.master import MemoryMaster
from tests.rapi.asking import NOW

VIC = Admitted(Caller(user="vic"), "vic", Role.VIEWER)
ANN = Admitted(Caller(user="ann"), "ann", Role.VIEWER, limited=True)
NO_SERIES = b'{"status":"success","data":{"resultType":"matrix","result":[]}}'


class UsageCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.master = MemoryMaster({QueryUsage: {"step": 15}, QueryJobRates: {"step": 60}})
        self.questions: list[bytes] = []
        self.clock = Clock()
        self.clock.advance(NOW)

    async def fetch(
        self, method: str, address: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, bytes]:
        self.questions.append(body)
        return 200, NO_SERIES

    def services(self) -> Services:
        prometheus = Prometheus(self.fetch, "https://prom.example")
        history = UsageHistory(prometheus, Selector(), self.clock.seconds)
        return Services(NO_SERVICES.random, NO_SERVICES.hash_password, history=history)

    def call(
        self,
        verb: asks,
        hours: str | None = None,
        *,
        admitted: Admitted = VIC,
        services: Services | None = None,
        **path: str,
    ) -> Any:
        query = {} if hours is None else {"hours": [hours]}
        return verb(
            ApiCall(
                self.master,
                path,
                query,
                None,
                "usage",
                NOW,
                admitted,
                self.services() if services is None else services,
            )
        )

    def answer(self, *args: Any, **how: Any) -> Any:
        found = self.successResultOf(self.call(*args, **how))
        return msgspec.json.decode(found) if isinstance(found, msgspec.Raw) else found

    def refusal(self, error: type[Exception], *args: Any, **how: Any) -> Any:
        failure = self.failureResultOf(self.call(*args, **how), error)
        self.assertEqual(self.questions, [])
        return failure.value


class ObjectTests(UsageCase):
    def test_the_last_hours_are_what_the_master_says(self) -> None:
        for kind, variable in (("instance", "instance_name"), ("node", "node_name")):
            verb = shows_usage(kind, variable)
            self.assertEqual(self.answer(verb, **{variable: "x1"}), {"step": 15})
            self.assertEqual(self.master.asked[-1], QueryUsage(kind=kind, name="x1"))
        self.assertEqual(self.questions, [])

    def test_a_longer_time_is_asked_of_prometheus_by_the_full_name(self) -> None:
        self.master.canned[QueryObjects] = [{"name": "web1.example.com", "ctime": 5.0}]
        told = self.answer(shows_usage("instance", "instance_name"), "24", instance_name="web1")
        self.assertIn("series", told)
        self.assertTrue(self.questions)
        self.assertTrue(all(b"web1.example.com" in each for each in self.questions))
        asked = QueryObjects(what="instance", fields=("name", "ctime"), names=("web1",))
        self.assertEqual(self.master.asked, [asked])

    def test_an_instance_without_a_time_of_creation_has_all_points(self) -> None:
        self.master.canned[QueryObjects] = [{"name": "web1", "ctime": None}]
        told = self.answer(shows_usage("instance", "instance_name"), "24", instance_name="web1")
        self.assertEqual(told["series"].keys() & {"cpu", "memory"}, {"cpu", "memory"})

    def test_what_the_caller_does_not_see_is_unknown(self) -> None:
        self.master.canned[QueryObjects] = []
        verb = shows_usage("node", "node_name")
        error = self.refusal(Refused, verb, "24", node_name="node9")
        self.assertEqual((str(error), error.code), ("node node9 does not exist", Code.UNKNOWN))

    def test_nodes_are_for_roles_without_limits(self) -> None:
        self.assertTrue(shows_usage("node", "node_name").unlimited)
        self.assertFalse(shows_usage("instance", "instance_name").unlimited)
        self.assertIs(shows_usage("instance", "instance_name").access, AccessLevel.LOGIN)


class HoursTests(UsageCase):
    def test_there_are_bounds(self) -> None:
        self.master.canned[QueryObjects] = [{"name": "node1", "ctime": 5.0}]
        verb = shows_usage("node", "node_name")
        for hours in ("0", str(MAX_HOURS + 1)):
            error = self.refusal(Invalid, verb, hours, node_name="node1")
            self.assertEqual(str(error), f"hours: must be from 1 to {MAX_HOURS}")
        for hours in ("1", str(MAX_HOURS)):
            self.assertIn("series", self.answer(verb, hours, node_name="node1"))

    def test_without_prometheus_the_message_says_what_to_do(self) -> None:
        verb = shows_usage("node", "node_name")
        error = self.refusal(Refused, verb, "24", services=NO_SERVICES, node_name="node1")
        self.assertIn("start ganeti-rapi with --prometheus, or omit the parameter", str(error))
        self.assertEqual(error.code, Code.STATE)
        self.assertEqual(self.master.asked, [])
        self.assertEqual([int(each) for each in HISTORY_ERRORS], [409])


class JobTests(UsageCase):
    VERB = asks(job_rates, parameters=(HOURS,))

    def test_the_last_hours_are_what_the_master_says(self) -> None:
        for admitted in (VIC, ANN, ANYBODY):
            self.assertEqual(self.answer(self.VERB, admitted=admitted), {"step": 60})

    def test_a_longer_time_is_for_users(self) -> None:
        error = self.refusal(Unauthenticated, self.VERB, "24", admitted=ANYBODY)
        self.assertIn("log in with a user of this cluster", str(error))
        self.assertIn("series", self.answer(self.VERB, "24"))

    def test_a_limited_role_does_not_see_the_jobs_of_all(self) -> None:
        error = self.refusal(AccessDenied, self.VERB, "24", admitted=ANN)
        self.assertIn("the role of user ann is limited to some instances", str(error))
