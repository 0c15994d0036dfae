# SPDX-License-Identifier: BSD-2-Clause
"""The action of a job filter is a word, or a limit with its number."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from ganeti.cli.gnt_filter.rule_fields import FIELDS, format_action, parse_action
from ganeti.luxi.methods import QueryFilters
from ganeti.model.filters import ACTIONS


class ActionTests(SynchronousTestCase):
    def test_every_word_stands_for_itself(self) -> None:
        for word in ACTIONS:
            self.assertEqual(parse_action(word), word)

    def test_a_limit_has_a_number(self) -> None:
        for text in ("RATE_LIMIT 2", "  RATE_LIMIT   2 "):
            self.assertEqual(parse_action(text), ["RATE_LIMIT", 2])

    def test_what_is_neither_is_refused_with_the_choices(self) -> None:
        for text in ("", "PAUSED", "pause", "RATE_LIMIT", "RATE_LIMIT 1 2", "ACCEPT 1"):
            with self.assertRaisesRegex(ValueError, "must be one of ACCEPT.*'RATE_LIMIT n'"):
                parse_action(text)

    def test_a_limit_that_is_no_number_is_refused(self) -> None:
        for text in ("RATE_LIMIT two", "RATE_LIMIT 1.5"):
            with self.assertRaisesRegex(ValueError, "must be a whole number"):
                parse_action(text)

    def test_what_is_shown_can_be_given_again(self) -> None:
        for text in (*ACTIONS, "RATE_LIMIT 7"):
            self.assertEqual(format_action(parse_action(text)), text)


class FieldTests(SynchronousTestCase):
    def test_they_are_fields_of_queries(self) -> None:
        self.assertEqual(QueryFilters(uuids=None, fields=FIELDS).fields, FIELDS)
        self.assertEqual(len(FIELDS), len(set(FIELDS)))
