# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-filter`` sets the rules that its users mean, and shows them."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.gnt_filter.commands import GNT_FILTER
from ganeti.errors import GanetiError, Refused
from ganeti.luxi.methods import DeleteFilter, Query, QueryFilters, ReplaceFilter
from tests.cli.terminal import NOW, Terminal, answer, in_utc

UUID = "6bb0d4f5-0b0f-4a5e-8c5e-2b8b7ab3e8aa"
WHEN = int(NOW * 1e9)
NEWER = [["jobid", [">", "id", "watermark"]]]
TRAIL = [["gnt:user", "maintenance", WHEN], ["gnt:client", "gnt-filter add", WHEN]]
KINDS = {
    "uuid": "text",
    "watermark": "number",
    "priority": "number",
    "predicates": "other",
    "action": "other",
    "reason_trail": "other",
}


class SettingTests(SynchronousTestCase):
    def asked(self, *words: str) -> Any:
        terminal = Terminal({ReplaceFilter: UUID, DeleteFilter: lambda _: None})
        self.assertEqual(terminal.run(GNT_FILTER, *words), 0, terminal.err)
        self.out = terminal.out
        (asked,) = terminal.asked()
        return asked

    def test_a_rule_is_added_with_who_and_why(self) -> None:
        asked = self.asked(
            *("add", "--priority=3", "--action=PAUSE", "--reason=maintenance"),
            f"--predicates={json.dumps(NEWER)}",
        )
        expected = ReplaceFilter(
            uuid=None,
            priority=3,
            predicates=NEWER,
            action="PAUSE",
            reason=tuple(map(tuple, TRAIL)),
        )
        self.assertEqual((asked, self.out), (expected, f"{UUID}\n"))

    def test_what_is_not_said_is_the_default(self) -> None:
        asked = self.asked("add")
        self.assertEqual((asked.priority, asked.predicates, asked.action), (0, [], "CONTINUE"))

    def test_a_rule_is_set_again(self) -> None:
        asked = self.asked("replace", "--action", "RATE_LIMIT 2", UUID)
        self.assertEqual((asked.uuid, asked.action), (UUID, ["RATE_LIMIT", 2]))
        self.assertEqual(asked.reason[-1][1], "gnt-filter replace")

    def test_a_rule_is_removed(self) -> None:
        self.assertEqual(self.asked("delete", UUID), DeleteFilter(uuid=UUID))

    def test_what_makes_no_sense_is_not_sent(self) -> None:
        for words, said in (
            (("add", "--action=RATE_LIMIT"), "must be one of ACCEPT, PAUSE, REJECT, CONTINUE, or"),
            (("add", "--action=RATE_LIMIT two"), "must be a whole number"),
            (("add", "--predicates=[["), "is not JSON"),
        ):
            terminal = Terminal()
            self.assertEqual(terminal.run(GNT_FILTER, *words), 2)
            self.assertIn(said, terminal.err)

    def test_what_the_master_refuses_is_told(self) -> None:
        terminal = Terminal({DeleteFilter: GanetiError(f"there is no job filter {UUID}")})
        self.assertEqual(terminal.run(GNT_FILTER, "delete", UUID), 1)
        self.assertEqual(terminal.err, f"Failure: there is no job filter {UUID}\n")


class ShowingTests(SynchronousTestCase):
    def test_rules_are_listed(self) -> None:
        row = [UUID, 7, 3, NEWER, ["RATE_LIMIT", 2], []]
        terminal = Terminal({Query: answer(KINDS, row)})
        self.assertEqual(terminal.run(GNT_FILTER, "list", "--separator=|", "--no-headers"), 0)
        predicates = '[["jobid",[">","id","watermark"]]]'
        self.assertEqual(terminal.out, f"{UUID}|7|3|{predicates}|RATE_LIMIT 2|\n")

    def test_rules_are_chosen_by_uuid(self) -> None:
        terminal = Terminal({Query: answer(KINDS)})
        self.assertEqual(terminal.run(GNT_FILTER, "list", UUID), 0)
        (asked,) = terminal.asked()
        assert isinstance(asked, Query)
        self.assertEqual(asked.qfilter, ["|", ["==", "uuid", UUID]])

    def test_everything_is_told_of_a_rule(self) -> None:
        in_utc(self)
        terminal = Terminal({QueryFilters: [[UUID, 7, 3, NEWER, "PAUSE", TRAIL]]})
        self.assertEqual(terminal.run(GNT_FILTER, "info", UUID), 0)
        self.assertEqual(
            terminal.out.splitlines(),
            [
                f"- UUID: {UUID}",
                "  Watermark: 7",
                "  Priority: 3",
                "  Action: PAUSE",
                "  Predicates:",
                """    - jobid: '[">","id","watermark"]'""",
                "  Reason trail:",
                "    - 2023-11-14 22:13:20 gnt:user: maintenance",
                "    - 2023-11-14 22:13:20 gnt:client: gnt-filter add",
            ],
        )
        self.assertEqual(terminal.asked(), [QueryFilters(uuids=(UUID,), fields=tuple(KINDS))])

    def test_a_rule_that_there_is_not_is_told(self) -> None:
        terminal = Terminal({QueryFilters: Refused(f"there is no job filter {UUID}")})
        self.assertEqual(terminal.run(GNT_FILTER, "info", UUID), 1)
