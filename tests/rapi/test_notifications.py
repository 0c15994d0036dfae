# SPDX-License-Identifier: BSD-2-Clause
"""``/2/notifications`` before a whole master, for administrators only."""

from __future__ import annotations

from typing import Any

from ganeti.errors import Failed
from ganeti.model.users import Role
from ganeti.opcodes.writing import redact
from tests.master.access.case import a_grant, a_user
from tests.rapi.access.case import HASH, SecuredCase

NEW = {"name": "chat", "url": "https://hooks.example/", "kinds": ["job"]}


class NotificationTests(SecuredCase):
    def setUp(self) -> None:
        super().setUp()
        self.put(a_user("boss", password=HASH), a_grant("boss", Role.ADMIN))
        self.put(a_user("oper", password=HASH), a_grant("oper", Role.OPERATOR))

    def call(self, method: str, path: str = "", body: Any = None, user: str = "boss") -> Any:
        answer = self.ask(method, f"/2/notifications{path}", body, user=user)
        self.cluster.finish_jobs()
        return answer

    def test_a_notification_is_added_shown_changed_and_removed(self) -> None:
        added = self.call("POST", body=NEW).value
        self.assertTrue(added["secret"].startswith("whsec_"))
        [row] = self.call("GET").value
        self.assertEqual((row["name"], row["kinds"], row["error"]), ("chat", ["job"], ""))
        self.assertEqual(self.call("PUT", "/chat", {"enabled": False}).status, 200)
        self.assertFalse(self.call("GET", "/chat").value["enabled"])
        self.assertEqual(self.call("DELETE", "/chat").status, 200)
        self.assertEqual(self.call("GET", "/chat").status, 404)

    def test_the_secret_is_in_no_later_answer_and_in_no_shown_job(self) -> None:
        added = self.call("POST", body=NEW).value
        shown = self.call("GET").body + self.call("GET", "/chat").body
        shown += self.ask("GET", f"/2/jobs/{added['job_id']}", user="boss").body
        self.assertNotIn(added["secret"].encode(), shown)
        job = self.master.queue.find_job(added["job_id"])
        assert job is not None
        self.assertNotIn(added["secret"], str(redact(job.ops[0].opcode)))

    def test_a_given_secret_is_not_repeated(self) -> None:
        body = {**NEW, "secret": "a secret of enough characters"}
        self.assertIsNone(self.call("POST", body=body).value["secret"])

    def test_a_test_is_answered_when_the_receiver_has_accepted_it(self) -> None:
        self.call("POST", body=NEW)
        self.assertEqual(self.call("POST", "/chat/test").status, 200)
        self.cluster.senders.status = Failed("connection refused")
        answer = self.call("POST", "/chat/test")
        self.assertIn("chat could not be delivered: connection refused", answer.message)
        self.assertEqual(self.call("POST", "/none/test").status, 404)

    def test_they_are_for_administrators(self) -> None:
        self.call("POST", body=NEW)
        for method, path in (("GET", ""), ("GET", "/chat"), ("POST", "/chat/test")):
            self.assertEqual(self.call(method, path, user="oper").status, 403)

    def test_the_audit_trail_tells_who_changed_them_but_not_their_progress(self) -> None:
        self.call("POST", body=NEW)
        self.cluster.pass_time(120)
        found = self.ask("GET", "/2/history?name=chat", user="boss").value
        self.assertEqual({each["user"] for each in found}, {"boss"})
        everything = self.ask("GET", "/2/history", user="boss").value
        self.assertNotIn("progress", str(everything))
