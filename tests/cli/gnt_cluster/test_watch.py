# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-cluster watch`` shows what happens, and goes on through restarts of the master."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.event_polling import RETRIES
from ganeti.cli.gnt_cluster.commands import GNT_CLUSTER
from ganeti.cli.gnt_cluster.watch import describe
from ganeti.cli.session import INTERRUPTED
from ganeti.luxi.methods import WaitForEvents
from ganeti.luxi.unreachable import MasterNotRunning
from tests.cli.terminal import Terminal, in_utc

WEB1 = {
    "id": "5.1",
    "at": 1_700_000_000.0,
    "kind": "instance",
    "action": "changed",
    "name": "web1",
    "tags": [],
    "who": "job",
    "why": "starting",
    "job": 7,
}
JOB = {**WEB1, "id": "6.1", "kind": "job", "name": "7"}


def page(position: str, *events: Any, reset: bool = False) -> dict[str, Any]:
    return {"events": list(events), "position": position, "reset": reset}


class WatchTests(SynchronousTestCase):
    def setUp(self) -> None:
        in_utc(self)
        self.answers: list[Any] = []
        self.terminal = Terminal({WaitForEvents: lambda _: self.answers.pop(0)})

    def watch(self, *words: str) -> int:
        return self.terminal.run(GNT_CLUSTER, "watch", "--no-wait", *words)

    def test_an_event_is_a_line(self) -> None:
        job = {**JOB, "value": {"status": "running", "summary": ["INSTANCE_STARTUP(web1)"]}}
        self.answers = [page("6", WEB1, job), page("6")]
        self.assertEqual(self.watch("--since", "4"), 0)
        self.assertEqual(
            self.terminal.out,
            "2023-11-14 22:13:20 5.1 instance web1 changed by job 7 (job)\n"
            "2023-11-14 22:13:20 6.1 job 7 changed running INSTANCE_STARTUP(web1)\n",
        )

    def test_for_programs_it_is_a_json_object(self) -> None:
        self.answers = [page("5", WEB1), page("5")]
        self.watch("--since", "4", "-o", "json")
        self.assertEqual(json.loads(self.terminal.out), WEB1)

    def test_options_select(self) -> None:
        self.answers = [page("5"), page("5")]
        self.watch("--kind", "job", "--kind", "node", "--name", "web1", "--tag", "a")
        first = self.terminal.asked()[0]
        expected = WaitForEvents(
            since=None, timeout=0, kinds=("job", "node"), names=("web1",), tags=("a",)
        )
        self.assertEqual(first, expected)

    def test_each_request_goes_on_where_the_one_before_ended(self) -> None:
        self.answers = [page("5.1", WEB1), page("6", JOB), page("6")]
        self.watch("--since", "4")
        asked = [request.since for request in self.terminal.asked()]  # type: ignore[attr-defined]
        self.assertEqual(asked, ["4", "5.1", "6"])

    def test_lost_events_are_an_error_that_says_where_to_go_on(self) -> None:
        self.answers = [page("90", reset=True)]
        self.assertEqual(self.watch("--since", "4"), 1)
        self.assertIn("--since 90", self.terminal.err)

    def test_a_message_cannot_control_the_terminal(self) -> None:
        said = {**JOB, "action": "message", "value": {"message": "a\x1b[2Jb\n"}}
        self.answers = [page("6", said), page("6")]
        self.watch("--since", "4")
        self.assertTrue(self.terminal.out.endswith(" message a?[2Jb?\n"))

    def test_a_master_that_restarts_is_waited_for(self) -> None:
        away = MasterNotRunning("the master daemon is not running")
        self.answers = [page("5"), away, away, page("5", reset=True)]
        self.assertEqual(self.terminal.run(GNT_CLUSTER, "watch"), 1)
        self.assertEqual(len(self.terminal.slept), 2)

    def test_a_master_that_does_not_come_back_ends_it(self) -> None:
        away = MasterNotRunning("the master daemon is not running")
        self.answers = [page("5"), *[away] * RETRIES]
        self.assertEqual(self.terminal.run(GNT_CLUSTER, "watch"), 1)
        self.assertIn("not running", self.terminal.err)

    def test_the_user_ends_it_as_any_program(self) -> None:
        def interrupted(_: Any) -> Any:
            raise KeyboardInterrupt

        self.terminal.canned[WaitForEvents] = interrupted
        self.assertEqual(self.terminal.run(GNT_CLUSTER, "watch"), INTERRUPTED)

    def test_without_a_master_it_does_not_begin(self) -> None:
        self.answers = [MasterNotRunning("the master daemon is not running")]
        self.assertEqual(self.terminal.run(GNT_CLUSTER, "watch"), 1)
        self.assertEqual(self.terminal.slept, [])

    def test_each_event_says_who_or_why_as_far_as_it_knows(self) -> None:
        plain = {"id": "1", "at": 0.0, "kind": "node", "action": "removed", "name": ""}
        for more, words in (
            ({"who": "masterd", "why": "a new term"}, "by masterd: a new term"),
            ({"reason": "the queue is closed"}, "the queue is closed"),
        ):
            line = f"1970-01-01 00:00:00 1 node - removed {words}"
            self.assertEqual(describe({**plain, **more}), line)
