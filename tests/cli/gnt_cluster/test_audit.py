# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-cluster history`` tells who did what, in lines that cannot disturb a terminal."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.gnt_cluster.audit import describe, show
from ganeti.luxi.methods import QueryHistory
from tests.cli.terminal import Terminal, arguments, in_utc

ENTRY: dict[str, Any] = {
    "position": 7,
    "at": 1_700_000_000.0,
    "user": "ann",
    "how": "",
    "what": "OP_INSTANCE_SHUTDOWN(web1)",
    "job": None,
    "denied": False,
    "count": 1,
    "changes": [],
}
AT = "2023-11-14 22:13:20"


class LineTests(SynchronousTestCase):
    def setUp(self) -> None:
        in_utc(self)

    def line(self, **over: Any) -> str:
        return describe({**ENTRY, **over})

    def test_it_has_the_time_the_user_and_what_was_done(self) -> None:
        self.assertEqual(self.line(), f"{AT} ann OP_INSTANCE_SHUTDOWN(web1)")
        self.assertEqual(self.line(user=""), f"{AT} - OP_INSTANCE_SHUTDOWN(web1)")

    def test_how_and_by_which_job_are_told_if_that_is_known(self) -> None:
        line = self.line(how="token 0123 from 192.0.2.7", job=0)
        self.assertTrue(line.startswith(f"{AT} ann (token 0123 from 192.0.2.7) job 0 OP_"))

    def test_a_denial_is_told_with_how_often_it_came(self) -> None:
        line = self.line(denied=True, count=3, what="SubmitJob")
        self.assertEqual(line, f"{AT} ann was denied SubmitJob (3 times)")

    def test_changed_objects_have_a_name_or_a_uuid(self) -> None:
        changes = [
            {"kind": "instance", "name": "web1", "uuid": "u-1", "action": "changed"},
            {"kind": "disk", "name": None, "uuid": "u-2", "action": "removed"},
        ]
        told = "instance web1 changed, disk u-2 removed"
        self.assertTrue(self.line(changes=changes).endswith(f": {told}"))

    def test_control_characters_are_not_shown(self) -> None:
        line = self.line(what="x\x1b[2J\n\u202ey")
        self.assertEqual(line, f"{AT} ann x?[2J??y")


class ShowTests(SynchronousTestCase):
    def setUp(self) -> None:
        in_utc(self)
        denied = {**ENTRY, "user": "bea", "denied": True}
        self.terminal = Terminal({QueryHistory: [ENTRY, denied]})

    def shown(self, **values: Any) -> str:
        given = arguments("history", **values)
        self.assertEqual(self.terminal.call(lambda session: show(session, given)), 0)
        return self.terminal.out

    def test_the_oldest_comes_first(self) -> None:
        first, second = self.shown(user="x").splitlines()
        self.assertIn(" bea ", first)
        self.assertIn(" ann ", second)

    def test_only_denials_are_shown_if_that_is_wanted(self) -> None:
        [line] = self.shown(denied=True).splitlines()
        self.assertIn(" bea was denied ", line)

    def test_the_request_has_what_was_given(self) -> None:
        self.shown()
        self.shown(name="web1", user="ann", since=1.0, until=2.0, last=3)
        asked = QueryHistory(name="web1", user="ann", since=1.0, until=2.0, limit=3)
        self.assertEqual(self.terminal.asked(), [QueryHistory(limit=100), asked])

    def test_programs_get_the_entries(self) -> None:
        users = [each["user"] for each in json.loads(self.shown(output="json"))]
        self.assertEqual(users, ["bea", "ann"])
        self.assertEqual(len(json.loads(self.shown(output="json", denied=True))), 1)
