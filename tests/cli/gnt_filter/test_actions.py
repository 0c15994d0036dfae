# SPDX-License-Identifier: BSD-2-Clause
"""``gnt-filter`` asks the master directly: filters are no jobs."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.gnt_filter import actions
from ganeti.cli.gnt_filter.rule_fields import FIELDS
from ganeti.luxi.methods import DeleteFilter, QueryFilters, ReplaceFilter
from tests.cli.terminal import NOW, Terminal, arguments, in_utc

UUID = "6bb0d4f5-0b0f-4a5e-8c5e-2b8b7ab3e8aa"
NANOSECONDS = int(NOW * 1e9)


class FilterTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.terminal = Terminal(
            {ReplaceFilter: UUID, DeleteFilter: lambda _: None, QueryFilters: []}
        )

    def call(self, action: Any, command: str = "add", /, **values: Any) -> int:
        given = arguments(command, **values)
        code: int = self.terminal.call(lambda session: action(session, given))
        return code

    def test_a_new_filter_continues_with_every_job_unless_something_is_said(self) -> None:
        self.assertEqual(self.call(actions.put), 0)
        trail = (("gnt:client", "gnt-tool add", NANOSECONDS),)
        wanted = ReplaceFilter(
            uuid=None, priority=0, predicates=[], action="CONTINUE", reason=trail
        )
        self.assertEqual((self.terminal.asked(), self.terminal.out), ([wanted], f"{UUID}\n"))

    def test_a_replaced_filter_keeps_nothing_of_the_old_one(self) -> None:
        self.call(actions.put, "replace", uuid=UUID, action="PAUSE", reason="rain")
        [asked] = self.terminal.asked()
        assert isinstance(asked, ReplaceFilter)
        self.assertEqual((asked.uuid, asked.priority, asked.predicates), (UUID, 0, []))
        reasons = [why for _, why, _ in asked.reason]
        self.assertEqual(reasons, ["rain", "gnt-tool replace"])

    def test_a_removal_says_nothing(self) -> None:
        self.assertEqual(self.call(actions.delete, uuid=UUID), 0)
        wanted = [DeleteFilter(uuid=UUID)]
        self.assertEqual((self.terminal.asked(), self.terminal.out), (wanted, ""))

    def test_without_names_all_are_shown(self) -> None:
        self.assertEqual(self.call(actions.info), 0)
        self.assertEqual(self.terminal.asked(), [QueryFilters(uuids=None, fields=FIELDS)])

    def test_a_limit_and_the_trail_are_told_in_words(self) -> None:
        in_utc(self)
        trail = [["gnt:user", "rain", NANOSECONDS]]
        row = [UUID, 7, 3, [["opcode", ["=", "OP_ID", "OP_X"]]], ["RATE_LIMIT", 2], trail]
        self.terminal.canned[QueryFilters] = [row]
        self.call(actions.info, names=[UUID])
        self.assertIn("  Action: RATE_LIMIT 2\n", self.terminal.out)
        self.assertIn('opcode: \'["=","OP_ID","OP_X"]\'\n', self.terminal.out)
        self.assertIn("- 2023-11-14 22:13:20 gnt:user: rain\n", self.terminal.out)
