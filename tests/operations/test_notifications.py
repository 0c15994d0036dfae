# SPDX-License-Identifier: BSD-2-Clause
"""Notifications are added, changed and removed."""

from __future__ import annotations

import dataclasses
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.config.changes.notifications import record_progress
from ganeti.config.state import ClusterState
from ganeti.errors import Code, Invalid, Refused
from ganeti.model.notifications import Notification, NotificationProgress
from ganeti.opcodes.notifications import AddNotification, ModifyNotification, RemoveNotification
from ganeti.opcodes.registry import read_opcode
from ganeti.opcodes.writing import redact
from ganeti.operations.cluster.notification_findings import notification_findings
from ganeti.operations.notifications import (
    MAX_NOTIFICATIONS,
    MAX_SELECTED,
    Addition,
    Removal,
    Update,
    plan_add,
    plan_modify,
    plan_remove,
    run_add,
    run_modify,
    run_remove,
)
from ganeti.operations.operation import NodeAnswers
from ganeti.schema.records import replace
from ganeti.testing.builders import SINCE, a_cluster
from ganeti.testing.tools import MemoryTools
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


FACTS = NodeAnswers(since=SINCE + 0.9)
CHAT = Notification(uuid="chat", url=URL, created=int(SINCE), secret=SECRET, tags=("web",))
AT_7 = NotificationProgress(uuid="chat", position="7", failing_since=1, error="timed out")


class PlanTests(SynchronousTestCase):
    state = a_cluster().put(CHAT).put(AT_7)

    def add(self, **fields: Any) -> AddNotification:
        known = {"notification_name": "ops", "url": URL, "secret": SECRET}
        return AddNotification(**{**known, **fields})

    def modify(self, **fields: Any) -> ModifyNotification:
        return ModifyNotification(notification_name="chat", **fields)

    def problems(self, op: AddNotification | ModifyNotification) -> list[str]:
        with self.assertRaises(Invalid) as caught:
            if isinstance(op, AddNotification):
                plan_add(op, self.state, FACTS)
            else:
                plan_modify(op, self.state, FACTS)
        return [str(problem) for problem in caught.exception.problems]

    def test_an_added_one_has_sorted_selections_and_the_time_of_its_plan(self) -> None:
        op = self.add(kinds=("job", "instance", "job"), names=("b", "a"), note="on call")
        expected = Notification(
            uuid="ops",
            url=URL,
            created=int(SINCE),
            kinds=("instance", "job"),
            names=("a", "b"),
            secret=SECRET,
            comment="on call",
        )
        plan = plan_add(op, self.state, FACTS)
        self.assertEqual((plan, plan.locks), (Addition(expected), {}))

    def test_selections_have_a_limited_length(self) -> None:
        some = tuple(f"name{number}" for number in range(MAX_SELECTED))
        plan_add(self.add(names=some, tags=some), self.state, FACTS)
        more = dict.fromkeys(("names", "tags"), (*some, "one"))
        words = f"can have at most {MAX_SELECTED} values"
        self.assertEqual(self.problems(self.add(**more)), [f"names: {words}", f"tags: {words}"])

    def test_a_secret_is_long_enough_and_well_formed(self) -> None:
        plan_add(self.add(secret="x" * 24), self.state, FACTS)
        self.assertEqual(
            self.problems(self.add(secret="x" * 23)), ["secret: must have at least 24 characters"]
        )
        [malformed] = self.problems(self.add(secret="whsec_" + "%" * 24))
        self.assertTrue(malformed.startswith("secret: "), malformed)

    def test_mail_has_neither_a_secret_nor_an_authority(self) -> None:
        words = "is for webhooks only, not for mail"
        op = self.add(url="mailto:root", authority="PEM")
        self.assertEqual(self.problems(op), [f"secret: {words}", f"authority: {words}"])
        self.assertEqual(self.problems(self.modify(url="mailto:root")), [f"secret: {words}"])
        plan_modify(self.modify(url="mailto:root", secret=""), self.state, FACTS)

    def test_an_empty_value_is_a_change_and_none_is_not(self) -> None:
        plan = plan_modify(self.modify(tags=(), note="", enabled=False), self.state, FACTS)
        fields = {"tags": (), "comment": "", "enabled": False}
        self.assertEqual((plan, plan.locks), (Update("chat", fields, skip=False), {}))
        plan = plan_modify(self.modify(skip_pending=True), self.state, FACTS)
        self.assertEqual(plan, Update("chat", {}, skip=True))

    def test_each_refusal_has_its_code(self) -> None:
        state = self.state
        for number in range(MAX_NOTIFICATIONS - 1):
            state = state.put(replace(CHAT, uuid=f"n{number}"))
        for op, planned, code in (
            (self.add(), state, Code.RESOURCES),
            (self.add(notification_name="chat"), self.state, Code.EXISTS),
        ):
            with self.assertRaises(Refused) as caught:
                plan_add(op, planned, FACTS)
            self.assertEqual(caught.exception.code, code)
        with self.assertRaises(Refused) as unknown:
            plan_remove(RemoveNotification(notification_name="ops"), self.state, FACTS)
        self.assertEqual(unknown.exception.code, Code.UNKNOWN)


class RunTests(SynchronousTestCase):
    """The newest event has the position 9."""

    def setUp(self) -> None:
        self.memory = MemoryTools(PlanTests.state)
        self.tools = dataclasses.replace(self.memory.tools, event_position=lambda: "9")

    def position(self, plan: Update) -> NotificationProgress:
        done = self.successResultOf(run_modify(plan, self.tools))
        progress: NotificationProgress = done.change(PlanTests.state).notification_progress["chat"]
        return progress

    def test_an_added_one_begins_with_the_events_from_then_on(self) -> None:
        plan = Addition(replace(CHAT, uuid="ops"))
        done = self.successResultOf(run_add(plan, self.tools))
        progress = done.change(PlanTests.state).notification_progress["ops"]
        self.assertEqual(progress, NotificationProgress(uuid="ops", position="9"))

    def test_pending_events_are_kept_unless_they_are_skipped(self) -> None:
        self.assertEqual(self.position(Update("chat", {"enabled": False}, skip=False)), AT_7)
        skipped = self.position(Update("chat", {}, skip=True))
        self.assertEqual(skipped, NotificationProgress(uuid="chat", position="9"))

    def test_a_removed_one_leaves_no_progress(self) -> None:
        left = self.successResultOf(run_remove(Removal("chat"), self.tools))
        state = left.change(PlanTests.state)
        self.assertEqual((len(state.notifications), len(state.notification_progress)), (0, 0))


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
