# SPDX-License-Identifier: BSD-2-Clause
"""Notifications are for administrators; a generated secret is answered once."""

from __future__ import annotations

from typing import Any

from ganeti.errors import Code, Failed, Invalid, Refused
from ganeti.luxi.methods import QueryNotifications, TestNotification
from ganeti.opcodes.notifications import AddNotification, ModifyNotification, RemoveNotification
from ganeti.rapi.authentication import AccessLevel
from ganeti.rapi.routes.notifications import ROUTES
from ganeti.rapi.verbs import NO_SERVICES, Services
from tests.rapi.asking import WHEN
from tests.rapi.routes.case import RouteCase

ALL = "/2/notifications"
ONE, TEST = f"{ALL}/{{notification_name}}", f"{ALL}/{{notification_name}}/test"
CHAT = {"notification_name": "chat"}
NEW = {"name": "chat", "url": "https://hooks.example/"}


class NotificationTests(RouteCase):
    ROUTES = ROUTES

    def add(self, **fields: Any) -> Any:
        services = Services(lambda size: b"x" * size, NO_SERVICES.hash_password)
        return self.answer("POST", ALL, {**NEW, **fields}, services=services)

    def test_a_webhook_without_a_secret_gets_one_that_is_answered(self) -> None:
        told = self.add()
        job = self.job()
        self.assertEqual(told, {"job_id": 1, "secret": job.secret})
        self.assertTrue(job.secret.startswith("whsec_"))

    def test_a_given_secret_is_not_answered(self) -> None:
        given = "a secret of enough characters"
        self.assertEqual(self.add(secret=given), {"job_id": 1, "secret": None})
        self.assertEqual(self.job().secret, given)

    def test_mail_has_no_secret(self) -> None:
        self.assertEqual(self.add(url="mailto:root"), {"job_id": 1, "secret": None})
        wanted = AddNotification(notification_name="chat", url="mailto:root")
        self.assertEqual(self.job(), wanted)

    def test_everything_that_is_given_is_in_the_job(self) -> None:
        given = {
            "kinds": ["job"],
            "names": ["web1"],
            "tags": ["blue"],
            "secret": "a secret of enough characters",
            "authority": "-----BEGIN CERTIFICATE-----\n",
            "enabled": False,
            "note": "for ops",
        }
        self.add(**given)
        job = self.job()
        found = {name: getattr(job, name) for name in given}
        wanted = {name: tuple(v) if isinstance(v, list) else v for name, v in given.items()}
        self.assertEqual(found, wanted)

    def test_the_reason_comes_before_the_resource(self) -> None:
        self.answer("POST", ALL, {**NEW, "url": "mailto:root"}, query={"reason": ["rain"]})
        [[opcode]] = self.master.jobs.values()
        assert opcode.reason is not None
        self.assertEqual(opcode.reason[0], ("gnt:user", "rain", WHEN))

    def test_all_problems_of_a_new_one_are_told(self) -> None:
        error = self.refusal(Invalid, "POST", ALL, {"name": "a b", "colour": "red"})
        self.assertLessEqual({"name", "url", "colour"}, {each.path for each in error.problems})

    def test_one_is_found_by_its_name(self) -> None:
        self.master.canned[QueryNotifications] = [{"name": "ops"}, {"name": "chat", "lag": 3}]
        self.assertEqual(self.answer("GET", ONE, variables=CHAT), {"name": "chat", "lag": 3})
        self.assertEqual(len(self.answer("GET", ALL)), 2)

    def test_one_that_there_is_not_is_unknown(self) -> None:
        self.master.canned[QueryNotifications] = [{"name": "chatter"}]
        error = self.refusal(Refused, "GET", ONE, variables=CHAT)
        self.assertEqual(str(error), "notification chat does not exist")
        self.assertEqual(error.code, Code.UNKNOWN)

    def test_one_is_changed_and_removed_by_jobs(self) -> None:
        self.answer("PUT", ONE, {"enabled": False}, variables=CHAT)
        wanted = ModifyNotification(notification_name="chat", enabled=False)
        self.assertEqual(self.job(), wanted)
        self.answer("DELETE", ONE, variables=CHAT)
        self.assertEqual(self.job(), RemoveNotification(notification_name="chat"))

    def test_a_test_says_why_the_receiver_does_not_accept_it(self) -> None:
        self.master.canned[TestNotification] = lambda _: None
        self.assertIs(self.answer("POST", TEST, variables=CHAT), None)
        self.assertEqual(self.master.asked, [TestNotification(name="chat")])
        self.master.canned[TestNotification] = Failed("connection refused")
        error = self.refusal(Failed, "POST", TEST, variables=CHAT)
        self.assertEqual(str(error), "connection refused")

    def test_all_methods_are_for_unlimited_administrators(self) -> None:
        self.check_access(
            {(method, route.path): AccessLevel.ADMIN for route in ROUTES for method in route.verbs}
        )
