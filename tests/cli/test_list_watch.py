# SPDX-License-Identifier: BSD-2-Clause
"""Lists follow the event stream: rows are queried and shown again when events are about them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.command import Tool
from ganeti.cli.gnt_instance.commands import GNT_INSTANCE
from ganeti.cli.gnt_job.commands import GNT_JOB
from ganeti.cli.list_watch import MAX_NARROWED, Rows, find_changed
from ganeti.cli.session import INTERRUPTED
from ganeti.errors import Code, Refused
from ganeti.luxi.methods import Query, WaitForEvents
from ganeti.luxi.unreachable import MasterNotRunning
from tests.cli.terminal import Terminal


def about(name: str | None, kind: str = "instance", *names: str, **over: Any) -> dict[str, Any]:
    return {"kind": kind, "action": "changed", "name": name, "names": names, **over}


class WatchCase(SynchronousTestCase):
    """A master with instances and their states in ``states``.

    Each of ``steps`` is what happens while the tool waits for events: it returns events, or is an
    error. Then the user interrupts the tool.
    """

    def setUp(self) -> None:
        self.states: dict[Any, str] = {"web1": "running", "web10": "running"}
        self.steps: list[Any] = []
        self.queries: list[Query] = []
        self.terminal = Terminal({WaitForEvents: self.wait, Query: self.query})

    def wait(self, request: WaitForEvents) -> Any:
        page = {"events": [], "position": "5", "reset": False}
        if request.since is None:
            return page
        if not self.steps:
            raise KeyboardInterrupt
        step = self.steps.pop(0)
        if isinstance(step, Exception):
            return step
        happened = step()
        return {**page, "reset": True} if happened is None else {**page, "events": happened}

    def query(self, query: Query) -> Any:
        self.queries.append(query)
        values: dict[str, Callable[[Any], Any]] = {
            "name": lambda key: key,
            "id": lambda key: key,
            "status": lambda key: self.states[key],
        }
        narrowed = _named(query.qfilter)
        return {
            "fields": [
                {
                    "name": name,
                    "title": name.capitalize(),
                    "kind": "text" if name in values else "unknown",
                    "doc": "",
                }
                for name in query.fields
            ],
            "data": [
                [[0, values.get(name, lambda _: None)(key)] for name in query.fields]
                for key in sorted(self.states)
                if narrowed is None or key in narrowed
            ],
        }

    def become(self, key: Any, state: str | None, *events: Any) -> Callable[[], list[Any]]:
        """A step: something gets another state, or is removed."""

        def step() -> list[Any]:
            self.states.pop(key, None)
            if state is not None:
                self.states[key] = state
            return list(events) or [about(key)]

        return step

    def watch(self, *words: str, tool: Tool = GNT_INSTANCE) -> int:
        return self.terminal.run(tool, "list", "--watch", "-o", "name,status", *words)

    def lines(self) -> list[str]:
        return self.terminal.out.splitlines()


def _named(qfilter: Any) -> set[Any] | None:
    """The keys that the narrowed part of a filter names."""
    match qfilter:
        case ["|", *parts]:
            return {part[2] for part in parts}
        case ["&", _, part]:
            return _named(part)
    return None


class LinesTests(WatchCase):
    def test_changed_rows_are_printed_as_aligned_lines(self) -> None:
        self.steps = [self.become("web1", "ERROR_down")]
        self.assertEqual(self.watch(), INTERRUPTED)
        self.assertEqual(
            self.lines(), ["Name  Status", "web1  running", "web10 running", "web1  ERROR_down"]
        )
        self.assertEqual(self.terminal.err, "")

    def test_only_the_changed_rows_are_queried(self) -> None:
        self.steps = [self.become("web1", "ADMIN_down")]
        self.watch()
        self.assertEqual(self.queries[1].qfilter, ["|", ["=", "name", "web1"]])
        self.assertEqual(len(self.queries), 2)

    def test_a_row_that_is_as_before_is_not_printed(self) -> None:
        self.steps = [lambda: [about("web1")]]
        self.watch("--no-headers")
        self.assertEqual(self.lines(), ["web1  running", "web10 running"])

    def test_removed_and_new_rows_are_printed(self) -> None:
        self.steps = [self.become("web1", None), self.become("db1", "running")]
        self.watch("--separator", "|")
        self.assertEqual(self.lines()[3:], ["web1|removed", "db1|running"])

    def test_programs_get_a_json_object_per_line(self) -> None:
        self.steps = [self.become("web10", None)]
        self.watch("-o", "json")
        expected = [
            {"name": "web1", "status": "running"},
            {"name": "web10", "status": "running"},
            {"name": "web10", "removed": True},
        ]
        self.assertEqual(list(map(json.loads, self.lines())), expected)

    def test_an_event_of_another_kind_may_concern_all_rows(self) -> None:
        self.steps = [self.become("web10", "ERROR_nodedown", about("node1", "node"))]
        self.watch()
        self.assertIsNone(self.queries[1].qfilter)
        self.assertEqual(self.lines()[3:], ["web10 ERROR_nodedown"])

    def test_after_lost_events_everything_is_queried(self) -> None:
        self.states = {"web1": "running"}
        self.steps = [lambda: self.states.update(web1="ADMIN_down")]
        self.watch()
        self.assertEqual(self.lines()[2:], ["web1 ADMIN_down"])

    def test_a_filter_stays_in_force(self) -> None:
        self.steps = [self.become("web1", "ADMIN_down")]
        self.watch("-F", 'status == "running"')
        wanted = ["==", "status", "running"]
        self.assertEqual(self.queries[1].qfilter, ["&", wanted, ["|", ["=", "name", "web1"]]])

    def test_a_master_that_restarts_is_waited_for(self) -> None:
        away = MasterNotRunning("the master daemon is not running")
        early = Refused("no events are available yet", Code.TEMPORARY)
        self.steps = [away, away, early, self.become("web1", "ADMIN_down")]
        self.assertEqual(self.watch(), INTERRUPTED)
        self.assertEqual(self.lines()[3:], ["web1  ADMIN_down"])

    def test_another_refusal_ends_it(self) -> None:
        self.steps = [Refused("no", Code.STATE)]
        self.assertEqual(self.watch(), 1)

    def test_an_unknown_field_is_refused(self) -> None:
        self.assertEqual(self.watch("-o", "colour"), 14)
        self.assertIn("unknown field colour", self.terminal.err)

    def test_jobs_are_followed_by_number_and_their_messages_are_ignored(self) -> None:
        self.states = {7: "running"}
        self.steps = [
            lambda: [about("7", "job", action="message")],
            self.become(8, "queued", about("8", "job")),
        ]
        self.watch("-o", "id,status", tool=GNT_JOB)
        self.assertEqual(self.lines(), ["Id Status", "7  running", "8  queued"])
        self.assertEqual(len(self.queries), 2)


class ScreenTests(WatchCase):
    def setUp(self) -> None:
        super().setUp()
        self.terminal.size = (12, 4)

    def test_the_list_is_painted_again_from_the_top(self) -> None:
        self.steps = [self.become("web1", "ERROR_wrongnode")]
        self.assertEqual(self.watch(), INTERRUPTED)
        first, second = self.terminal.out.split("\x1b[H")[1:]
        self.assertIn("web1  running\x1b[K\n"[:12], first)
        self.assertIn("web1  ERROR_\x1b[K\n", second)
        self.assertTrue(second.endswith("\x1b[J"))

    def test_what_does_not_fit_is_counted(self) -> None:
        self.states = {f"web{n}": "running" for n in range(10)}
        self.watch()
        self.assertEqual(self.terminal.out.count("\n"), 3)
        self.assertIn("… 9 more", self.terminal.out)


class ChangedTests(SynchronousTestCase):
    def test_old_names_are_changed_rows_too(self) -> None:
        self.assertEqual(
            find_changed("instance", [about("new", "instance", "old")]), {"new", "old"}
        )

    def test_disks_are_about_their_instance(self) -> None:
        self.assertEqual(find_changed("instance", [about("web1", "disk")]), {"web1"})

    def test_an_event_without_a_name_and_too_many_are_about_all(self) -> None:
        self.assertIsNone(find_changed("instance", [about(None)]))
        many = [about(f"web{n}") for n in range(MAX_NARROWED + 1)]
        self.assertIsNone(find_changed("instance", many))

    def test_rows_know_what_has_changed(self) -> None:
        rows = Rows()
        rows.update({"fields": [{}, {}], "data": [[[0, "x"], [0, 1]], [[0, "y"], [0, 2]]]}, None)
        change = rows.update({"fields": [{}, {}], "data": [[[0, "z"], [0, 2]]]}, {1, 2})
        self.assertEqual((change.changed, change.removed), ([2], [1]))
