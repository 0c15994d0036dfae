# SPDX-License-Identifier: BSD-2-Clause
"""Notifications are added, changed and removed."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.changes.notifications import record_progress
from ganeti.config.state import ClusterState
from ganeti.errors import Invalid, Refused
from ganeti.model.notifications import NotificationProgress
from ganeti.opcodes.registry import read_opcode
from ganeti.opcodes.writing import redact
from ganeti.operations.cluster.notification_findings import notification_findings
from ganeti.operations.notifications import MAX_NOTIFICATIONS
from ganeti.testing.builders import a_cluster
from tests.operations.whole import WholeCluster

SECRET = "a secret of enough characters"
URL = "https://hooks.example/ganeti"


class NotificationTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.whole = WholeCluster(a_cluster())

    @property
    def state(self) -> ClusterState:
        return self.whole.state

    def do(self, name: str, **fields: Any) -> Any:
        fields.setdefault("notification_name", "chat")
        return self.successResultOf(self.whole.do(f"OP_NOTIFICATION_{name}", **fields))

    def refusal(self, name: str, **fields: Any) -> str:
        fields.setdefault("notification_name", "chat")
        doing = self.whole.do(f"OP_NOTIFICATION_{name}", **fields)
        return str(self.failureResultOf(doing, Refused, Invalid).value)

    def test_one_is_added_with_a_position_changed_and_removed(self) -> None:
        self.do("ADD", url=URL, secret=SECRET, kinds=["job", "instance"], tags=["web"])
        self.assertEqual(self.state.notifications["chat"].kinds, ("instance", "job"))
        self.assertEqual(self.state.notification_progress["chat"].position, "0")
        self.do("SET_PARAMS", kinds=[], enabled=False)
        changed = self.state.notifications["chat"]
        self.assertEqual((changed.kinds, changed.tags, changed.enabled), ((), ("web",), False))
        self.assertEqual(changed.secret, SECRET)
        self.do("REMOVE")
        self.assertFalse(self.state.notifications or self.state.notification_progress)

    def test_a_name_is_used_once(self) -> None:
        self.do("ADD", url="mailto:root")
        self.assertIn("already exists", self.refusal("ADD", url="mailto:root"))

    def test_an_unknown_one_is_refused(self) -> None:
        for name in ("REMOVE", "SET_PARAMS"):
            fields = {"enabled": True} if name == "SET_PARAMS" else {}
            self.assertIn(
                "chat does not exist; see gnt-cluster notify list", self.refusal(name, **fields)
            )

    def test_all_problems_are_reported_at_once(self) -> None:
        said = self.refusal("ADD", url="ftp://x/", kinds=["vm"], authority="none")
        for word in (
            "url: must begin",
            "kinds: unknown event kind: vm",
            "secret: is required",
            "authority: must be certificates",
        ):
            self.assertIn(word, said)

    def test_mail_is_not_signed(self) -> None:
        self.assertIn(
            "secret: is for webhooks", self.refusal("ADD", url="mailto:root", secret=SECRET)
        )

    def test_a_change_is_checked_with_what_stays(self) -> None:
        self.do("ADD", url="mailto:root")
        self.assertIn("secret: is required", self.refusal("SET_PARAMS", url=URL))

    def test_a_change_of_nothing_is_refused(self) -> None:
        self.do("ADD", url="mailto:root")
        self.assertIn("no changes requested", self.refusal("SET_PARAMS"))

    def test_their_number_is_limited(self) -> None:
        for number in range(MAX_NOTIFICATIONS):
            self.do("ADD", notification_name=f"n{number}", url="mailto:root")
        self.assertIn("which is the maximum", self.refusal("ADD", url="mailto:root"))

    def test_jobs_do_not_show_the_secret(self) -> None:
        document = {"OP_ID": "OP_NOTIFICATION_ADD", "notification_name": "chat", "url": URL}
        opcode = read_opcode({**document, "secret": SECRET})
        self.assertNotIn(SECRET, str(redact(opcode)))


class FindingTests(SynchronousTestCase):
    def test_verification_warns_of_one_that_fails_until_it_is_disabled(self) -> None:
        whole = WholeCluster(a_cluster())
        add = {"notification_name": "chat", "url": "mailto:root"}
        self.successResultOf(whole.do("OP_NOTIFICATION_ADD", **add))
        progress = NotificationProgress(uuid="chat", position="7", failing_since=100, error="no")
        failing = record_progress([progress])(whole.state)
        [finding] = notification_findings(failing, 400.0)
        self.assertTrue(finding.warning)
        self.assertIn("not been delivered for 5 minutes: no", finding.message)
        self.successResultOf(
            whole.do("OP_NOTIFICATION_SET_PARAMS", notification_name="chat", enabled=False)
        )
        self.assertEqual(
            list(notification_findings(record_progress([progress])(whole.state), 4e2)), []
        )
